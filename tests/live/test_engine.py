from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.people import FIGURE, LABELS, acting, landmarks
from yololstm import smoothing
from yololstm.events import Event, Rule, Signal, detect
from yololstm.inference import Classifier
from yololstm.landmarks import Landmarks
from yololstm.live import engine as engines
from yololstm.live.engine import Engine, Heard
from yololstm.moments import Verdict
from yololstm.scaling import BodyScaling
from yololstm.windows import WindowSpec
from yololstm.zones import Mode, Zone, standing

SPEC = WindowSpec(fps=3, length=6, hop=2, max_gap_s=1.0, min_valid=0.5)
RULE = Rule(dict.fromkeys(LABELS, 0.4), leave=0.7, merge_gap_s=1.0, cool_down_s=3.0)

seeds = st.integers(0, 2**32 - 1)


def network(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Says something else of each window, and of a window the same whatever is beside it."""
    weight = np.random.default_rng(7).normal(0, 1, (SPEC.length * 26, 4))
    said = [weight.T @ row.astype(np.float64).reshape(-1) for row in x]
    logits = np.array(said).reshape(-1, 4) / 8 + valid.mean(axis=(1, 2))[:, None]
    return np.asarray(logits, dtype=np.float32)


def classifier(spec: WindowSpec = SPEC) -> Classifier:
    return Classifier(network, BodyScaling(), spec, LABELS, rule=RULE)


Row = tuple[int, float, tuple[float, ...]]


class Watched:
    """What an engine made of landmarks that it saw frame by frame."""

    def __init__(
        self,
        seen: Landmarks,
        times: Sequence[float],
        fps: float,
        zones: Callable[[float], Sequence[Zone]] = lambda _: (),
        **options: Any,
    ) -> None:
        """zones: by the time of a frame."""
        self.engine = Engine(classifier(options.pop("spec", SPEC)), fps, **options)
        self.verdicts: list[Verdict] = []
        self.windows: list[Row] = []
        self.told_s: list[float] = []
        self.signals: list[Signal] = []
        self.kept = 0
        feed = self.engine._stream.feed

        def spied(track: int, start_s: float, probability: np.ndarray) -> list[Signal]:
            self.windows.append((track, start_s, tuple(probability.tolist())))
            self.told_s.append(now_s)
            return feed(track, start_s, probability)

        self.engine._stream.feed = spied  # type: ignore[method-assign, assignment]
        for now_s, frame in _frames(seen, times):
            self._hear(self.engine.feed(frame, now_s, zones(now_s)))
            rows = sum(len(person._rows) for person in self.engine._people.values())
            self.kept = max(self.kept, rows)
        now_s = math.inf
        self._hear(self.engine.finish(zones(now_s)))

    def _hear(self, heard: Heard) -> None:
        self.signals += heard.signals
        self.verdicts += heard.verdicts

    @property
    def events(self) -> list[Event]:
        ended = [signal.event for signal in self.signals if signal.kind == "ended"]
        return sorted(ended, key=_order)


def _order(event: Event) -> tuple[float, int, float, str]:
    return event.start_s, event.track, event.end_s, event.label


def _frames(seen: Landmarks, times: Sequence[float]) -> Iterator[tuple[float, Landmarks]]:
    for time_s in times:
        yield time_s, seen[seen.time_s == time_s]


def offline(seen: Landmarks, spec: WindowSpec = SPEC) -> tuple[list[Row], list[Event]]:
    said = classifier(spec).classify(seen)
    rows = zip(said.track.tolist(), said.start_s.tolist(), said.probability.tolist(), strict=True)
    events = detect(
        said.track,
        said.start_s,
        said.probability,
        window_s=spec.length / spec.fps,
        labels=LABELS,
        rule=RULE,
    )
    events.sort(key=_order)
    return [(track, start_s, tuple(row)) for track, start_s, row in rows], events


def shop(seed: int, fps: float, unsteady: float, absent: float) -> tuple[Landmarks, list[float]]:
    """Some people for a while each; they are hidden at times, and more often some joints are."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, int(30 * fps)))
    times = rng.uniform(0, 9) + (np.arange(n) + unsteady * rng.uniform(-0.4, 0.4, n)) / fps
    people = {}
    for track in range(1, int(rng.integers(2, 5))):
        first, end = sorted(rng.integers(0, n + 1, 2))
        if first == end:
            continue
        here = np.arange(first, end)
        xy = acting(str(rng.choice(LABELS)), times[here], rng)
        for joint in range(13):
            xy[_spells(rng, len(here), absent, 2 * fps), joint] = np.nan
        xy[_spells(rng, len(here), absent / 2, 2 * fps)] = np.nan
        out = _spells(rng, len(here), absent / 2, 2 * fps)
        out[0] = False
        people[track] = (times[here[~out]], xy[~out])
    return landmarks(people), times.tolist()


def _spells(rng: np.random.Generator, n: int, share: float, longest: float) -> np.ndarray:
    """(n,) whether each frame is in one of some spells, none longer than ``longest`` frames."""
    within = np.zeros(n, dtype=bool)
    at = 0
    while at < n:
        length = int(rng.integers(1, max(2, int(longest))))
        if rng.random() < share:
            within[at : at + length] = True
            at += 1  # so that no two are one
        at += length
    return within


@given(seeds, st.sampled_from([2.0, 3.0, 5.0, 10.0]), st.sampled_from([0, 1]), st.floats(0, 0.6))
@settings(max_examples=150)
def test_what_is_seen_live_is_what_is_found_in_a_file(
    seed: int, fps: float, unsteady: float, absent: float
) -> None:
    seen, times = shop(seed, fps, unsteady, absent)
    watched = Watched(seen, times, fps)
    windows, events = offline(seen)
    assert sorted(watched.windows) == sorted(windows)
    assert watched.events == events
    assert not watched.engine._people
    assert not watched.engine._stream._watches


def test_there_is_something_to_find() -> None:
    found = [offline(shop(seed, 5.0, 1, 0.3)[0]) for seed in range(20)]
    assert sum(len(windows) for windows, _ in found) > 150
    assert len({event.label for _, events in found for event in events}) >= 2


@given(seeds, st.floats(0, 0.5))
@settings(max_examples=20)
def test_joints_are_smoothed_as_in_a_file(seed: int, absent: float) -> None:
    seen, times = shop(seed, 8.0, 1, absent)
    watched = Watched(seen, times, 8.0, smooth=True)
    assert sorted(watched.windows) == sorted(offline(smoothing.smooth(seen, "one_euro"))[0])


@pytest.mark.parametrize("hop", [1, 6, 9])
def test_windows_may_overlap_or_not(hop: int) -> None:
    spec = replace(SPEC, hop=hop)
    seen, times = shop(3, 7.0, 1, 0.3)
    watched = Watched(seen, times, 7.0, spec=spec)
    windows, events = offline(seen, spec)
    assert windows
    assert sorted(watched.windows) == sorted(windows)
    assert watched.events == events


def test_a_window_is_told_with_the_frame_that_completes_it() -> None:
    times = np.arange(60) / 6
    seen = landmarks({1: (times, acting("theft", times, np.random.default_rng(0)))})
    watched = Watched(seen, times.tolist(), 6.0)
    last_s = [start_s + (SPEC.length - 1) / SPEC.fps for _, start_s, _ in watched.windows]
    assert len(last_s) > 10
    np.testing.assert_allclose(watched.told_s, last_s, atol=1e-5)


def test_a_joint_that_was_just_lost_is_waited_for_no_longer_than_a_gap() -> None:
    times = np.arange(90) / 6
    xy = acting("theft", times, np.random.default_rng(0))
    xy[40:, 2] = np.nan
    watched = Watched(landmarks({1: (times, xy)}), times.tolist(), 6.0)
    last_s = np.array([start_s + (SPEC.length - 1) / SPEC.fps for _, start_s, _ in watched.windows])
    delay_s = np.array(watched.told_s) - last_s
    assert 0.5 < delay_s.max() <= SPEC.max_gap_s + 1 / 6 + 1e-6
    assert delay_s[last_s > times[40] + 1].max() < 1e-6


def test_no_more_is_kept_for_longer() -> None:
    def kept(seconds: int) -> Watched:
        times = np.arange(seconds * 6) / 6
        still = np.tile(FIGURE * 90, (len(times), 1, 1))
        return Watched(landmarks({1: (times, still)}), times.tolist(), 6.0)

    short, long = kept(20), kept(200)
    assert long.kept == short.kept < 40


def test_a_grid_that_began_long_ago_begins_anew_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "_GRID_S", 5.0)
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.5, 1.5, 300)) / 7
    xy = acting("theft", times, rng)
    xy[rng.random((300, 13)) < 0.2] = np.nan
    seen = landmarks({1: (times, xy)})
    watched, (windows, events) = Watched(seen, times.tolist(), 7.0), offline(seen)
    assert len(windows) == len(watched.windows) > 20
    for got, expected in zip(sorted(watched.windows), sorted(windows), strict=True):
        assert got[0] == expected[0]
        assert got[1] == pytest.approx(expected[1], abs=1e-9)
        assert got[2] == pytest.approx(expected[2], abs=1e-5)
    assert [(e.label, e.track) for e in watched.events] == [(e.label, e.track) for e in events]


