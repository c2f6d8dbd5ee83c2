"""Clips of events: what was before, while and after each, as files.

In ``recordings/<camera>/<day>/`` of a site's folder an event has

    <id>.mp4          from ``before_s`` before its start until ``after_s`` after its end, without
                      sound; it begins at a key frame and has no more than one connection of a
                      camera that was lost
    <id>.jpg          whom it is about, when it was most probable
    <id>.parquet      landmarks, 0 s being the clip's first frame
    <id>.shared.mp4   and
    <id>.shared.jpg   the same with persons made unrecognisable, where that is asked for

Each is complete or absent, and where one cannot be written none is kept. Events that overlap have a
clip each.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm import packets, storage, video
from yololstm.blurring import Veil
from yololstm.changes import Change
from yololstm.errors import YololstmError
from yololstm.landmarks import Landmarks
from yololstm.moments import Moment
from yololstm.packets import Cut, Packets, Reel
from yololstm.site import Record
from yololstm.video import Frame, Image

Blur = Literal["faces", "persons", "nothing"]

FOLDER: Final = "recordings"
"""Of a site's folder; paths of recordings start there."""
WIDTH: Final = 480
"""Pixels of a picture, at most."""

_POLL_S: Final = 0.5
"""Nothing comes of a lost camera, and yet its clips are to end."""
_SEEN_S: Final = 60.0
"""How far back it is known who was seen, beyond what clips show of before."""
_WAITING: Final = 1000
"""Moments; beyond, those without a change are left out,"""
_IMAGES: Final = 8
"""and beyond so many those with one have no picture."""
_UNFINISHED: Final = 32
"""Clips that wait to be finished; beyond, they are given up."""
_AROUND: Final = 1.5
"""Of a person's height: what a picture shows of the place."""
_ASPECT: Final = 4 / 3
_QUALITY: Final = 85


@dataclass(frozen=True)
class Recorded:
    """Paths relative to FOLDER; "" for what there is none of."""

    clip: str = ""
    picture: str = ""
    landmarks: str = ""
    shared: str = ""
    """The blurred clip. Its picture stands beside it, as .jpg."""
    begins_s: float | None = None
    """Of the clip's first frame, in seconds of the stream."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A moment, of which no more is kept than clips need."""

    frame_s: float
    landmarks: Landmarks | None
    changes: tuple[Change, ...]
    image: Image | None
    """Where it may become a picture."""


@dataclass(eq=False)
class _Recording:
    """Of one event, in the making."""

    first: Change
    path: Path
    """Of the clip."""
    reel: Reel
    cap_s: float
    """Where it is cut at the latest."""
    known: Change
    seen: list[_Seen]
    picture: tuple[_Seen, Change] | None = None

    def learn(self, change: Change, seen: _Seen) -> None:
        is_higher = self.picture is None or (
            change.event.probability > self.picture[1].event.probability
        )
        if seen.image is not None and is_higher and change.state != "end":
            self.picture = (seen, change)
        self.known = change


