from __future__ import annotations

from dataclasses import replace

import pytest

from tests.people import clip as make_clip
from yololstm import outcomes
from yololstm.clips import NORMAL, Clip, Span
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.outcomes import Outcome
from yololstm.pose.quality import Agreement


@pytest.fixture
def clip() -> Clip:
    return replace(make_clip("a", NORMAL, "train"), spans=(Span(0, 5, "theft"),))


def test_too_many_left_out(clip: Clip) -> None:
    found = [Outcome(clip, 1, 1, 1, 1, None)] * 9
    problem = [Problem("a.mp4", "cut short", "Fetch it again")]
    outcomes.check(found, problem, 0.1)
    with pytest.raises(DataError, match=r"2 of 11 clips.*a\.mp4: cut short"):
        outcomes.check(found, problem * 2, 0.1)
    with pytest.raises(EmptyError, match="none of 1 clips is left"):
        outcomes.check([], problem, 1.0)


def test_report_counts(clip: Clip) -> None:
    other = replace(clip, clip_id="other", split="test", spans=())
    unlabelled = replace(clip, split="")
    found = [
        Outcome(clip, frames=10, persons=8, posed=6, tracks=2, agreement=Agreement(10, 9, 100, 80)),
        Outcome(other, frames=10, persons=0, posed=0, tracks=0, agreement=Agreement(10, 0, 0, 0)),
        Outcome(unlabelled, frames=5, persons=2, posed=2, tracks=1, agreement=None),
    ]
    report = outcomes.report(found, [Problem("b", "x", "y"), Problem("a", "x", "y")])
    assert report == {
        "clips": 3,
        "nobody": 1,
        "frames": 25,
        "persons": 10,
        "landmarks_share": 0.8,
        "tracks": 3,
        "not_compared": [],
        "left_out": [
            {"place": "a", "problem": "x", "remedy": "y"},
            {"place": "b", "problem": "x", "remedy": "y"},
        ],
        "pose": {
            "official": {
                "train": {"person_frames": 10, "found_share": 0.9, "pck02": 0.8},
                "test": {"person_frames": 10, "found_share": 0.0, "pck02": None},
            },
            "label": {
                "theft": {"person_frames": 10, "found_share": 0.9, "pck02": 0.8},
                "normal": {"person_frames": 10, "found_share": 0.0, "pck02": None},
            },
        },
    }


def test_survives_as_text(clip: Clip) -> None:
    outcome = Outcome(clip, 10, 8, 6, 2, Agreement(10, 9, 100, 80), Problem("a.xml", "b", "c"))
    for one in (outcome, replace(outcome, agreement=None, doubt=None)):
        assert Outcome.from_json(clip, one.to_json()) == one
    relabelled = replace(clip, spans=())
    assert Outcome.from_json(relabelled, outcome.to_json()).clip == relabelled
