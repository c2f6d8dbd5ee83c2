"""From video to landmarks: detect, track, and find the pose of each person, in one pass."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from yololstm import video
from yololstm.clips import Clip
from yololstm.cluster import spread
from yololstm.console import progress, warn
from yololstm.datasets import DatasetReader, reader
from yololstm.detector import Detections, Detector
from yololstm.errors import (
    AnnotationError,
    DataError,
    EmptyError,
    Problem,
    VideoError,
    YololstmError,
)
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.material import Material
from yololstm.pose import open_backend, quality
from yololstm.skeleton import N_JOINTS
from yololstm.storage import sha256, write_landmarks
from yololstm.tracking import UNTRACKED, Tracker


@dataclass(frozen=True)
class ExtractionSettings:
    weights: Path
    """Of the detector."""
    pose_model: Path
    backend: str
    fps: float | None
    """Frames a second to look at, at most; None: every frame."""
    max_persons: int
    """The largest persons of a frame that get landmarks; the others are only tracked."""
    imgsz: int
    """Longer side of the image that the detector sees, pixels."""
    min_confidence: float


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


# --- the clips of an index ---


@dataclass(frozen=True)
class Job:
    """One clip to extract; what a process needs to know."""

    clip: Clip
    material: Material
    out: Path
    """The file to write, .parquet or .csv."""
    kind: str
    settings: ExtractionSettings | None
    """None: nothing is looked for in the video, the data set's own keypoints are taken."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one clip, in numbers."""

    clip: Clip
    frames: int
    """That were looked at."""
    persons: int
    """Boxes of persons over all frames."""
    posed: int
    """Those of them with landmarks."""
    tracks: int
    agreement: quality.Agreement | None
    """With the data set's own keypoints, where it has any."""
    doubt: Problem | None = None
    """Why they cannot be compared with, where they cannot."""


def extract_clip(job: Job) -> Outcome:
    """Write the landmarks of one clip. Raises DataError for its faults, WeightsError for ours.

    Each process loads its models once, for all clips that it is given.
    """
    truth, doubt = None, None
    if job.settings is None:
        landmarks = _own(job) or _nobody(job.clip)
    else:
        with job.material.local(job.clip.path) as path:
            _check_unchanged(path, job.clip)
            landmarks = _extractor(job.settings).extract(path)
        try:
            truth = _own(job)
        except AnnotationError as error:
            doubt = error.problem
    write_landmarks(job.out, landmarks)
    people = landmarks.persons()
    return Outcome(
        clip=job.clip,
        frames=landmarks.source.n_frames,
        persons=len(people),
        posed=int(np.isfinite(people.xy).any(axis=(1, 2)).sum()),
        tracks=len(np.unique(people.track)),
        agreement=None if truth is None else quality.agreement(landmarks, truth),
        doubt=doubt,
    )


def _own(job: Job) -> Landmarks | None:
    """What the data set itself knows."""
    return _reader(job.kind).landmarks(job.material, job.clip)


def _nobody(clip: Clip) -> Landmarks:
    """Of a clip without keypoints."""
    source = Source(clip.width, clip.height, clip.fps, clip.n_frames, "no keypoints")
    return Landmarks.empty(source)


@functools.cache
def _reader(kind: str) -> DatasetReader:
    """For landmarks only, which no label has a part in."""
    return reader(kind, {})


@functools.cache
def _extractor(settings: ExtractionSettings) -> Extractor:
    """Never closed: the process that it serves ends with the last clip."""
    return Extractor(settings)


def _check_unchanged(path: Path, clip: Clip) -> None:
    if path.is_file() and sha256(path) != clip.sha256:
        raise VideoError(path, "it is not the file that was indexed", "Run the index stage again")


def extract_all(jobs: Sequence[Job], workers: int = 0) -> tuple[list[Outcome], list[Problem]]:
    """Extract clips in parallel, with a progress bar; outcomes are ordered by clip_id.

    Clips with faults are told, and listed instead of extracted. workers: as for cluster.spread.
    """
    outcomes: list[Outcome] = []
    left_out: list[Problem] = []
    with progress("extract", total=len(jobs), unit="clips") as advance:
        for job, result in spread(extract_clip, jobs, workers):
            if isinstance(result, DataError):
                # The place in the data set; where that lies differs from machine to machine.
                left_out.append(replace(result.problem, place=job.clip.path))
                warn(left_out[-1])
            elif isinstance(result, YololstmError):
                raise result
            else:
                outcomes.append(result)
                if result.doubt is not None:
                    warn(result.doubt)
            advance(1)
    return sorted(outcomes, key=lambda outcome: outcome.clip.clip_id), sorted(left_out)


def check(outcomes: Sequence[Outcome], left_out: Sequence[Problem], max_left_out: float) -> None:
    """Raises EmptyError where no clip is left, DataError where too many were left out."""
    n = len(outcomes) + len(left_out)
    example = f", for example {left_out[0].place}: {left_out[0].problem}" if left_out else ""
    if not outcomes:
        raise EmptyError("extract", f"none of {n} clips is left{example}", "Mend them")
    if len(left_out) > max_left_out * n:
        raise DataError(
            "extract",
            f"{len(left_out)} of {n} clips are left out, more than data.max_left_out{example}",
            "Mend them, or raise data.max_left_out",
        )


def report(outcomes: Sequence[Outcome], left_out: Sequence[Problem]) -> dict[str, Any]:
    """Numbers over all clips, and how the landmarks agree with the data set's own keypoints.

    nobody: clips in which nobody appears, which are kept; not_compared: clips whose own keypoints
    have faults; official: by the split that the data set itself names.
    """
    persons, posed = (sum(getattr(o, name) for o in outcomes) for name in ("persons", "posed"))
    return {
        "clips": len(outcomes),
        "nobody": sum(outcome.persons == 0 for outcome in outcomes),
        "frames": sum(outcome.frames for outcome in outcomes),
        "persons": persons,
        "landmarks_share": posed / persons if persons else None,
        "tracks": sum(outcome.tracks for outcome in outcomes),
        "left_out": [asdict(problem) for problem in sorted(left_out)],
        "not_compared": [asdict(outcome.doubt) for outcome in outcomes if outcome.doubt],
        "pose": {
            "official": _agreements(outcomes, lambda clip: clip.split or "unlabelled"),
            "label": _agreements(outcomes, lambda clip: clip.label),
        },
    }


def _agreements(
    outcomes: Sequence[Outcome], group: Callable[[Clip], str]
) -> dict[str, dict[str, float | None]]:
    total: dict[str, quality.Agreement] = {}
    for outcome in outcomes:
        if outcome.agreement is not None:
            name = group(outcome.clip)
            total[name] = total.get(name, quality.Agreement()) + outcome.agreement
    return {name: agreement.report() for name, agreement in total.items()}
