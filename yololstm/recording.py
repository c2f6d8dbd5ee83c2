"""Clips of events: what was before, while and after each, as files.

In ``recordings/<camera>/<day>/`` of a site's folder an event has

    <id>.mp4          from ``before_s`` before its start until ``after_s`` after its end, without
                      sound; it begins at a key frame and has no more than one connection of a
                      camera that was lost
    <id>.jpg          whom it is about, when it was most probable
    <id>.parquet      landmarks, 0 s being the clip's first frame; a row has no track and no joints
                      where the detector was too unsure of a person for that, and no box either
                      where somebody looked and nobody was there
    <id>.shared.mp4   and
    <id>.shared.jpg   the same with persons made unrecognisable, where that is asked for

Each is complete or absent, nobody else's on the machine to read, and on disk before anybody is told
of it. One that cannot be written costs none of the others. Events that overlap have a clip each.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm import packets, storage, video
from yololstm.blurring import AROUND_S, UNFOLLOWED, Veil, What
from yololstm.changes import Change
from yololstm.errors import LandmarksError, YololstmError
from yololstm.landmarks import Category, Landmarks
from yololstm.moments import Moment
from yololstm.packets import Cut, Packets, Reel
from yololstm.site import Record
from yololstm.skeleton import N_JOINTS
from yololstm.video import Frame, Image

Blur = Literal[What, "nothing"]
_T = TypeVar("_T")

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
"""Clips that wait to be finished, and as many for a copy; beyond, they are given up."""
_AROUND: Final = 1.5
"""Of a person's height: what a picture shows of the place."""
_ASPECT: Final = 4 / 3
_QUALITY: Final = 85
_SAME_S: Final = 1e-6


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
    is_whole: bool = True
    """Whether no more will come: False while there is no blurred copy yet."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A moment, of which no more is kept than clips need."""

    frame_s: float
    landmarks: Landmarks | None
    """With a row at least, where somebody looked."""
    changes: tuple[Change, ...]
    image: Image | None
    """Where it may become a picture."""


class _Picture(NamedTuple):
    """A part of a frame, small."""

    jpeg: bytes
    time_s: float
    corner: tuple[int, int]
    """Where its top left one is in the frame."""
    scale: float
    """Its pixels, of one of the frame."""
    probability: float


class _Copy(NamedTuple):
    """A blurred one that is still to be made."""

    event: str
    recorded: Recorded
    beside: Landmarks
    """Who was seen next to the clip, in its time."""


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
    picture: _Picture | None = None

    def learn(self, change: Change, seen: _Seen) -> None:
        self.known = change
        probability = change.event.probability
        is_higher = self.picture is None or probability > self.picture.probability
        if seen.image is not None and is_higher and change.state != "end":
            self.picture = _picture(seen.image, seen, change)


