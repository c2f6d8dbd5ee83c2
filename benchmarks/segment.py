"""Cutting a million frames into labelled windows: ours against the old project's function.

Ours resamples by time, bridges gaps, keeps persons apart and judges each window, with landmarks,
clips and spans as the segment stage has them. The old one takes a table whose rows it believes to
be evenly spaced; its time grows in proportion, so it is given a part of the million.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

import numpy as np
import pandas as pd

from benchmarks import old
from yololstm.clips import NORMAL, Clip, Span
from yololstm.landmarks import Landmarks, Source
from yololstm.segmentation import segment_all
from yololstm.skeleton import FEATURES, N_FEATURES, N_JOINTS
from yololstm.windows import WindowSpec

FRAMES: Final = 1_000_000
FRAMES_OLD: Final = 100_000
LABELS: Final = ("theft", "assault", "damage", NORMAL)
SPEC: Final = WindowSpec(fps=3.0, length=old.LENGTH, hop=old.HOP, max_gap_s=1.0, min_valid=0.5)

#: Frames a clip, people in it, share of joints that are absent.
SHAPES: Final = {
    "one person, one clip": (FRAMES, 1, 0.0),
    "two people, clips of a minute": (180, 2, 0.0),
    "the same, 5 % of joints absent": (180, 2, 0.05),
}


def measure() -> dict[str, float]:
    """CPU seconds of one core for a million frames of a person, and ratios."""
    rng = np.random.default_rng(0)
    old_s = _cpu_s(old.segments, _table(rng), SPEC.length, SPEC.hop, "label")
    old_s *= FRAMES / FRAMES_OLD
    rows = {"old: seconds": old_s}
    for name, (n, people, absent) in SHAPES.items():
        seen = [_clip(rng, i, n, people, absent) for i in range(FRAMES // (n * people))]
        ours_s = min(_cpu_s(_segment, seen) for _ in range(3))
        rows[f"{name}: seconds"] = ours_s
        rows[f"{name}: old / ours"] = old_s / ours_s
    return rows


def _segment(seen: Sequence[tuple[Clip, Landmarks]]) -> None:
    assert len(segment_all(seen, SPEC, LABELS, min_share=0.6).windows["train"])


def _table(rng: np.random.Generator) -> pd.DataFrame:
    table = pd.DataFrame(rng.uniform(0, 1000, (FRAMES_OLD, N_FEATURES)), columns=list(FEATURES))
    table["label"] = np.arange(FRAMES_OLD) // 180 % len(LABELS)
    return table


def _clip(
    rng: np.random.Generator, number: int, n: int, people: int, absent: float
) -> tuple[Clip, Landmarks]:
    """Everybody in it does the same in its second third."""
    rows, third = n * people, n / SPEC.fps / 3
    xy = rng.uniform(0, 1000, (rows, N_JOINTS, 2)).astype(np.float32)
    xy[rng.random((rows, N_JOINTS)) < absent] = np.nan
    frame = np.repeat(np.arange(n, dtype=np.int32), people)
    marks = Landmarks(
        frame=frame,
        time_s=np.round(frame / SPEC.fps, 6),
        category=np.zeros(rows, np.uint8),
        track=np.tile(np.arange(1, people + 1, dtype=np.int32), n),
        score=np.ones(rows, np.float32),
        box=np.tile(np.array([0, 0, 1000, 1000], np.float32), (rows, 1)),
        xy=xy,
        confidence=np.ones((rows, N_JOINTS), np.float32),
        source=Source(1000, 1000, Fraction(SPEC.fps), n, "random"),
    )
    clip = Clip(
        clip_id=f"{number}",
        path="",
        sha256="",
        bytes=0,
        fps=Fraction(SPEC.fps),
        n_frames=n,
        width=1000,
        height=1000,
        take=f"{number}",
        store="",
        camera="",
        actors="",
        split="train",
        annotation="",
        annotation_sha256="",
        spans=(Span(third, 2 * third, LABELS[number % 3]),),
    )
    return clip, marks


def _cpu_s(call: Callable[..., object], *given: object) -> float:
    start = time.process_time()
    call(*given)
    return time.process_time() - start
