from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yololstm.clips import NORMAL
from yololstm.events import (
    Event,
    EventStream,
    Rule,
    Signal,
    detect,
    probability_at,
)

LABELS = ("theft", "assault", NORMAL)
WINDOW_S = 2.0
ENTER = {"theft": 0.6, "assault": 0.6}
RULE = Rule(ENTER, leave=2 / 3)


def theft(*values: float) -> np.ndarray:
    """(N, 3) with these probabilities of theft, the rest normal."""
    p = np.array(values, dtype=np.float32)
    return np.stack([p, np.zeros_like(p), 1 - p], axis=1)


def found(start_s: list[float], probability: np.ndarray, **changes: Any) -> list[Event]:
    return detect(
        np.full(len(start_s), 7),
        np.array(start_s),
        probability,
        window_s=WINDOW_S,
        labels=LABELS,
        rule=replace(RULE, **changes),
    )


def test_an_event_extends_over_its_windows_and_has_their_peak() -> None:
    events = found([0, 1, 2, 3, 4], theft(0.1, 0.7, 0.9, 0.2, 0.1))
    assert events == [Event("theft", 7, 1.0, 4.0, pytest.approx(0.9), 3.0)]


def test_an_event_goes_on_between_leave_and_enter_but_does_not_start_there() -> None:
    assert found([0, 1, 2], theft(0.5, 0.5, 0.5)) == []
    (event,) = found([0, 1, 2], theft(0.7, 0.5, 0.3))
    assert (event.start_s, event.end_s) == (0.0, 3.0)


def test_runs_whose_windows_overlap_are_one_event_and_others_are_two() -> None:
    assert len(found([0, 1, 2], theft(0.7, 0.3, 0.7))) == 1
    assert len(found([0, 1, 2, 3], theft(0.7, 0.3, 0.3, 0.7))) == 2


def test_a_gap_between_windows_ends_an_event() -> None:
    (event,) = found([0, 10], theft(0.7, 0.5))
    assert event.end_s == 2.0


def test_windows_one_after_the_other_make_one_event() -> None:
    start_s = [k * WINDOW_S * (1 + 1e-12) for k in range(4)]
    (event,) = found(start_s, theft(0.7, 0.7, 0.7, 0.7))
    assert event.end_s == pytest.approx(8.0)


def test_short_events_do_not_count() -> None:
    assert len(found([0, 5, 6], theft(0.7, 0.7, 0.7), min_s=2.5)) == 1
    assert len(found([0, 5, 6], theft(0.7, 0.7, 0.7), min_s=2.0)) == 2


def test_normal_is_no_event() -> None:
    assert found([0, 1], theft(0.0, 0.1)) == []


def test_tracks_have_events_of_their_own() -> None:
    events = detect(
        np.array([2, 1, 2, 1]),
        np.array([0.0, 0.0, 1.0, 1.0]),
        theft(0.7, 0.1, 0.5, 0.8),
        window_s=WINDOW_S,
        labels=LABELS,
        rule=RULE,
    )
    assert [(e.track, e.start_s, e.end_s) for e in events] == [(2, 0.0, 3.0), (1, 1.0, 3.0)]


def test_an_alarm_is_raised_when_the_window_ends_with_which_the_event_counts() -> None:
    assert found([0, 1, 2], theft(0.7, 0.7, 0.7))[0].raised_s == 2.0
    assert found([0, 1, 2], theft(0.7, 0.7, 0.7), min_s=2.5)[0].raised_s == 3.0


def test_events_no_further_apart_than_the_gap_are_one() -> None:
    start_s, values = [0.0, 1, 2, 3, 4], theft(0.7, 0.1, 0.1, 0.1, 0.7)
    assert len(found(start_s, values, merge_gap_s=1.9)) == 2
    (event,) = found(start_s, values, merge_gap_s=2.0)
    assert (event.start_s, event.end_s) == (0.0, 6.0)
    # What would not start an event does not bridge a gap, seen or not.
    assert found([0.0, 4.0], theft(0.7, 0.5), merge_gap_s=9)[0].end_s == 2.0


def test_the_same_person_does_not_alarm_again_while_it_cools_down() -> None:
    start_s, values = [0.0, 5, 9, 12], theft(0.7, 0.7, 0.7, 0.7)
    assert [e.start_s for e in found(start_s, values, cool_down_s=7.5)] == [0.0, 12.0]
    assert [e.start_s for e in found(start_s, values, cool_down_s=3.0)] == [0.0, 5.0, 12.0]
    # What was too short to count cools nothing down.
    assert len(found([0.0, 3, 4], theft(0.7, 0.7, 0.7), cool_down_s=99, min_s=2.5)) == 1


