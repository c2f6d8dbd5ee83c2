"""From video to landmarks: detect, track, and find the pose of each person, in one pass."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from yololstm import video
from yololstm.detector import Detections, Detector
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.pose import open_backend
from yololstm.settings import ExtractionSettings
from yololstm.skeleton import N_JOINTS
from yololstm.tracking import UNTRACKED, Tracker


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
    """A detector and a pose backend, loaded once, for any number of clips one after the other."""

    def __init__(self, settings: ExtractionSettings) -> None:
        """Raises WeightsError. Sets torch to one thread: clips are spread over processes."""
        self._settings = settings
        self._detector = Detector(settings.weights, settings.imgsz, settings.min_confidence)
        torch.set_num_threads(1)
        self._pose = open_backend(settings.backend, settings.pose_model)
        self.name = (
            f"{self._pose.name}; {self._detector.name};"
            f" bytetrack {importlib.metadata.version('trackers')}"
        )

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
        self._pose.close()

    def extract(self, path: Path, on_frame: Callable[[], None] | None = None) -> Landmarks:
        """Everybody in a video. Nobody at all gives no rows.

        on_frame is called after every frame that was looked at. Raises VideoError.
        """
        info = video.probe(path)
        fps = _rate(info.fps, self._settings.fps)
        trackers = {category: Tracker(float(fps)) for category in Category}
        nowhere = Source(info.width, info.height, fps, 0, self.name)
        parts: list[Landmarks] = []
        for frame in video.read(path, self._settings.fps):
            found, number = _tracked(self._detector(frame.image), trackers)
            parts.append(self._rows(frame, found, number, nowhere))
            if on_frame is not None:
                on_frame()
        source = Source(info.width, info.height, fps, len(parts), self.name)
        return _without_glimpses(Landmarks.concatenate(parts, source))

    def _rows(
        self, frame: video.Frame, found: Detections, number: NDArray[np.int32], source: Source
    ) -> Landmarks:
        n = len(found)
        xy = np.full((n, N_JOINTS, 2), np.nan, dtype=np.float32)
        confidence = np.zeros((n, N_JOINTS), dtype=np.float32)
        posed = _largest(found, self._settings.max_persons)
        xy[posed], confidence[posed] = self._pose(frame.image, found.box[posed])
        return Landmarks(
            frame=np.full(n, frame.index, dtype=np.int32),
            time_s=np.full(n, frame.time_s, dtype=np.float64),
            category=found.category,
            track=number,
            score=found.score,
            box=found.box,
            xy=xy,
            confidence=confidence,
            source=source,
        )


def _rate(video_fps: Fraction, fps: float | None) -> Fraction:
    """The rate at which frames are looked at."""
    return video_fps if fps is None else min(video_fps, Fraction(fps).limit_denominator(1000))


def _tracked(
    found: Detections, trackers: dict[Category, Tracker]
) -> tuple[Detections, NDArray[np.int32]]:
    """The detections that belong to a track, ordered by category and track, and their tracks."""
    number = np.full(len(found), UNTRACKED, dtype=np.int32)
    for category, tracker in trackers.items():
        rows = found.category == category
        number[rows] = tracker.update(found.box[rows], found.score[rows])
    order = np.lexsort((number, found.category))
    order = order[number[order] != UNTRACKED]
    kept = Detections(found.box[order], found.score[order], found.category[order])
    return kept, number[order]


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
