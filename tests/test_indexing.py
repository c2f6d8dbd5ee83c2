from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.test_census import LABELS, clip
from yololstm import indexing
from yololstm.catalogue import Found
from yololstm.clips import IGNORED, UNLABELLED, Clip
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.material import Material


def takes(n: int, labels: tuple[str, ...] = LABELS) -> list[Clip]:
    return [
        clip(f"{store}-{label}-{i}", label, camera, store)
        for store in ("DYA", "SMA")
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


def build(given: Found, labels: tuple[str, ...] = LABELS) -> list[Clip]:
    return indexing.build(given, labels=labels, max_left_out=0.1)


# --- what stops it ---


def test_clips_are_ordered() -> None:
    clips = build(found(takes(5)[::-1]))
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in takes(5))


def test_nothing_found_is_an_error_that_says_why() -> None:
    with pytest.raises(EmptyError, match=r"no clip was found\. Check data\.kind"):
        build(found([]))
    with pytest.raises(EmptyError, match=r"0.xml:3: broken; .*; and 4 more"):
        build(found([], n_problems=5, n_unmapped=2))


def test_too_many_faults_are_an_error() -> None:
    clips = takes(3)[:18]
    assert build(found(clips, n_problems=2)) == sorted(clips, key=lambda clip: clip.clip_id)
    with pytest.raises(DataError, match=r"3 of 21 have faults \(14%\), more than .*\(10%\)"):
        build(found(clips, n_problems=3))


@pytest.mark.parametrize("clips", [takes(3), []])
def test_what_could_not_be_opened_is_an_error_whatever_the_limit(clips: list[Clip]) -> None:
    hidden = [Problem(f"{i}.zip", "the zip is empty", "Fetch it") for i in range(3)]
    for n, others in ((1, ""), (3, "; and 2 more such")):
        told = f"0.zip: the zip is empty, so that nobody knows what is missing{others}. Fetch it."
        with pytest.raises(DataError, match=re.escape(told)):
            indexing.build(Found(clips, [], unreadable=hidden[:n]), labels=LABELS, max_left_out=1)


def test_events_without_a_label_are_no_faults() -> None:
    assert len(build(found(takes(3), n_unmapped=99))) == 36


def test_label_that_params_do_not_name_is_an_error() -> None:
    with pytest.raises(DataError, match="labelled assault, which labels does not name"):
        build(found(takes(3)), labels=("theft", "normal"))


def test_normal_need_not_be_a_label_and_ignored_is_none() -> None:
    clips = [*takes(3), clip("fall", IGNORED)]
    assert len(build(found(clips), labels=("theft", "assault"))) == 37


def test_data_without_labels_are_indexed() -> None:
    clips = [clip("t", "normal", split=UNLABELLED)]
    assert build(found(clips)) == clips


# --- what is told ---


def examined(given: Found) -> Found:
    return indexing.examined(given, LABELS)


def test_doubts_stand_among_the_warnings_of_the_reader() -> None:
    readers = Problem("b.mp4", "odd", "Look")
    clips = [*takes(2), clip("t", "theft", "CA"), clip("t", "normal", "CB")]
    warnings = examined(Found(clips, [], [], [readers])).warnings
    assert [warning.place for warning in warnings] == ["t_CA.mp4", "b.mp4"]


def test_json_counts_and_lists() -> None:
    told: Any = indexing.as_json(examined(found([*takes(1), clip("a", "theft")], 1, 2)), LABELS)
    assert (told["clips"], told["takes"], told["left_out"]) == (13, 7, 3)
    assert told["left_out_for_faults"] == 1
    assert told["problems"] == [{"place": "0.xml:3", "problem": "broken", "remedy": "Mend it"}]
    assert [problem["place"] for problem in told["unmapped"]] == ["0.xml:4", "1.xml:4"]
    assert told["warnings"] == told["unreadable"] == []
    assert told["views"]["theft"] == {"DYA": {"CA": 2, "CB": 1}, "SMA": {"CA": 1, "CB": 1}}


def test_json_is_the_same_in_whatever_order_clips_were_found() -> None:
    one, other = takes(3), takes(3)[::-1]
    texts = {
        json.dumps(indexing.as_json(examined(found(clips)), LABELS), sort_keys=True, indent=1)
        for clips in (one, other)
    }
    assert len(texts) == 1


def test_html_names_the_folder_and_not_where_it_lies(tmp_path: Path) -> None:
    root = tmp_path / "<b>shop"
    root.mkdir()
    page = indexing.as_html(examined(found(takes(1), 1)), LABELS, Material(root, tmp_path / "c"))
    assert "<h1>&lt;b&gt;shop</h1>" in page
    assert str(tmp_path) not in page
    assert page.count("no picture: no such file") == 9


def test_of_many_things_of_a_kind_the_first_are_told() -> None:
    problems = found([], 23).problems
    told = indexing.told(problems)
    assert len(told) == 20 + 1
    assert told[0] == "0.xml:3: broken. Mend it."
    assert told[20] == "and 3 more such, which the report lists"
    assert indexing.told(problems[:20]) == told[:20]
    assert indexing.told([]) == []


def test_summary_is_one_line() -> None:
    given = found(takes(3), 1, 1)
    told = "36 clips of 18 takes; 2 left out"
    assert indexing.summary(given) == told
    unreadable = [Problem("a.zip", "the zip is empty", "Fetch it")]
    assert indexing.summary(replace(given, unreadable=unreadable)) == f"{told}; 1 not opened"
