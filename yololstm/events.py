"""Events: alarms with a start and an end, made from window probabilities by hysteresis.

A window that starts at ``start_s`` speaks for ``[start_s, start_s + window_s)``, where window_s is
its number of steps over its steps a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yololstm.clips import NORMAL

_SAME_S = 1e-6
"""Windows that follow each other without a gap still differ by the rounding of their times."""


@dataclass(frozen=True)
class Event:
    """One track does what ``label`` says during ``[start_s, end_s)`` of presentation time."""

    label: str
    track: int
    start_s: float
    end_s: float
    probability: float
    """The highest of its windows."""


@dataclass(frozen=True)
class Hysteresis:
    """When an event starts, goes on, and counts."""

    enter: float = 0.6
    """It starts with a window of at least this probability,"""
    leave: float = 0.4
    """goes on while windows have at least this one,"""
    min_s: float = 0.0
    """and counts where it lasts so long. More than a window's length asks for several windows."""

    def __post_init__(self) -> None:
        if not 0 <= self.leave <= self.enter <= 1:
            raise ValueError(f"leave {self.leave} and enter {self.enter} must rise within 0..1")


@dataclass(frozen=True)
class Status:
    """What somebody does at one moment."""

    label: str
    probability: float


def detect(
    track: NDArray[np.integer],
    start_s: NDArray[np.floating],
    probability: NDArray[np.floating],
    *,
    window_s: float,
    labels: Sequence[str],
    hysteresis: Hysteresis,
) -> list[Event]:
    """The events of every track, by time; normal is none.

    track: (N,); start_s: (N,), windows in any order; probability: (N, C), a column a label. An
    event extends over all of its windows. Events of one track and label that overlap or touch are
    one; a gap between windows ends an event, because nobody knows what happens in it. Events of
    different labels may overlap.
    """
    found = []
    for number in np.unique(track).tolist():
        rows = np.flatnonzero(track == number)
        rows = rows[np.argsort(start_s[rows], kind="stable")]
        for column, label in enumerate(labels):
            if label != NORMAL:
                runs = _extents(start_s[rows], probability[rows, column], window_s, hysteresis)
                found += [Event(label, number, *run) for run in runs]
    long_enough = [e for e in found if e.end_s - e.start_s >= hysteresis.min_s - _SAME_S]
    return sorted(long_enough, key=lambda event: (event.start_s, event.track, event.end_s))


def _extents(
    start_s: NDArray[np.floating],
    probability: NDArray[np.floating],
    window_s: float,
    hysteresis: Hysteresis,
) -> list[tuple[float, float, float]]:
    """(start, end, peak) of each run of windows; start_s rises."""
    runs: list[tuple[float, float, float]] = []
    goes_on = False
    for start, value in zip(start_s.tolist(), probability.tolist(), strict=True):
        touches = bool(runs) and start <= runs[-1][1] + _SAME_S
        goes_on = value >= (hysteresis.leave if goes_on and touches else hysteresis.enter)
        if not goes_on:
            continue
        if touches:
            begin, _, peak = runs[-1]
            runs[-1] = begin, start + window_s, max(peak, value)
        else:
            runs.append((start, start + window_s, value))
    return runs


def probability_at(
    time_s: NDArray[np.floating],
    start_s: NDArray[np.floating],
    probability: NDArray[np.floating],
    window_s: float,
) -> NDArray[np.float64]:
    """The mean over the windows that speak for each moment.

    time_s: (M,); start_s: (N,) in any order; probability: (N, C). Returns (M, C). Where no window
    speaks, the nearest one does if it is at most half a window away; elsewhere the row is NaN.
    """
    if len(start_s) == 0:
        return np.full((len(time_s), probability.shape[1]), np.nan)
    order = np.argsort(start_s, kind="stable")
    start, value = start_s[order], probability[order].astype(np.float64)
    first = np.searchsorted(start, time_s - window_s, side="right")
    end = np.searchsorted(start, time_s, side="right")

    bounded = np.concatenate([[-np.inf], start, [np.inf]])
    since_last = time_s - window_s - bounded[end]
    until_next = bounded[end + 1] - time_s
    alone = first == end
    first = np.where(alone & (until_next < since_last), first, first - alone)
    end = np.where(alone, first + 1, end)

    total = np.concatenate([np.zeros((1, value.shape[1])), value.cumsum(axis=0)])
    mean: NDArray[np.float64] = (total[end] - total[first]) / (end - first)[:, None]
    mean[alone & (np.minimum(since_last, until_next) > window_s / 2)] = np.nan
    return mean


def status(probability: NDArray[np.floating], labels: Sequence[str], enter: float) -> Status | None:
    """The likeliest abnormal label where it reaches ``enter``, else normal.

    probability: (C,). None where it is NaN, or where normal is not among the labels.
    """
    if np.isnan(probability).any():
        return None
    of = dict(zip(labels, probability.tolist(), strict=True))
    normal = of.pop(NORMAL, None)
    label = max(of, key=lambda name: of[name])
    if of[label] >= enter:
        return Status(label, of[label])
    return None if normal is None else Status(NORMAL, normal)


def worst(statuses: Iterable[Status | None]) -> Status | None:
    """The surest abnormal status; where all are normal, the one that is least sure of it."""
    known = [status for status in statuses if status is not None]
    return max(
        known,
        key=lambda s: (s.label != NORMAL, -s.probability if s.label == NORMAL else s.probability),
        default=None,
    )
