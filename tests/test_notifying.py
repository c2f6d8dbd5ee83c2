from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.told_events import NOON, after, change
from yololstm.changes import Change, State
from yololstm.errors import ParamsError
from yololstm.notifying import (
    TOPICS,
    Policy,
    Telling,
    Template,
    check_topic,
    decide,
    event_body,
    status,
    status_body,
)

NIGHT = (time(22), time(6, 30))
MIDDAY = (time(12), time(13))


def first(policy: Policy, one: Change, last: datetime | None = None) -> State | None:
    """As what a change is told of whose event nothing is known."""
    return decide(policy, one, None, local=one.at.time(), last=last)[1]


def test_everything_is_told_to_who_asks_for_nothing_less() -> None:
    known, said = None, []
    for state in ("start", "update", "update", "end", "end"):
        known, told = decide(Policy(), change(state), known, local=time(3), last=NOON)
        said.append(told)
    assert said == ["start", "update", "update", "end", None]
    assert known == Telling(told=True, changes=4, ended=True)


def test_who_wants_no_updates_is_told_the_start_and_the_end() -> None:
    known, said = None, []
    for state in ("start", "update", "update", "end"):
        policy = Policy(updates=False)
        known, told = decide(policy, change(state), known, local=time(3), last=None)
        said.append(told)
    assert said == ["start", None, None, "end"]
    assert known == Telling(told=True, changes=2, ended=True)
    late, likely = Policy({"theft": 0.8}, updates=False), change("update", probability=0.9)
    assert first(late, likely) == "start"


@pytest.mark.parametrize(
    ("label", "probability", "told"),
    [
        *[("theft", 0.79, None), ("theft", 0.8, "start")],
        *[("damage", 0.0, "start"), ("assault", 1.0, None)],
    ],
)
def test_labels_and_thresholds(label: str, probability: float, told: State | None) -> None:
    policy = Policy({"theft": 0.8, "damage": 0.0})
    assert first(policy, change(label=label, probability=probability)) == told


def test_an_event_that_becomes_likely_late_is_told_as_a_start() -> None:
    policy, known, said = Policy({"theft": 0.8}), None, []
    for state, probability in (("start", 0.6), ("update", 0.85), ("update", 0.85), ("end", 0.85)):
        one = change(state, probability=probability)
        known, told = decide(policy, one, known, local=time(3), last=None)
        said.append(told)
    assert said == [None, "start", "update", "end"]
    assert first(policy, change("end", probability=0.9)) is None


@pytest.mark.parametrize(
    ("since_s", "told"), [(0, None), (59.9, None), (60, "start"), (-1, "start")]
)
def test_a_cool_down(since_s: float, told: State | None) -> None:
    assert first(Policy(cool_down_s=60), change(at=after(since_s)), NOON) == told
    assert first(Policy(), change(at=after(since_s)), NOON) == "start"


def test_what_is_withheld_stays_so() -> None:
    policy = Policy(quiet_hours=[MIDDAY])
    known, told = decide(policy, change(), None, local=time(12, 59), last=None)
    assert (known, told) == (Telling(told=False), None)
    for state in ("update", "end"):
        later = decide(policy, change(state), known, local=time(13, 1), last=None)
        assert later == (known, None)


@pytest.mark.parametrize(
    ("local", "quiet"),
    [
        *[(time(21, 59, 59), False), (time(22), True), (time(23, 59, 59), True), (time(0), True)],
        *[(time(6, 29, 59, 999999), True), (time(6, 30), False), (time(12, 30), True)],
        *[(time(13), False)],
    ],
)
def test_quiet_hours_may_cross_midnight(local: time, quiet: bool) -> None:
    assert Policy(quiet_hours=[NIGHT, MIDDAY]).is_quiet(local) is quiet


MINUTES = st.integers(0, 24 * 60 - 1)


@given(MINUTES, MINUTES, MINUTES)
def test_quiet_hours_are_those_that_a_clock_goes_through(start: int, end: int, now: int) -> None:
    """From one to the other, as somebody would walk the hands."""
    length = (end - start) % (24 * 60) or 24 * 60
    walked = {(start + i) % (24 * 60) for i in range(length)}
    hours = [(time(*divmod(start, 60)), time(*divmod(end, 60)))]
    assert Policy(quiet_hours=hours).is_quiet(time(*divmod(now, 60))) is (now in walked)


