"""A detector that is told beforehand what it sees, and one clip for it to look at."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests import drawn
from tests.datasets.trees import material
from yololstm import datasets, video
from yololstm.clips import Clip
from yololstm.detector import Detections
from yololstm.landmarks import Category, Landmarks
from yololstm.settings import ExtractionSettings

LABEL_MAP = {"theft": "theft", "fight": "assault", "broken": "damage"}
BAG = [10.0, 10.0, 40.0, 50.0]


class Told:
    """A detector that is told beforehand what each frame shows; it goes by their order."""

    name = "told"
    batch = 1

    def __init__(self, frames: list[list[list[float]]], score: float = 0.9) -> None:
        self._frames = iter(frames)
        self._score = score

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        return [self._next() for _ in images]

    def _next(self) -> Detections:
        box = np.array(next(self._frames), dtype=np.float32).reshape(-1, 4)
        category = [Category.BAG if row == BAG else Category.PERSON for row in box.tolist()]
        score = np.full(len(box), self._score, dtype=np.float32)
        return Detections(box, score, np.array(category, dtype=np.uint8))


def settings(weights: Path) -> ExtractionSettings:
    return ExtractionSettings(
        weights=weights,
        pose_model=drawn.pose_model(),
        backend="mediapipe",
        fps=None,
        max_persons=6,
        imgsz=320,
        min_confidence=0.4,
    )


def filmed(tree: Path) -> tuple[Clip, Landmarks]:
    """An AI-Hub tree of one clip, and what its annotation says."""
    drawn.film_one(tree)
    reader = datasets.reader("aihub", LABEL_MAP)
    clip = reader.read(material(tree)).clips[0]
    truth = reader.landmarks(material(tree), clip)
    assert truth is not None
    return clip, truth


def person_boxes(truth: Landmarks) -> list[list[list[float]]]:
    """Somewhat around the annotated joints, as a detector sees a person."""
    around = truth.box + np.array([-10, -30, 10, 10], dtype=np.float32)
    return [around[truth.frame == frame].tolist() for frame in range(truth.source.n_frames)]


def write_video(path: Path, images: list[video.Image], fps: int = 3) -> Path:
    height, width = images[0].shape[:2]
    with video.writing(path, Fraction(fps), width, height) as writer:
        for image in images:
            writer.write(image)
    return path
