from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.footage import LABELS, WINDOW_S, burst, clip, footage
from yololstm.clips import IGNORED, Span
from yololstm.events import Event, Rule
from yololstm.scoring import Alarm, Footage, Score, score, summary

THEFT = Span(6.0, 10.0, "theft")
RULE = Rule({"theft": 0.5, "assault": 0.5})


def scored(seen: Footage, rule: Rule = RULE) -> Score:
    return score(seen, seen.alarms(rule))


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30),
    st.floats(0, 25),
    st.floats(0.1, 20),
    st.sampled_from([0.0, 3.0]),
)
@settings(max_examples=60, deadline=None)
def test_an_alarm_that_catches_something_is_not_false(
    said: list[float], start_s: float, seconds: float, min_s: float
) -> None:
    span = Span(start_s, start_s + seconds, "theft")
    seen = footage([clip("a-CA", span, seconds=50)], {("a-CA", 1): said})
    alarms = seen.alarms(replace(RULE, min_s=min_s))
    for alarm in alarms:
        alone = score(seen, [alarm])
        assert len(alone.false_alarms) + np.isfinite(alone.delay_s).sum() <= 1


@pytest.mark.parametrize(
    ("at", "delay_s"),
    [(3, None), (4, 0.0), (5, 1.0), (8, 4.0), (10, 6.0), (11, None)],
)
def test_an_alarm_counts_from_the_start_to_one_window_after_the_end(
    at: int, delay_s: float | None
) -> None:
    """The alarm of window i is raised at i + 2 s; the event is from 6 to 10 s."""
    result = scored(footage([clip("a-CA", THEFT)], {("a-CA", 1): burst(at)}))
    if delay_s is None:
        assert np.isnan(result.delay_s).all()
    else:
        assert result.delay_s.tolist() == [delay_s]


def test_the_first_alarm_counts() -> None:
    said = [max(pair) for pair in zip(burst(5), burst(8), strict=True)]
    assert scored(footage([clip("a-CA", THEFT)], {("a-CA", 1): said})).delay_s.tolist() == [1.0]


def test_an_alarm_of_another_label_counts_for_any_label_alone() -> None:
    seen = footage([clip("a-CA", replace(THEFT, label="assault"))], {("a-CA", 1): burst(6)})
    result = scored(seen)
    assert np.isnan(result.delay_s).all()
    assert result.delay_any_s.tolist() == [2.0]
    told = summary(seen, result)
    assert (told["recall"], told["recall_any_label"], told["false_alarms"]) == (0, 1, 0)


def test_only_those_who_take_part_are_caught_where_that_is_known() -> None:
    clips, said = [clip("a-CA", THEFT)], {("a-CA", 1): burst(6), ("a-CA", 2): burst(99)}
    for actor, caught in ((1, 1), (2, 0)):
        seen = footage(clips, said, {("a-CA", THEFT): frozenset({actor})})
        assert summary(seen, scored(seen))["caught"] == caught
    nobody = footage(clips, said, {("a-CA", THEFT): frozenset()})
    assert summary(nobody, scored(nobody))["caught"] == 1


def test_an_alarm_that_overlaps_nothing_abnormal_is_false() -> None:
    clips = [
        clip("a-CA", THEFT),
        clip("n-CA"),
        clip("i-CA", replace(THEFT, label=IGNORED)),
        clip("f-CA", replace(THEFT, label="fall")),
    ]
    names = [c.clip_id for c in clips]
    during = scored(footage(clips, {(name, 1): burst(5) for name in names}))
    assert [alarm.clip for alarm in during.false_alarms] == ["n-CA"]
    touching = scored(footage(clips, {(name, 1): burst(4) for name in names}))
    assert [alarm.clip for alarm in touching.false_alarms] == ["n-CA"]
    early = scored(footage(clips, {(name, 1): burst(3) for name in names}))
    assert [alarm.clip for alarm in early.false_alarms] == sorted(names)
    assert [alarm.event.track for alarm in early.false_alarms] == [1] * 4


def test_alarms_belong_to_the_clip_and_the_track_that_raise_them() -> None:
    clips = [clip("a-CA", THEFT), clip("a-CB", THEFT)]
    seen = footage(clips, {("a-CB", 3): burst(6), ("a-CA", 5): burst(7), ("a-CA", 3): burst(99)})
    alarms = {(alarm.clip, alarm.event.track, alarm.event.start_s) for alarm in seen.alarms(RULE)}
    assert alarms == {("a-CA", 5, 7.0), ("a-CB", 3, 6.0)}
    assert scored(seen).delay_s.tolist() == [3.0, 2.0]


