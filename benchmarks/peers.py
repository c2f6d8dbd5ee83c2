"""Models that the product does not have, to measure its own against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from yololstm.models import BiLSTM, joints_bones_motion
from yololstm.skeleton import N_FEATURES

_N_POINTS = BiLSTM.n_inputs // 2
"""Coordinates of joints and bones; their changes follow."""
_JOINTS = range(N_FEATURES)
_BONES = range(N_FEATURES, _N_POINTS)
_MOTION = range(_N_POINTS, _N_POINTS + N_FEATURES)


class _Part(BiLSTM):
    """bilstm with some of its features."""

    kept: ClassVar[Sequence[int]]

    def features(self, x: Tensor, valid: Tensor) -> Tensor:
        return joints_bones_motion(x, valid)[..., list(self.kept)]


class BonelessBiLSTM(_Part):
    kept = (*_JOINTS, *_MOTION)
    n_inputs = len(kept)


class MotionlessBiLSTM(_Part):
    kept = (*_JOINTS, *_BONES)
    n_inputs = len(kept)


class JointsBiLSTM(_Part):
    kept = tuple(_JOINTS)
    n_inputs = len(kept)


class LastStepBiLSTM(BiLSTM):
    """The last step of each direction decides."""

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        steps, _ = self.lstm(self.norm(self.features(x, valid)))
        onwards, back = steps.chunk(2, dim=2)
        logits: Tensor = self.head(self.dropout(torch.cat([onwards[:, -1], back[:, 0]], dim=1)))
        return logits


class AttentionBiLSTM(BiLSTM):
    """A weighted mean of all steps decides, with weights that are learned too."""

    def __init__(self, n_labels: int) -> None:
        super().__init__(n_labels)
        # What all steps have alike does not change their shares.
        self.attention = nn.Linear(self.head.in_features, 1, bias=False)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        steps, _ = self.lstm(self.norm(self.features(x, valid)))
        weights = self.attention(steps).softmax(dim=1)
        logits: Tensor = self.head(self.dropout((steps * weights).sum(dim=1)))
        return logits


class TCN(nn.Module):
    """bilstm's features read by three residual convolutions over time, each twice as wide as the
    one before; the mean of all steps decides. Source: Bai et al., arXiv:1803.01271."""

    def __init__(self, n_labels: int, channels: int = 64, dropout: float = 0.3) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(BiLSTM.n_inputs)
        self.into = nn.Conv1d(BiLSTM.n_inputs, channels, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for dilation in (1, 2, 4)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, n_labels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        steps = self.into(self.norm(joints_bones_motion(x, valid)).transpose(1, 2))
        for block in self.blocks:
            steps = steps + block(steps)
        logits: Tensor = self.head(self.dropout(steps.mean(dim=2)))
        return logits
