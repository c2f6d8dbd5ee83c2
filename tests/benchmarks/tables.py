"""Tables of the old format, of people whose behaviours a small network can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.datasets.trees import OLD_COLUMNS, Row, csv_text, old_row, put
from tests.people import LABELS, acting
from yololstm.skeleton import FEATURES

N_ROWS = 30


def table(path: Path, n_clips: int, labels: Sequence[str] = LABELS, seed: int = 0) -> Path:
    """So many clips of each label; those of normal have no FRAME_NUM."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for label in labels:
        for number in range(n_clips):
            moving = acting(label, np.arange(N_ROWS) / 3, rng).reshape(N_ROWS, -1)
            # Far from the clip before, by which a new clip without FRAME_NUM is known.
            moving[:, ::2] += 3000 * (number % 2)
            for i, xy in enumerate(moving.round(3).tolist()):
                frame = "" if label == "normal" else 400 + 10 * i
                named = dict(zip(FEATURES, xy, strict=True))
                rows.append(old_row(frame, LABELS.index(label), **named))
    return put(path, csv_text(OLD_COLUMNS, rows))


def folder(root: Path, labels: tuple[str, ...] = LABELS) -> Path:
    """To learn from and to measure on."""
    table(root / "train" / "a.csv", 4, labels)
    table(root / "test" / "b.csv", 2, labels, seed=1)
    return root