POLICIES = st.builds(
    Policy,
    labels=st.dictionaries(st.sampled_from(["theft", "assault"]), st.sampled_from([0.0, 0.5, 0.9])),
    cool_down_s=st.sampled_from([0.0, 40.0, 200.0]),
    quiet_hours=st.lists(st.sampled_from([NIGHT, MIDDAY, (time(3), time(3))]), max_size=1),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["start", "update", "update", "end"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([0.1, 0.5, 0.95]),
        st.integers(0, 3000),
    ),
    max_size=40,
)


@given(POLICIES, STEPS)
def test_whatever_comes_each_event_is_told_from_start_to_end(
    policy: Policy, steps: list[tuple[State, str, float, int]]
) -> None:
    labels = {"a": "theft", "b": "theft", "c": "assault", "d": "damage"}
    known: dict[str, Telling | None] = defaultdict(lambda: None)
    said: dict[str, list[State]] = defaultdict(list)
    starts: dict[str, list[datetime]] = defaultdict(list)
    now = datetime(2026, 11, 23, 20, tzinfo=UTC)
    for state, id, probability, seconds in steps:
        now += timedelta(seconds=seconds)
        label = labels[id]
        one = change(state, id, label=label, probability=probability, at=now)
        last = max(starts[label], default=None)
        known[id], told = decide(policy, one, known[id], local=now.time(), last=last)
        if told is None:
            continue
        said[id].append(told)
        if told == "start":
            assert not policy.is_quiet(now.time())
            assert not policy.labels or probability >= policy.labels[label]
            assert last is None or (now - last).total_seconds() >= policy.cool_down_s
            starts[label].append(now)
    for id, states in said.items():
        assert states[0] == "start"
        assert states.count("start") == 1
        assert "end" not in states[:-1]
        telling = known[id]
        assert telling is not None
        assert (telling.changes, telling.ended) == (len(states), states[-1] == "end")


def test_a_status_is_the_last_label_until_all_is_over() -> None:
    assert status("start", "theft", "", 1) == "theft"
    assert status("update", "theft", "theft", 1) is None
    assert status("start", "theft", "theft", 2) is None
    assert status("start", "assault", "theft", 3) == "assault"
    assert status("end", "assault", "assault", 2) is None
    assert status("end", "theft", "assault", 0) == ""
    assert status("end", "theft", "", 0) is None
    assert status("start", "theft", "theft", 1) == "theft"  # nobody had said that it was over


def test_bodies() -> None:
    update = change("update")
    assert json.loads(event_body(update, "start")) == {**update.to_dict(), "state": "start"}
    assert status_body("door", "theft") == b'{"camera": "door", "status": "theft"}'
    assert status_body("문", "") == '{"camera": "문", "status": null}'.encode()


@pytest.mark.parametrize("template", ["event", "status"])
def test_where_no_topic_is_given_it_is_one_that_may_be(template: Template) -> None:
    check_topic("topic", TOPICS[template], template)


@pytest.mark.parametrize(
    ("topic", "template", "told"),
    [
        *[("a/{camara}", "event", "{camara} is not known"), ("{}", "event", "{} is not known")],
        *[("{la bel}", "status", "{la bel} is not known"), ("", "event", "it is empty")],
        *[("a/+", "event", "wildcards. Give one like yololstm/{camera}/{label}.")],
        *[("#", "status", "wildcards. Give one like yololstm/{camera}.")],
        *[("a", "status", "that of a camera"), ("{camera}/{label}", "status", "that of a camera")],
    ],
)
def test_topics_that_will_not_do(topic: str, template: Template, told: str) -> None:
    with pytest.raises(ParamsError) as raised:
        check_topic("site.yaml: notify.lamp.topic", topic, template)
    assert raised.value.problem.place == "site.yaml: notify.lamp.topic"
    assert told in str(raised.value)
