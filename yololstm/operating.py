"""Operating points: at which thresholds alarms are raised, and what each would cost.

The rate that is asked for allows so many false alarms, of all labels together (``budget``). They
are spent bit by bit, each where it catches the most further events a false alarm
(``at_rate``); what catches nothing more is not spent. Of the thresholds that keep within what a
label was given, those are best at which most of its events are caught; of the longest row of these
the middle one is taken, furthest from where things change. Where the footage has no event of the
label, or none is ever caught, it is the lowest that causes no false alarm, but not below
events.FALLBACK.

Footage in which the rate that is asked for means less than one false alarm cannot show it: two
minutes without one say little about an hour. For use, thresholds are then chosen for the best
balance instead: the greatest F1 of events.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import expit

from yololstm.events import FALLBACK, Rule
from yololstm.scoring import Alarm, Footage, Score, score, summary

RATES: Final = (1.0, 2.0, 5.0)
"""False alarms an hour at which test is measured."""
#: A tenth of a logit apart, 0.05 to 0.9995.
_THRESHOLDS: Final = tuple(expit(np.arange(-30, 77) / 10).round(5).tolist())
_A_LOGIT: Final = 10
_CURVE_POINTS: Final = 40


class Point(NamedTuple):
    """One label at one threshold."""

    threshold: float
    false_alarms: int
    caught: int
    events: int
    """Of the label, caught or missed."""


Sweep = Mapping[str, Sequence[Point]]
"""By abnormal label; thresholds rise."""


def sweep(footage: Footage, rule: Rule) -> Sweep:
    """What every threshold would cost; ``rule`` says all but the thresholds."""
    return {
        label: [_point(footage, label, rule, threshold) for threshold in _THRESHOLDS]
        for label in footage.abnormal
    }


def budget(rate: float, hours: float) -> int:
    """How many false alarms ``rate`` an hour allows in ``hours`` of normal footage; 0 where that
    is too little footage to see the rate."""
    return math.floor(rate * hours)


def choose(points: Sequence[Point], allowed: float) -> Point:
    """The best that causes at most ``allowed`` false alarms, as any higher one does; where there
    is none, the highest of all."""
    loud = [i for i, point in enumerate(points) if point.false_alarms > allowed]
    within = points[loud[-1] + 1 if loud else 0 :]
    if not within:
        return points[-1]
    most = max(point.caught for point in within)
    if not most:
        return next((p for p in within if p.threshold >= FALLBACK), within[-1])
    rows = [list(row) for best, row in groupby(within, lambda p: p.caught == most) if best]
    longest = max(rows, key=len)
    return longest[len(longest) // 2]


def balance(points: Sequence[Point]) -> Point:
    """The greatest F1 of events, as a mean over the thresholds up to a logit away: a few events
    make narrow peaks, and where probabilities are all but 1 a little more asked loses them all. Of
    equals the middle one, or, where it causes false alarms, the highest. Where no event is ever
    caught, what ``choose`` makes of it."""
    if not any(point.caught for point in points):
        return choose(points, 0)
    f1 = np.array([2 * p.caught / (p.events + p.caught + p.false_alarms) for p in points])
    beside = np.ones(2 * _A_LOGIT + 1)
    mean = np.convolve(f1, beside, "same") / np.convolve(np.ones(len(f1)), beside, "same")
    best = [point for point, value in zip(points, mean, strict=True) if value > mean.max() - 1e-9]
    middle = best[len(best) // 2]
    return best[-1] if middle.false_alarms else middle


def at_rate(swept: Sweep, rule: Rule, rate: float, hours: float) -> Rule:
    """``rule`` with the thresholds for ``rate`` false alarms an hour in ``hours`` of normal
    footage.

    Of what is equally good the cheapest comes first, then what is for the label to which least was
    given, then for the first label.
    """
    levels = {label: _levels(points) for label, points in swept.items()}
    given = {label: each[0] for label, each in levels.items()}
    while offers := list(_offers(levels, given, budget(rate, hours))):
        best = max(offers, key=lambda o: (o.gain / o.cost, -o.cost, -given[o.label].false_alarms))
        given[best.label] = best.level
    return replace(
        rule,
        enter={x: choose(points, given[x].false_alarms).threshold for x, points in swept.items()},
    )


def measure(footage: Footage, swept: Sweep, rule: Rule) -> tuple[dict[str, Any], Score]:
    """Events at the thresholds in use ("operating"), and at RATES ("at_1_per_hour") with thresholds
    chosen on this very footage; and the score at the thresholds in use."""
    hours = footage.normal_hours
    rates = {f"at_{rate:g}_per_hour": at_rate(swept, rule, rate, hours) for rate in RATES}
    rules = {"operating": rule, **rates}
    results = {name: score(footage, footage.alarms(each)) for name, each in rules.items()}
    told = {
        name: {**summary(footage, result), "thresholds": dict(rules[name].enter)}
        for name, result in results.items()
    }
    return told, results["operating"]


def curve(footage: Footage, swept: Sweep) -> list[tuple[str, float, float, float]]:
    """Rows of label, false alarms an hour, the best recall at no more of them, and its threshold;
    a label without events has none, nor has footage that is nowhere normal."""
    rows: list[tuple[str, float, float, float]] = []
    if (hours := footage.normal_hours) <= 0:
        return rows
    for label, points in swept.items():
        counts = sorted({p.false_alarms for p in points if p.events})[:_CURVE_POINTS]
        for count in counts:
            within = [p for p in reversed(points) if p.false_alarms <= count]
            best = max(within, key=lambda p: p.caught)
            rows.append((label, count / hours, best.caught / best.events, best.threshold))
    return rows


class _Level(NamedTuple):
    """What a label is given, and what that catches."""

    false_alarms: int
    caught: int


class _Offer(NamedTuple):
    """Another level for a label, and how much more it costs and catches."""

    label: str
    level: _Level
    cost: int
    gain: int


def _levels(points: Sequence[Point]) -> list[_Level]:
    """The cheapest, and those at which more is caught than at any cheaper one."""
    least = choose(points, 0)
    levels = [_Level(least.false_alarms, least.caught)]
    for count in sorted({point.false_alarms for point in points}):
        caught = choose(points, count).caught
        if count > levels[-1].false_alarms and caught > levels[-1].caught:
            levels.append(_Level(count, caught))
    return levels


def _offers(
    levels: Mapping[str, Sequence[_Level]], given: Mapping[str, _Level], allowed: int
) -> Iterator[_Offer]:
    """Those that can be paid for with what is left."""
    left = allowed - sum(level.false_alarms for level in given.values())
    for label, each in levels.items():
        for level in each:
            cost, gain = (a - b for a, b in zip(level, given[label], strict=True))
            if 0 < cost <= left:
                yield _Offer(label, level, cost, gain)


def _point(footage: Footage, label: str, rule: Rule, threshold: float) -> Point:
    alarms: list[Alarm] = footage.alarms(replace(rule, enter={label: threshold}), label)
    result = score(footage, alarms)
    mine = np.array([truth.label == label for truth in footage.truths], dtype=np.bool_)
    caught = int(np.isfinite(result.delay_s[mine]).sum())
    return Point(threshold, len(result.false_alarms), caught, int(mine.sum()))