class Recorder:
    """Of one camera. A thread puts packets by, another one finishes clips, and a third one makes
    blurred copies, which takes longer."""

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

        on_recorded: told an event's id and its files as soon as they are there, and once more when
        the blurred copy is there too. on_failed: told its id, and why there is less; watching goes
        on. Both by threads of the recorder, which go on whatever they raise.
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
        self._to_share: deque[_Copy] = deque()
        self._past: deque[_Seen] = deque()
        self._open: dict[str, _Recording] = {}
        self._changed = threading.Condition()
        self._is_closing = self._is_all_put_by = self._is_all_finished = False
        runs = ((self._put_by, "record"), (self._finish_all, "finish"), (self._share_all, "share"))
        self._threads = [
            threading.Thread(target=run, name=f"{name} {camera}", daemon=True) for run, name in runs
        ]
        for thread in self._threads:
            thread.start()

    def feed(self, moment: Moment) -> None:
        """Each moment of the camera, in order. Does not wait."""
        with self._changed:
            if len(self._waiting) >= _WAITING and not moment.changes:
                return
            image = None
            if moment.shot is not None and moment.changes and self._is_room_for_an_image():
                image = moment.shot.frame.image
            seen = _Seen(moment.frame_s, _looked(moment), tuple(moment.changes), image)
            self._waiting.append(seen)
            self._changed.notify_all()

    def _is_room_for_an_image(self) -> bool:
        return sum(seen.image is not None for seen in self._waiting) < _IMAGES

    def end(self) -> None:
        """Ends all clips with what there is. When the stream has ended, too: nothing else says that
        no more will come of a file. Does not wait until they are written: see ``join``."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def join(self, timeout_s: float | None = None) -> bool:
        """After ``end``: whether all clips are written by then."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Ends all clips with what there is, and waits until they are written."""
        self.end()
        self.join()

    # The first thread.

    def _put_by(self) -> None:
        is_closing = False
        try:
            while not is_closing:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._waiting or self._is_closing, timeout=_POLL_S
                    )
                    waiting, is_closing = list(self._waiting), self._is_closing
                    self._waiting.clear()
                for seen in waiting:
                    self._note(seen)
                for recording in list(self._open.values()):
                    self._pull(recording, is_closing)
        finally:
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
            with self._telling(change.id):
                if change.state == "start":
                    self._open[change.id] = self._begin(change)
                if change.id in self._open:
                    self._open[change.id].learn(change, seen)

    def _begin(self, change: Change) -> _Recording:
        event, settings = change.event, self._settings
        start_s = event.start_s - settings.before_s
        day = f"{change.started.astimezone():%Y-%m-%d}"
        path = self._root / self._camera / day / f"{change.id}.mp4"
        _make_folders(self._root, path.parent)
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
            if not self._hand_over(recording, self._to_finish):
                self._give_up(recording, _crowded(recording.path))

    def _give_up(self, recording: _Recording, error: Exception) -> None:
        with self._telling(recording.first.id):
            recording.reel.drop()
            raise error

    def _hand_over(self, one: _T, to: deque[_T]) -> bool:
        """False where too many wait there."""
        with self._changed:
            is_room = len(to) < _UNFINISHED
            if is_room:
                to.append(one)
                self._changed.notify_all()
        return is_room

    @contextmanager
    def _telling(self, event: str) -> Iterator[None]:
        """What goes wrong within is told, and ends nothing else."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the rest goes on
            with suppress(Exception):  # whoever is told may be in trouble, too
                self._on_failed(event, str(error) or type(error).__name__)

    def _each(self, waiting: deque[_T], is_last: Callable[[], bool]) -> Iterator[_T]:
        """As they come, until there are none and no more will come."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: waiting or is_last())
                if not waiting:
                    return
                one = waiting.popleft()
            yield one

    # The second thread.

    def _finish_all(self) -> None:
        for recording in self._each(self._to_finish, lambda: self._is_all_put_by):
            with self._telling(recording.first.id):
                self._finish(recording)
        with self._changed:
            self._is_all_finished = True
            self._changed.notify_all()

    def _finish(self, recording: _Recording) -> None:
        event, path, landmarks = recording.first.id, recording.path, _joined(recording.seen)
        made: dict[str, Path] = {}
        cut = veil = beside = None
        with self._telling(event):
            cut = _finished(recording.reel)
        if cut is not None:
            made["clip"] = path
        if cut is not None and landmarks is not None:
            with self._telling(event):
                file = path.with_suffix(".parquet")
                storage.write_landmarks(file, _within(landmarks, cut, path))
                made["landmarks"] = file
                if self._blur != "nothing":
                    veil, beside = _veil(landmarks, self._blur), _beside(landmarks, cut)
        if recording.picture is not None:
            with self._telling(event):
                file = path.with_suffix(".jpg")
                _write(file, recording.picture.jpeg)
                made["picture"] = file
                if veil is not None:
                    _write_shared_picture(path, recording.picture, veil)
        recorded = Recorded(
            **{name: file.relative_to(self._root).as_posix() for name, file in made.items()},
            begins_s=None if cut is None else cut.start_s,
            is_whole=beside is None,
        )
        if made:
            with self._telling(event):
                _settle(self._root, path)
            with self._telling(event):
                self._on_recorded(event, recorded)
        if beside is not None and not self._hand_over(
            _Copy(event, recorded, beside), self._to_share
        ):
            raise _crowded(_shared(path, ".mp4"))

    # The third thread.

    def _share_all(self) -> None:
        for copy in self._each(self._to_share, lambda: self._is_all_finished):
            with self._telling(copy.event):
                assert self._blur != "nothing"
                made = share(self._root, copy.recorded.clip, self._blur, copy.beside)
                whole = replace(copy.recorded, shared=made.shared, is_whole=True)
                self._on_recorded(copy.event, whole)


