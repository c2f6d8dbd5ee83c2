"""What training leaves, and what of it computes logits: through torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from yololstm import models
from yololstm.events import Rule
from yololstm.inference import Classifier
from yololstm.scaling import Scaling
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

    def classifier(self, device: torch.device | str = "cpu") -> Classifier:
        """Raises as network does."""
        return Classifier(
            TorchNetwork(self.network(), device),
            self.scaling,
            self.spec,
            self.labels,
            self.temperature,
            self.rule,
        )

    def network(self) -> nn.Module:
        """The mean over members, and over both mirror images where they were taught them.

        Raises KeyError, TypeError, ValueError or RuntimeError where name, args and members do not
        agree.
        """
        network = models.Ensemble(self._network(state) for state in self.members)
        return models.BothWays(network, self.scaling.centre) if self.mirrored else network

    def _network(self, state: dict[str, Tensor]) -> nn.Module:
        network = models.build(self.model, len(self.labels), **self.args)
        network.load_state_dict(state)
        return network


class TorchNetwork:
    """An inference.Network of torch; dropout is off from now on."""

    def __init__(self, model: nn.Module, device: torch.device | str = "cpu") -> None:
        self._device = torch.device(device)
        self._model = model.to(self._device).eval()

    @torch.inference_mode()
    def __call__(self, x: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        tensors = (torch.from_numpy(array).to(self._device) for array in (x, valid))
        logits: NDArray[np.float32] = self._model(*tensors).cpu().numpy()
        return logits
