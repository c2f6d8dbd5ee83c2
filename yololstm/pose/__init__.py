"""Pose backends: from persons to their 13 landmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yololstm.errors import ParamsError


class PoseBackend(Protocol):
    """One call finds one pose in each box of one image."""

    name: str
    """The library and its version, the model and the start of its checksum."""

    def __call__(
        self, image: NDArray[np.uint8], box: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The landmarks of the person in each box.

        image: (H, W, 3) RGB. box: (N, 4) x0 y0 x1 y1 in pixels of it, parts outside allowed.
        Returns xy (N, 13, 2) in pixels of the image, NaN where a joint is absent (it may lie
        outside the image, where a person is cut by its edge), and confidence (N, 13) in 0..1,
        0 where a joint is absent. A box in which no pose is found has no joint.
        """
        ...

    def close(self) -> None: ...


def open_backend(
    name: str, model: Path, *, imgsz: int = 640, min_confidence: float = 0.3
) -> PoseBackend:
    """imgsz and min_confidence: as YoloPose has them; others see nothing but the boxes.

    Raises WeightsError where the model cannot be loaded, ParamsError for an unknown name.
    """
    # Imported here: each backend brings a vendor's library with it.
    if name == "mediapipe":
        from yololstm.pose.mediapipe import MediaPipePose

        return MediaPipePose(model)
    if name == "yolo-pose":
        from yololstm.pose.yolo import YoloPose

        return YoloPose(model, imgsz, min_confidence)
    known = "Known are mediapipe and yolo-pose"
    raise ParamsError("extract.backend", f"unknown backend {name!r}", known)