def share(recordings: Path, clip: str, blur: What, beside: Landmarks | None = None) -> Recorded:
    """Makes what a clip lacks of its blurred copies, from nothing but the clip and its landmarks:
    if need be after the session that recorded it.

    clip: its path below ``recordings``. beside: who was seen next to it, in its time. A picture
    that there is none of is from the middle of the clip. Returns what there is then, but for
    ``begins_s``. Raises YololstmError where what it is made from is gone or damaged, or where it
    cannot be written.
    """
    path = recordings / clip
    try:
        rows = storage.read_landmarks(path.with_suffix(".parquet"))
    except LandmarksError as error:
        raise YololstmError(path, "nobody knows who is in it", "It is not shared") from error
    film, picture = _shared(path, ".mp4"), _shared(path, ".jpg")
    if not film.is_file():
        known = rows if beside is None else Landmarks.concatenate([rows, beside], rows.source)
        _write_film(film, path, _veil(known, blur))
    if film.is_file() and not picture.is_file():
        middle_s = video.frame_times(film)[-1] / 2
        for frame in itertools.islice(video.read(film, start_s=middle_s), 1):
            _write(picture, _jpeg(_small(frame.image)))
    if not path.is_file():  # it was removed meanwhile
        for file in (film, picture):
            file.unlink(missing_ok=True)
        raise YololstmError(path, "it is gone", "Keep more days, or more of them")
    _settle(recordings, path)
    own = [path, path.with_suffix(".jpg"), path.with_suffix(".parquet")]
    here, its_picture, landmarks = (_relative(recordings, file) for file in own)
    return Recorded(here, its_picture, landmarks, _relative(recordings, film))


def files(clip: Path) -> list[Path]:
    """All that there can be of an event, by the path of its clip."""
    own = [clip.with_suffix(suffix) for suffix in (".mp4", ".jpg", ".parquet")]
    return [*own, _shared(clip, ".mp4"), _shared(clip, ".jpg")]


def _relative(recordings: Path, file: Path) -> str:
    return file.relative_to(recordings).as_posix() if file.is_file() else ""


def _shared(clip: Path, suffix: str) -> Path:
    return clip.with_suffix(f".shared{suffix}")


def _make_folders(recordings: Path, day: Path) -> None:
    """For nobody else on the machine."""
    try:
        recordings.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (day.parent, day):
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        problem = f"it cannot be made ({error.strerror})"
        raise YololstmError(day, problem, "Make room there for a folder") from error


def _settle(recordings: Path, clip: Path) -> None:
    """What there is of a clip is for nobody else on the machine, and outlives a power cut."""
    there = [file for file in files(clip) if file.is_file()]
    for file in there:
        file.chmod(0o600)
    for path in (*there, clip.parent, clip.parent.parent, recordings):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _finished(reel: Reel) -> Cut | None:
    try:
        return reel.finish()
    except Exception:
        reel.drop()
        raise


def _crowded(path: Path) -> YololstmError:
    problem = f"{_UNFINISHED} before it are still to be written"
    return YololstmError(path, problem, "Use a faster machine, or blur nothing")


# --- who is seen ---


def _looked(moment: Moment) -> Landmarks | None:
    """With those who are not followed, and a row without a box where there is nobody; None where
    nobody looked."""
    landmarks = moment.landmarks
    if landmarks is None or moment.shot is None:
        return None
    box = moment.others.astype(np.float32)
    if not len(box) and not len(landmarks):
        box = np.full((1, 4), np.nan, dtype=np.float32)
    n = len(box)
    others = Landmarks(
        frame=np.full(n, moment.shot.frame.index, dtype=np.int32),
        time_s=np.full(n, moment.frame_s, dtype=np.float64),
        category=np.full(n, Category.PERSON, dtype=np.uint8),
        track=np.full(n, UNFOLLOWED, dtype=np.int32),
        score=np.full(n, np.nan, dtype=np.float32),
        box=box,
        xy=np.full((n, N_JOINTS, 2), np.nan, dtype=np.float32),
        confidence=np.zeros((n, N_JOINTS), dtype=np.float32),
        source=landmarks.source,
    )
    return Landmarks.concatenate([landmarks, others], landmarks.source)


