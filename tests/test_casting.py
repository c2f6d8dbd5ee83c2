from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.people import acting, around, clip, landmarks
from yololstm import storage
from yololstm.casting import read_casts, unseen
from yololstm.clips import Span


def test_casts_are_those_whom_the_boxes_point_at(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = np.arange(30) / 3
    thief = acting("theft", times, rng)
    bystander = acting("normal", times, rng) + np.array([700, 0])
    seen = landmarks({1: (times, bystander), 2: (times, thief)})
    pointed = Span(2.0, 6.0, "theft", around(thief[6]))
    anybody = Span(2.0, 6.0, "theft")
    nobody = Span(2.0, 6.0, "theft", around(thief[6] + 5000))
    clips = [
        clip("a-CA", "theft", "test", [pointed, anybody]),
        clip("b-CA", "theft", "test", [nobody]),
        clip("c-CA", "theft", "test", [pointed]),  # has no landmarks
    ]
    for name in ("a-CA", "b-CA"):
        storage.write_landmarks(tmp_path / f"{name}.parquet", seen)
    assert read_casts(clips, tmp_path) == {
        ("a-CA", pointed): frozenset({2}),
        ("b-CA", nobody): frozenset(),
    }


def test_a_clip_without_landmarks_is_unseen_and_one_without_people_is_not(tmp_path: Path) -> None:
    clips = [clip(f"{name}-CA", "theft", "test") for name in "abc"]
    nobody = landmarks({})
    for name in ("a-CA", "c-CA", "other-CA"):
        storage.write_landmarks(tmp_path / f"{name}.parquet", nobody)
    assert unseen(clips, tmp_path) == {"b-CA"}
