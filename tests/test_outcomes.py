from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.people import acting, landmarks
from tests.people import clip as make_clip
from yololstm import outcomes
from yololstm.agreement import Agreement
from yololstm.clips import NORMAL, Clip, Span
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.outcomes import Outcome
from yololstm.quality import Tally


@pytest.fixture
def clip() -> Clip:
    return replace(make_clip("a", NORMAL, "train"), spans=(Span(0, 5, "theft"),))


def test_too_many_left_out(clip: Clip) -> None:
    found = [Outcome(clip, 1, Tally(persons=1), None)] * 9
    problem = [Problem("a.mp4", "cut short", "Fetch it again")]
    outcomes.check(found, problem, 0.1)
    with pytest.raises(DataError, match=r"2 of 11 clips.*a\.mp4: cut short"):
        outcomes.check(found, problem * 2, 0.1)
    with pytest.raises(EmptyError, match="none of 1 clips is left"):
        outcomes.check([], problem, 1.0)


def test_summary_says_where_a_detector_knows_nobody(clip: Clip) -> None:
    somebody, nobody = (Outcome(clip, 1, Tally(persons=n), None) for n in (1, 0))
    problem = [Problem("a.mp4", "cut short", "Fetch it again")]
    found = outcomes.summary([somebody, somebody, nobody], problem, by_detector=True)
    assert found == "3 clips; 1 left out; nobody in 1"
    assert "detector.weights" in outcomes.summary([somebody, nobody], [], by_detector=True)
    assert "detector.weights" not in outcomes.summary([nobody] * 2, [], by_detector=False)
    assert "detector.weights" not in outcomes.summary([], problem, by_detector=True)


def test_report_counts(clip: Clip) -> None:
    other = replace(clip, clip_id="other", split="test", spans=())
    unlabelled = replace(clip, clip_id="unlabelled", split="")
    seen = Tally(persons=8, posed=6, tracks=2, broken=1, joints=78, confidence=39.0, quality=4.0)
    steps = Tally(persons=2, posed=2, tracks=1, joints=13, confidence=13, steps=4, swapped=1)
    found = [
        Outcome(clip, 10, seen, Agreement(10, 9, 100, 80)),
        Outcome(other, 10, Tally(), Agreement(10, 0, 0, 0)),
        Outcome(unlabelled, 5, steps, None),
    ]
    report = outcomes.report(found, [Problem("b", "x", "y"), Problem("a", "x", "y")])
    quality = report.pop("quality")
    assert report == {
        "clips": 3,
        "nobody": 1,
        "frames": 25,
        "persons": 10,
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
    assert quality["all"] == {
        "landmarks_share": 0.8,
        "joints_share": 91 / (8 * 13),
        "confidence": 52 / 91,
        "broken_share": 1 / 3,
        "swapped_share": 0.25,
        "bone_spread": None,
        "quality": 0.4,
    }
    assert quality["all"] == quality["label"]["theft"]
    assert set(quality["label"]["normal"].values()) == {None}
    assert quality["worst"] == [
        {"clip": "unlabelled", **steps.report()},
        {"clip": clip.clip_id, **seen.report()},
    ]


def test_few_clips_are_named_the_worst_first(clip: Clip) -> None:
    found = [
        Outcome(replace(clip, clip_id=f"{i}"), 1, Tally(persons=10, quality=i % 8), None)
        for i in range(20)
    ]
    worst = outcomes.report(found, [])["quality"]["worst"]
    assert [row["clip"] for row in worst] == ["0", "16", "8", "1", "17"]


def test_survives_as_text(clip: Clip) -> None:
    rng = np.random.default_rng(0)
    times = np.arange(45) / 3
    seen = Outcome.of(clip, landmarks({1: (times, acting("theft", times, rng))}))
    assert (seen.frames, seen.tally.persons, seen.agreement) == (60, 45, None)
    agreement, doubt = Agreement(10, 9, 100, 80), Problem("a.xml", "b", "c")
    outcome = replace(seen, agreement=agreement, doubt=doubt)
    for one in (outcome, replace(outcome, agreement=None, doubt=None)):
        assert Outcome.from_json(clip, one.to_json()) == one
    relabelled = replace(clip, spans=())
    assert Outcome.from_json(relabelled, outcome.to_json()).clip == relabelled