def test_labels_have_thresholds_of_their_own_or_the_usual_one() -> None:
    both = np.array([[0.55, 0.45, 0]])
    assert [e.label for e in found([0], both, enter={"assault": 0.4})] == ["theft", "assault"]
    assert found([0], both, enter={"theft": 0.56, "assault": 0.46}) == []


@pytest.mark.parametrize(
    "wrong",
    [{"enter": {"theft": 1.1}}, {"leave": -0.1}, {"min_s": -1.0}, {"cool_down_s": float("nan")}],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not"):
        replace(RULE, **wrong)


def test_a_stream_tells_what_becomes_of_an_event() -> None:
    stream = EventStream(replace(RULE, min_s=2.5), window_s=WINDOW_S, labels=LABELS)
    values = theft(0.7, 0.8, 0.6, 0.1)
    told = [stream.feed(7, float(i), row.tolist()) for i, row in enumerate(values)]
    assert [[signal.kind for signal in signals] for signals in told] == [
        *([], ["raised"], ["updated"], []),
    ]
    assert told[1][0].event == Event("theft", 7, 0.0, 3.0, pytest.approx(0.8), 3.0)
    assert stream.advance(3.9) == []
    (ended,) = stream.advance(4.1)
    assert ended == Signal("ended", Event("theft", 7, 0.0, 4.0, pytest.approx(0.8), 3.0))
    assert stream.finish() == []


def test_a_stream_forgets_those_who_left() -> None:
    stream = EventStream(replace(RULE, cool_down_s=10), window_s=WINDOW_S, labels=LABELS)
    stream.feed(1, 0.0, [0.9, 0, 0.1])
    stream.feed(2, 0.0, [0.1, 0, 0.9])
    stream.advance(5.0)
    assert list(stream._watches) == [1]  # it cools down
    stream.advance(12.1)
    assert not stream._watches


@st.composite
def tracks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(0, 25))
    start_s = draw(st.lists(st.floats(0, 60), min_size=n, max_size=n))
    raw = draw(st.lists(st.floats(0, 1, width=32), min_size=3 * n, max_size=3 * n))
    return np.array(start_s), np.array(raw, dtype=np.float32).reshape(n, 3)


@given(tracks())
def test_events_of_a_label_stay_apart_and_inside_the_windows(
    track: tuple[np.ndarray, np.ndarray],
) -> None:
    start_s, probability = track
    events = found(start_s.tolist(), probability)
    for label in LABELS:
        same = [event for event in events if event.label == label]
        for before, after in pairwise(same):
            assert before.end_s < after.start_s
    for event in events:
        assert event.label != NORMAL
        assert event.probability >= ENTER[event.label]
        assert event.start_s < event.raised_s <= event.end_s
        inside = np.linspace(event.start_s, event.end_s - 1e-9, 50)
        distance = inside[:, None] - start_s[None, :]
        assert ((distance >= -1e-6) & (distance <= WINDOW_S + 1e-6)).any(axis=1).all()


@given(tracks())
def test_events_do_not_depend_on_the_order_of_windows(track: tuple[np.ndarray, np.ndarray]) -> None:
    start_s, probability = track
    start_s = np.unique(start_s)
    probability = probability[: len(start_s)]
    assert found(start_s[::-1].tolist(), probability[::-1]) == found(start_s.tolist(), probability)


rules = st.builds(
    Rule,
    enter=st.fixed_dictionaries({"theft": st.floats(0.1, 1), "assault": st.floats(0.1, 1)}),
    leave=st.floats(0, 1),
    min_s=st.sampled_from([0.0, 2.5, 4.0]),
    merge_gap_s=st.sampled_from([0.0, 1.0, 3.0]),
    cool_down_s=st.sampled_from([0.0, 2.0, 10.0]),
)


@given(tracks(), rules, st.integers(0, 2**32 - 1))
def test_a_stream_of_windows_gives_the_events_of_the_whole(
    track: tuple[np.ndarray, np.ndarray], rule: Rule, seed: int
) -> None:
    """Three people's windows as they end, and the clock told now and then."""
    start_s, probability = track
    rng = np.random.default_rng(seed)
    person = rng.integers(0, 3, len(start_s))
    whole = detect(person, start_s, probability, window_s=WINDOW_S, labels=LABELS, rule=rule)
    stream = EventStream(rule, window_s=WINDOW_S, labels=LABELS)
    signals = []
    for i in np.argsort(start_s, kind="stable"):
        if rng.random() < 0.5:
            signals += stream.advance(float(start_s[i]))
        signals += stream.feed(int(person[i]), float(start_s[i]), probability[i])
    signals += stream.finish()
    ended = [signal.event for signal in signals if signal.kind == "ended"]
    raised = [signal.event for signal in signals if signal.kind == "raised"]
    key = lambda event: (event.start_s, event.track, event.label)  # noqa: E731
    assert sorted(ended, key=key) == sorted(whole, key=key)
    assert sorted(map(key, raised)) == sorted(map(key, ended))
    assert all(event.raised_s == event.end_s for event in raised)


