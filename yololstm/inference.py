"""From landmarks to probabilities: the one path that evaluation, rendering and live use share.

Whatever computes the logits: without torch, for it is not everywhere that models are run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from yololstm import scaling as scalings
from yololstm.calibration import softmax
from yololstm.events import Rule
from yololstm.landmarks import Landmarks
from yololstm.scaling import Scaling
from yololstm.segmentation import segment
from yololstm.skeleton import JOINTS
from yololstm.windows import WindowSpec

Network = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.float32]]
"""x: (N, T, 26) scaled, valid: (N, T, 13); returns (N, C) logits."""


@dataclass(frozen=True)
class Predictions:
    """One row a window, by track and then by time."""

    track: NDArray[np.int32]
    """(N,)"""
    start_s: NDArray[np.float64]
    """(N,) presentation time of the window's first step."""
    probability: NDArray[np.float32]
    """(N, C) by label; each row adds up to 1."""

    def __len__(self) -> int:
        return len(self.track)


class Classifier:
    def __init__(
        self,
        network: Network,
        scaling: Scaling,
        spec: WindowSpec,
        labels: tuple[str, ...],
        temperature: float = 1.0,
        rule: Rule | None = None,
    ) -> None:
        self.labels = labels
        self.spec = spec
        self.scaling = scaling
        self.rule = rule or Rule()
        self._temperature = temperature
        self._network = network

    def to_dict(self) -> dict[str, Any]:
        """All but the network, in values that JSON can say."""
        return {
            "joints": list(JOINTS),
            "labels": list(self.labels),
            "rule": asdict(self.rule),
            "scaling": self.scaling.to_dict(),
            "spec": asdict(self.spec),
            "temperature": self._temperature,
        }

    @classmethod
    def from_dict(cls, network: Network, said: Mapping[str, Any]) -> Self:
        """The inverse of to_dict. Raises KeyError, TypeError or ValueError where ``said`` is not of
        its making, or of other joints."""
        if tuple(said["joints"]) != JOINTS:
            raise ValueError("other joints, or ours in another order")
        return cls(
            network,
            scalings.from_dict(said["scaling"]),
            WindowSpec(**said["spec"]),
            tuple(said["labels"]),
            float(said["temperature"]),
            Rule(**said["rule"]),
        )

    def classify(self, landmarks: Landmarks) -> Predictions:
        """landmarks: in pixels, of one clip or of a camera's last seconds."""
        windows = segment(landmarks, self.spec).windows
        x = self.scaling.transform(windows.x, windows.valid)
        return Predictions(windows.track, windows.start_s, self.scaled(x, windows.valid))

    def scaled(
        self, x: NDArray[np.float32], valid: NDArray[np.bool_], batch: int = 1024
    ) -> NDArray[np.float32]:
        """x: (N, T, 26) scaled already, valid: (N, T, 13); returns (N, C) probabilities."""
        return softmax(self.logits(x, valid, batch), self._temperature)

    def logits(
        self, x: NDArray[np.float32], valid: NDArray[np.bool_], batch: int = 1024
    ) -> NDArray[np.float32]:
        """The same before temperature and softmax."""
        if not len(x):
            return np.empty((0, len(self.labels)), dtype=np.float32)
        return np.concatenate(
            [self._network(x[i : i + batch], valid[i : i + batch]) for i in range(0, len(x), batch)]
        )
