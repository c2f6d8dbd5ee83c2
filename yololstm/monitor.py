"""The cameras of one process, each watched by a thread of its own.

Whatever goes wrong with one of them is told as its state, tried again, and stays in its thread.
What takes the whole process down, as a fault in a native library does, takes all of them: who wants
more than that gives each camera a process.
"""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

from yololstm import live, streams
from yololstm.changes import Teller
from yololstm.errors import ParamsError, VideoError, YololstmError
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.moments import Moment, Verdict
from yololstm.streams import Stream
from yololstm.zones import Zone

State = Literal["connecting", "live", "lost", "ended", "failed"]
_T = TypeVar("_T")
OnState = Callable[[streams.State, str], None]

_FIRST_S: Final = 1.0
"""From a failure to the next try, twice as long from try to try,"""
_LAST_S: Final = 60.0
"""but never longer than this."""
_TOLD_S: Final = 2.0
"""How often a camera's figures are told, where its state does not change."""
_RATE_S: Final = 10.0
"""Over which the frames that are looked at are counted."""
_KEPT_S: Final = 300.0
"""Of what was said of people."""


@dataclass(frozen=True)
class Status:
    """How a camera does."""

    camera: str
    since: datetime
    """When it came into its state, UTC."""
    state: State = "connecting"
    why: str = ""
    """Of lost and failed."""
    read: int = 0
    """Frames that were due since the start,"""
    dropped: int = 0
    """of these the ones that nobody had time for,"""
    looked: int = 0
    """and those that were looked at."""
    fps: float = 0.0
    """Frames looked at a second, of late."""
    delay_s: float = 0.0
    """From a frame's arrival until all was known that it says, of the last one."""
    width: int = 0
    height: int = 0
    connections: int = 0
    """How often it became live."""

    def to_dict(self) -> dict[str, Any]:
        """In values that JSON can say."""
        said = asdict(self)
        said["since"] = self.since.isoformat(timespec="milliseconds")
        return said | {"fps": round(self.fps, 2), "delay_s": round(self.delay_s, 3)}


@dataclass(frozen=True)
class Parts:
    """What a camera is watched with. Opened by the camera's thread, anew after each failure."""

    camera: str
    stream: Callable[[OnState], AbstractContextManager[Stream]]
    extractor: Callable[[], AbstractContextManager[Extractor]]
    classifier: Classifier
    taking: Callable[[Stream], AbstractContextManager[Callable[[Moment], None]]]
    """What takes the moments of a stream; what it raises is a failure of the camera's."""
    zones: Callable[[], Sequence[Zone]] = tuple


