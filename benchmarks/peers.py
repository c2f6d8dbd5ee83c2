"""Models that the product does not have, to measure its own against."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yololstm.models import BiLSTM, joints_bones_motion
from yololstm.skeleton import N_FEATURES


class BonelessBiLSTM(BiLSTM):
    """bilstm with joints and their change alone."""

    n_inputs = 2 * N_FEATURES

    def features(self, x: Tensor, valid: Tensor) -> Tensor:
        points = x * valid.repeat_interleave(2, dim=2)
        motion = torch.zeros_like(x)
        motion[:, 1:] = x[:, 1:] - x[:, :-1]
        motion[:, 1:] *= (valid[:, 1:] & valid[:, :-1]).repeat_interleave(2, dim=2)
        return torch.cat([points, motion], dim=2)


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
