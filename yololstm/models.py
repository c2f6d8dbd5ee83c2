"""The networks. A model is one small class here and one line in MODELS.

x: (B, T, 26) scaled joints, valid: (B, T, 13) -> logits (B, labels). Arguments are values that JSON
can say, because the checkpoint carries them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yololstm.augmentation import mirrored
from yololstm.skeleton import BONES, N_FEATURES, N_JOINTS


class StepDropout(nn.Module):
    """Dropout for the outputs of all steps. On a CPU nn.Dropout draws each of them from a stream of
    its own, which takes a seventh of a step of training; here eight share one number."""

    _values: ClassVar[int] = 2**8

    def __init__(self, p: float) -> None:
        """p: the share that is dropped, 0..1, to a 256th."""
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        dropped = round(self.p * self._values)
        if not self.training or not dropped or x.device.type != "cpu":
            return F.dropout(x, self.p, self.training)
        drawn = torch.empty(math.ceil(x.numel() / 8), dtype=torch.int64).random_(-(2**63), None)
        kept = drawn.view(torch.uint8)[: x.numel()].view(x.shape) > dropped - 1
        return x * kept.to(x.dtype).mul_(self._values / max(self._values - dropped, 1))


class StackedLSTM(nn.Module):
    """LSTMs one upon the other, dropout after each; the last step decides."""

    def __init__(
        self, n_labels: int, sizes: Sequence[int] = (128, 256, 128), dropout: float = 0.1
    ) -> None:
        super().__init__()
        inputs = [N_FEATURES, *sizes]
        self.layers = nn.ModuleList(
            nn.LSTM(below, size, batch_first=True)
            for below, size in zip(inputs, sizes, strict=False)
        )
        self.dropout = StepDropout(dropout)
        self.head = nn.Linear(inputs[-1], n_labels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        *below, top = self.layers
        for layer in below:
            x = self.dropout(layer(x)[0])
        logits: Tensor = self.head(self.dropout(top(x)[0][:, -1]))
        return logits


class CnnLSTM(nn.Module):
    """A convolution over time, then an LSTM; the last step decides."""

    def __init__(
        self,
        n_labels: int,
        channels: int = 64,
        kernel: int = 3,
        hidden: int = 128,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(N_FEATURES, channels, kernel, padding="same")
        self.lstm = nn.LSTM(channels, hidden, batch_first=True)
        self.dropout = StepDropout(dropout)
        self.head = nn.Linear(hidden, n_labels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        local = torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2)
        steps, _ = self.lstm(self.dropout(local))
        logits: Tensor = self.head(self.dropout(steps[:, -1]))
        return logits


class LSTM(nn.Module):
    """Joints, bones and how both change, read forwards; the mean of all steps decides. What it
    knows after a step depends on no later one."""

    bidirectional: ClassVar[bool] = False
    n_inputs: ClassVar[int] = 2 * 2 * (N_JOINTS + len(BONES))

    def __init__(
        self, n_labels: int, hidden: int = 64, layers: int = 2, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(self.n_inputs)
        self.lstm = nn.LSTM(
            self.n_inputs,
            hidden,
            layers,
            batch_first=True,
            bidirectional=self.bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden * (2 if self.bidirectional else 1), n_labels)

    def features(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, n_inputs)"""
        return joints_bones_motion(x, valid)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        steps, _ = self.lstm(self.norm(self.features(x, valid)))
        logits: Tensor = self.head(self.dropout(steps.mean(dim=1)))
        return logits


class BiLSTM(LSTM):
    """The same, read forwards and backwards."""

    bidirectional = True


MODELS: Final[dict[str, type[nn.Module]]] = {
    "stacked_lstm": StackedLSTM,
    "cnn_lstm": CnnLSTM,
    "lstm": LSTM,
    "bilstm": BiLSTM,
}


def build(name: str, n_labels: int, **args: Any) -> nn.Module:
    """A new model of MODELS; its weights are drawn from torch's default generator."""
    return MODELS[name](n_labels, **args)


class Ensemble(nn.Module):
    """The mean logits of models that were taught apart."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        """Raises ValueError where there are none."""
        super().__init__()
        self.members = nn.ModuleList(members)
        if not self.members:
            raise ValueError("no members")

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return torch.stack([member(x, valid) for member in self.members]).mean(dim=0)


class BothWays(nn.Module):
    """A model that is asked for windows and for their mirror images; see both_ways."""

    def __init__(self, model: nn.Module, centre: float) -> None:
        super().__init__()
        self.model = model
        self.centre = centre

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return both_ways(self.model, x, valid, self.centre)


def both_ways(model: nn.Module, x: Tensor, valid: Tensor, centre: float) -> Tensor:
    """(B, labels) the mean logits of windows and of their mirror images, which show the same.
    centre: the scaling's."""
    as_seen: Tensor = model(x, valid)
    in_mirror: Tensor = model(*mirrored(x, valid, centre))
    return (as_seen + in_mirror) / 2


def joints_bones_motion(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, 108): joints, bones (from parent to child), and the change of each since the step
    before. What depends on an absent joint is 0."""
    parent, child = torch.tensor(BONES, device=x.device).T
    joints = x.reshape(*x.shape[:2], N_JOINTS, 2)
    bones = joints.index_select(2, child) - joints.index_select(2, parent)
    ends_known = valid.index_select(2, child) & valid.index_select(2, parent)
    points = torch.cat([joints, bones], dim=2)
    known = torch.cat([valid, ends_known], dim=2)[..., None]
    motion = torch.zeros_like(points)
    motion[:, 1:] = (points[:, 1:] - points[:, :-1]) * (known[:, 1:] & known[:, :-1])
    return torch.cat([points * known, motion], dim=2).flatten(2)
