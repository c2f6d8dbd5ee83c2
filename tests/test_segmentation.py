from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.people import FIGURE, LABELS, acting, around, clip, landmarks
from yololstm.clips import IGNORED, NORMAL, SPLITS, UNUSED, Box, Span
from yololstm.errors import EmptyError
from yololstm.quality import of_track
from yololstm.segmentation import Segmented, resample, segment, segment_all
from yololstm.windows import WindowSpec

SPEC = WindowSpec(fps=3, length=16, hop=4, max_gap_s=1.0, min_valid=0.5)
PLACE = FIGURE * 100 + [500, 400]
THEFT, NORMAL_Y = LABELS.index("theft"), LABELS.index(NORMAL)

seeds = st.integers(0, 2**32 - 1)


def still(times: np.ndarray, xy: np.ndarray = PLACE) -> tuple[np.ndarray, np.ndarray]:
    return times, np.tile(xy, (len(times), 1, 1))


def labelled(
    people: dict[int, tuple[np.ndarray, np.ndarray]],
    spans: list[Span],
    labels: tuple[str, ...] = LABELS,
    min_share: float = 0.6,
) -> Segmented:
    return segment(landmarks(people), SPEC, spans=spans, labels=labels, min_share=min_share)


# --- resampling ---


@given(seeds, st.floats(1, 40), st.sampled_from([3.0, 5.0, 7.5]), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_constant_velocity_is_exact(seed: int, source_fps: float, fps: float, n: int) -> None:
    """At unevenly spaced times, too: a linear motion stays the same line."""
    rng = np.random.default_rng(seed)
    times = rng.uniform(0, 100) + np.cumsum(rng.uniform(0.3, 1, n)) / source_fps
    start, velocity = rng.uniform(0, 1900, (13, 2)), rng.uniform(-300, 300, (13, 2))
    xy = start + velocity * (times - times[0])[:, None, None]
    got = resample(times, xy.astype(np.float32), WindowSpec(fps, 16, 4, 1.0, 0.5))
    expected = start + velocity * (got.time_s - times[0])[:, None, None]
    assert got.valid.all()
    np.testing.assert_allclose(got.xy, expected, rtol=1e-5, atol=2e-3)
    np.testing.assert_allclose(np.diff(got.time_s)[:-1], 1 / fps, atol=5e-6)
    assert times[-1] - got.time_s[-1] < 1 / fps


@given(seeds, st.integers(1, 60), st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_source_at_the_same_rate_is_returned(seed: int, n: int, first: int) -> None:
    """Also after a trip through a file, which rounds times to the microsecond."""
    xy = np.random.default_rng(seed).uniform(0, 1900, (n, 13, 2)).astype(np.float32)
    got = resample(((first + np.arange(n)) / 3).round(6), xy, SPEC)
    np.testing.assert_allclose(got.xy, xy, atol=1e-4)
    assert got.valid.all()


def test_times_in_whole_milliseconds_cost_no_step() -> None:
    for first in range(3):
        times = ((first + np.arange(18)) / 3).round(3)
        assert len(resample(times, still(times)[1].astype(np.float32), SPEC).time_s) == 18


def test_faster_source_is_interpolated_not_decimated() -> None:
    times = np.arange(300) / 29.97
    xy = np.tile(PLACE, (300, 1, 1)) + (100 * times)[:, None, None]
    got = resample(times, xy.astype(np.float32), SPEC)
    np.testing.assert_allclose(got.xy[:, 0, 0], PLACE[0, 0] + 100 * got.time_s, atol=1e-3)
    np.testing.assert_allclose(got.time_s, np.arange(len(got.time_s)) / 3)


@given(seeds, st.floats(0.05, 0.9))
@settings(max_examples=60, deadline=None)
def test_gaps_are_bridged_up_to_their_limit_and_not_beyond(seed: int, absent: float) -> None:
    rng = np.random.default_rng(seed)
    times = np.arange(60) / 3
    xy = rng.uniform(0, 1900, (60, 13, 2)).astype(np.float32)
    gone = rng.random((60, 13)) < absent
    xy[gone] = np.nan
    got = resample(times, xy, SPEC)
    for joint in range(13):
        known = np.flatnonzero(~gone[:, joint])
        for step in range(60):
            before, after = known[known <= step], known[known >= step]
            bridged = len(before) and len(after) and after[0] - before[-1] <= 3
            assert got.valid[step, joint] == bool(bridged)
            if not len(known):
                assert (got.xy[step, joint] == 0).all()
            elif not bridged:
                nearest = np.abs(known - step).min()
                near = xy[known[np.abs(known - step) == nearest], joint]
                assert (got.xy[step, joint] == near).all(axis=-1).any()


def test_slow_source_is_not_made_up() -> None:
    """A frame every 2 s, and nothing longer than 1 s may be bridged: only its frames are known."""
    times = np.arange(10) * 2.0
    got = resample(times, still(times)[1].astype(np.float32), SPEC)
    assert np.flatnonzero(got.valid[:, 0]).tolist() == list(range(0, 55, 6))


# --- windows ---


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_no_window_is_built_mostly_from_a_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.arange(200) / 3
    seen = np.repeat(rng.random(20) < 0.5, 10)
    if not seen.any():
        return
    result = segment(landmarks({1: still(times[seen])}), SPEC)
    for valid, start in zip(result.windows.valid, result.windows.start_s, strict=True):
        inside = (times >= start - 1e-6) & (times < start + 16 / 3 - 1e-6) & seen
        assert valid.mean() >= 0.5
        # At both ends of a gap a step may lie within a bridge of at most one second.
        assert inside.sum() >= 16 * 0.5 - 4


@given(seeds, st.lists(st.integers(1, 70), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_windows_come_from_one_track_and_all_of_it(seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    people = {}
    for track, n in enumerate(lengths, start=1):
        times = (rng.integers(0, 30) + np.arange(n)) / 3
        people[track] = still(times, PLACE + 1000 * track)
    result = segment(landmarks(people), SPEC, clip_id="c", take="t")
    w = result.windows
    starts = {track: range(0, n - 15, 4) for track, n in enumerate(lengths, start=1)}
    assert len(w) == sum(map(len, starts.values()))
    assert result.dropped.get("too_short", 0) == sum(n < 16 for n in lengths)
    np.testing.assert_allclose(w.x[:, :, 0], PLACE[0, 0] + 1000 * w.track[:, None].repeat(16, 1))
    for track, places in starts.items():
        first = people[track][0][0]
        np.testing.assert_allclose(
            w.start_s[w.track == track], [first + p / 3 for p in places], atol=1e-6
        )
    assert set(w.clip) <= {"c"}
    assert (w.y == -1).all()


def test_bags_and_nobody_give_no_windows() -> None:
    assert len(segment(landmarks({}), SPEC, spans=[]).windows) == 0


def test_track_without_joints_is_counted() -> None:
    times = np.arange(20) / 3
    result = segment(landmarks({1: (times, np.full((20, 13, 2), np.nan))}), SPEC)
    assert result.dropped == {"too_few_landmarks": 2}


# --- labels ---


def test_span_labels_its_actor_and_nobody_else() -> None:
    times = np.arange(48) / 3
    people = {1: still(times), 2: still(times, np.add(PLACE, [400, 0]))}
    w = labelled(people, [Span(0, 16, "theft", around(PLACE))]).windows
    assert set(w.y[w.track == 1]) == {THEFT}
    assert set(w.y[w.track == 2]) == {NORMAL_Y}


def test_label_holds_from_start_to_before_end() -> None:
    times = np.arange(48) / 3
    for start, end in ((16, 32), (0, 16), (17, 33)):
        # Spans stand in the index with four digits: 5.6667 is the frame at 5.666667 s.
        span = Span(round(start / 3, 4), round(end / 3, 4), "theft")
        w = labelled({1: still(times)}, [span], min_share=0).windows
        for y, first in zip(w.y, np.round(w.start_s * 3), strict=True):
            steps = np.arange(first, first + 16)
            inside = ((steps >= start) & (steps < end)).sum()
            assert y == (THEFT if inside >= 8 else NORMAL_Y)


def test_ambiguous_windows_are_dropped_and_counted() -> None:
    result = labelled({1: still(np.arange(48) / 3)}, [Span(8, 16, "theft")], min_share=0.6)
    shares = [np.clip(p + 16 - 24, 0, 16) / 16 for p in range(0, 33, 4)]
    kept = [max(share, 1 - share) >= 0.6 for share in shares]
    assert len(result.windows) == sum(kept)
    assert result.dropped == {"ambiguous": len(kept) - sum(kept)}
    assert result.dropped["ambiguous"] > 0


def test_three_class_run_drops_normal_windows() -> None:
    spans = [Span(8, 16, "theft")]
    result = labelled({1: still(np.arange(48) / 3)}, spans, labels=("theft", "assault", "damage"))
    assert set(result.windows.y) == {0}
    assert result.dropped["label_not_used"] == 4


def test_windows_are_dropped_where_anybody_could_be_the_actor() -> None:
    spans = [Span(8, 12, "theft", Box(0, 0, 5, 5))]
    result = labelled({1: still(np.arange(60) / 3)}, spans)
    starts = result.windows.start_s
    assert len(starts)
    assert ((starts + 15 / 3 < 8) | (starts >= 12)).all()
    assert result.dropped == {"actor_not_found": 12 - len(starts)}
    assert [problem.place for problem in result.problems] == [": 8.00 s"]


def test_what_is_expressly_normal_covers_nothing_abnormal() -> None:
    """In whatever order the two begin."""
    for first, last in ((0, 15), (3, 6)):
        spans = [Span(first, last, NORMAL), Span(2, 16, "theft")]
        w = labelled({1: still(np.arange(48) / 3)}, spans, min_share=0).windows
        assert w.y[w.start_s == 4].tolist() == [THEFT]


def test_ignored_events_are_neither_learned_nor_taken_for_normal() -> None:
    people = {1: still(np.arange(60) / 3), 2: still(np.arange(60) / 3, np.add(PLACE, [400, 0]))}
    result = labelled(people, [Span(9, 11, IGNORED, around(PLACE))], min_share=0)
    own = result.windows.start_s[result.windows.track == 1]
    assert len(own)
    assert ((own + 15 / 3 < 9) | (own >= 11)).all()
    assert result.dropped == {"ignored": 12 - len(own)}
    assert (result.windows.track == 2).sum() == 12
    assert set(result.windows.y) == {NORMAL_Y}


def test_span_survives_a_lost_identity() -> None:
    times = np.arange(60) / 3
    people = {1: still(times[:25]), 9: still(times[26:])}
    w = labelled(people, [Span(1, 20, "theft", around(PLACE))]).windows
    assert set(w.y[w.track == 9]) == {THEFT}


# --- an index ---


def test_everything_is_accounted_for() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(32) / 3
    seen = landmarks({1: (times, acting("theft", times, rng))})
    clips = [
        (clip("a-CA", "theft", "train"), seen),
        (clip("b-CA", NORMAL, "train"), seen),
        (clip("c-CA", "theft", "train"), None),
        (clip("d-CA", "theft", ""), seen),
        (clip("e-CA", "theft", "test"), seen),
        (clip("f-CA", "theft", UNUSED), seen),
    ]
    result = segment_all(clips, SPEC, LABELS, 0.6)
    report = result.report()
    assert report["clips"] == {"train": 2, "val": 0, "test": 1}
    assert report["left_out"] == {"no_landmarks": 1, "unlabelled": 1, "unused": 1}
    assert report["windows"]["train"] == {"theft": 5, "assault": 0, "damage": 0, "normal": 5}
    assert set(result.windows["train"].take) == {"a", "b"}
    warnings = result.check()
    assert "no windows in val" in warnings
    assert "no window of assault in train" in warnings
    assert "no window of normal in test" in warnings


def test_windows_without_a_label_stay_where_they_are_not_learnt_from() -> None:
    """So that thresholds are chosen, and events told, on all that a camera would see."""
    times = np.arange(32) / 3
    halves = [Span(0, 5, "theft")]
    seen = landmarks({1: still(times)})
    clips = [(clip(f"{s}-CA", "theft", s, halves), seen) for s in ("train", "val", "test")]
    result = segment_all(clips, SPEC, LABELS, 0.9)
    unnamed = {split: int((w.y < 0).sum()) for split, w in result.windows.items()}
    assert unnamed["train"] == 0
    assert unnamed["val"] == unnamed["test"] > 0
    assert len(result.windows["val"]) == len(result.windows["train"]) + unnamed["val"]
    assert sum(result.report()["windows"]["val"].values()) == len(result.windows["train"])


def test_poor_landmarks_are_not_learnt_from_but_tested_on() -> None:
    times = np.arange(32) / 3
    rng = np.random.default_rng(0)
    good = landmarks({1: still(times), 2: still(times[:9], PLACE + 300)})
    people = {1: still(times), 2: (times, PLACE + 300 + rng.normal(0, 40, (32, 13, 2)))}
    poor = landmarks(people)
    clips = [(clip(f"{s}-CA", "theft", s), seen) for s in SPLITS for seen in (good, poor)]
    every = segment_all(clips, SPEC, LABELS, 0.6)
    some = segment_all(clips, SPEC, LABELS, 0.6, is_good=lambda track: of_track(track) >= 0.6)
    assert every.dropped == {"too_short": 3}
    assert some.dropped == {"too_short": 3, "poor_quality": 1}
    assert set(every.windows["train"].track) == {1, 2}
    assert set(some.windows["train"].track) == {1}
    for split in ("val", "test"):
        np.testing.assert_array_equal(some.windows[split].x, every.windows[split].x)
        assert set(some.windows[split].track) == {1, 2}


@pytest.mark.parametrize(
    ("splits", "said"),
    [
        (("train", "train"), "no windows in test"),
        (("test", "test"), "no windows in train"),
        (("train", "test"), "all windows in train are theft"),
    ],
)
def test_nothing_to_learn_or_to_test_on_is_an_error(splits: tuple[str, str], said: str) -> None:
    times = np.arange(32) / 3
    seen = landmarks({1: still(times), 2: still(times[:3], PLACE + 300)})
    clips = [(clip(f"{i}-CA", "theft", split), seen) for i, split in enumerate(splits)]
    with pytest.raises(EmptyError, match=said) as caught:
        segment_all(clips, SPEC, LABELS, 0.6).check()
    assert "2 too_short" in str(caught.value)
