"""What is seen in frames: who is where, and their joints, which are looked for when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yololstm.detector import Detections, Detector, use_one_thread
from yololstm.errors import ParamsError
from yololstm.pose import PoseBackend, open_backend
from yololstm.pose.yolo import Posed, YoloPose
from yololstm.settings import FIND_PERSONS, ExtractionSettings
from yololstm.video import Image

Rows = NDArray[np.intp]
Joints = tuple[NDArray[np.float32], NDArray[np.float32]]
"""xy and confidence, as a PoseBackend returns them."""


@dataclass(frozen=True)
class Scene:
    """What is seen in one frame."""

    found: Detections
    joints: Callable[[Rows], Joints]
    """Of some rows of ``found``."""

    def __getitem__(self, rows: Rows) -> Scene:
        return Scene(self.found[rows], lambda some: self.joints(rows[some]))


def scene_at(pose: PoseBackend, image: Image, found: Detections) -> Scene:
    """What is seen where it is known already who is where."""
    return Scene(found, lambda rows: pose(image, found.box[rows]))


class Finder(Protocol):
    """Finds persons and bags: detector.Detector, or what does the same without torch."""

    name: str
    batch: int

    def __call__(self, images: Sequence[Image]) -> list[Detections]: ...


class Sight(Protocol):
    @property
    def name(self) -> str:
        """Libraries and models, with their versions, for people to read."""
        ...

    @property
    def batch(self) -> int:
        """Images that it is best asked about at once."""
        ...

    @property
    def pose(self) -> PoseBackend: ...

    def look(self, images: Sequence[Image]) -> list[Scene]:
        """What is seen in each of them; a network sees them all at once."""
        ...


def open_sight(settings: ExtractionSettings) -> Sight:
    """Sets torch to one thread: clips are spread over processes.

    Raises WeightsError; ParamsError for settings that do not go together.
    """
    sight = _opened(settings)
    use_one_thread()
    return sight


def _opened(settings: ExtractionSettings) -> Sight:
    if settings.backend in FIND_PERSONS:
        if settings.detect_every > 1:
            problem = f"{settings.backend} finds persons itself, and leaves no frame out"
            raise ParamsError("extract.detect_every", problem, "Set it to 1")
        return OneStage(YoloPose(settings.pose_model, settings.imgsz, settings.min_confidence))
    if settings.weights is None:
        problem = f"{settings.backend} finds no persons, and there is no detector"
        raise ParamsError("extract.backend", problem, "Name a detector, or set it to yolo-pose")
    detector = Detector(settings.weights, settings.imgsz, settings.min_confidence)
    return TopDown(detector, open_backend(settings.backend, settings.pose_model))


@dataclass(frozen=True)
class TopDown:
    """A Sight of two networks: boxes first, then the joints in each."""

    detector: Finder
    pose: PoseBackend

    @property
    def name(self) -> str:
        return f"{self.pose.name}; {self.detector.name}"

    @property
    def batch(self) -> int:
        return self.detector.batch

    def look(self, images: Sequence[Image]) -> list[Scene]:
        found = self.detector(images)
        return [scene_at(self.pose, *each) for each in zip(images, found, strict=True)]


@dataclass(frozen=True)
class OneStage:
    """A Sight of one network."""

    pose: YoloPose

    @property
    def name(self) -> str:
        return self.pose.name

    @property
    def batch(self) -> int:
        return self.pose.batch

    def look(self, images: Sequence[Image]) -> list[Scene]:
        return [_known(posed) for posed in self.pose.detect(images)]


def _known(posed: Posed) -> Scene:
    return Scene(posed.found, lambda rows: (posed.xy[rows], posed.confidence[rows]))
