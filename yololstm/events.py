"""Events: alarms with a start and an end, made from window probabilities.

A window that starts at ``start_s`` speaks for ``[start_s, start_s + window_s)``, where window_s is
its number of steps over its steps a second. What a live camera hears window by window (EventStream)
and what a whole clip gives (detect) are the same, because one engine makes both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yololstm.clips import NORMAL

FALLBACK: Final = 0.5
"""The threshold of a label for which nobody has chosen one."""
_SAME_S: Final = 1e-6
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
    raised_s: float
    """When the alarm is raised: at the end of the window with which it counts."""


class Signal(NamedTuple):
    """What becomes of an event; one that is never raised has no signals."""

    kind: Literal["raised", "updated", "ended"]
    event: Event


@dataclass(frozen=True)
class Rule:
    """When an event starts, goes on, counts, and comes again."""

    enter: Mapping[str, float] = field(default_factory=dict)
    """It starts with a window of at least this probability, by label (FALLBACK where none is
    given),"""
    leave: float = 0.7
    """goes on while windows have at least this share of it,"""
    min_s: float = 0.0
    """and counts once it lasts so long. More than a window's length asks for several windows."""
    merge_gap_s: float = 0.0
    """A window that could start an event prolongs the last one if it begins at most so long after
    its end,"""
    cool_down_s: float = 0.0
    """and otherwise starts one only so long after it."""

    def __post_init__(self) -> None:
        for value in (*self.enter.values(), self.leave):
            if not 0 <= value <= 1:
                raise ValueError(f"{value} is not within 0..1")
        for value in (self.min_s, self.merge_gap_s, self.cool_down_s):
            if not 0 <= value < math.inf:
                raise ValueError(f"{value} s is not a time from 0 up")

    def threshold(self, label: str) -> float:
        return self.enter.get(label, FALLBACK)


class EventStream:
    """Events as they come, of any number of tracks."""

    def __init__(self, rule: Rule, *, window_s: float, labels: Sequence[str]) -> None:
        self._rule = rule
        self._window_s = window_s
        self._labels = labels
        self._watches: dict[int, list[tuple[int, _Watch]]] = {}

    def feed(
        self, track: int, start_s: float, probability: Sequence[float] | NDArray[np.floating]
    ) -> list[Signal]:
        """A window; those of one track come in the order of their starts.

        probability: (C,), a value a label.
        """
        if track not in self._watches:
            self._watches[track] = [
                (column, _Watch(label, track, self._rule, self._window_s))
                for column, label in enumerate(self._labels)
                if label != NORMAL
            ]
        signals: list[Signal] = []
        for column, watch in self._watches[track]:
            signals += watch.feed(start_s, float(probability[column]))
        return signals

    def advance(self, time_s: float) -> list[Signal]:
        """No window that starts before ``time_s`` will come any more: end what cannot go on.

        Without it the events of those who leave would end only with the stream.
        """
        signals = [s for watch in self._all() for s in watch.advance(time_s)]
        self._watches = {
            track: watches
            for track, watches in self._watches.items()
            if any(watch.is_busy(time_s) for _, watch in watches)
        }
        return signals

    def finish(self) -> list[Signal]:
        """No window will come any more."""
        return self.advance(math.inf)

    def _all(self) -> Iterable[_Watch]:
        return (watch for watches in self._watches.values() for _, watch in watches)


@dataclass
class _Run:
    """An event as far as it is known."""

    start_s: float
    end_s: float
    peak: float
    raised_s: float | None = None
    unbroken: bool = True
    """The last window belonged to it."""


class _Watch:
    """The engine: one label of one track."""

    def __init__(self, label: str, track: int, rule: Rule, window_s: float) -> None:
        self._label = label
        self._track = track
        self._rule = rule
        self._window_s = window_s
        self._enter = rule.threshold(label)
        self._leave = self._enter * rule.leave
        self._run: _Run | None = None
        self._quiet_until_s = -math.inf

    def feed(self, start_s: float, value: float) -> list[Signal]:
        signals = self.advance(start_s)
        run = self._run
        goes_on = run is not None and run.unbroken and start_s <= run.end_s + _SAME_S
        if not value >= (self._leave if goes_on else self._enter):
            if run is not None:
                run.unbroken = False
            return signals
        if run is None and start_s < self._quiet_until_s - _SAME_S:
            return signals
        self._run = self._prolonged(run, start_s, value)
        return [*signals, *self._told(self._run)]

    def advance(self, time_s: float) -> list[Signal]:
        run = self._run
        if run is None or time_s <= run.end_s + self._rule.merge_gap_s + _SAME_S:
            return []
        self._run = None
        if run.raised_s is None:
            return []
        self._quiet_until_s = run.end_s + self._rule.cool_down_s
        return [Signal("ended", self._event(run, run.raised_s))]

    def is_busy(self, time_s: float) -> bool:
        """Whether what comes after ``time_s`` depends on what came before."""
        return self._run is not None or time_s < self._quiet_until_s

    def _prolonged(self, run: _Run | None, start_s: float, value: float) -> _Run:
        end_s = start_s + self._window_s
        if run is None:
            return _Run(start_s, end_s, value)
        run.end_s, run.peak, run.unbroken = max(run.end_s, end_s), max(run.peak, value), True
        return run

    def _told(self, run: _Run) -> list[Signal]:
        if run.raised_s is not None:
            return [Signal("updated", self._event(run, run.raised_s))]
        if run.end_s - run.start_s < self._rule.min_s - _SAME_S:
            return []
        run.raised_s = run.end_s
        return [Signal("raised", self._event(run, run.raised_s))]

    def _event(self, run: _Run, raised_s: float) -> Event:
        return Event(self._label, self._track, run.start_s, run.end_s, run.peak, raised_s)


def detect(
    track: NDArray[np.integer],
    start_s: NDArray[np.floating],
    probability: NDArray[np.floating],
    *,
    window_s: float,
    labels: Sequence[str],
    rule: Rule,
) -> list[Event]:
    """The events of every track, by time; normal is none.

    track: (N,); start_s: (N,), windows in any order; probability: (N, C), a column a label. An
    event extends over all of its windows. A gap between windows ends an event, unless the rule
    bridges it, because nobody knows what happens in it. Events of different labels may overlap.
    """
    if not len(track):
        return []
    order = np.lexsort((start_s, track))
    track, start_s = track[order], start_s[order]
    bounds = [*np.flatnonzero(np.diff(track, prepend=track[0] - 1)).tolist(), len(track)]
    found: list[Event] = []
    for column, label in enumerate(labels):
        if label == NORMAL:
            continue
        values = probability[order, column].astype(np.float64)
        peaks = np.maximum.reduceat(values, bounds[:-1])
        # Most people never come near: they need no watching.
        for i in np.flatnonzero(peaks >= rule.threshold(label)).tolist():
            rows = slice(bounds[i], bounds[i + 1])
            watch = _Watch(label, int(track[bounds[i]]), rule, window_s)
            pairs = zip(start_s[rows].tolist(), values[rows].tolist(), strict=True)
            signals = [signal for start, value in pairs for signal in watch.feed(start, value)]
            signals += watch.advance(math.inf)
            found += [signal.event for signal in signals if signal.kind == "ended"]
    return sorted(found, key=lambda event: (event.start_s, event.track, event.end_s))


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
