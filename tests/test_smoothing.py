from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.people import FIGURE, acting, landmarks
from yololstm.landmarks import Landmarks
from yololstm.smoothing import MAX_GAP_S, OneEuro, smooth

PLACE = FIGURE * 100 + [500, 400]
KINDS = ["one_euro", "savgol"]
seeds = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(KINDS)


def uneven(rng: np.random.Generator, n: int, fps: float) -> NDArray[np.float64]:
    return rng.uniform(0, 10) + np.cumsum(rng.uniform(0.6, 1.4, n)) / fps


def person(times: NDArray[np.float64], xy: NDArray[np.float64], height: float = 310) -> Landmarks:
    """In a box that does not move."""
    one = landmarks({1: (times, xy)})
    half = np.array([height / 6, height / 2])
    box = np.concatenate([PLACE.mean(axis=0) - half, PLACE.mean(axis=0) + half])
    return replace(one, box=np.tile(box.astype(np.float32), (len(one), 1)))


@given(seeds, kinds, st.sampled_from([3.0, 10.0, 30.0]))
@settings(max_examples=40, deadline=None)
def test_who_stands_still_stays(seed: int, kind: str, fps: float) -> None:
    times = uneven(np.random.default_rng(seed), 40, fps)
    still = person(times, np.tile(PLACE, (40, 1, 1)))
    np.testing.assert_array_equal(smooth(still, kind).xy, still.xy)


@given(seeds, kinds, st.sampled_from([12.0, 30.0]))
@settings(max_examples=20, deadline=None)
def test_noise_is_reduced(seed: int, kind: str, fps: float) -> None:
    rng = np.random.default_rng(seed)
    times = uneven(rng, 120, fps)
    true = np.tile(PLACE, (120, 1, 1))
    noisy = person(times, true + rng.normal(0, 3, true.shape))
    error = np.square(smooth(noisy, kind).xy - true)[10:].mean()
    assert error < 0.7 * np.square(noisy.xy - true)[10:].mean()


@given(seeds, st.sampled_from([3.0, 10.0, 30.0]))
@settings(max_examples=30, deadline=None)
def test_savgol_does_not_delay(seed: int, fps: float) -> None:
    """Neither a walk nor what gets faster."""
    rng = np.random.default_rng(seed)
    times = uneven(rng, 60, fps)
    since = (times - times[0])[:, None, None]
    speed, faster = rng.uniform(-300, 300, (2, 13, 2))
    walk = person(times, PLACE + speed * since + faster * since**2)
    np.testing.assert_allclose(smooth(walk, "savgol").xy, walk.xy, atol=2e-2)


@given(seeds, kinds, st.floats(0.1, 0.9))
@settings(max_examples=30, deadline=None)
def test_what_is_absent_stays_absent_and_all_else_as_it_is(
    seed: int, kind: str, absent: float
) -> None:
    rng = np.random.default_rng(seed)
    xy = np.tile(PLACE, (50, 1, 1)) + rng.normal(0, 5, (50, 13, 2))
    xy[rng.random((50, 13)) < absent] = np.nan
    seen = person(uneven(rng, 50, 20), xy)
    got = smooth(seen, kind)
    np.testing.assert_array_equal(np.isnan(got.xy), np.isnan(seen.xy))
    assert got.xy.dtype == np.float32
    assert np.isfinite(got.xy).any()
    for name in ("frame", "time_s", "category", "track", "score", "box", "confidence"):
        assert getattr(got, name) is getattr(seen, name)
    assert got.source is seen.source


