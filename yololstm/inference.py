"""From landmarks to probabilities: the one path that evaluation, rendering and live use share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from yololstm import models
from yololstm.calibration import softmax
from yololstm.events import Rule
from yololstm.landmarks import Landmarks
from yololstm.scaling import Scaling
from yololstm.segmentation import segment
from yololstm.windows import WindowSpec

Thresholds = Literal["rate", "f1", "default"]
"""Chosen for the rate of false alarms that is asked for; by the best F1 of events, where val is too
short to see that rate; events.FALLBACK for each, where val has no windows."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and all that it takes to use it."""

    model: str
    """Its name in models.MODELS."""
    args: dict[str, Any]
    """Of its constructor, beside the number of labels."""
    members: tuple[dict[str, Tensor], ...]
    """The weights of each; their logits are averaged."""
    scaling: Scaling
    spec: WindowSpec
    labels: tuple[str, ...]
    mirrored: bool = False
    """It was taught mirror images, and so is asked for both."""
    temperature: float = 1.0
    """What logits are divided by, so that a probability of 0.8 is right in 8 of 10 cases."""
    temperature_fitted: bool = False
    """On val; else it is 1 because val could not tell it."""
    rule: Rule = field(default_factory=Rule)
    """How its probabilities become events; the thresholds are of these weights and no others."""
    thresholds: Thresholds = "default"
    """How they came about."""

    def network(self) -> nn.Module:
        """Raises KeyError, TypeError, ValueError or RuntimeError where name, args and members do
        not agree."""
        return models.Ensemble(self._network(state) for state in self.members)

    def _network(self, state: dict[str, Tensor]) -> nn.Module:
        network = models.build(self.model, len(self.labels), **self.args)
        network.load_state_dict(state)
        return network


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
        model: nn.Module,
        scaling: Scaling,
        spec: WindowSpec,
        labels: tuple[str, ...],
        temperature: float = 1.0,
        rule: Rule | None = None,
        device: torch.device | str = "cpu",
        mirrored: bool = False,
    ) -> None:
        self.labels = labels
        self.spec = spec
        self.scaling = scaling
        self.rule = rule or Rule()
        self._temperature = temperature
        self._mirrored = mirrored
        self._device = torch.device(device)
        self._model = model.to(self._device).eval()

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, device: torch.device | str = "cpu") -> Self:
        return cls(
            checkpoint.network(),
            checkpoint.scaling,
            checkpoint.spec,
            checkpoint.labels,
            checkpoint.temperature,
            checkpoint.rule,
            device,
            checkpoint.mirrored,
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

    @torch.inference_mode()
    def logits(
        self, x: NDArray[np.float32], valid: NDArray[np.bool_], batch: int = 1024
    ) -> NDArray[np.float32]:
        """The same before temperature and softmax: the mean over members, and over both mirror
        images where they were taught them."""
        if not len(x):
            return np.empty((0, len(self.labels)), dtype=np.float32)
        parts = [
            self._forward(
                *(torch.from_numpy(a[i : i + batch]).to(self._device) for a in (x, valid))
            )
            for i in range(0, len(x), batch)
        ]
        logits: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
        return logits

    def _forward(self, x: Tensor, valid: Tensor) -> Tensor:
        if self._mirrored:
            return models.both_ways(self._model, x, valid, self.scaling.centre)
        logits: Tensor = self._model(x, valid)
        return logits