class Camera:
    def __init__(
        self,
        parts: Parts,
        on_status: Callable[[Status], None] = lambda status: None,
        say: Callable[[str], None] = lambda told: None,
    ) -> None:
        """on_status: told each new state, and now and then figures, by the camera's thread or that
        of its stream. say: told of faults that are ours, in full. Neither may raise."""
        self.name = parts.camera
        self.error: YololstmError | None = None
        """Why it will not be tried again."""
        self._say = say
        self._parts = parts
        self._on_status = on_status
        self._status = Status(self.name, datetime.now(UTC))
        self._before = (0, 0)
        """Frames read and dropped by streams that are closed."""
        self._stream: Stream | None = None
        self._moment: Moment | None = None
        self._number = 0
        self._verdicts: deque[tuple[float, Verdict]] = deque()
        self._looked_at: deque[float] = deque()
        self._told_at = 0.0
        self._is_over = False
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {self.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Events that go on end. Returns at once: see ``join``."""
        self._stopped.set()
        if (stream := self._stream) is not None:
            stream.stop()

    def join(self, timeout_s: float | None = None) -> bool:
        """Whether it has ended by then."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def status(self) -> Status:
        with self._changed:
            return self._counted()

    def latest(self) -> tuple[int, Moment] | None:
        """The last frame that was looked at, and its number."""
        return self.wait(0, 0.0)

    def wait(self, number: int, timeout_s: float) -> tuple[int, Moment] | None:
        """The last one as soon as there is one after ``number``; None where there is none in time,
        or where no more will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > number or self._is_over, timeout_s)
            if self._moment is None or self._number <= number:
                return None
            return self._number, self._moment

    def verdicts(self, seconds: float) -> list[Verdict]:
        """Those of so long ago at most."""
        with self._changed:
            since = time.monotonic() - seconds
            return [verdict for at, verdict in self._verdicts if at >= since]

    def _run(self) -> None:
        try:
            self._keep_watching()
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _keep_watching(self) -> None:
        delay_s = _FIRST_S
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                self._watch()
                break
            except (ParamsError, VideoError) as error:  # another try would find the same
                self.error = error
                self._set("failed", str(error))
                return
            except YololstmError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - the other cameras go on
                why = f"{type(error).__name__}: {error}"
                self._say(f"{self.name}: {traceback.format_exc()}")
            if time.monotonic() - began > _LAST_S:
                delay_s = _FIRST_S
            self._set("failed", why)
            self._stopped.wait(delay_s)
            delay_s = min(2 * delay_s, _LAST_S)
        self._set("ended", "")

    def _watch(self) -> None:
        """Until the stream ends, or something fails."""
        self._set("connecting", "")
        parts = self._parts
        # Tracks are numbered anew, so events must be named anew.
        teller = Teller(self.name, uuid.uuid4())
        with self._changed:
            self._verdicts.clear()
        with (
            parts.extractor() as extractor,
            parts.stream(self._told) as stream,
            parts.taking(stream) as take,
        ):
            self._stream = stream
            if self._stopped.is_set():
                stream.stop()
            try:
                for moment in live.watch(stream, teller, extractor, parts.classifier, parts.zones):
                    take(moment)
                    self._show(moment)
            finally:
                with self._changed:
                    counts = stream.counts
                    read, dropped = self._before
                    self._before = read + counts.read, dropped + counts.dropped
                    self._stream = None

    def _told(self, state: streams.State, why: str) -> None:
        # An end is one of the camera's when its last moment is over.
        if state != "ended":
            self._set(state, why)

    def _set(self, state: State, why: str) -> None:
        with self._changed:
            again = state == "live" and self._status.state != "live"
            if state != "live":
                self._looked_at.clear()
            self._status = replace(
                self._status,
                state=state,
                why=why,
                since=datetime.now(UTC),
                connections=self._status.connections + again,
            )
            self._changed.notify_all()
            status = self._counted()
        self._on_status(status)

    def _show(self, moment: Moment) -> None:
        now = time.monotonic()
        with self._changed:
            self._verdicts.extend((now, verdict) for verdict in moment.verdicts)
            _forget(self._verdicts, lambda kept: kept[0], now - _KEPT_S)
            if moment.shot is not None:
                self._looked(moment, now)
            self._changed.notify_all()
            is_due = now - self._told_at >= _TOLD_S
            self._told_at = now if is_due else self._told_at
            status = self._counted()
        if is_due:
            self._on_status(status)

    def _looked(self, moment: Moment, now: float) -> None:
        assert moment.shot is not None
        height, width = moment.shot.frame.image.shape[:2]
        self._looked_at.append(now)
        self._moment, self._number = moment, self._number + 1
        self._status = replace(
            self._status,
            looked=self._status.looked + 1,
            delay_s=max(0.0, (datetime.now(UTC) - moment.shot.arrived).total_seconds()),
            width=width,
            height=height,
        )

    def _counted(self) -> Status:
        """As it is now. For who holds the lock."""
        now = time.monotonic()
        _forget(self._looked_at, lambda at: at, now - _RATE_S)
        read, dropped = self._before
        if self._stream is not None:
            counts = self._stream.counts
            read, dropped = read + counts.read, dropped + counts.dropped
        rates = len(self._looked_at) / max(1.0, min(_RATE_S, self._spell_s(now)))
        return replace(self._status, read=read, dropped=dropped, fps=rates)

    def _spell_s(self, now: float) -> float:
        return now - self._looked_at[0] if self._looked_at else 0.0


class Monitor:
    def __init__(self, cameras: Sequence[Camera], labels: Sequence[str]) -> None:
        self.cameras: Mapping[str, Camera] = {camera.name: camera for camera in cameras}
        self.labels = tuple(labels)

    def start(self) -> None:
        for camera in self.cameras.values():
            camera.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Events that go on end, and are told; a camera that does not answer is not waited for."""
        until = time.monotonic() + timeout_s
        for camera in self.cameras.values():
            camera.stop()
        for camera in self.cameras.values():
            camera.join(max(0.0, until - time.monotonic()))


def _forget(kept: deque[_T], at: Callable[[_T], float], since: float) -> None:
    while kept and at(kept[0]) < since:
        kept.popleft()