@given(seeds, kinds, st.floats(0.2, 4), st.floats(-300, 300))
@settings(max_examples=30, deadline=None)
def test_near_and_far_are_treated_alike(seed: int, kind: str, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    times = uneven(rng, 60, 20)
    near = person(times, acting("assault", times, rng))
    moved = (near.xy * scale + shift).astype(np.float32)
    far = replace(near, xy=moved, box=(near.box * scale + shift).astype(np.float32))
    expected = smooth(near, kind).xy * scale + shift
    np.testing.assert_allclose(smooth(far, kind).xy, expected, atol=0.05)


@given(seeds, kinds)
@settings(max_examples=20, deadline=None)
def test_persons_are_smoothed_each_for_themselves(seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    people = {}
    for track in (1, 2, 3):
        times = uneven(rng, 40, 20)
        people[track] = times, acting("theft", times, rng)
    together = smooth(landmarks(people), kind)
    for track, one in together.tracks():
        alone = smooth(landmarks({track: people[track]}), kind)
        np.testing.assert_array_equal(one.xy, alone.xy)
    renamed = smooth(landmarks({4 - track: who for track, who in people.items()}), kind)
    for track, one in renamed.tracks():
        np.testing.assert_array_equal(one.xy, together[together.track == 4 - track].xy)


@pytest.mark.parametrize("kind", KINDS)
def test_no_gap_is_bridged(kind: str) -> None:
    """Who was away for longer is there at once; else both sides know of each other."""
    rng = np.random.default_rng(0)
    for gap, same in ((MAX_GAP_S + 0.02, True), (MAX_GAP_S / 4, False)):
        times = np.concatenate([np.arange(30) / 30, 29 / 30 + gap + np.arange(30) / 30])
        xy = np.tile(PLACE, (60, 1, 1)) + rng.normal(0, 2, (60, 13, 2))
        xy[30:] += 40
        whole = smooth(person(times, xy), kind).xy
        halves = [smooth(person(times[i], xy[i]), kind).xy for i in (slice(30), slice(30, 60))]
        assert np.array_equal(whole, np.concatenate(halves)) == same


@pytest.mark.parametrize("kind", KINDS)
def test_a_joint_that_was_hidden_starts_anew(kind: str) -> None:
    times = np.arange(60) / 30
    xy = np.tile(PLACE, (60, 1, 1))
    xy[20:45, 2] = np.nan
    xy[45:, 2] += 50
    got = smooth(person(times, xy), kind)
    np.testing.assert_array_equal(got.xy, person(times, xy).xy)


def test_three_frames_a_second_are_left_as_they_are_by_savgol() -> None:
    """A step is no noise there."""
    rng = np.random.default_rng(0)
    times = np.arange(40) / 3
    seen = person(times, acting("assault", times, rng))
    np.testing.assert_array_equal(smooth(seen, "savgol").xy, seen.xy)


def test_one_euro_frame_by_frame_and_never_ahead() -> None:
    rng = np.random.default_rng(0)
    times = uneven(rng, 60, 15)
    xy = acting("theft", times, rng)
    xy[rng.random((60, 13)) < 0.1] = np.nan
    seen = person(times, xy)
    live = OneEuro()
    height = seen.box[:, 3] - seen.box[:, 1]
    for row, batch in enumerate(smooth(seen, "one_euro").xy):
        got = live.update(seen.time_s[row], seen.xy[row], height[row])
        np.testing.assert_array_equal(got, batch)
        until = smooth(seen[: row + 1], "one_euro").xy[-1]
        np.testing.assert_array_equal(until, batch)


def test_one_euro_follows_the_fast_more_closely() -> None:
    """Of the way to where a joint jumps, more is gone the farther it jumps."""
    gone = []
    for jump in (1.0, 30.0, 300.0):
        live = OneEuro()
        for frame in range(10):
            live.update(frame / 30, PLACE, 310)
        gone.append(
            float((live.update(10 / 30, np.add(PLACE, [jump, 0]), 310) - PLACE)[0, 0]) / jump
        )
    assert gone[0] < gone[1] < gone[2] < 1


def test_one_euro_stays_where_no_time_has_passed() -> None:
    """Two frames with one time, as cameras send them now and then."""
    live, undisturbed = OneEuro(), OneEuro()
    for frame in range(10):
        moved = np.add(PLACE, [5 * frame, 0])
        was = undisturbed.update(frame / 30, moved, 310)
        np.testing.assert_array_equal(live.update(frame / 30, moved, 310), was)
        np.testing.assert_array_equal(live.update(frame / 30, moved + 90, 310), was)


def test_none_changes_nothing_and_others_are_refused() -> None:
    seen = person(np.arange(5) / 3, np.tile(PLACE, (5, 1, 1)))
    assert smooth(seen, "none") is seen
    with pytest.raises(ValueError, match="median"):
        smooth(seen, "median")
    for kind in KINDS:
        assert len(smooth(landmarks({}), kind)) == 0
