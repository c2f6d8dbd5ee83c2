from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.people import LABELS, clip
from yololstm import leaks
from yololstm.clips import IGNORED, NORMAL, SPLITS, UNLABELLED, UNUSED, Clip, Span
from yololstm.errors import DataError, Problem
from yololstm.windows import Windows, WindowSpec

SPEC = WindowSpec(fps=3, length=4, hop=2, max_gap_s=1.0, min_valid=0.5)


def at(name: str, label: str, store: str, camera: str = "CA", split: str = "train") -> Clip:
    return replace(clip(name, label, split), store=store, camera=camera)


def windows(*people: tuple[str, int], take: str | None = None) -> Windows:
    """One window of each (clip, track)."""
    n = len(people)
    return Windows(
        x=np.zeros((n, 4, 26), dtype=np.float32),
        valid=np.ones((n, 4, 13), dtype=np.bool_),
        y=np.zeros(n, dtype=np.int64),
        clip=np.array([name for name, _ in people], dtype=np.str_),
        take=np.array([take or name.rsplit("-")[0] for name, _ in people], dtype=np.str_),
        track=np.array([track for _, track in people], dtype=np.int32),
        start_s=np.zeros(n),
        spec=SPEC,
    )


def places(problems: Iterable[Problem]) -> list[str]:
    return [problem.place for problem in problems]


# --- takes and bytes ---


def test_torn_take_names_splits_and_clips() -> None:
    cameras = [clip(f"scene-C{n}", "theft", "train") for n in "ABDEF"]
    (found,) = leaks.torn_takes([*cameras, clip("scene-CC", "theft", "test")])
    assert found.place == "scene"
    assert found.problem == (
        "this take is in train (scene-CA, scene-CB, scene-CD and 2 more) and test (scene-CC)"
    )
    assert "data.official" in found.remedy


@pytest.mark.parametrize("aside", [UNUSED, UNLABELLED])
def test_what_is_aside_tears_no_take_and_copies_nothing(aside: str) -> None:
    clips = [clip("scene-CA", "theft", "train"), clip("scene-CB", "theft", aside)]
    assert leaks.torn_takes(clips) == leaks.identical(clips) == []
    assert not leaks.torn_takes([clips[0], replace(clips[1], split="train")])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from((*SPLITS, UNUSED, "")))))
def test_a_take_is_torn_where_it_has_two_splits(placed: list[tuple[str, str]]) -> None:
    clips = [clip(f"{take}-{n}", "theft", split) for n, (take, split) in enumerate(placed)]
    torn = {
        take for take in "abc" if len({s for t, s in placed if t == take}.intersection(SPLITS)) > 1
    }
    assert places(leaks.torn_takes(clips)) == sorted(torn)


def test_identical_clips_in_two_splits() -> None:
    a, b, c = (clip(name, "theft", "train") for name in ("a-CA", "b-CA", "c-CA"))
    a, b, c = replace(a, sha256="1"), replace(b, sha256="2"), replace(c, sha256="1")
    assert not leaks.identical([a, b, c])
    (found,) = leaks.identical([a, replace(b, split="val"), replace(c, split="val")])
    assert found.place == "a-CA.mp4"
    assert found.problem == "the same bytes are in train (a-CA) and val (c-CA)"


def test_unknown_bytes_are_not_the_same() -> None:
    clips = [clip("a-CA", "theft", "train"), clip("b-CA", "theft", "test")]
    assert not leaks.identical([replace(one, sha256="") for one in clips])


# --- shortcuts ---


def test_label_of_one_store_is_a_shortcut() -> None:
    clips = [at("a", "theft", "DYA"), at("b", NORMAL, "DYA"), at("c", NORMAL, "DYB")]
    (found,) = leaks.shortcuts(clips, LABELS)
    assert found.place == "theft"
    assert "only store DYA has it, of 2 stores" in found.problem
    assert not leaks.shortcuts([*clips, at("d", "theft", "DYB", split="test")], LABELS)


def test_normal_of_one_camera_is_a_shortcut() -> None:
    clips = [
        at("a", "theft", "", "CA"),
        at("b", "theft", "", "CB"),
        at("c", NORMAL, "", "CB"),
        at("d", NORMAL, "", ""),
    ]
    (found,) = leaks.shortcuts(clips, LABELS)
    assert found.place == NORMAL
    assert "only camera CB has it, of 2 cameras" in found.problem


def test_where_there_is_one_store_or_none_is_known_nothing_is_a_shortcut() -> None:
    one = [at("a", "theft", "DYA"), at("b", NORMAL, "DYA"), at("c", NORMAL, "")]
    assert not leaks.shortcuts(one, LABELS)
    assert not leaks.shortcuts([replace(clip_, store="", camera="") for clip_ in one], LABELS)
    assert not leaks.shortcuts([], LABELS)


def test_every_label_of_a_clip_counts_but_not_those_nobody_asks_for() -> None:
    spans = (Span(0, 1, "theft"), Span(2, 9, "assault"), Span(10, 11, IGNORED))
    both = replace(at("a", NORMAL, "DYA"), spans=spans)
    others = [at("b", "theft", "DYB"), at("c", "arson", "DYC")]
    assert places(leaks.shortcuts([both, *others], LABELS)) == ["assault"]
    assert not leaks.shortcuts([replace(both, split=UNUSED), *others], LABELS)
    ignored = replace(both, spans=spans[2:])
    assert places(leaks.shortcuts([ignored, *others], LABELS)) == []


# --- windows ---


def test_track_in_two_splits() -> None:
    cut = {
        "train": windows(("a-CA", 1), ("a-CA", 1), ("b-CA", 1)),
        "val": windows(),
        "test": windows(("a-CA", 1), ("c-CA", 1)),
    }
    found = leaks.shared_tracks(cut)
    assert places(found) == ["a-CA, track 1", "a"]
    assert found[0].problem == "has windows in train and test"


def test_take_in_two_splits_through_other_clips_or_persons() -> None:
    cut = {"train": windows(("a-CA", 1)), "val": windows(("a-CA", 2)), "test": windows(("a-CB", 1))}
    (found,) = leaks.shared_tracks(cut)
    assert found.problem == "this take has windows in train and val and test"


def test_windows_of_other_takes_share_nothing() -> None:
    cut = {"train": windows(("a-CA", 1), ("a-CA", 2)), "test": windows(("b-CA", 1), ("b-CA", 2))}
    assert not leaks.shared_tracks(cut)


# --- what comes of it ---


def test_check_raises_the_first_with_the_count() -> None:
    leaks.check({"torn_takes": [], "identical": []})
    problems = [Problem(name, "is in two splits", "Mend it") for name in "ab"]
    with pytest.raises(DataError, match=r"a: is in two splits \(one of 2 leaks\)\. Mend it\."):
        leaks.check({"torn_takes": [], "identical": problems})
    with pytest.raises(DataError, match=r"a: is in two splits\. Mend it\."):
        leaks.check({"identical": problems[:1]})


def test_report_lists_and_counts() -> None:
    clips = [clip("a-CA", "theft", "train"), clip("a-CB", "theft", "test")]
    found = leaks.between_splits(clips, {"train": windows(("a-CA", 1))})
    told = leaks.report(found, leaks.shortcuts(clips, LABELS))
    assert told["found"] == {"torn_takes": 1, "identical": 1, "shared_tracks": 0}
    assert told["problems"]["torn_takes"][0]["place"] == "a"
    assert told["warnings"] == []