def test_people_who_left_are_forgotten_and_their_events_end() -> None:
    times = np.arange(120) / 6
    xy = acting("theft", times, np.random.default_rng(0))
    seen = landmarks({k: (times[20 * k : 20 * k + 20], xy[20 * k : 20 * k + 20]) for k in range(5)})
    engine = Engine(classifier(), 6.0)
    most = 0
    for time_s, frame in _frames(seen, times.tolist()):
        engine.feed(frame, time_s)
        most = max(most, len(engine._people), len(engine._stream._watches))
    assert most <= 3
    assert not engine._people


@pytest.mark.parametrize("every_s", [0.1, 0.5, 1.0])
def test_events_of_who_left_end_as_soon_where_frames_are_dropped(every_s: float) -> None:
    """Of ten frames a second all, every fifth or every tenth."""
    ended_s = [at_s for kind, at_s, _ in thief(every_s, [(0, 10)]) if kind == "ended"]
    assert len(ended_s) == 1
    assert 12.5 <= ended_s[0] <= 13.5 + every_s


def test_who_comes_back_under_their_number_after_that_has_another_event() -> None:
    said = thief(0.5, [(0, 10), (16, 26)])
    events = [(kind, event.start_s) for kind, _, event in said if kind != "updated"]
    assert [kind for kind, _ in events] == ["raised", "ended"] * 2
    assert [start_s for _, start_s in events] == [0, 0, 16, 16]


