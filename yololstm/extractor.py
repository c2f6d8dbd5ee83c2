"""From video to landmarks: detect, track, and find the pose of each person, in one pass."""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from yololstm import identity, smoothing, video
from yololstm.detector import Detections
from yololstm.following import Followed, Following, between
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.settings import ExtractionSettings
from yololstm.sight import Scene, Sight, open_sight, scene_at
from yololstm.skeleton import N_JOINTS
from yololstm.video import Frame

_T = TypeVar("_T")

_TOGETHER: Final = 256
"""Frames whose rows are put into one array: an array takes more memory than one frame's numbers."""


def look(
    path: Path, settings: ExtractionSettings, on_frame: Callable[[], None] | None = None
) -> Landmarks:
    """Extractor.extract, by one that each process opens once for all of its clips."""
    return opened(settings).extract(path, on_frame)


@functools.cache
def opened(settings: ExtractionSettings) -> Extractor:
    """Never closed: the process that it serves ends with the last clip."""
    return Extractor(settings)


class Extractor:
    """Networks, loaded once, for any number of clips one after the other.

    A video is streamed: however long it is, no more of its frames are held than one batch needs a
    few times over, and those that the detector leaves out from one look to the next.
    """

    def __init__(self, settings: ExtractionSettings, sight: Sight | None = None) -> None:
        """sight: who looks; else it is opened as the settings say. See open_sight."""
        self.settings = settings
        self.sight = sight or open_sight(settings)
        self._batch = self.sight.batch
        self.name = f"{self.sight.name}; bytetrack {importlib.metadata.version('trackers')}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.sight.pose.close()

    def extract(self, path: Path, on_frame: Callable[[], None] | None = None) -> Landmarks:
        """Everybody in a video. Nobody at all gives no rows.

        on_frame is called after every frame that was looked at. Raises VideoError.
        """
        info = video.probe(path)
        fps = _rate(info.fps, self.settings.fps)
        nowhere = Source(info.width, info.height, fps, 0, self.name)
        parts: list[Landmarks] = []
        n_frames = 0
        with closing(video.read_ahead(path, self.settings.fps, self._batch + 1)) as frames:
            for some in _batches(self._by_frame(frames, nowhere, on_frame), _TOGETHER):
                parts.append(Landmarks.concatenate(some, nowhere))
                n_frames += len(some)
        source = replace(nowhere, n_frames=n_frames)
        landmarks = _without_glimpses(Landmarks.concatenate(parts, source))
        whole = identity.refine(landmarks, self.settings.rejoin_s, self.settings.still_s)
        return smoothing.smooth(whole, self.settings.smoothing)

    def _by_frame(
        self, frames: Iterable[Frame], source: Source, on_frame: Callable[[], None] | None
    ) -> Iterator[Landmarks]:
        for frame, scene, track in self._followed(frames, source.fps):
            yield self.rows(frame, scene, track, source)
            if on_frame is not None:
                on_frame()

    def _followed(
        self, frames: Iterable[Frame], fps: Fraction
    ) -> Iterator[tuple[Frame, Scene, NDArray[np.int32]]]:
        """Each frame, who is there, and their tracks. Where the detector does not look, they are on
        the way from where it saw them before to where it sees them next."""
        before: _Look | None = None
        for left_out, then in self._looks(frames, fps):
            while left_out:
                frame = left_out.popleft()
                assert before is not None  # the first frame is never left out
                there = between(before.seen, (then or before).seen, _share(before, frame, then))
                yield frame, scene_at(self.sight.pose, frame.image, there.found), there.track
            if then is not None:
                yield then.frame, then.scene, then.seen.track
                before = then

    def _looks(
        self, frames: Iterable[Frame], fps: Fraction
    ) -> Iterator[tuple[deque[Frame], _Look | None]]:
        """Frames that the detector leaves out, to be taken out one by one, and its look after them;
        there is none after the last."""
        every = self.settings.detect_every
        following = Following(fps / every)
        for strides in _batches(_strides(frames, every), max(1, self._batch // every)):
            images = [frame.image for _, frame in strides if frame is not None]
            scenes = iter(self.sight.look(images) if images else [])
            for left_out, frame in strides:
                if frame is None:
                    yield left_out, None
                else:
                    scene = next(scenes)
                    seen, rows = following.update(scene.found)
                    yield left_out, _Look(frame, scene[rows], seen)

    def rows(
        self, frame: Frame, scene: Scene, track: NDArray[np.int32], source: Source
    ) -> Landmarks:
        """Of one frame. track: (N,) of those in the scene."""
        found, n = scene.found, len(track)
        xy = np.full((n, N_JOINTS, 2), np.nan, dtype=np.float32)
        confidence = np.zeros((n, N_JOINTS), dtype=np.float32)
        posed = _largest(found, self.settings.max_persons)
        xy[posed], confidence[posed] = scene.joints(posed)
        return Landmarks(
            frame=np.full(n, frame.index, dtype=np.int32),
            time_s=np.full(n, frame.time_s, dtype=np.float64),
            category=found.category,
            track=track,
            score=found.score,
            box=found.box,
            xy=xy,
            confidence=confidence,
            source=source,
        )


class _Look(NamedTuple):
    """One look of the detector."""

    frame: Frame
    scene: Scene
    """Of those who belong to a track."""
    seen: Followed


def _share(before: _Look, frame: Frame, then: _Look | None) -> float:
    """Of the time from one look to the next that has passed; 0 after the last look, and where a
    file shows both at one time."""
    start_s = before.frame.time_s
    if then is None or then.frame.time_s <= start_s:
        return 0.0
    return (frame.time_s - start_s) / (then.frame.time_s - start_s)


def _strides(frames: Iterable[Frame], every: int) -> Iterator[tuple[deque[Frame], Frame | None]]:
    """Each every-th frame, the first included, after those that were left out before it; then those
    after the last. Frames are held by what was given out alone: once taken out there, they go."""
    left_out: deque[Frame] = deque()
    for i, frame in enumerate(frames):
        if i % every:
            left_out.append(frame)
        else:
            yield left_out, frame
            left_out = deque()
    if left_out:
        yield left_out, None


def _batches(items: Iterable[_T], n: int) -> Iterator[list[_T]]:
    """The last one may be shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, n)):
        yield batch


def _rate(video_fps: Fraction, fps: float | None) -> Fraction:
    """The rate at which frames are looked at."""
    return video_fps if fps is None else min(video_fps, Fraction(fps).limit_denominator(1000))


def _largest(found: Detections, n: int) -> NDArray[np.intp]:
    """Rows of the n persons with the largest boxes, in order of row."""
    persons = np.flatnonzero(found.category == Category.PERSON)
    area = np.prod(found.box[persons, 2:] - found.box[persons, :2], axis=1)
    return np.sort(persons[np.argsort(-area, kind="stable")[:n]])


def _without_glimpses(landmarks: Landmarks) -> Landmarks:
    """Without tracks that the detector saw at one single look, which are mistakes of it or say
    nothing. Where it did not look there is no score."""
    keys = np.stack([landmarks.category.astype(np.int64), landmarks.track], axis=1)
    tracks, inverse = np.unique(keys, axis=0, return_inverse=True)
    track = inverse.reshape(-1)
    looks = np.bincount(track[np.isfinite(landmarks.score)], minlength=len(tracks))
    return landmarks[looks[track] > 1]
