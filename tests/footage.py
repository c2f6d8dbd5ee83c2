"""A shop in which windows of 2 s come every second, and what is said of them is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from tests.people import clip as person_clip
from yololstm.clips import NORMAL, Clip, Span
from yololstm.scoring import Casts, Footage
from yololstm.windows import Windows, WindowSpec

LABELS = ("theft", "assault", NORMAL)
SPEC = WindowSpec(fps=2.0, length=4, hop=2, max_gap_s=1.0, min_valid=0.5)
WINDOW_S = 2.0


def clip(name: str, *spans: Span, seconds: int = 20) -> Clip:
    """Its take is its name up to the last dash."""
    made = person_clip(name, NORMAL, "test")
    return replace(made, spans=spans, fps=Fraction(1), n_frames=seconds)


def windows(said: Mapping[tuple[str, int], Sequence[float]]) -> tuple[Windows, np.ndarray]:
    """said: by clip and track, how probable theft is in each window. With (N, 3) probabilities."""
    rows = [
        (name, track, float(i), p) for (name, track), ps in said.items() for i, p in enumerate(ps)
    ]
    n = len(rows)
    p = np.array([row[3] for row in rows], dtype=np.float32)
    made = replace(
        Windows.empty(SPEC),
        x=np.zeros((n, 4, 26), np.float32),
        valid=np.ones((n, 4, 13), bool),
        y=np.full(n, -1),
        clip=np.array([row[0] for row in rows], dtype=np.str_),
        take=np.array([row[0].rsplit("-", 1)[0] for row in rows], dtype=np.str_),
        track=np.array([row[1] for row in rows], dtype=np.int32),
        start_s=np.array([row[2] for row in rows]),
    )
    return made, np.stack([p, np.zeros(n, np.float32), 1 - p], axis=1)


def footage(
    clips: Sequence[Clip],
    said: Mapping[tuple[str, int], Sequence[float]],
    casts: Casts | None = None,
    unseen: Collection[str] = (),
) -> Footage:
    return Footage.of(clips, *windows(said), LABELS, casts, unseen)


def burst(at: int, p: float = 0.9, n: int = 18) -> list[float]:
    """One likely window among n: the alarm is raised 2 s after its start."""
    return [p if i == at else 0.01 for i in range(n)]
