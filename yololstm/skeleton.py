"""The 13 joints: their order, their bones, and where each keypoint format keeps them.

LEFT and RIGHT are the person's own. Images have x to the right and y down.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

JOINTS: Final = (
    "SHOULDER_LEFT",
    "ELBOW_LEFT",
    "WRIST_LEFT",
    "SHOULDER_RIGHT",
    "ELBOW_RIGHT",
    "WRIST_RIGHT",
    "HIP_LEFT",
    "KNEE_LEFT",
    "ANKLE_LEFT",
    "HIP_RIGHT",
    "KNEE_RIGHT",
    "ANKLE_RIGHT",
    "HEAD",
)
N_JOINTS: Final = len(JOINTS)

FEATURES: Final = tuple(f"{joint}_{axis}" for joint in JOINTS for axis in "XY")
N_FEATURES: Final = len(FEATURES)

SHOULDERS: Final = (JOINTS.index("SHOULDER_LEFT"), JOINTS.index("SHOULDER_RIGHT"))
HIPS: Final = (JOINTS.index("HIP_LEFT"), JOINTS.index("HIP_RIGHT"))

#: Each joint's mirror image: ``xy[:, FLIP]`` with x negated is the same person mirrored.
FLIP: Final[NDArray[np.intp]] = np.array(
    [
        JOINTS.index(j.replace("LEFT", "?").replace("RIGHT", "LEFT").replace("?", "RIGHT"))
        for j in JOINTS
    ]
)

#: (parent, child) pairs, from the trunk outwards.
BONES: Final[tuple[tuple[int, int], ...]] = tuple(
    (JOINTS.index(parent), JOINTS.index(child))
    for parent, child in (
        ("SHOULDER_LEFT", "SHOULDER_RIGHT"),
        ("SHOULDER_LEFT", "ELBOW_LEFT"),
        ("ELBOW_LEFT", "WRIST_LEFT"),
        ("SHOULDER_RIGHT", "ELBOW_RIGHT"),
        ("ELBOW_RIGHT", "WRIST_RIGHT"),
        ("SHOULDER_LEFT", "HIP_LEFT"),
        ("SHOULDER_RIGHT", "HIP_RIGHT"),
        ("HIP_LEFT", "HIP_RIGHT"),
        ("HIP_LEFT", "KNEE_LEFT"),
        ("KNEE_LEFT", "ANKLE_LEFT"),
        ("HIP_RIGHT", "KNEE_RIGHT"),
        ("KNEE_RIGHT", "ANKLE_RIGHT"),
        ("SHOULDER_LEFT", "HEAD"),
        ("SHOULDER_RIGHT", "HEAD"),
    )
)

#: Our joints' places among BlazePose's 33 keypoints; the nose stands for HEAD.
#: Source: ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker
MEDIAPIPE: Final[NDArray[np.intp]] = np.array([11, 13, 15, 12, 14, 16, 23, 25, 27, 24, 26, 28, 0])

#: Our joints' places among COCO's 17 keypoints; the nose stands for HEAD.
#: Source: cocodataset.org/#keypoints-2020
COCO: Final[NDArray[np.intp]] = np.array([5, 7, 9, 6, 8, 10, 11, 13, 15, 12, 14, 16, 0])


def torso_length(xy: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distance from the middle of the shoulders to the middle of the hips.

    xy: (..., 13, 2) in any unit; returns (...) in that unit, NaN where one of the four is absent.
    """
    shoulders = xy[..., SHOULDERS, :].mean(axis=-2)
    hips = xy[..., HIPS, :].mean(axis=-2)
    length: NDArray[np.floating] = np.linalg.norm(shoulders - hips, axis=-1)
    return length
