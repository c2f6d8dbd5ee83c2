"""Training: ours against a loop that takes samples one by one, as the old project's did.

The same model (the old stacked LSTM), windows, batches and number of passes on both sides; without
augmentation, class weights and label smoothing. First the loops alone, on one core each, in turns;
then a model for each core: ours side by side in processes as the train stage does it, their start
included, the old one after another, with one thread or with one for each core. At last the model
that params name, augmented, in the precision that auto takes and in float32.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks import old
from benchmarks.tables import ROOT
from yololstm import members, models, params, training
from yololstm.scaling import BodyScaling
from yololstm.storage import write_json, write_windows
from yololstm.windows import Windows, WindowSpec

MODEL: Final = "stacked_lstm"
LABELS: Final = ("theft", "assault", "damage")
N_WINDOWS: Final = 2048
N_WINDOWS_OF_SEEDS: Final = 16384
"""More, because processes take seconds to start: some 400 minutes of one person at 3 fps."""
SPEC: Final = WindowSpec(fps=3.0, length=old.LENGTH, hop=old.HOP, max_gap_s=1.0, min_valid=0.5)
EPOCHS: Final = 2
EPOCHS_OF_SEEDS: Final = 10
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
    few, many = (_windows(n, np.random.default_rng(0)) for n in (N_WINDOWS, N_WINDOWS_OF_SEEDS))
    return {**_one_core(few), **_seeds(few, many), **_today(few)}


def _one_core(windows: Windows) -> dict[str, float]:
    """Windows a second of one thread's CPU time."""
    torch.set_num_threads(1)
    ours = {p: replace(SETTINGS, precision=p) for p in ("auto", "float32")}
    calls = {
        "old": partial(_old, windows, EPOCHS),
        **{f"ours, {p}": partial(_ours, windows, settings) for p, settings in ours.items()},
    }
    rates = _rates(calls)
    return {
        **{f"one core, {name}: windows a second": rate for name, rate in rates.items()},
        **{f"one core, ours, {p} / old": rates[f"ours, {p}"] / rates["old"] for p in ours},
    }


def _today(windows: Windows) -> dict[str, float]:
    """Windows a second of one thread's CPU time."""
    given = params.load(ROOT / "params.yaml").train
    torch.set_num_threads(1)
    fit = replace(SETTINGS, augment=given.augment)
    ours = {p: replace(fit, precision=p) for p in ("auto", "float32")}
    calls = {p: partial(_ours, windows, settings, given.model) for p, settings in ours.items()}
    rates = _rates(calls)
    return {
        **{f"one core, {given.model}, {p}: windows a second": rate for p, rate in rates.items()},
        f"one core, {given.model}, auto / float32": rates["auto"] / rates["float32"],
    }


def _seeds(few: Windows, many: Windows) -> dict[str, float]:
    """Windows a second of wall time, all models together."""
    cores = len(os.sched_getaffinity(0))
    rows = {}
    for threads in (1, cores):
        torch.set_num_threads(threads)
        call = partial(_old, few, EPOCHS)
        spent = min(_spent(time.perf_counter, call) for _ in range(3))
        rows[f"old, {threads} threads: windows a second"] = len(few) * EPOCHS / spent
    faster = max(rows.values())
    for windows in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            jobs = _jobs(windows, Path(folder), cores)
            spent = _spent(time.perf_counter, partial(members.train_all, jobs))
        rate = len(windows) * EPOCHS_OF_SEEDS * cores / spent
        rows[f"{cores} seeds, ours, {len(windows)} windows: windows a second"] = rate
        rows[f"{cores} seeds, ours, {len(windows)} windows / the faster old"] = rate / faster
    return rows


def _old(windows: Windows, epochs: int) -> None:
    old.train(models.build(MODEL, len(LABELS)), windows.x, windows.y, epochs)


def _ours(windows: Windows, settings: training.Settings, model: str = MODEL) -> None:
    nothing = Windows.empty(SPEC)
    training.train(models.build(model, len(LABELS)), windows, nothing, settings, centre=0)


def _jobs(windows: Windows, folder: Path, seeds: int) -> list[members.Job]:
    write_windows(folder / "train.npz", windows)
    write_windows(folder / "val.npz", Windows.empty(SPEC))
    write_json(folder / "scaling.json", BodyScaling().to_dict())
    fits = [replace(SETTINGS, epochs=EPOCHS_OF_SEEDS, seed=seed) for seed in range(seeds)]
    return [
        members.Job(MODEL, {}, LABELS, fit, "cpu", folder, cache=folder / "cache") for fit in fits
    ]


def _windows(n: int, rng: np.random.Generator) -> Windows:
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


def _rates(calls: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """Windows a second of CPU time, called in turns with N_WINDOWS and EPOCHS."""
    turns = [{name: _spent(time.process_time, call) for name, call in calls.items()} for _ in "123"]
    return {name: N_WINDOWS * EPOCHS / min(turn[name] for turn in turns) for name in calls}


def _spent(clock: Callable[[], float], call: Callable[[], object]) -> float:
    """Seconds. What the machine does besides only ever adds: the least of some counts."""
    start = clock()
    call()
    return clock() - start
