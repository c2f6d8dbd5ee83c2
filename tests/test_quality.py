from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.people import FIGURE, SOURCE, acting, landmarks
from yololstm.landmarks import Landmarks
from yololstm.quality import Tally, of_track, tally
from yololstm.skeleton import FLIP, JOINTS

TIMES = np.arange(45) / 3
PLACE = FIGURE * 100 + [500, 400]
seeds = st.integers(0, 2**32 - 1)


def still(times: np.ndarray = TIMES, noise: float = 0.0, seed: int = 0) -> Landmarks:
    xy = np.tile(PLACE, (len(times), 1, 1))
    return landmarks({1: (times, xy + np.random.default_rng(seed).normal(0, noise, xy.shape))})


def with_xy(track: Landmarks, xy: np.ndarray) -> Landmarks:
    known = np.isfinite(xy[..., 0])
    return replace(track, xy=xy, confidence=np.where(known, track.confidence, 0))


def test_perfect_landmarks() -> None:
    perfect = still()
    assert of_track(perfect) == pytest.approx(1)
    assert tally(perfect).report() == {
        "landmarks_share": 1.0,
        "joints_share": 1.0,
        "confidence": 1.0,
        "broken_share": 1.0,
        "swapped_share": 0.0,
        "bone_spread": pytest.approx(0, abs=1e-6),
        "quality": pytest.approx(1),
    }


def test_quality_is_the_product_of_its_parts() -> None:
    track = still()
    xy = track.xy.copy()
    xy[:9] = np.nan
    xy[9:, JOINTS.index("HEAD")] = np.nan
    track = with_xy(replace(track, confidence=np.full_like(track.confidence, 0.75)), xy)
    xy[20:25] = xy[20:25, FLIP]
    seen = tally(track)
    assert (seen.persons, seen.posed, seen.joints) == (45, 36, 36 * 12)
    assert (seen.steps, seen.swapped) == (35, 2)
    assert of_track(track) == pytest.approx(36 / 45 * 12 / 13 * 0.75 * 33 / 35, rel=1e-5)


@given(seeds, st.sampled_from(["joints", "confidence", "noise", "swaps"]))
@settings(max_examples=40, deadline=None)
def test_whatever_gets_worse_lowers_it(seed: int, what: str) -> None:
    rng = np.random.default_rng(seed)
    track = still(noise=2.0, seed=seed)
    xy, confidence = track.xy.copy(), track.confidence.copy()
    rows = rng.permutation(45)[:10]
    if what == "joints":
        xy[rows, rng.integers(0, 13, 10)] = np.nan
    elif what == "confidence":
        confidence[rows] *= 0.5
    elif what == "noise":
        xy += rng.normal(0, 12, xy.shape).astype(np.float32)
    else:
        xy[rows] = xy[rows][:, FLIP]
    assert of_track(with_xy(replace(track, confidence=confidence), xy)) < of_track(track)


def test_nobody_posed_has_none() -> None:
    lost = with_xy(still(), np.full((45, 13, 2), np.nan, np.float32))
    assert of_track(lost) == 0
    assert tally(lost).report()["confidence"] is None
    assert set(tally(landmarks({})).report().values()) == {None}


# --- swaps ---


def test_a_swap_is_told_where_it_begins_and_where_it_ends() -> None:
    walking = still().xy + (40 * TIMES[:, None, None]).astype(np.float32)
    walking[10:13] = walking[10:13, FLIP]
    walking[30] = walking[30, FLIP]
    assert tally(with_xy(still(), walking)).swapped == 4


@pytest.mark.parametrize("label", ["theft", "assault", "damage", "normal"])
def test_nothing_that_people_do_is_a_swap(label: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        seen = tally(landmarks({1: (TIMES, acting(label, TIMES, rng))}))
        assert (seen.steps, seen.swapped) == (44, 0)


def test_turning_round_is_no_swap() -> None:
    """In a second and a half, at 3 frames a second: by way of the profile."""
    turn = np.clip((TIMES - 5) / 1.5, 0, 1) * np.pi
    xy = np.tile(FIGURE, (45, 1, 1))
    xy[..., 0] *= np.cos(turn)[:, None]
    assert tally(landmarks({1: (TIMES, xy * 100 + [500, 400])})).swapped == 0


def test_rows_far_apart_are_no_step() -> None:
    assert tally(still(np.arange(10) * 1.5)).steps == 0


# --- bones, and ends ---


@given(st.floats(0.2, 5), st.floats(-500, 500))
@settings(max_examples=30, deadline=None)
def test_bones_are_measured_in_torsos(scale: float, shift: float) -> None:
    here = still(noise=3.0)
    there = with_xy(here, (here.xy * scale + shift).astype(np.float32))
    assert tally(there).spread == pytest.approx(tally(here).spread, rel=1e-3)


def test_spread_is_of_bones_not_of_the_person() -> None:
    """Who comes nearer has steady bones; the more noise, the less steady."""
    nearer = np.tile(FIGURE, (45, 1, 1)) * np.linspace(50, 300, 45)[:, None, None]
    assert tally(landmarks({1: (TIMES, nearer)})).spread == pytest.approx(0, abs=1e-4)
    spreads = [tally(still(noise=noise)).spread for noise in (0, 1, 3, 9)]
    assert spreads == sorted(set(spreads))


@pytest.mark.parametrize(
    ("last_s", "x", "broken"), [(10, 500, 1), (19, 500, 0), (19.5, 500, 0), (10, 52, 0)]
)
def test_a_track_breaks_off_early_and_inside_the_picture(
    last_s: float, x: float, broken: int
) -> None:
    """The clip has 60 frames at 3 a second."""
    times = np.arange(0, last_s + 0.01, 1 / 3)
    xy = np.tile(FIGURE * 100 + [x, 400], (len(times), 1, 1))
    assert tally(landmarks({1: (times, xy)})).broken == broken


# --- sums ---


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_counts_add_up_over_tracks_and_clips(seed: int) -> None:
    rng = np.random.default_rng(seed)
    people = {
        track: (TIMES, acting(str(rng.choice(["theft", "assault"])), TIMES, rng))
        for track in (1, 2, 3)
    }
    parts = [landmarks({track: person}) for track, person in people.items()]
    assert tally(landmarks(people)) == sum((tally(part) for part in parts), Tally())
    mean = np.mean([of_track(part) for part in parts])
    assert tally(landmarks(people)).report()["quality"] == pytest.approx(mean)


def test_bags_are_no_persons() -> None:
    track = still()
    bags = replace(track, category=np.ones_like(track.category))
    both = Landmarks.concatenate([track, bags], replace(SOURCE, fps=Fraction(3)))
    assert tally(both) == tally(track)
