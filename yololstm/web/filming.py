"""Pictures of cameras as they come: drawn once for all who watch, and only while somebody does."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from typing import Final, NamedTuple

from yololstm import drawing
from yololstm.bulletin import Bulletin, Notice
from yololstm.drawing import Status
from yololstm.journal import Journal
from yololstm.moments import Moment
from yololstm.web import picturing
from yololstm.web.picturing import Known
from yololstm.web.watched import Camera

_LOG: Final = logging.getLogger("uvicorn.error")
"""Of the server, which is told of other faults, too."""
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


class Still(NamedTuple):
    jpeg: bytes
    at: datetime
    """When the frame arrived."""


class Film:
    """One camera's."""

    def __init__(
        self,
        camera: Camera,
        labels: Sequence[str],
        journal: Journal,
        bulletin: Bulletin,
        width: int = picturing.WIDTH,
    ) -> None:
        """width: of what is shown to those who watch, at most."""
        self._camera = camera
        self._width = width
        self._colours = drawing.palette(labels)
        self._journal = journal
        self._bulletin = bulletin
        self._viewers: list[Callable[[Picture], None]] = []
        self._last: Picture | None = None
        self._thread: threading.Thread | None = None
        """Runs where there is one: it takes itself away once nobody watches."""
        self._changing = threading.Lock()

    def still(self, *, plain: bool = False, last: bool = False) -> Still | None:
        """What the camera shows now; None where it shows nothing. last: or else what it showed."""
        latest = self._camera.latest()
        if latest is None or not (last or self._is_live()):
            return None
        _, moment = latest
        if plain:
            jpeg = picturing.plain(moment)
        else:
            going_on = _GoingOn(self._camera.name)
            going_on.read(self._journal)
            jpeg = picturing.drawn(moment, self._known(going_on), self._colours)
        return None if jpeg is None else Still(jpeg, moment.at)

    def watch(self, show: Callable[[Picture], None]) -> Callable[[], None]:
        """show: called by a thread with each picture, so it must not wait. Returns what ends it."""
        with self._changing:
            self._viewers.append(show)
            if self._last is not None:
                show(self._last)
            if self._thread is None:
                name = f"film {self._camera.name}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

        def leave() -> None:
            with self._changing, suppress(ValueError):
                self._viewers.remove(show)

        return leave

    def _run(self) -> None:
        """Until nobody watches, whatever goes wrong with a picture."""
        number, going_on, is_well = 0, _GoingOn(self._camera.name), True
        leave = self._bulletin.listen(going_on.hear)
        try:
            while self._is_watched():
                due = time.monotonic() + _EVERY_S
                try:
                    number = self._turn(number, going_on)
                    is_well = True
                except Exception:  # noqa: BLE001 - the next picture may do
                    if is_well:
                        _LOG.exception("%s: a picture could not be made", self._camera.name)
                    is_well, due = False, time.monotonic() + _WAIT_S
                time.sleep(max(0.0, due - time.monotonic()))
        finally:
            leave()

    def _is_watched(self) -> bool:
        with self._changing:
            if not self._viewers:
                self._last = self._thread = None
            return bool(self._viewers)

    def _turn(self, number: int, going_on: _GoingOn) -> int:
        """Shows what comes after that number, in time. Returns its number."""
        if not going_on.is_read:
            going_on.read(self._journal)
        found = self._camera.wait(number, _WAIT_S)
        if not self._is_live():
            going_on.clear()
            with self._changing:
                self._last = None
        elif found is not None:
            self._show(*found, going_on)
        return number if found is None else found[0]

    def _show(self, number: int, moment: Moment, going_on: _GoingOn) -> None:
        jpeg = picturing.drawn(moment, self._known(going_on), self._colours, self._width)
        if jpeg is None:
            return
        with self._changing:
            self._last = Picture(self._camera.name, number, jpeg)
            for show in self._viewers:
                show(self._last)

    def _is_live(self) -> bool:
        return self._camera.status().state == "live"

    def _known(self, going_on: _GoingOn) -> Known:
        said = frozenset(verdict.track for verdict in self._camera.verdicts(_SAID_S))
        return Known(going_on.likeliest(), said)


class _GoingOn:
    """A camera's events that have not ended. Heard of from when it is made, and read after that, so
    that none is missed; what has ended stays so."""

    def __init__(self, camera: str) -> None:
        self.is_read = False
        self._camera = camera
        self._events: dict[str, tuple[int, Status]] = {}
        """Track and status, by id."""
        self._ended: set[str] = set()
        """Since it is heard of, until it is read."""
        self._changing = threading.Lock()

    def hear(self, notice: Notice) -> None:
        about = notice.about
        if notice.kind != "change" or about["camera"] != self._camera:
            return
        with self._changing:
            if about["state"] == "end":
                self._events.pop(about["id"], None)
                if not self.is_read:
                    self._ended.add(about["id"])
            else:
                status = Status(about["label"], about["probability"])
                self._events[about["id"]] = about["track"], status

    def read(self, journal: Journal) -> None:
        entries = journal.open_entries(self._camera)
        with self._changing:
            for entry in entries:
                if entry.id not in self._ended:
                    status = Status(entry.label, entry.probability)
                    self._events.setdefault(entry.id, (entry.track, status))
            self._ended.clear()
            self.is_read = True

    def clear(self) -> None:
        """Nobody knows any more who is who."""
        with self._changing:
            self._events.clear()

    def likeliest(self) -> dict[int, Status]:
        """Of each track."""
        with self._changing:
            events = list(self._events.values())
        return dict(sorted(events, key=lambda event: event[1].probability or 0.0))


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
