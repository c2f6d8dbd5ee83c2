"""From windows to probabilities and from frames to boxes: torch against ONNX Runtime, on one core.

Each is asked again and again; a call takes what half of the calls, and what 95 of 100, stay below.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.extract import settings_of
from yololstm import checkpoint, exporting, video
from yololstm.detector import Detector, use_one_thread
from yololstm.runtime import OnnxDetector, load_behaviour
from yololstm.storage import read_windows

CHECKPOINT: Final = Path("data/checkpoint.safetensors")
WINDOWS: Final = Path("data/windows")
BATCHES: Final = (1, 64)
FRAMES: Final = 24
ROUNDS: Final = 300
ROUNDS_DETECTOR: Final = 5
WARM: Final = 5
"""Calls that are not counted."""


def measure() -> dict[str, float]:
    """Milliseconds of a call by the clock, and ratios of medians."""
    with tempfile.TemporaryDirectory() as folder:
        return {**_classifier(Path(folder)), **_detector(Path(folder))}


def _classifier(folder: Path) -> dict[str, float]:
    kept = checkpoint.load(CHECKPOINT)
    sample = exporting.windows_of(WINDOWS, kept, CHECKPOINT)
    exporting.export_behaviour(folder / "behaviour.onnx", kept, CHECKPOINT, sample)
    torch.set_num_threads(1)
    both = {
        "torch": kept.classifier(),
        "onnx": load_behaviour(folder / "behaviour.onnx").classifier,
    }
    windows, rows = read_windows(WINDOWS / "test.npz"), {}
    for n in BATCHES:
        x, valid = windows.x[:n], windows.valid[:n]
        rows |= _compared(
            f"{n} windows" if n > 1 else "one window",
            {name: partial(one.scaled, x, valid) for name, one in both.items()},
            ROUNDS,
        )
    return rows


def _detector(folder: Path) -> dict[str, float]:
    settings = settings_of(Path.cwd())
    weights, imgsz, least = settings.weights, settings.imgsz, settings.min_confidence
    assert weights is not None
    exporting.export_detector(folder / "detector.onnx", weights, imgsz, exporting.random_images())
    ours, theirs = (
        Detector(weights, imgsz, least),
        OnnxDetector(folder / "detector.onnx", imgsz, least),
    )
    use_one_thread()
    source = sorted(Path("data/raw/sample").rglob("*.mp4"))[0]
    frames = [frame.image for frame in video.read(source)][:FRAMES]
    calls = {"torch": ours, "onnx": theirs}
    return _compared(
        f"detector at {imgsz}, one frame",
        {name: _each(look, frames) for name, look in calls.items()},
        ROUNDS_DETECTOR * FRAMES,
    )


def _each(
    look: Callable[[list[video.Image]], object], frames: list[video.Image]
) -> Callable[[], object]:
    """Looks at the next frame at each call."""

    def forever() -> Iterator[video.Image]:
        while True:
            yield from frames

    endless = forever()
    return lambda: look([next(endless)])


def _compared(what: str, calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """In turns, so that what else the machine does hits both."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(WARM + rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - start))
    rows = {}
    for name, times in taken.items():
        p50, p95 = np.percentile(times[WARM:], [50, 95])
        rows[f"{what}: {name}, p50 ms"], rows[f"{what}: {name}, p95 ms"] = float(p50), float(p95)
    ratio = rows[f"{what}: torch, p50 ms"] / rows[f"{what}: onnx, p50 ms"]
    return {**rows, f"{what}: torch / onnx": ratio}
