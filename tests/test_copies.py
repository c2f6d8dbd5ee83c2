from __future__ import annotations

import shutil
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.people import FIGURE, clip, landmarks
from yololstm.copies import Fingerprint, fingerprint, near_identical
from yololstm.datasets.landmarks_csv import LandmarksCsvReader
from yololstm.errors import Problem
from yololstm.landmarks import Landmarks, Source
from yololstm.material import Material
from yololstm.skeleton import JOINTS

TOLERANCE, SHARE = 0.03, 0.5
ARMS = [
    JOINTS.index(f"{joint}_{side}") for joint in ("ELBOW", "WRIST") for side in ("LEFT", "RIGHT")
]
LEGS = [
    JOINTS.index(f"{joint}_{side}") for joint in ("KNEE", "ANKLE") for side in ("LEFT", "RIGHT")
]

seeds = st.integers(0, 2**32 - 1)


def act(seed: int, time_s: NDArray[np.float64], walks: float = 0.15) -> NDArray[np.float64]:
    """(n, 13, 2) frame heights: somebody who wanders before a shelf and reaches about; the same
    at any rate. Everybody stays around the same place."""
    rng = np.random.default_rng(seed)

    def wander(size: float, fastest_hz: float) -> NDArray[np.float64]:
        rate, phase = rng.uniform(0.05, fastest_hz, (3, 2)), rng.uniform(0, 6, (3, 2))
        waves = np.sin(2 * np.pi * rate * time_s[:, None, None] + phase)
        return np.asarray(size * waves.mean(axis=1))

    xy = np.tile(FIGURE, (len(time_s), 1, 1)) * 0.2
    for joint in ARMS:
        xy[:, joint] += wander(0.15, 0.5)
    for joint in LEGS:
        xy[:, joint] += wander(walks / 3, 0.5)
    return np.asarray(xy + [0.8, 0.5] + wander(walks, 0.15)[:, None])