@pytest.mark.parametrize("value", [np.float32(0.1), np.float32(0.7)])
def test_a_threshold_is_met_alike_by_a_stream_and_by_the_whole(value: np.float32) -> None:
    """0.1 is a little more as float32 than as float, and 0.7 a little less."""
    threshold = float(str(value))
    rule, row = Rule({"theft": threshold}), np.array([[value, 0, 1 - value]], dtype=np.float32)
    stream = EventStream(rule, window_s=WINDOW_S, labels=LABELS)
    reached = float(value) >= threshold
    assert bool(stream.feed(7, 0.0, row[0])) == reached
    assert bool(found([0], row, enter=rule.enter)) == reached


@given(tracks(), rules)
def test_events_keep_to_their_rule(track: tuple[np.ndarray, np.ndarray], rule: Rule) -> None:
    start_s, probability = track
    events = detect(
        np.zeros(len(start_s), int),
        start_s,
        probability,
        window_s=WINDOW_S,
        labels=LABELS,
        rule=rule,
    )
    for label in ("theft", "assault"):
        same = [event for event in events if event.label == label]
        assert all(event.end_s - event.start_s >= rule.min_s - 1e-6 for event in same)
        assert all(event.probability >= rule.threshold(label) for event in same)
        for before, after in pairwise(same):
            pause = after.start_s - before.end_s
            assert pause > rule.merge_gap_s
            assert pause >= rule.cool_down_s - 1e-6
        # Nothing is lost: a window that could start an event is in one, or after one too soon.
        said = probability[:, LABELS.index(label)].astype(np.float64)  # as precise as the rule
        likely = start_s[said >= rule.threshold(label)]
        if rule.min_s <= WINDOW_S:
            for start in likely:
                assert any(e.start_s <= start <= e.end_s + rule.cool_down_s for e in same)


@given(tracks())
def test_zeros_give_no_event(track: tuple[np.ndarray, np.ndarray]) -> None:
    start_s, probability = track
    assert found(start_s.tolist(), np.zeros_like(probability)) == []


def test_a_moment_has_the_mean_of_the_windows_that_speak_for_it() -> None:
    at = probability_at(np.array([0.5, 1.5, 2.5]), np.array([0.0, 1.0]), theft(0.2, 0.6), WINDOW_S)
    np.testing.assert_allclose(at[:, 0], [0.2, 0.4, 0.6], atol=1e-6)


def test_a_moment_without_windows_has_the_nearest_within_half_a_window() -> None:
    times = np.array([-1.1, -0.9, 2.5, 3.9, 6.6, 8.9, 9.1])
    at = probability_at(times, np.array([6.0, 0.0]), theft(0.6, 0.2), WINDOW_S)[:, 0]
    np.testing.assert_allclose(at, [np.nan, 0.2, 0.2, np.nan, 0.6, 0.6, np.nan], atol=1e-6)


def test_no_windows_say_nothing() -> None:
    at = probability_at(np.array([0.0, 1.0]), np.empty(0), np.empty((0, 3)), WINDOW_S)
    assert at.shape == (2, 3)
    assert np.isnan(at).all()


@given(tracks(), st.floats(-5, 70))
def test_probability_at_agrees_with_its_definition(
    track: tuple[np.ndarray, np.ndarray], time_s: float
) -> None:
    start_s, probability = track
    (got,) = probability_at(np.array([time_s]), start_s, probability, WINDOW_S)
    # The function asks whether start > time - window, which rounds otherwise than the sum does.
    covers = (start_s <= time_s) & (start_s > time_s - WINDOW_S)
    if covers.any():
        np.testing.assert_allclose(got, probability[covers].mean(axis=0), atol=1e-6)
        return
    distance = np.maximum(start_s - time_s, time_s - WINDOW_S - start_s)
    if len(start_s) == 0 or distance.min() > WINDOW_S / 2:
        assert np.isnan(got).all()
    else:
        near = probability[distance == distance.min()]
        assert np.isclose(got, near, atol=1e-6).all(axis=1).any()