class Recorder:
    """Of one camera. One thread puts packets by, another one finishes clips."""

    def __init__(
        self,
        folder: Path,
        camera: str,
        source: Packets,
        settings: Record,
        on_recorded: Callable[[str, Recorded], None],
        *,
        blur: Blur = "nothing",
        on_failed: Callable[[str, str], None] = lambda event, why: None,
    ) -> None:
        """folder: of the site. blur: of what leaves the machine; nothing: no copy is made.

        on_recorded: told an event's id and its files when all are there. on_failed: told its id,
        and why there are none; watching goes on. Both by a thread of the recorder.
        """
        self._root = folder / FOLDER
        self._camera = camera
        self._source = source
        self._settings = settings
        self._on_recorded = on_recorded
        self._on_failed = on_failed
        self._blur = blur
        self._waiting: deque[_Seen] = deque()
        self._to_finish: deque[_Recording] = deque()
        self._past: deque[_Seen] = deque()
        self._open: dict[str, _Recording] = {}
        self._changed = threading.Condition()
        self._is_closing = self._is_all_put_by = False
        self._threads = [
            threading.Thread(target=run, name=f"{name} {camera}", daemon=True)
            for run, name in ((self._put_by, "record"), (self._finish_all, "finish"))
        ]
        for thread in self._threads:
            thread.start()

    def feed(self, moment: Moment) -> None:
        """Each moment of the camera, in order. Does not wait."""
        with self._changed:
            n = len(self._waiting)
            if n >= _WAITING and not moment.changes:
                return
            is_shown = moment.shot is not None and n < _IMAGES and bool(moment.changes)
            image = moment.shot.frame.image if moment.shot and is_shown else None
            seen = _Seen(moment.frame_s, moment.landmarks, tuple(moment.changes), image)
            self._waiting.append(seen)
            self._changed.notify_all()

    def close(self) -> None:
        """Ends all clips with what there is, and waits until they are written. When the stream has
        ended, too: nothing else says that no more will come of a file."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    # The first thread.

    def _put_by(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing, timeout=_POLL_S)
                waiting, is_closing = list(self._waiting), self._is_closing
                self._waiting.clear()
            for seen in waiting:
                self._note(seen)
            for recording in list(self._open.values()):
                self._pull(recording, is_closing)
            if is_closing:
                break
        with self._changed:
            self._is_all_put_by = True
            self._changed.notify_all()

    def _note(self, seen: _Seen) -> None:
        plain = replace(seen, image=None)
        self._past.append(plain)
        kept_s = self._settings.before_s + _SEEN_S
        while self._past[0].frame_s < seen.frame_s - kept_s:
            self._past.popleft()
        for recording in self._open.values():
            recording.seen.append(plain)
        for change in seen.changes:
            if change.state == "start":
                self._open[change.id] = self._begin(change)
            if change.id in self._open:
                self._open[change.id].learn(change, seen)

    def _begin(self, change: Change) -> _Recording:
        event, settings = change.event, self._settings
        start_s = event.start_s - settings.before_s
        day = f"{change.started.astimezone():%Y-%m-%d}"
        path = self._root / self._camera / day / f"{change.id}.mp4"
        about_s = (event.start_s + min(event.end_s, change.frame_s)) / 2
        reel = self._source.begin(path, start_s, about_s)
        return _Recording(
            change, path, reel, start_s + settings.longest_s, change, list(self._past)
        )

    def _pull(self, recording: _Recording, is_closing: bool) -> None:
        known = recording.known
        end_s = min(known.event.end_s + self._settings.after_s, recording.cap_s)
        now_s = self._past[-1].frame_s
        try:
            goes_on = recording.reel.pull(end_s)
        except Exception as error:  # noqa: BLE001 - watching goes on, and it is told
            del self._open[known.id]
            self._give_up(recording, error)
            return
        is_known = known.state == "end" or end_s == recording.cap_s
        # Not before who is in it was looked at, if that is still to come.
        if is_closing or (is_known and (now_s >= end_s or not goes_on)):
            del self._open[known.id]
            self._hand_over(recording)

    def _hand_over(self, recording: _Recording) -> None:
        with self._changed:
            is_room = len(self._to_finish) < _UNFINISHED
            if is_room:
                self._to_finish.append(recording)
                self._changed.notify_all()
        if not is_room:
            problem = f"{_UNFINISHED} clips before it are still to be written"
            remedy = "Use a faster machine, or blur nothing"
            self._give_up(recording, YololstmError(recording.path, problem, remedy))

    # The second thread.

    def _finish_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._to_finish or self._is_all_put_by)
                if not self._to_finish:
                    return
                recording = self._to_finish.popleft()
            try:
                recorded = self._finish(recording)
            except Exception as error:  # noqa: BLE001 - watching goes on, and it is told
                self._give_up(recording, error)
                continue
            try:
                self._on_recorded(recording.first.id, recorded)
            except Exception as error:  # noqa: BLE001 - the files stay, and it is told
                self._on_failed(recording.first.id, str(error) or type(error).__name__)

    def _finish(self, recording: _Recording) -> Recorded:
        path, (landmarks, looked_s) = recording.path, _joined(recording.seen)
        cut = recording.reel.finish()
        made: dict[str, Path] = {}
        veil = None
        if self._blur != "nothing" and landmarks is not None:
            veil = Veil.of(landmarks, looked_s, self._blur)
        if recording.picture is not None:
            made["picture"] = path.with_suffix(".jpg")
            _write_picture(made["picture"], *recording.picture, None)
            if veil is not None:
                _write_picture(_shared(path, ".jpg"), *recording.picture, veil)
        if cut is not None:
            made["clip"] = path
            if landmarks is not None:
                made["landmarks"] = path.with_suffix(".parquet")
                storage.write_landmarks(made["landmarks"], _within(landmarks, cut, path))
            if veil is not None:
                made["shared"] = _shared(path, ".mp4")
                _write_shared(made["shared"], path, cut, veil)
        return Recorded(
            **{name: file.relative_to(self._root).as_posix() for name, file in made.items()},
            begins_s=None if cut is None else cut.start_s,
        )

    def _give_up(self, recording: _Recording, error: Exception) -> None:
        recording.reel.drop()
        for file in files(recording.path):
            with suppress(OSError):  # which is what it may be given up for
                file.unlink()
        self._on_failed(recording.first.id, str(error) or type(error).__name__)


def files(clip: Path) -> list[Path]:
    """All that there can be of an event, by the path of its clip."""
    own = [clip.with_suffix(suffix) for suffix in (".mp4", ".jpg", ".parquet")]
    return [*own, _shared(clip, ".mp4"), _shared(clip, ".jpg")]


def _shared(clip: Path, suffix: str) -> Path:
    return clip.with_suffix(f".shared{suffix}")


def _joined(seen: list[_Seen]) -> tuple[Landmarks | None, list[float]]:
    """All landmarks, and when somebody looked; None where nobody did."""
    looks = [(one.landmarks, one.frame_s) for one in seen if one.landmarks is not None]
    if not looks:
        return None, []
    parts = [landmarks for landmarks, _ in looks]
    return Landmarks.concatenate(parts, parts[-1].source), [time_s for _, time_s in looks]


def _within(landmarks: Landmarks, cut: Cut, clip: Path) -> Landmarks:
    """Those of a clip, in its own time and frames."""
    shown_s = video.frame_times(clip)
    rows = landmarks[(landmarks.time_s >= cut.start_s - 1e-6) & (landmarks.time_s <= cut.end_s)]
    time_s = np.maximum(rows.time_s - cut.start_s, 0.0)
    frame = np.maximum(np.searchsorted(shown_s, time_s + 1e-3) - 1, 0).astype(np.int32)
    source = replace(landmarks.source, n_frames=len(shown_s))
    return replace(rows, time_s=time_s, frame=frame, source=source)


def _write_shared(path: Path, clip: Path, cut: Cut, veil: Veil) -> None:
    def covered() -> Iterator[Frame]:
        for frame in packets.frames(clip):
            yield replace(frame, image=veil.over(frame.image, cut.start_s + frame.time_s))

    packets.encode(path, covered(), min(video.probe(clip).fps, packets.MOST_FPS))


def _write_picture(path: Path, seen: _Seen, change: Change, veil: Veil | None) -> None:
    image = seen.image
    assert image is not None
    if veil is not None:
        image = veil.over(image, seen.frame_s)
    shown = image
    if seen.landmarks is not None:
        people = seen.landmarks.persons()
        for box in people.box[people.track == change.event.track]:
            shown = _around(image, box)
    height, width = shown.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    with storage.atomic(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _around(image: Image, box: NDArray[np.float32]) -> Image:
    """The part of a picture with a person in its middle, or as near to it as its edges allow."""
    x0, y0, x1, y1 = box.tolist()
    height = min(_AROUND * max(y1 - y0, (x1 - x0) / _ASPECT), float(image.shape[0]))
    width = min(_ASPECT * height, float(image.shape[1]))
    left = min(max((x0 + x1 - width) / 2, 0.0), image.shape[1] - width)
    top = min(max((y0 + y1 - height) / 2, 0.0), image.shape[0] - height)
    rows = slice(int(top), int(top) + max(1, int(height)))
    return image[rows, int(left) : int(left) + max(1, int(width))]
