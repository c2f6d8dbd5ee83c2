"""Training: our loop against one that takes samples one by one, as the old project's did."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks import old
from yololstm import models, training
from yololstm.windows import Windows, WindowSpec

N_WINDOWS = 2048
EPOCHS = 2
SPEC = WindowSpec(fps=3.0, length=old.LENGTH, hop=old.HOP, max_gap_s=1.0, min_valid=0.5)
SETTINGS = training.Settings(
    epochs=EPOCHS,
    patience=EPOCHS,
    batch=old.BATCH,
    learning_rate=old.LEARNING_RATE,
    weight_decay=0.0,
    label_smoothing=0.0,
    class_weights=False,
    augment=False,
    seed=0,
)


def measure() -> dict[str, float]:
    """Windows a second of the same model (the old stacked LSTM), batches and windows, both ways,
    on one core; and their ratio."""
    torch.set_num_threads(1)
    windows = _windows(np.random.default_rng(0))
    nothing = Windows.empty(SPEC)

    def theirs() -> None:
        old.train(models.build("stacked_lstm", 3), windows.x, windows.y, EPOCHS)

    def ours() -> None:
        training.train(models.build("stacked_lstm", 3), windows, nothing, SETTINGS, centre=0)

    theirs_s, ours_s = _cpu_s(theirs), _cpu_s(ours)
    done = N_WINDOWS * EPOCHS
    return {
        "ours, windows a second": done / ours_s,
        "one by one, windows a second": done / theirs_s,
        "ours / one by one": theirs_s / ours_s,
    }


def _windows(rng: np.random.Generator) -> Windows:
    n = N_WINDOWS
    return Windows(
        x=rng.normal(size=(n, SPEC.length, 26)).astype(np.float32),
        valid=np.ones((n, SPEC.length, 13), dtype=np.bool_),
        y=rng.integers(0, 3, n),
        clip=np.full(n, "x"),
        take=np.full(n, "x"),
        track=np.ones(n, dtype=np.int32),
        start_s=np.zeros(n),
        spec=SPEC,
    )


def _cpu_s(call: Callable[[], None], repeats: int = 3) -> float:
    """The least of some: what the machine does besides only ever adds."""
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        spent.append(time.process_time() - start)
    return min(spent)
