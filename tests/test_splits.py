from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yololstm.clips import IGNORED, SPLITS, UNLABELLED, UNUSED, Clip, Span
from yololstm.errors import DataError
from yololstm.splits import assign, by_take, check, fold, gaps, report, summary

labels_of_takes = st.dictionaries(st.text(max_size=6), st.sampled_from("abcd"), max_size=60)
shares = st.floats(0, 1)


@given(labels_of_takes, shares, shares, st.integers(0, 9))
def test_every_take_gets_one_split_and_every_label_stays_in_train(
    takes: dict[str, str], val_share: float, test_share: float, seed: int
) -> None:
    splits = by_take(takes, val_share=val_share, test_share=test_share, seed=seed)
    assert splits.keys() == takes.keys()
    assert set(splits.values()) <= set(SPLITS)
    assert {takes[take] for take, split in splits.items() if split == "train"} == set(
        takes.values()
    )


@given(labels_of_takes, st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_three_takes_of_a_label_reach_every_split(
    takes: dict[str, str], val_share: float, test_share: float
) -> None:
    splits = by_take(takes, val_share=val_share, test_share=test_share, seed=0)
    for label, n in Counter(takes.values()).items():
        if n >= 3:
            assert {splits[take] for take in takes if takes[take] == label} == set(SPLITS)


@given(labels_of_takes, st.randoms())
def test_order_is_of_no_account(takes: dict[str, str], random: object) -> None:
    shuffled = sorted(takes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = {take: takes[take] for take in shuffled}
    assert by_take(takes, val_share=0.2, test_share=0.2, seed=3) == by_take(
        again, val_share=0.2, test_share=0.2, seed=3
    )


@given(st.integers(3, 60))
def test_shares_are_rounded_up(n: int) -> None:
    takes = {f"take {i}": "theft" for i in range(n)}
    splits = by_take(takes, val_share=0.1, test_share=0.2, seed=0)
    counts = Counter(splits.values())
    assert counts["test"] == -(-n * 2 // 10)
    assert counts["val"] == -(-n // 10)
    assert counts["train"] == n - math.ceil(n / 10) - math.ceil(n / 5)


@given(labels_of_takes, st.text(max_size=6), st.sampled_from("abcd"))
def test_a_new_take_moves_at_most_one_other_over_either_border(
    takes: dict[str, str], name: str, label: str
) -> None:
    before = by_take(takes, val_share=0.2, test_share=0.2, seed=0)
    if name in takes:
        return
    after = by_take({**takes, name: label}, val_share=0.2, test_share=0.2, seed=0)
    assert sum(before[take] != after[take] for take in takes) <= 2


def test_the_seed_matters() -> None:
    takes = {f"take {i}": "theft" for i in range(30)}
    first, second = (by_take(takes, val_share=0.2, test_share=0.2, seed=s) for s in (0, 1))
    assert first != second


def test_scarce_takes_go_to_train_then_test() -> None:
    for n, expected in ((1, {"train"}), (2, {"train", "test"}), (3, {"train", "val", "test"})):
        takes = {f"take {i}": "theft" for i in range(n)}
        assert set(by_take(takes, val_share=0.2, test_share=0.2, seed=0).values()) == expected


def test_share_of_nothing_holds_nothing_back() -> None:
    takes = {f"take {i}": "theft" for i in range(9)}
    assert set(by_take(takes, val_share=0, test_share=0, seed=0).values()) == {"train"}


# --- clips ---

LABELS = ("theft", "assault", "normal")


def clip(
    take: str, label: str, split: str = "train", camera: str = "CA", store: str = "DYA"
) -> Clip:
    return Clip(
        *(f"{take}_{camera}", "a.mp4", "", 1, Fraction(3), 30, 64, 48),
        *(take, store, camera, "", split, "", ""),
        spans=() if label == "normal" else (Span(0.0, 10.0, label),),
    )


def takes(n: int, split: str = "train", labels: Sequence[str] = LABELS) -> list[Clip]:
    """n takes a label, each seen by two cameras, in three stores in turn."""
    return [
        clip(f"{split} {label} {i}", label, split, camera, f"S{i % 3}")
        for label in labels
        for i in range(n)
        for camera in ("CA", "CB")
    ]


def assigned(clips: Sequence[Clip], **how: Any) -> list[Clip]:
    usual = {"by": "take", "held_out": "", "official": True}
    shares = {"val_share": 0.2, "test_share": 0.2, "seed": 0}
    return assign(clips, **{**usual, **shares, **how})


def of(clips: Sequence[Clip], split: str) -> list[Clip]:
    return [clip for clip in clips if clip.split == split]


def test_clips_are_ordered_and_every_label_is_in_every_split() -> None:
    clips = assigned(takes(5)[::-1])
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in takes(5))
    for split in ("val", "test"):
        assert len(of(clips, split)) == 3 * 2
        assert gaps(clips, LABELS, split) == []
    assert clips == assigned(takes(5))


def test_official_splits_stay_and_what_they_lack_comes_out_of_train() -> None:
    clips = assigned(takes(5) + takes(2, "test"))
    assert {clip.take for clip in of(clips, "test")} == {clip.take for clip in takes(2, "test")}
    assert len(of(clips, "val")) == 6
    clips = assigned(takes(5) + takes(1, "val"))
    assert (len(of(clips, "val")), len(of(clips, "test"))) == (6, 6)


def test_official_splits_may_be_set_aside() -> None:
    """As where they tear takes."""
    torn = [clip("t1", "theft", "train", "CA"), clip("t1", "theft", "test", "CB")]
    clips = assigned(takes(5) + torn, official=False)
    assert len({clip.split for clip in clips if clip.take == "t1"}) == 1
    assert len(of(clips, "test")) > 2


def test_one_store_is_held_out_whole() -> None:
    clips = assigned(takes(6) + takes(6, "test"), by="store", held_out="S1")
    assert {clip.store for clip in of(clips, "test")} == {"S1"}
    assert {clip.store for clip in of(clips, "train") + of(clips, "val")} == {"S0", "S2"}
    assert gaps(clips, LABELS, "val") == []
    assert not of(clips, UNUSED)
    first = assigned(takes(6), by="store")
    assert {clip.store for clip in of(first, "test")} == {"S0"}


def test_one_camera_is_held_out_and_so_are_its_takes() -> None:
    given = takes(6)
    clips = assigned(given, by="camera", held_out="CB")
    train, test = of(clips, "train") + of(clips, "val"), of(clips, "test")
    assert {clip.camera for clip in test} == {"CB"}
    assert {clip.camera for clip in train} == {"CA"}
    assert not {clip.take for clip in test} & {clip.take for clip in train}
    assert len(train) + len(test) == len(of(clips, UNUSED)) == len(given) / 2


def test_camera_is_held_out_of_the_official_test_takes() -> None:
    clips = assigned(takes(5) + takes(2, "test"), by="camera", held_out="CA")
    assert {(clip.camera, clip.take[:4]) for clip in of(clips, "test")} == {("CA", "test")}


@pytest.mark.parametrize(
    ("clips", "by", "held_out", "problem"),
    [
        (takes(3), "store", "SX", "there is no store 'SX'. Known are S0, S1, S2"),
        (takes(1), "store", "", "all clips are of store S0"),
        ([clip("a", "theft", store="")], "store", "", "no clip says its store"),
        ([*takes(3), clip("a", "theft", camera="")], "camera", "", "1 clips do not say their"),
    ],
)
def test_what_cannot_be_held_out_is_told(
    clips: list[Clip], by: str, held_out: str, problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        assigned(clips, by=by, held_out=held_out)


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 3))
def test_each_take_is_test_in_one_fold(n: int, n_takes: int, seed: int) -> None:
    given = [*takes(n_takes), *takes(1, "test"), clip("u", "normal", UNLABELLED)]
    folds = [fold(given, number, n, val_share=0.2, seed=seed) for number in range(n)]
    tested = Counter(clip.take for clips in folds for clip in of(clips, "test"))
    assert tested == {clip.take: 2 for clip in given if clip.split != UNLABELLED}
    sizes = [len({clip.take for clip in of(clips, "test")}) for clips in folds]
    assert max(sizes) - min(sizes) <= 1
    for clips in folds:
        assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in given)
        where = {(clip.take, clip.split) for clip in clips}
        assert len(where) == len({take for take, _ in where})


def test_folds_have_every_label_where_there_are_takes_enough() -> None:
    for number in range(4):
        clips = fold(takes(8), number, 4, val_share=0.2, seed=0)
        for split in SPLITS:
            assert gaps(clips, LABELS, split) == []


def test_unlabelled_clips_stay_so() -> None:
    for by in ("take", "store", "camera"):
        clips = assigned([*takes(6), clip("u", "normal", UNLABELLED)], by=by)
        assert [clip.take for clip in of(clips, UNLABELLED)] == ["u"]
    alone = [clip("u", "normal", UNLABELLED)]
    assert assigned(alone) == alone
    assert check(alone, LABELS, "take") == []


def test_label_missing_from_train_or_test_is_an_error() -> None:
    with pytest.raises(DataError, match="train has no clip of damage; test has no clip of damage"):
        check(assigned(takes(3)), (*LABELS, "damage"), "take")
    clips = assigned(takes(3) + takes(1, "test", ["theft", "normal"]))
    with pytest.raises(DataError, match=r"test has no clip of assault\. "):
        check(clips, LABELS, "take")


def test_a_store_need_not_have_seen_every_label() -> None:
    clips = [c for c in takes(6) if not (c.store == "S0" and c.label == "theft")]
    placed = assigned(clips, by="store", held_out="S0")
    assert check(placed, LABELS, "store") == ["test has no clip of theft"]


def test_label_missing_from_val_is_told() -> None:
    clips = assigned(takes(2))
    assert check(clips, LABELS, "take") == [f"val has no clip of {x}" for x in LABELS]


def test_time_outside_of_spans_is_normal() -> None:
    clips = [replace(c, spans=(Span(3.0, 6.0, "theft"),)) for c in takes(3, labels=["theft"])]
    assert gaps(clips, ["theft", "normal"], "train") == []
    whole = takes(3, labels=["theft"])
    assert gaps(whole, ["theft", "normal"], "train") == ["train has no clip of normal"]


def test_ignored_events_show_nothing() -> None:
    clips = [replace(c, spans=(Span(0.0, 10.0, IGNORED),)) for c in takes(1)]
    assert len(gaps(clips, LABELS, "train")) == 3


def test_take_whose_cameras_differ_counts_as_abnormal() -> None:
    """One camera may not see the event; the take goes where takes of the event go."""
    mixed = [
        clip(f"m{i}", label, camera=c)
        for i in range(3)
        for c, label in (("CA", "normal"), ("CB", "theft"))
    ]
    assert {clip.split for clip in assigned(mixed)} == set(SPLITS)


def test_report_and_summary_count() -> None:
    clips = assigned([*takes(3, labels=["theft"]), clip("u", "normal", UNLABELLED)])
    counts = report(clips)
    assert counts["clips"] == {
        **{split: {"theft": 2} for split in SPLITS},
        "unlabelled": {"unlabelled": 1},
    }
    assert counts["takes"] == {
        **{split: {"theft": 1} for split in SPLITS},
        "unlabelled": {"unlabelled": 1},
    }
    assert counts["hours"]["test"] == pytest.approx(20 / 3600)
    assert summary(clips) == "2 train, 2 val, 2 test, 1 unlabelled"
