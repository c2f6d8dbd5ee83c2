from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_rendering import SPEC, annotation, landmarks
from yololstm.landmarks import Landmarks
from yololstm.running import folders, sufficient_fps, summary


def test_each_video_has_a_folder_of_its_name() -> None:
    videos = [Path("a/shop.mp4"), Path("b/door.avi")]
    assert folders(videos, Path("out")) == [Path("out/shop"), Path("out/door")]


@given(st.lists(st.sampled_from(["a.mp4", "b/a.mp4", "A.avi", "a-2.mp4", "a-2-2.mkv"])))
def test_no_two_videos_share_a_folder_even_where_case_does_not_count(names: list[str]) -> None:
    chosen = folders([Path(name) for name in names], Path("out"))
    assert len({str(folder).casefold() for folder in chosen}) == len(names)
    assert {folder.parent for folder in chosen} <= {Path("out")}


def test_enough_frames_for_windows_and_for_eyes() -> None:
    assert sufficient_fps(SPEC) == 10
    assert sufficient_fps(replace(SPEC, fps=15.0)) == 15


def two_tracks() -> Landmarks:
    one = landmarks(range(5, 20), fps=Fraction(5), n_frames=30)
    two = replace(one[:3], track=np.full(3, 2, dtype=np.int32))
    return Landmarks.concatenate([one, two], one.source)


def test_a_summary_names_events_tracks_and_what_they_were_made_of() -> None:
    said = summary(annotation(two_tracks(), theft=(0.2, 0.8, 0.9)))
    assert said["labels"] == ["theft", "assault", "normal"]
    (event,) = said["events"]
    assert (event["label"], event["track"], event["start_s"], event["end_s"]) == (
        *("theft", 1, 1.0, 4.0),
    )
    assert event["raised_s"] == 3.0
    assert said["rule"]["enter"] == {"theft": 0.5}
    assert said["frames"] == {"count": 30, "fps": 5.0, "backend": "test"}
    assert (said["windows"]["count"], said["windows"]["length"]) == (3, SPEC.length)
    assert [(t["track"], t["start_s"], t["end_s"], t["windows"]) for t in said["tracks"]] == [
        *[(1, 1.0, 3.8, 3), (2, 1.0, 1.4, 0)],
    ]
    assert said["tracks"][0]["probability"]["theft"] == pytest.approx(1.9 / 3)
    assert said["tracks"][1]["probability"] == {}


def test_a_summary_of_nobody_is_json_too() -> None:
    nobody = landmarks([], fps=Fraction(5), n_frames=30)
    said = summary(annotation(nobody, theft=()))
    assert (said["events"], said["tracks"]) == ([], [])
    json.dumps(said, allow_nan=False)