def _joined(seen: list[_Seen]) -> Landmarks | None:
    """In order of time; None where nobody looked."""
    parts = [one.landmarks for one in seen if one.landmarks is not None]
    return Landmarks.concatenate(parts, parts[-1].source) if parts else None


def _veil(landmarks: Landmarks, blur: What) -> Veil:
    return Veil.of(landmarks, np.unique(landmarks.time_s).tolist(), blur)


def _within(landmarks: Landmarks, cut: Cut, clip: Path) -> Landmarks:
    """Those of a clip, in its own time and frames."""
    shown_s = video.frame_times(clip)
    rows = landmarks[_is_within(landmarks, cut)]
    time_s = np.maximum(rows.time_s - cut.start_s, 0.0)
    frame = np.maximum(np.searchsorted(shown_s, time_s + 1e-3) - 1, 0).astype(np.int32)
    source = replace(landmarks.source, n_frames=len(shown_s))
    found = replace(rows, time_s=time_s, frame=frame, source=source)
    return found[np.lexsort((found.track, found.category, found.frame))]


def _beside(landmarks: Landmarks, cut: Cut) -> Landmarks:
    """Those of just before and after a clip, in its own time: some is below 0."""
    near = Cut(cut.start_s - AROUND_S, cut.end_s + AROUND_S)
    rows = landmarks[_is_within(landmarks, near) & ~_is_within(landmarks, cut)]
    return replace(rows, time_s=rows.time_s - cut.start_s)


def _is_within(landmarks: Landmarks, cut: Cut) -> NDArray[np.bool_]:
    time_s = landmarks.time_s
    within: NDArray[np.bool_] = (time_s >= cut.start_s - _SAME_S) & (time_s <= cut.end_s + _SAME_S)
    return within


# --- pictures ---


def _picture(image: Image, seen: _Seen, change: Change) -> _Picture:
    part, corner = image, (0, 0)
    if seen.landmarks is not None:
        people = seen.landmarks.persons()
        for box in people.box[people.track == change.event.track]:
            part, corner = _around(image, box)
    small = _small(part)
    scale = small.shape[1] / part.shape[1]
    return _Picture(_jpeg(small), seen.frame_s, corner, scale, change.event.probability)


def _write_shared_picture(clip: Path, picture: _Picture, veil: Veil) -> None:
    read = cv2.imdecode(np.frombuffer(picture.jpeg, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    image = np.asarray(read, dtype=np.uint8)
    covered = veil.over(image, picture.time_s, picture.corner, picture.scale)
    _write(_shared(clip, ".jpg"), _jpeg(covered))


def _write_film(path: Path, clip: Path, veil: Veil) -> None:
    def covered() -> Iterator[Frame]:
        for frame in packets.frames(clip):
            yield replace(frame, image=veil.over(frame.image, frame.time_s))

    packets.encode(path, covered(), min(video.probe(clip).fps, packets.MOST_FPS))


def _write(path: Path, content: bytes) -> None:
    try:
        with storage.atomic(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        problem = f"it cannot be written ({error.strerror})"
        raise YololstmError(path, problem, "See whether there is room") from error


def _small(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = min(1.0, WIDTH / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _jpeg(image: Image) -> bytes:
    shown = np.ascontiguousarray(image[..., ::-1])
    _, encoded = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()


def _around(image: Image, box: NDArray[np.float32]) -> tuple[Image, tuple[int, int]]:
    """The part of a picture with a person in its middle, or as near to it as its edges allow, and
    its top left corner."""
    x0, y0, x1, y1 = box.tolist()
    height = min(_AROUND * max(y1 - y0, (x1 - x0) / _ASPECT), float(image.shape[0]))
    width = min(_ASPECT * height, float(image.shape[1]))
    left = int(min(max((x0 + x1 - width) / 2, 0.0), image.shape[1] - width))
    top = int(min(max((y0 + y1 - height) / 2, 0.0), image.shape[0] - height))
    part = image[top : top + max(1, int(height)), left : left + max(1, int(width))]
    return part, (left, top)