def thief(every_s: float, spells: Sequence[tuple[float, float]]) -> list[tuple[str, float, Event]]:
    """What becomes known when of somebody who is there in those spells. Frames should come ten a
    second, but do so every so many seconds."""
    times = np.arange(0, 30, every_s)
    here = np.any([(begin_s <= times) & (times < end_s) for begin_s, end_s in spells], axis=0)
    still = np.tile(FIGURE * 90 + (640, 300), (int(here.sum()), 1, 1))
    seen = landmarks({1: (times[here], still)})

    def theft(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.tile(np.float32([9, 0, 0, 0]), (len(x), 1))

    engine = Engine(Classifier(theft, BodyScaling(), SPEC, LABELS, rule=RULE), 10.0)
    return [
        (signal.kind, at_s, signal.event)
        for at_s, frame in _frames(seen, times.tolist())
        for signal in engine.feed(frame, at_s).signals
    ]


# --- zones ---


def zone(x0: float, x1: float, mode: Mode = "count", labels: tuple[str, ...] = ()) -> Zone:
    """From the top of the picture to its bottom."""
    return Zone("a place", mode, ((x0, 0), (x1, 0), (x1, 1), (x0, 1)), labels)


@example(4825961, 0.0, 1.0, "count")  # somebody leaves the picture
@given(seeds, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["count", "ignore"]))
@settings(max_examples=25)
def test_a_window_counts_where_they_stood_in_the_zone_for_half_of_it(
    seed: int, one: float, other: float, mode: Mode
) -> None:
    seen, times = shop(seed, 5.0, 1, 0.3)
    x0, x1 = min(one, other), max(one, other)
    everywhere = Watched(seen, times, 5.0)
    watched = Watched(seen, times, 5.0, lambda _: [zone(x0, x1, mode, ("theft", "normal"))])
    assert watched.verdicts == everywhere.verdicts
    assert [tuple(v[:2]) for v in watched.verdicts] == [row[:2] for row in watched.windows]
    x = standing(seen)[:, 0]
    for row, whole, told_s in zip(watched.windows, everywhere.windows, watched.told_s, strict=True):
        track, start_s, said = row
        begins = seen.time_s >= start_s - 1e-6
        during = begins & (seen.time_s < start_s + SPEC.length / SPEC.fps) & (seen.time_s <= told_s)
        stood = x[during & (seen.track == track)]
        within = (x0 <= stood) & (stood < x1)
        counts = (within if mode == "count" else ~within).mean() >= 0.5
        kept = [counts if label in ("theft", "normal") else True for label in LABELS]
        assert said == tuple(np.where(kept, whole[2], 0).tolist())