def seen(
    xy: NDArray[np.float64], time_s: NDArray[np.float64], height: int = 720, fps: int = 3
) -> Landmarks:
    source = Source(height * 16 // 9, height, Fraction(fps), len(time_s), "synthetic")
    return landmarks({1: (time_s - time_s[0], xy * height)}, source)


def film(seed: int, start_s: float = 0, end_s: float = 30, fps: int = 3) -> Landmarks:
    time_s = np.arange(round(start_s * fps), round(end_s * fps)) / fps
    return seen(act(seed, time_s), time_s, fps=fps)


def compare(**films: Landmarks) -> list[Problem]:
    """The names begin with their split: train_a=..., test_b=..."""
    prints = [
        fingerprint(clip(f"{name}-CA", "theft", name.split("_")[0]), seen_)
        for name, seen_ in films.items()
    ]
    return near_identical(prints, TOLERANCE, SHARE)


# --- what is a copy ---


@given(seeds, st.sampled_from([360, 480, 1080]), st.integers(0, 30))
@settings(max_examples=25, deadline=None)
def test_copy_that_is_rescaled_trimmed_and_encoded_anew_is_found(
    seed: int, height: int, trimmed: int
) -> None:
    time_s = np.arange(90) / 3
    shown = act(seed, time_s)
    noise = np.random.default_rng(seed).normal(0, 0.004, shown.shape)
    copy = seen((shown + noise)[trimmed:], time_s[trimmed:], height)
    (found,) = compare(train_a=seen(shown, time_s), test_b=copy)
    assert found.place == "train_a-CA and test_b-CA"
    assert float(found.problem.split()[-3]) == pytest.approx(trimmed / 3, abs=0.11)


@pytest.mark.parametrize("fps", [2, 5, 10, 25, 30])
def test_rate_does_not_matter(fps: int) -> None:
    assert compare(train_a=film(1), test_b=film(1, fps=fps))
    assert compare(test_a=film(1, fps=fps), train_b=film(1, start_s=3))


@given(seeds, st.floats(0.02, 0.31))
@settings(max_examples=10, deadline=None)
def test_no_frame_need_be_in_both(seed: int, shift_s: float) -> None:
    time_s = np.arange(90) / 3
    other_s = time_s + shift_s
    assert compare(
        train_a=seen(act(seed, time_s, walks=0.1), time_s),
        val_b=seen(act(seed, other_s, walks=0.1), other_s),
    )


def test_clips_cut_from_one_film_are_found_where_half_is_in_both() -> None:
    assert compare(train_a=film(1, 0, 20), test_b=film(1, 8, 28))
    assert not compare(train_a=film(1, 0, 20), test_b=film(1, 15, 35))


@pytest.mark.parametrize("lost", [0.05, 0.2])
def test_joints_and_tracks_may_be_lost(lost: float) -> None:
    rng = np.random.default_rng(0)
    copy = film(1)
    copy.xy[rng.random(copy.xy.shape[:2]) < lost] = np.nan
    torn = replace(copy, track=np.where(copy.time_s < 12, 3, 5).astype(np.int32))
    assert compare(train_a=film(1), test_b=torn[rng.random(len(torn)) > lost])


def test_one_of_two_persons_is_not_enough_but_both_are() -> None:
    time_s = np.arange(90) / 3
    a, b, c = (act(seed, time_s) * 720 for seed in (1, 2, 3))

    def both(one: NDArray[np.float64], other: NDArray[np.float64], first: int) -> Landmarks:
        return landmarks({first: (time_s, one), 7: (time_s, np.add(other, [300, 0]))})

    assert compare(train_a=both(a, b, 1), test_b=both(a, b, 9))  # numbers of tracks differ
    found = near_identical(
        [
            fingerprint(clip("a-CA", "theft", "train"), both(a, b, 1)),
            fingerprint(clip("b-CA", "theft", "test"), both(a, c, 1)),
        ],
        TOLERANCE,
        0.7,
    )
    assert not found


def test_every_pair_is_named_once() -> None:
    found = compare(train_a=film(1), train_b=film(1), val_c=film(1), test_d=film(2))
    assert [problem.place for problem in found] == [
        "train_a-CA and val_c-CA",
        "train_b-CA and val_c-CA",
    ]


# --- what is none ---


@given(st.lists(seeds, min_size=8, max_size=8, unique=True))
@settings(max_examples=10, deadline=None)
def test_different_acts_at_one_place_are_not_alike(acts: list[int]) -> None:
    splits = ("train", "test")
    assert not compare(**{f"{splits[i % 2]}_{i}": film(seed) for i, seed in enumerate(acts)})


def test_one_act_at_two_places_is_not_alike() -> None:
    time_s = np.arange(90) / 3
    moved = np.add(act(1, time_s), [0.1, 0])
    assert not compare(train_a=film(1), test_b=seen(moved, time_s))


def test_a_mirror_image_is_another_clip() -> None:
    time_s = np.arange(90) / 3
    assert not compare(
        train_a=film(1), test_b=seen(np.add(act(1, time_s) * [-1, 1], [1.6, 0]), time_s)
    )


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_who_stands_still_is_not_compared(seed: int) -> None:
    rng = np.random.default_rng(seed)
    time_s = np.arange(90) / 3
    still = np.tile(act(1, np.zeros(1)), (90, 1, 1))
    a, b = (seen(still + rng.normal(0, 0.003, still.shape), time_s) for _ in "ab")
    assert not compare(train_a=a, test_b=b)
    assert not fingerprint(clip("a-CA", "theft", "train"), a).is_comparable


@pytest.mark.parametrize("unseen", [["HEAD"], ["SHOULDER_LEFT", "ELBOW_LEFT"], LEGS, ARMS])
def test_some_joints_need_never_be_seen(unseen: list[str | int]) -> None:
    part = film(1)
    joints = [JOINTS.index(joint) if isinstance(joint, str) else joint for joint in unseen]
    part.xy[:, joints] = np.nan
    assert compare(train_a=part, test_b=part)


def test_poses_that_were_guessed_do_not_count() -> None:
    guessed = film(1)
    guessed.confidence[:] = 0.3
    assert not compare(train_a=film(1), test_b=guessed)


def test_clips_of_one_split_may_be_alike() -> None:
    assert not compare(train_a=film(1), train_b=film(1), test_c=film(2))


def test_nobody_and_nothing() -> None:
    nobody = Landmarks.empty(film(1).source)
    nowhere = film(1)
    nowhere.xy[:] = np.nan
    infinite = film(1)
    infinite.xy[:, ARMS] = np.inf
    assert not near_identical([], TOLERANCE, SHARE)
    assert not compare(train_a=nobody, test_b=nobody, val_c=nowhere, test_d=film(1))
    assert len(compare(train_a=film(1), test_b=infinite)) == 1
    assert not compare(train_a=film(1)[:1], test_b=film(1)[:1])


# --- at the size of a data set ---


def test_many_clips_take_seconds() -> None:
    time_s = np.arange(180) / 3
    prints = [crowd(number, time_s) for number in range(400)]
    copy = replace(prints[0], clip_id="copy", split="test", time_s=prints[0].time_s + 3)
    start = time.process_time()
    (found,) = near_identical([*prints, copy], TOLERANCE, SHARE)
    assert time.process_time() - start < 60  # about 1
    assert found.place == "take0-CA and copy"


def crowd(number: int, time_s: NDArray[np.float64]) -> Fingerprint:
    split = ("train", "train", "train", "val", "test")[number % 5]
    return fingerprint(clip(f"take{number}-CA", "theft", split), seen(act(number, time_s), time_s))


# --- on real material ---


def test_real_clips_are_unlike_and_copies_of_them_alike(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "data" / "csv" / "dataedit.csv", tmp_path)
    material, reader = Material(tmp_path, tmp_path / "cache"), LandmarksCsvReader()
    rng = np.random.default_rng(0)
    originals, copies = [], []
    for one in reader.read(material).clips:
        people = reader.landmarks(material, one)
        assert people is not None
        originals.append(fingerprint(replace(one, split=one.clip_id), people))  # each against each
        size = np.ptp(people.box[:, 1::2], axis=1)[:, None, None]
        jittered = people.xy + rng.normal(0, 0.01, people.xy.shape) * size
        copy = replace(people, xy=jittered.astype(np.float32), time_s=people.time_s - 7 / 3)
        copies.append(fingerprint(replace(one, split="copy"), copy[copy.time_s >= 0]))
    assert not near_identical(originals, TOLERANCE, SHARE / 2)
    assert sum(print_.is_comparable for print_ in copies) > 80
    found = near_identical([*originals, *copies], TOLERANCE, SHARE)
    assert [problem.place for problem in found] == sorted(
        f"{print_.clip_id} and {print_.clip_id}" for print_ in copies if print_.is_comparable
    )