def test_hours_are_normal_where_a_window_that_touches_nothing_may_end() -> None:
    """Windows are 2 s long."""
    clips = [
        clip("a-CA", THEFT, Span(8.0, 12.0, "assault"), Span(15.0, 99.0, IGNORED)),
        clip("n-CA", Span(0.0, 20.0, "normal")),
        clip("s-CA", seconds=1),
        clip("e-CA", Span(20.0, 25.0, "theft"), Span(30.0, 40.0, "theft")),
    ]
    for shown, seconds in (
        (clips[:1], (6 - 2) + (15 - 14)),
        (clips[1:2], 20 - 2),
        (clips[2:3], 0),
        (clips[3:], 20 - 2),
        (clips, 5 + 18 + 18),
    ):
        assert footage(shown, {}).normal_hours * 3600 == pytest.approx(seconds)
    assert footage(clips, {}).hours * 3600 == pytest.approx(61)


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 9)), max_size=5))
@settings(max_examples=60, deadline=None)
def test_normal_hours_are_the_moments_at_which_an_alarm_would_be_false(
    spans: list[tuple[float, float]],
) -> None:
    made = clip("a-CA", *(Span(start, start + n, "theft") for start, n in spans), seconds=40)
    seen = footage([made], {})
    raised = np.arange(WINDOW_S, 40, 0.05)
    alarms = [Alarm("a-CA", Event("theft", 1, t - WINDOW_S, t, 0.9, t)) for t in raised.tolist()]
    false = len(score(seen, alarms).false_alarms)
    assert seen.normal_hours * 3600 == pytest.approx(0.05 * false, abs=0.15 * (len(spans) + 1))


def test_a_clip_without_windows_is_missed_and_its_hours_count() -> None:
    seen = footage([clip("a-CA", THEFT), clip("n-CA")], {})
    told = summary(seen, scored(seen))
    assert (told["events"], told["caught"], told["false_alarms_per_hour"]) == (1, 0, 0)
    assert told["delay_median_s"] is None
    json.dumps(told, allow_nan=False)


def test_a_clip_that_nobody_looked_at_is_missed_and_its_hours_do_not_count() -> None:
    clips = [clip("a-CA", THEFT), clip("n-CA"), clip("m-CA")]
    seen = footage(clips, {}, unseen={"a-CA", "n-CA"})
    assert seen.hours * 3600 == pytest.approx(20)
    assert seen.normal_hours * 3600 == pytest.approx(18)
    told = summary(seen, scored(seen))
    assert (told["events"], told["caught"]) == (1, 0)


def test_an_alarm_that_is_raised_before_anything_happens_is_false_however_long_it_lasts() -> None:
    span = Span(300.0, 304.0, "theft")
    seen = footage([clip("a-CA", span, seconds=400)], {("a-CA", 1): [0.9] * 398})
    result = scored(seen)
    assert [alarm.event.raised_s for alarm in result.false_alarms] == [2.0]
    assert np.isnan(result.delay_s).all(), "what is false catches nothing"


@pytest.mark.parametrize(
    ("rule", "until", "delay_s"),
    [
        (RULE, 14, [2.0, 0.0]),  # it is still on
        (RULE, 8, [2.0, 2.0]),  # it is over, and raised anew
        (replace(RULE, merge_gap_s=5.0), 8, [2.0, 0.0]),  # what would be raised anew prolongs it
        (replace(RULE, cool_down_s=30.0), 8, [2.0, np.nan]),  # it is over, and no other may come
    ],
)
def test_a_second_event_is_caught_by_an_alarm_that_is_still_on(
    rule: Rule, until: int, delay_s: list[float]
) -> None:
    """Windows from 6 s to ``until`` are likely, and those at 12 to 16 s."""
    spans = (THEFT, Span(12.0, 16.0, "theft"))
    said = [0.9 if 6 <= i <= until or 12 <= i <= 14 else 0.01 for i in range(18)]
    casts = {("a-CA", span): frozenset({1}) for span in spans}
    result = scored(footage([clip("a-CA", *spans)], {("a-CA", 1): said}, casts), rule)
    np.testing.assert_array_equal(result.delay_s, delay_s)
    assert not result.false_alarms
    others = {("a-CA", spans[0]): frozenset({1}), ("a-CA", spans[1]): frozenset({2})}
    apart = scored(footage([clip("a-CA", *spans)], {("a-CA", 1): said}, others), rule)
    np.testing.assert_array_equal(apart.delay_s, [2.0, np.nan])


def test_summary_counts_by_label_what_it_counts_in_all() -> None:
    clips = [clip(f"a{i}-CA", THEFT) for i in range(4)] + [clip("n-CA")]
    said = {(f"a{i}-CA", 1): burst(at) for i, at in enumerate((5, 6, 9, 17))}
    seen = footage(clips, {**said, ("n-CA", 1): burst(3), ("n-CA", 2): burst(3)})
    told = summary(seen, scored(seen))
    assert (told["events"], told["caught"], told["recall"]) == (4, 3, 0.75)
    assert (told["delay_median_s"], told["delay_p90_s"]) == (2.0, pytest.approx(4.4))
    # Two in the normal clip, and one long after a theft. Alarms would be false from 2 to 6 and from
    # 12 to 20 s where there is a theft, and from 2 to 20 s where there is none.
    assert told["false_alarms"] == 3
    assert told["false_alarms_per_hour"] == pytest.approx(3 / ((4 * 12 + 18) / 3600))
    assert told["per_class"]["theft"] == {k: v for k, v in told.items() if k != "per_class"}
    assert told["per_class"]["assault"]["recall"] is None
    assert list(told["per_class"]) == list(LABELS[:2])