def test_somebody_who_crosses_a_zone_does_nothing_before_and_after_it() -> None:
    times = np.arange(180) / 6
    walking = np.tile(FIGURE * 90, (len(times), 1, 1))
    walking[..., 0] += 1280 * times[:, None] / times[-1]
    walking[..., 1] += 300
    seen = landmarks({1: (times, walking)})

    def theft(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.tile(np.float32([9, 0, 0, 0]), (len(x), 1))

    def heard(zones: Sequence[Zone]) -> list[Signal]:
        engine = Engine(Classifier(theft, BodyScaling(), SPEC, LABELS, rule=RULE), 6.0)
        signals: list[Signal] = []
        for time_s, frame in _frames(seen, times.tolist()):
            signals += engine.feed(frame, time_s, zones).signals
        return signals + engine.finish(zones).signals

    ((start_s, end_s),) = _ended(heard([]))
    assert (start_s, end_s) == (0, pytest.approx(30, abs=0.5))
    ((start_s, end_s),) = _ended(heard([zone(0.4, 0.6)]))
    assert start_s == pytest.approx(0.4 * 30, abs=1.5)
    assert end_s == pytest.approx(0.6 * 30, abs=1.5)
    before, after = _ended(heard([zone(0.4, 0.6, "ignore")]))
    assert before[1] == pytest.approx(0.4 * 30, abs=1.5)
    assert after[0] == pytest.approx(0.6 * 30, abs=1.5)
    assert not heard([zone(0.4, 0.6), zone(0, 1, "ignore")])
    assert not heard([zone(0.4, 0.6, "count", ("theft",)), zone(0.35, 0.65, "ignore")])
    assert len(_ended(heard([zone(0.4, 0.6, "count", ("assault",))]))) == 1


def _ended(signals: Sequence[Signal]) -> list[tuple[float, float]]:
    return [(s.event.start_s, s.event.end_s) for s in signals if s.kind == "ended"]


def test_a_zone_that_is_drawn_meanwhile_holds_from_then_on() -> None:
    times = np.arange(180) / 6
    still = np.tile(FIGURE * 90 + (640, 300), (len(times), 1, 1))
    seen = landmarks({1: (times, still)})
    watched = Watched(seen, times.tolist(), 6.0, lambda at_s: [zone(0, 0.3)] if at_s > 15 else [])
    for row, verdict, told_s in zip(watched.windows, watched.verdicts, watched.told_s, strict=True):
        assert row[2] == (verdict.probability if told_s <= 15 else (0, 0, 0, 0))
    assert {told_s <= 15 for told_s in watched.told_s} == {True, False}
