"""From video to landmarks: detect, track, and find the pose of each person, in one pass."""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from yololstm import identity, smoothing, video
from yololstm.detector import Detections
from yololstm.following import Followed, Following, between
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.settings import ExtractionSettings
from yololstm.sight import Scene, open_sight, scene_at
from yololstm.skeleton import N_JOINTS
from yololstm.video import Frame

_T = TypeVar("_T")

_BATCH_ON_CUDA: Final = 16
"""Frames that a network sees at once; a CPU gains nothing by more than one."""

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

    A video is streamed: as many of its frames are held as one batch, or ``detect_every``, needs a
    few times over, however long it is.
    """

    def __init__(self, settings: ExtractionSettings) -> None:
        """Raises WeightsError, and ParamsError for settings that do not go together.

        Sets torch to one thread: clips are spread over processes.
        """
        self._settings = settings
        self._sight = open_sight(settings)
        torch.set_num_threads(1)
        self._batch = _BATCH_ON_CUDA if torch.cuda.is_available() else 1
        self.name = f"{self._sight.name}; bytetrack {importlib.metadata.version('trackers')}"

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
        self._sight.pose.close()

    def extract(self, path: Path, on_frame: Callable[[], None] | None = None) -> Landmarks:
        """Everybody in a video. Nobody at all gives no rows.

        on_frame is called after every frame that was looked at. Raises VideoError.
        """
        info = video.probe(path)
        fps = _rate(info.fps, self._settings.fps)
        nowhere = Source(info.width, info.height, fps, 0, self.name)
        parts: list[Landmarks] = []
        n_frames = 0
        with closing(video.read_ahead(path, self._settings.fps, self._batch + 1)) as frames:
            for some in _batches(self._by_frame(frames, nowhere, on_frame), _TOGETHER):
                parts.append(Landmarks.concatenate(some, nowhere))
                n_frames += len(some)
        source = replace(nowhere, n_frames=n_frames)
        landmarks = _without_glimpses(Landmarks.concatenate(parts, source))
        whole = identity.refine(landmarks, self._settings.rejoin_s, self._settings.still_s)
        return smoothing.smooth(whole, self._settings.smoothing)

    def _by_frame(
        self, frames: Iterable[Frame], source: Source, on_frame: Callable[[], None] | None
    ) -> Iterator[Landmarks]:
        for frame, scene, track in self._followed(frames, source.fps):
            yield self._rows(frame, scene, track, source)
            if on_frame is not None:
                on_frame()

    def _followed(
        self, frames: Iterable[Frame], fps: Fraction
    ) -> Iterator[tuple[Frame, Scene, NDArray[np.int32]]]:
        """Each frame, who is there, and their tracks. Where the detector does not look, they are on
        the way from where it saw them before to where it sees them next."""
        for look, then in _with_next(self._looks(frames, fps)):
            first, *others = look.frames
            yield first, look.scene, look.seen.track
            for i, frame in enumerate(others, 1):
                there = between(look.seen, then.seen, i / len(look.frames))
                yield frame, scene_at(self._sight.pose, frame.image, there.found), there.track

    def _looks(self, frames: Iterable[Frame], fps: Fraction) -> Iterator[_Look]:
        every = self._settings.detect_every
        following = Following(fps / every)
        for strides in _batches(_batches(frames, every), max(1, self._batch // every)):
            scenes = self._sight.look([stride[0].image for stride in strides])
            for stride, scene in zip(strides, scenes, strict=True):
                seen, rows = following.update(scene.found)
                yield _Look(stride, scene[rows], seen)

    def _rows(
        self, frame: Frame, scene: Scene, track: NDArray[np.int32], source: Source
    ) -> Landmarks:
        found, n = scene.found, len(track)
        xy = np.full((n, N_JOINTS, 2), np.nan, dtype=np.float32)
        confidence = np.zeros((n, N_JOINTS), dtype=np.float32)
        posed = _largest(found, self._settings.max_persons)
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

    frames: list[Frame]
    """That at which it looked, and those after it that it leaves out."""
    scene: Scene
    """In the first of them, of those who belong to a track."""
    seen: Followed


def _batches(items: Iterable[_T], n: int) -> Iterator[list[_T]]:
    """The last one may be shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, n)):
        yield batch


def _with_next(items: Iterable[_T]) -> Iterator[tuple[_T, _T]]:
    """Each with the one after it, and the last with itself."""
    before: _T | None = None
    for item in items:
        if before is not None:
            yield before, item
        before = item
    if before is not None:
        yield before, before


def _rate(video_fps: Fraction, fps: float | None) -> Fraction:
    """The rate at which frames are looked at."""
    return video_fps if fps is None else min(video_fps, Fraction(fps).limit_denominator(1000))


def _largest(found: Detections, n: int) -> NDArray[np.intp]:
    """Rows of the n persons with the largest boxes, in order of row."""
    persons = np.flatnonzero(found.category == Category.PERSON)
    area = np.prod(found.box[persons, 2:] - found.box[persons, :2], axis=1)
    return np.sort(persons[np.argsort(-area, kind="stable")[:n]])


def _without_glimpses(landmarks: Landmarks) -> Landmarks:
    """Without tracks of one single frame, which are mistakes of the detector or say nothing."""
    keys = np.stack([landmarks.category.astype(np.int64), landmarks.track], axis=1)
    _, inverse, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    kept = counts[inverse.reshape(-1)] > 1
    return landmarks[kept]
