"""Training: ours against a loop that takes samples one by one, as the old project's did.

The same model (the old stacked LSTM), windows, batches and number of passes on both sides; without
augmentation, class weights and label smoothing. First the loops alone, on one core each; then one
model for each of three seeds: ours side by side in processes as the train stage does it, their
start included, the old one after another, with one thread or with one for each core.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks import old
from yololstm import members, models, training
from yololstm.scaling import BodyScaling
from yololstm.storage import write_json, write_windows
from yololstm.windows import Windows, WindowSpec

MODEL: Final = "stacked_lstm"
LABELS: Final = ("theft", "assault", "damage")
N_WINDOWS: Final = 2048
SPEC: Final = WindowSpec(fps=3.0, length=old.LENGTH, hop=old.HOP, max_gap_s=1.0, min_valid=0.5)
SEEDS: Final = (0, 1, 2)
EPOCHS: Final = 2
EPOCHS_OF_SEEDS: Final = 10
"""More, because processes take seconds to start."""
SETTINGS: Final = training.Settings(
    epochs=EPOCHS,
    patience=EPOCHS_OF_SEEDS,
    batch=old.BATCH,
    learning_rate=old.LEARNING_RATE,
    weight_decay=0.0,
    label_smoothing=0.0,
    class_weights=False,
    augment=(),
    precision="auto",
    seed=0,
)


def measure() -> dict[str, float]:
    windows = _windows(np.random.default_rng(0))
    return {**_one_core(windows), **_seeds(windows)}


def _one_core(windows: Windows) -> dict[str, float]:
    """Windows a second of one thread's CPU time."""
    torch.set_num_threads(1)
    done = N_WINDOWS * EPOCHS
    old_s = _least(time.process_time, partial(_old, windows, EPOCHS))
    rows = {"one core, old: windows a second": done / old_s}
    for precision in ("auto", "float32"):
        settings = replace(SETTINGS, precision=precision)
        ours_s = _least(time.process_time, partial(_ours, windows, settings))
        rows[f"one core, ours, {precision}: windows a second"] = done / ours_s
        rows[f"one core, ours, {precision} / old"] = old_s / ours_s
    return rows


def _seeds(windows: Windows) -> dict[str, float]:
    """Windows a second of wall time, all models together."""
    old_s = {}
    for threads in (1, len(os.sched_getaffinity(0))):
        torch.set_num_threads(threads)
        old_s[threads] = _least(time.perf_counter, partial(_old, windows, EPOCHS)) / EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        jobs = _jobs(windows, Path(folder))
        ours_s = _least(time.perf_counter, partial(members.train_all, jobs), repeats=1)
    ours_s /= EPOCHS_OF_SEEDS * len(SEEDS)
    return {
        **{f"old, {n} threads: windows a second": N_WINDOWS / s for n, s in old_s.items()},
        "three seeds, ours: windows a second": N_WINDOWS / ours_s,
        "three seeds, ours / the faster old": min(old_s.values()) / ours_s,
    }


def _old(windows: Windows, epochs: int) -> None:
    old.train(models.build(MODEL, len(LABELS)), windows.x, windows.y, epochs)


def _ours(windows: Windows, settings: training.Settings) -> None:
    nothing = Windows.empty(SPEC)
    training.train(models.build(MODEL, len(LABELS)), windows, nothing, settings, centre=0)


def _jobs(windows: Windows, folder: Path) -> list[members.Job]:
    write_windows(folder / "train.npz", windows)
    write_windows(folder / "val.npz", Windows.empty(SPEC))
    write_json(folder / "scaling.json", BodyScaling().to_dict())
    fits = [replace(SETTINGS, epochs=EPOCHS_OF_SEEDS, seed=seed) for seed in SEEDS]
    return [
        members.Job(MODEL, {}, LABELS, fit, "cpu", folder, cache=folder / "cache") for fit in fits
    ]


def _windows(rng: np.random.Generator) -> Windows:
    n = N_WINDOWS
    return Windows(
        x=rng.normal(size=(n, SPEC.length, 26)).astype(np.float32),
        valid=np.ones((n, SPEC.length, 13), dtype=np.bool_),
        y=rng.integers(0, len(LABELS), n),
        clip=np.full(n, "x"),
        take=np.full(n, "x"),
        track=np.ones(n, dtype=np.int32),
        start_s=np.zeros(n),
        spec=SPEC,
    )


def _least(clock: Callable[[], float], call: Callable[[], object], repeats: int = 3) -> float:
    """Seconds, of some runs: what the machine does besides only ever adds."""
    spent = []
    for _ in range(repeats):
        start = clock()
        call()
        spent.append(clock() - start)
    return min(spent)
