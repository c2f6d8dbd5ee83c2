"""How the project before this one learned, its faults included. Kept to be measured against.

- All rows of a table are one sequence: windows reach over clips, and gaps in time are not known.
- Every table is scaled by its own least and greatest values, the one to test on as well.
- Windows are lists of columns, and a reshape takes them for lists of rows: joints and steps mix.
- Samples reach the model one by one, through a Dataset in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from yololstm.clips import Clip
from yololstm.landmarks import Landmarks
from yololstm.skeleton import FEATURES, N_FEATURES, N_JOINTS

LENGTH: Final = 16
HOP: Final = 4
EPOCHS: Final = 30
BATCH: Final = 64
LEARNING_RATE: Final = 1e-3


@dataclass(frozen=True)
class Sequences:
    """N windows, as the old project cut them."""

    x: NDArray[np.float32]
    """(N, LENGTH, 26) numbers of the right windows in the wrong places."""
    y: NDArray[np.int64]
    """(N,) the label most rows have."""
    clip: NDArray[np.str_]
    """(N,) the clip most rows are of; the old project did not know."""


class OneByOne(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
        self._x, self._y = list(x), list(y)

    def __len__(self) -> int:
        return len(self._y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.Tensor(np.array(self._x[index])), torch.tensor(np.array(int(self._y[index])))


def segments(
    table: pd.DataFrame, length: int, hop: int, label: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(N, length, 26) windows of the columns in FEATURES, and (N,) what most of their rows have in
    the column ``label``. One window after the other, and in each column after column."""
    columns, labels = [], []
    for start in range(0, len(table) - length, hop):
        columns.append([table[name].values[start : start + length] for name in FEATURES])
        labels.append(stats.mode(table[label][start : start + length]).mode)
    x = np.asarray(columns, dtype=np.float32).reshape(-1, length, N_FEATURES)
    return x, np.asarray(labels, dtype=np.int64)


def sequences(seen: Sequence[tuple[Clip, Landmarks]], labels: Sequence[str]) -> Sequences:
    """seen: the clips of one table, with what it says of them."""
    x = np.concatenate([marks.xy.reshape(-1, N_FEATURES) for _, marks in seen])
    sizes = [len(marks.xy) for _, marks in seen]
    table = pd.DataFrame(_scaled_by_itself(np.nan_to_num(x)), columns=list(FEATURES))
    table["label"] = np.repeat([labels.index(clip.label) for clip, _ in seen], sizes)
    found, y = segments(table, LENGTH, HOP, "label")
    of = np.repeat(np.arange(len(seen)), sizes)
    most = [np.bincount(of[i * HOP : i * HOP + LENGTH]).argmax() for i in range(len(y))]
    return Sequences(found, y, np.array([clip.clip_id for clip, _ in seen])[most])


def train(
    model: nn.Module, x: NDArray[np.float32], y: NDArray[np.int64], epochs: int = EPOCHS
) -> None:
    """x: (N, T, 26); model: one of yololstm.models. Shuffled by torch's default generator."""
    loader = DataLoader(OneByOne(x, y), batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    model.train()
    for _ in range(epochs):
        total, right = 0.0, 0
        for batch, labels in loader:
            logits = model(batch, _all_valid(batch))
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total += loss.item()
            right += int((logits.argmax(dim=1) == labels).sum().item())


@torch.inference_mode()
def probability(model: nn.Module, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, labels)"""
    batch = torch.from_numpy(x)
    chances: NDArray[np.float32] = model.eval()(batch, _all_valid(batch)).softmax(dim=1).numpy()
    return chances


def _scaled_by_itself(x: NDArray[Any]) -> NDArray[Any]:
    low, high = x.min(axis=0), x.max(axis=0)
    scaled: NDArray[Any] = (x - low) / np.where(high > low, high - low, 1)
    return scaled


def _all_valid(x: Tensor) -> Tensor:
    return torch.ones(*x.shape[:2], N_JOINTS, dtype=torch.bool)
