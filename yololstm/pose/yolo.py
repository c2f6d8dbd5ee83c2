"""YOLO-pose: one network that finds all persons of an image and their joints at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from yololstm.boxes import iou
from yololstm.detector import Detections, Network, detections
from yololstm.errors import WeightsError
from yololstm.landmarks import Category
from yololstm.skeleton import COCO, N_JOINTS

_MIN_CONFIDENCE: Final = 0.3
"""Of a joint that is there. On real video three of four joints below it lie elsewhere than where
MediaPipe sees them; of those just above it, fewer than half."""
_SAME_PERSON: Final = 0.3
"""Smallest IoU of a box that is asked about with the box of a person who is found."""
_KEYPOINTS: Final = (17, 3)
"""COCO's, each with x, y and a confidence."""


@dataclass(frozen=True)
class Posed:
    """What is seen in one image by a network that finds persons and their joints at once."""

    found: Detections
    xy: NDArray[np.float32]
    """(N, 13, 2) and confidence as PoseBackend returns them, of each in ``found``."""
    confidence: NDArray[np.float32]
    """(N, 13)"""


class YoloPose:
    """A detector of persons that sees their joints too, and so a PoseBackend; see Network.

    Joints that it is unsure of are absent. It sees no bags.
    """

    def __init__(self, weights: Path, imgsz: int | None, min_confidence: float) -> None:
        """imgsz: as in Network. min_confidence: of a
        person.

        Raises WeightsError where the weights cannot be loaded, or find no persons' joints.
        """
        self._network = Network(weights, "pose", imgsz, min_confidence)
        persons = [index for index, name in self._network.names.items() if name == "person"]
        (nobody,) = self._network([np.zeros((32, 32, 3), dtype=np.uint8)])
        if not persons or nobody.keypoints.data.shape[1:] != _KEYPOINTS:
            problem = "it does not find COCO's 17 keypoints of persons"
            raise WeightsError(weights, problem, "Use pose weights, such as yolo11n-pose.pt")
        self._network.find_only(persons)
        self._categories = dict.fromkeys(persons, Category.PERSON)
        self.name = self._network.name
        self.batch = self._network.batch

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Posed]:
        """Everybody in each of the images (H, W, 3) RGB, in one call of the network."""
        return [self._posed(found) for found in self._network(images)]

    def __call__(
        self, image: NDArray[np.uint8], box: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As PoseBackend says. The whole image is searched, and each person who is found goes to
        one box at most: to that whose box it is best, all in all."""
        xy = np.full((len(box), N_JOINTS, 2), np.nan, dtype=np.float32)
        confidence = np.zeros((len(box), N_JOINTS), dtype=np.float32)
        if len(box):
            (seen,) = self.detect([image])
            rows, whose = _matches(_within(box, image), seen.found.box)
            xy[rows], confidence[rows] = seen.xy[whose], seen.confidence[whose]
        return xy, confidence

    def close(self) -> None:
        """There is nothing to close."""

    def _posed(self, found: Any) -> Posed:
        persons, rows = detections(found, self._categories)
        joints = found.keypoints.data.cpu().numpy().astype(np.float32)[rows][:, COCO]
        xy, confidence = joints[..., :2], joints[..., 2]
        absent = ~(confidence >= _MIN_CONFIDENCE)
        xy[absent], confidence[absent] = np.nan, 0
        return Posed(persons, xy, confidence)


def _within(box: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where the network draws the box of a person who is cut by the edge of the image."""
    height, width = image.shape[:2]
    return box.clip(0, np.array([width, height, width, height], dtype=np.float32))


def _matches(
    box: NDArray[np.float32], found: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of ``box``, and for each the row of ``found`` that is the same person."""
    overlap = np.array([iou(one, found) for one in box]).reshape(len(box), len(found))
    rows, whose = linear_sum_assignment(overlap, maximize=True)
    same = overlap[rows, whose] >= _SAME_PERSON
    return rows[same], whose[same]
