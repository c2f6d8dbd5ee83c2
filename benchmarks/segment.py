"""Cutting windows: ours against one window at a time, as the old project's loop did it."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
from scipy import stats

from yololstm.landmarks import Landmarks, Source
from yololstm.segmentation import segment
from yololstm.windows import WindowSpec

ROWS = 100_000
SPEC = WindowSpec(fps=3.0, length=16, hop=4, max_gap_s=1.0, min_valid=0.5)


def measure() -> dict[str, float]:
    """Thousands of frames a second of one long track, both ways, and their ratio."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 1000, (ROWS, 13, 2)).astype(np.float32)
    start = time.process_time()
    ours = segment(_track(xy), SPEC).windows
    ours_s = time.process_time() - start
    start = time.process_time()
    theirs = _one_by_one(xy.reshape(ROWS, 26), np.zeros(ROWS, dtype=np.int64))
    theirs_s = time.process_time() - start
    assert len(ours) == len(theirs)
    return {
        "ours, thousand frames a second": ROWS / ours_s / 1e3,
        "one by one, thousand frames a second": ROWS / theirs_s / 1e3,
        "ours / one by one": theirs_s / ours_s,
    }


def _track(xy: np.ndarray) -> Landmarks:
    n = len(xy)
    return Landmarks(
        frame=np.arange(n, dtype=np.int32),
        time_s=np.arange(n) / 3,
        category=np.zeros(n, np.uint8),
        track=np.ones(n, np.int32),
        score=np.ones(n, np.float32),
        box=np.tile(np.array([0, 0, 1000, 1000], np.float32), (n, 1)),
        xy=xy,
        confidence=np.ones((n, 13), np.float32),
        source=Source(1000, 1000, Fraction(3), n, "random"),
    )


def _one_by_one(x: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """A list of columns and the label's mode for each window."""
    found = []
    for start in range(0, len(x) - SPEC.length + 1, SPEC.hop):
        columns = [x[start : start + SPEC.length, i] for i in range(x.shape[1])]
        label = stats.mode(y[start : start + SPEC.length]).mode
        found.append((np.stack(columns, axis=1), int(label)))
    return found
