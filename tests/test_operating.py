from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.footage import burst, clip, footage
from yololstm.clips import Span
from yololstm.events import FALLBACK, Rule
from yololstm.operating import Point, at_rate, balance, budget, choose, curve, measure, sweep
from yololstm.scoring import Footage, score

THEFT = Span(6.0, 10.0, "theft")


def points(false_alarms: Sequence[int], caught: Sequence[int], events: int = 4) -> list[Point]:
    thresholds = np.linspace(0.1, 0.9, len(caught)).round(3)
    rows = zip(thresholds.tolist(), false_alarms, caught, strict=True)
    return [Point(*row, events) for row in rows]


def shop() -> Footage:
    """Four thefts at 0.6 to 0.9 and an hour of normal footage with alarms at 0.5 and 0.7."""
    clips = [clip(f"t{i}-CA", THEFT) for i in range(4)]
    clips += [clip(f"n{i}-CA", seconds=1800) for i in range(2)]
    said = {(f"t{i}-CA", 1): burst(6, p) for i, p in enumerate((0.6, 0.75, 0.8, 0.9))}
    said |= {(f"n{i}-CA", 1): burst(6, p) for i, p in enumerate((0.5, 0.7))}
    return footage(clips, said)


def test_of_the_best_within_the_budget_it_is_the_middle_one() -> None:
    told = points([9, 3, 1, 1, 1, 1, 0, 0], [4, 4, 4, 4, 4, 2, 2, 0])
    assert choose(told, 1) == told[3]
    assert choose(told, 0) == told[6]
    assert choose(told, 9) == told[2]


def test_what_a_higher_threshold_breaks_does_not_count_as_within() -> None:
    """Events that run into each other make few alarms of many."""
    told = points([0, 5, 1, 0], [4, 4, 3, 2])
    assert choose(told, 1) == told[2]


def test_where_nothing_keeps_within_it_is_the_highest() -> None:
    told = points([5, 4, 3], [4, 4, 4])
    assert choose(told, 2.9) == told[-1]


def test_without_events_it_is_the_lowest_within_but_not_below_the_usual() -> None:
    told = points([5, 0, 0, 0, 0], [0] * 5, events=0)
    assert choose(told, 0).threshold == FALLBACK
    loud = points([5, 5, 5, 2, 0], [0] * 5, events=0)
    assert choose(loud, 0) == loud[-1]
    assert balance(loud) == loud[-1]


def test_balance_is_not_taken_in_by_a_narrow_peak() -> None:
    """The best F1 is at a single threshold of forty; a broad row is nearly as good."""
    false_alarms = [9] * 10 + [2] * 20 + [0] + [0] * 9
    caught = [4] * 10 + [4] * 20 + [3] + [0] * 9
    told = points(false_alarms, caught)
    assert told.index(balance(told)) == 20  # a logit below the peak
    quiet = points([0] * 40, caught[:30] + [0] * 10)
    assert told[10].caught == balance(quiet).caught == 4
    assert quiet.index(balance(quiet)) == 10


def test_a_sweep_counts_what_each_threshold_costs() -> None:
    told = sweep(shop(), Rule())["theft"]
    at = {p.threshold: p for p in told}
    for threshold, expected in ((0.4, (2, 4)), (0.55, (1, 4)), (0.7, (0, 3)), (0.85, (0, 1))):
        near = at[min((t for t in at if t >= threshold), default=1.0)]
        assert (near.false_alarms, near.caught) == expected, near
    assert [p.threshold for p in told] == sorted(at)
    assert {p.events for p in told} == {4}
    assert all(p.caught == p.false_alarms == 0 for p in sweep(shop(), Rule())["assault"])


@pytest.mark.parametrize(("rate", "caught"), [(4.1, 4), (1.0, 4), (0.9, 3)])
def test_thresholds_keep_to_the_rate_and_catch_the_most(rate: float, caught: int) -> None:
    """The footage is an hour and a minute; one false alarm is worth it."""
    seen = shop()
    rule = at_rate(sweep(seen, Rule()), Rule(cool_down_s=3), rate, seen.normal_hours)
    assert rule.cool_down_s == 3
    result = score(seen, seen.alarms(rule))
    assert np.isfinite(result.delay_s).sum() == caught
    assert len(result.false_alarms) == caught - 3 <= budget(rate, seen.normal_hours)


@pytest.mark.parametrize(
    ("hours", "false_alarms"),
    [
        (0.99, (0, 0)),
        (1.0, (1, 0)),  # two more thefts for one
        (2.0, (2, 0)),  # an assault more would cost two
        (4.0, (2, 2)),
        (9.0, (2, 2)),  # no more would be caught
    ],
)
def test_false_alarms_go_where_they_catch_the_most(
    hours: float, false_alarms: tuple[int, int]
) -> None:
    swept = {
        "theft": points([9, 3, 2, 1, 0], [4, 4, 4, 3, 1]),
        "assault": points([3, 2, 1, 0], [3, 3, 2, 2]),
    }
    enter = at_rate(swept, Rule(), 1.0, hours).enter
    spent = [next(p for p in swept[x] if p.threshold == enter[x]).false_alarms for x in swept]
    assert tuple(spent) == false_alarms


@pytest.mark.parametrize(("hours", "false_alarms"), [(1.0, [1, 0]), (2.0, [1, 1]), (3.0, [2, 1])])
def test_labels_that_are_alike_take_turns(hours: float, false_alarms: list[int]) -> None:
    told = points([2, 1, 0], [3, 2, 1])
    enter = at_rate({"theft": told, "assault": told}, Rule(), 1.0, hours).enter
    at = {p.threshold: p.false_alarms for p in told}
    assert [at[enter[label]] for label in ("theft", "assault")] == false_alarms


def test_a_label_that_cannot_keep_quiet_has_no_other_pay_for_it() -> None:
    """What it causes at its highest threshold is spent, and more than there is cannot be."""
    swept = {"theft": points([5, 4, 3], [4, 4, 4]), "assault": points([2, 1, 0], [3, 2, 1])}
    for hours, spent in ((3.0, 0), (4.0, 1)):
        enter = at_rate(swept, Rule(), 1.0, hours).enter
        assert enter["theft"] == swept["theft"][-1].threshold
        (point,) = (p for p in swept["assault"] if p.threshold == enter["assault"])
        assert point.false_alarms == spent


def test_measures_at_the_thresholds_in_use_and_at_rates() -> None:
    seen = shop()
    told, result = measure(seen, sweep(seen, Rule()), Rule({"theft": 0.78}))
    assert list(told) == [
        *("operating", "at_1_per_hour", "at_2_per_hour", "at_5_per_hour"),
    ]
    assert told["operating"]["thresholds"] == {"theft": 0.78}
    assert [told[key]["caught"] for key in told] == [2, 4, 4, 4]
    assert [told[key]["false_alarms"] for key in told] == [0, 1, 1, 1]
    assert np.isfinite(result.delay_s).tolist() == [False, False, True, True]


def test_the_curve_rises_with_what_is_allowed() -> None:
    seen = shop()
    rows = curve(seen, sweep(seen, Rule()))
    assert {row[0] for row in rows} == {"theft"}
    hours = seen.normal_hours
    assert [row[1] for row in rows] == pytest.approx([0, 1 / hours, 2 / hours])
    assert [row[2] for row in rows] == [0.75, 1.0, 1.0]
    nowhere = footage([clip("t-CA", Span(0.0, 20.0, "theft"))], {("t-CA", 1): burst(6)})
    assert curve(nowhere, sweep(nowhere, Rule())) == []
