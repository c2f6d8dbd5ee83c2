from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from yololstm import indexing
from yololstm.catalogue import Found
from yololstm.clips import Clip, Span
from yololstm.errors import DataError, EmptyError, Problem

LABELS = ("theft", "assault", "normal")


def clip(take: str, label: str, split: str = "train", camera: str = "CA", **more: Any) -> Clip:
    spans = () if label == "normal" else (Span(0.0, 10.0, label),)
    return replace(
        Clip(f"{take}_{camera}", "p", "0", 1, Fraction(3), 30, 64, 48, take, camera, split, spans),
        **more,
    )


def takes(n: int, split: str = "train", labels: Sequence[str] = LABELS) -> list[Clip]:
    return [
        clip(f"{split} {label} {i}", label, split, camera)
        for label in labels
        for i in range(n)
        for camera in ("CA", "CB")
    ]


def found(clips: list[Clip], n_problems: int = 0, n_unmapped: int = 0) -> Found:
    return Found(
        clips,
        [Problem(f"{i}.xml:3", "broken", "Mend it") for i in range(n_problems)],
        [Problem(f"{i}.xml:4", "fall", "Map it") for i in range(n_unmapped)],
    )


def build(clips: list[Clip] | Found, labels: Sequence[str] = LABELS, **more: Any) -> list[Clip]:
    given = clips if isinstance(clips, Found) else found(clips)
    shares = {"val_share": 0.2, "test_share": 0.2, "seed": 0, "max_left_out": 0.1}
    return indexing.build(given, labels=labels, **shares | more)


def n_of(clips: list[Clip], split: str) -> int:
    return sum(clip.split == split for clip in clips)


def test_clips_are_ordered_and_every_label_is_in_every_split() -> None:
    clips = build(takes(5)[::-1])
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in takes(5))
    for split in ("val", "test"):
        assert n_of(clips, split) == 3 * 2
        assert indexing.gaps(clips, LABELS, split) == []


def test_official_test_stays_and_val_comes_out_of_train() -> None:
    clips = build(takes(5) + takes(2, "test"))
    assert {clip.take for clip in clips if clip.split == "test"} == {
        clip.take for clip in takes(2, "test")
    }
    assert n_of(clips, "val") == 6


def test_official_val_stays() -> None:
    clips = build(takes(5) + takes(1, "val"))
    assert n_of(clips, "val") == 6
    assert n_of(clips, "test") == 6


def test_the_order_in_which_clips_were_found_is_of_no_account() -> None:
    assert build(takes(5)) == build(takes(5)[::-1])


def test_nothing_found_is_an_error_that_says_why() -> None:
    with pytest.raises(EmptyError, match=r"no clip was found\. Check data\.kind"):
        build([])
    with pytest.raises(EmptyError, match=r"0.xml:3: broken; .*; and 4 more"):
        build(found([], n_problems=5, n_unmapped=2))


def test_too_many_faults_are_an_error() -> None:
    clips = takes(3)
    assert build(found(clips, n_problems=2))
    with pytest.raises(DataError, match=r"3 of 21 have faults \(14%\), more than .*\(10%\)"):
        build(found(clips, n_problems=3))


def test_events_without_a_label_are_no_faults() -> None:
    assert build(found(takes(3), n_unmapped=99))


def test_label_that_params_do_not_name_is_an_error() -> None:
    with pytest.raises(DataError, match="labelled assault, which labels does not name"):
        build(takes(3), labels=("theft", "normal"))


def test_normal_need_not_be_a_label() -> None:
    assert build(takes(3), labels=("theft", "assault"))


def test_take_on_both_sides_is_an_error_that_names_it() -> None:
    torn = [clip("t1", "theft", "train", "CA"), clip("t1", "theft", "test", "CB")]
    with pytest.raises(DataError, match="t1: clips of this take stand in test and train"):
        build(takes(5) + torn)


def test_label_missing_from_train_or_test_is_an_error() -> None:
    with pytest.raises(DataError, match="train has no clip of damage; test has no clip of damage"):
        build(takes(3), labels=(*LABELS, "damage"))
    with pytest.raises(DataError, match=r"test has no clip of assault\. "):
        build(takes(3) + takes(1, "test", ["theft", "normal"]))


def test_label_missing_from_val_is_told() -> None:
    clips = build(takes(2))
    assert indexing.gaps(clips, LABELS, "val") == [f"val has no clip of {x}" for x in LABELS]


def test_time_outside_of_spans_is_normal() -> None:
    clips = [replace(clip, spans=(Span(3.0, 6.0, "theft"),)) for clip in takes(3, labels=["theft"])]
    assert build(clips, labels=["theft", "normal"])
    with pytest.raises(DataError, match="train has no clip of normal"):
        build(takes(3, labels=["theft"]), labels=["theft", "normal"])


def test_data_without_labels_are_indexed() -> None:
    clips = [clip("t", "normal", split="")]
    assert build(clips) == clips


def test_take_whose_cameras_differ_counts_as_abnormal() -> None:
    """One camera may not see the event; the take goes where takes of the event go."""
    mixed = [
        clip(f"m{i}", label, camera=c)
        for i in range(3)
        for c, label in (("CA", "normal"), ("CB", "theft"))
    ]
    clips = build(mixed, labels=["theft"])
    assert {clip.split for clip in clips} == {"train", "val", "test"}


def test_report_counts() -> None:
    given = found([*takes(3, labels=["theft"]), clip("u", "normal", "")], 1, 1)
    report = indexing.report(given, build(given, labels=["theft"], max_left_out=0.5))
    assert report == {
        "clips": {
            "train": {"theft": 2},
            "val": {"theft": 2},
            "test": {"theft": 2},
            "unlabelled": {"unlabelled": 1},
        },
        "takes": {
            "train": {"theft": 1},
            "val": {"theft": 1},
            "test": {"theft": 1},
            "unlabelled": {"unlabelled": 1},
        },
        "cameras": {"CA": 4, "CB": 3},
        "hours": pytest.approx(70 / 3600),
        "left_out": 2,
        "left_out_for_faults": 1,
        "problems": [
            {"place": "0.xml:3", "problem": "broken", "remedy": "Mend it"},
            {"place": "0.xml:4", "problem": "fall", "remedy": "Map it"},
        ],
    }


def test_summary_is_one_line() -> None:
    given = found(takes(3), 1, 1)
    assert indexing.summary(given, build(given)) == (
        "18 clips of 9 takes (6 train, 6 val, 6 test); 2 left out"
    )
