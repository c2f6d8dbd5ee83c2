"""How well landmarks agree with keypoints that somebody annotated."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from yololstm.boxes import iou
from yololstm.landmarks import Category, Landmarks
from yololstm.skeleton import torso_length

PCK_SHARE: Final = 0.2
"""Of the torso's length: a joint closer than that to the truth is right. At the usual 0.5 a person
standing idle is mostly right whatever the real one does."""
_SAME_PERSON: Final = 0.2
"""Smallest IoU of a person's box with the box around their annotated joints."""
_TICK: Final = 1e-3
"""Of a frame; see video.read."""


@dataclass(frozen=True)
class Agreement:
    """Counts, which add up over clips."""

    person_frames: int = 0
    """Persons that the truth shows, frame by frame, with shoulders and hips."""
    found: int = 0
    """Those of them that have landmarks."""
    joints: int = 0
    """Joints of these that both know."""
    right: int = 0
    """Those of them within PCK_SHARE of the truth's torso length."""

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(
            self.person_frames + other.person_frames,
            self.found + other.found,
            self.joints + other.joints,
            self.right + other.right,
        )

    def report(self) -> dict[str, float | None]:
        """Shares are None where there is nothing to take a share of."""
        return {
            "person_frames": self.person_frames,
            "found_share": self.found / self.person_frames if self.person_frames else None,
            "pck02": self.right / self.joints if self.joints else None,
        }


def agreement(predicted: Landmarks, truth: Landmarks) -> Agreement:
    """Compare two landmarks of one clip, in the frames that ``predicted`` looked at."""
    truth = truth.persons()
    torso = torso_length(truth.xy)
    looked_at = _looked_at(truth.frame, truth.source.fps, predicted.source.fps)
    counted = np.isfinite(torso) & looked_at
    truth, torso = truth[counted], torso[counted]
    rows, other = matches(predicted, truth)
    posed = np.isfinite(predicted.xy[other]).any(axis=(1, 2))
    rows, other = rows[posed], other[posed]
    error = np.linalg.norm(predicted.xy[other] - truth.xy[rows], axis=-1)
    return Agreement(
        person_frames=len(truth),
        found=len(rows),
        joints=int(np.isfinite(error).sum()),
        right=int((error <= PCK_SHARE * torso[rows, None]).sum()),
    )


def matches(predicted: Landmarks, truth: Landmarks) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of ``truth``, and for each the row of ``predicted`` that is the same person.

    Persons are matched in each frame by the overlap of the predicted box with the box around the
    joints of the truth; each is matched once, or not at all.
    """
    around = np.concatenate([np.nanmin(truth.xy, axis=1), np.nanmax(truth.xy, axis=1)], axis=-1)
    pairs: list[tuple[int, int]] = []
    persons = np.flatnonzero(predicted.category == Category.PERSON)
    for frame in np.intersect1d(truth.frame, predicted.frame[persons]):
        there = np.flatnonzero(truth.frame == frame)
        here = persons[predicted.frame[persons] == frame]
        overlap = np.stack([iou(around[row], predicted.box[here]) for row in there])
        for i, j in zip(*linear_sum_assignment(overlap, maximize=True), strict=True):
            if overlap[i, j] >= _SAME_PERSON:
                pairs.append((int(there[i]), int(here[j])))
    rows = np.array(pairs, dtype=np.intp).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _looked_at(frame: NDArray[np.int32], video_fps: Fraction, fps: Fraction) -> NDArray[np.bool_]:
    """Which frames video.read gives at the rate ``fps``: the first in each of its ticks."""
    ratio = min(1.0, float(fps / video_fps))
    ticks = np.floor(np.stack([frame - 1, frame]) * ratio + _TICK)
    first: NDArray[np.bool_] = ticks[1] > ticks[0]
    return first
