"""Pictures of cameras as they come: drawn once for all who watch, and only while somebody does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Final, NamedTuple

from yololstm import drawing
from yololstm.bulletin import Bulletin, Notice
from yololstm.drawing import Status
from yololstm.journal import Journal
from yololstm.moments import Moment
from yololstm.web import picturing
from yololstm.web.picturing import Known
from yololstm.web.watched import Camera

BOUNDARY: Final = "picture"
MEDIA_TYPE: Final = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
_EVERY_S: Final = 0.1
_WAIT_S: Final = 1.0
_SAID_S: Final = 10.0
"""For how long a verdict tells of somebody."""
_QUIET_S: Final = 10.0
"""Without a picture the last is sent again, so that who has left is noticed."""


class Picture(NamedTuple):
    camera: str
    number: int
    jpeg: bytes


class Film:
    """One camera's."""

    def __init__(
        self, camera: Camera, labels: Sequence[str], journal: Journal, bulletin: Bulletin
    ) -> None:
        self._camera = camera
        self._colours = drawing.palette(labels)
        self._journal = journal
        self._bulletin = bulletin
        self._viewers: list[Callable[[Picture], None]] = []
        self._last: Picture | None = None
        self._changing = threading.Lock()

    def still(self, *, plain: bool = False) -> bytes | None:
        """What the camera shows now; None where it shows nothing."""
        latest = self._camera.latest()
        if latest is None:
            return None
        if plain:
            return picturing.plain(latest[1])
        return picturing.drawn(latest[1], self._known(self._going_on()), self._colours)

    def watch(self, show: Callable[[Picture], None]) -> Callable[[], None]:
        """show: called by a thread with each picture, so it must not wait. Returns what ends it."""
        with self._changing:
            self._viewers.append(show)
            if len(self._viewers) == 1:
                name = f"film {self._camera.name}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
            elif self._last is not None:
                show(self._last)

        def leave() -> None:
            with self._changing, suppress(ValueError):
                self._viewers.remove(show)

        return leave

    def _run(self) -> None:
        going_on, number = self._going_on(), 0

        def hear(notice: Notice) -> None:
            if notice.kind == "change" and notice.about["camera"] == self._camera.name:
                _note(going_on, notice.about)

        leave = self._bulletin.listen(hear)
        try:
            while self._is_watched():
                due = time.monotonic() + _EVERY_S
                found = self._camera.wait(number, _WAIT_S)
                if found is not None:
                    number, moment = found
                    self._show(number, moment, going_on)
                time.sleep(max(0.0, due - time.monotonic()))
        finally:
            leave()

    def _is_watched(self) -> bool:
        with self._changing:
            if not self._viewers:
                self._last = None
            return bool(self._viewers)

    def _show(self, number: int, moment: Moment, going_on: Mapping[int, Status]) -> None:
        jpeg = picturing.drawn(moment, self._known(going_on), self._colours)
        if jpeg is None:
            return
        with self._changing:
            self._last = Picture(self._camera.name, number, jpeg)
            for show in self._viewers:
                show(self._last)

    def _going_on(self) -> dict[int, Status]:
        entries = self._journal.open_entries(self._camera.name)
        return {entry.track: Status(entry.label, entry.probability) for entry in entries}

    def _known(self, going_on: Mapping[int, Status]) -> Known:
        said = frozenset(verdict.track for verdict in self._camera.verdicts(_SAID_S))
        return Known(dict(going_on), said)


def _note(going_on: dict[int, Status], about: Mapping[str, object]) -> None:
    track, label = int(str(about["track"])), str(about["label"])
    if about["change"] != "end":
        going_on[track] = Status(label, float(str(about["probability"])))
    elif (status := going_on.get(track)) is not None and status.label == label:
        del going_on[track]


class _Viewer:
    """The newest picture of each camera that was not sent yet: who is slow misses some."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._filled = asyncio.Event()
        self._pictures: dict[str, Picture] = {}
        self._changing = threading.Lock()

    def show(self, picture: Picture) -> None:
        with self._changing:
            self._pictures[picture.camera] = picture
        with suppress(RuntimeError):  # the loop is closed: nobody is there any more
            self._loop.call_soon_threadsafe(self._filled.set)

    async def next(self) -> list[Picture]:
        """Those that came since; none where none has come for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_S):
                await self._filled.wait()
        with self._changing:
            self._filled.clear()
            pictures = list(self._pictures.values())
            self._pictures.clear()
        return pictures


async def parts(films: Sequence[Film]) -> AsyncGenerator[bytes, None]:
    """The pictures of them all as they come, as parts of MEDIA_TYPE. Each part ends with the next
    boundary, so that browsers show it at once."""
    viewer, last = _Viewer(), b""
    with ExitStack() as leaving:
        for film in films:
            leaving.callback(film.watch(viewer.show))
        yield f"--{BOUNDARY}\r\n".encode()
        while True:
            pictures = await viewer.next()
            sent = b"".join(map(_part, pictures)) or last
            if pictures:
                last = _part(pictures[-1])
            yield sent


def _part(picture: Picture) -> bytes:
    head = (
        f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n"
        f"X-Camera: {picture.camera}\r\nX-Number: {picture.number}\r\n\r\n"
    )
    return head.encode() + picture.jpeg + f"\r\n--{BOUNDARY}\r\n".encode()
