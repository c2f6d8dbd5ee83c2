from __future__ import annotations

import json
import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from yololstm import census
from yololstm.census import UNNAMED, WITHOUT_LABEL, View
from yololstm.clips import IGNORED, UNLABELLED, Clip, Span

LABELS = ("theft", "assault", "normal")


def clip(take: str, label: str, camera: str = "CA", store: str = "DYA", **more: Any) -> Clip:
    """Of 10 s, with an event from 2 to 5 s."""
    name = f"{take}_{camera}"
    plain = Clip(
        clip_id=name,
        path=f"{name}.mp4",
        sha256="0",
        bytes=1,
        fps=Fraction(3),
        n_frames=30,
        width=64,
        height=48,
        take=take,
        store=store,
        camera=camera,
        actors="DF2_M1",
        split="train",
        annotation=f"{name}.xml",
        annotation_sha256="0",
        spans=() if label == "normal" else (Span(2.0, 5.0, label),),
    )
    return replace(plain, **more)


def shop() -> list[Clip]:
    """Every label in two stores of two cameras."""
    return [
        clip(f"{store}-{label}", label, camera, store)
        for store in ("DYA", "SMA")
        for label in LABELS
        for camera in ("CA", "CB")
    ]


# --- counts ---


@pytest.mark.parametrize(
    ("spans", "is_covered"),
    [
        ((), False),
        ([(0, 10)], True),
        ([(0, 9.9)], False),
        ([(0, 5), (5, 10)], False),
        ([(1, 2), (-1, 11)], True),
    ],
)
def test_clip_is_covered_by_one_span(spans: list[tuple[float, float]], is_covered: bool) -> None:
    given = clip("t", "theft", spans=tuple(Span(*span, "theft") for span in spans))
    assert given.is_covered is is_covered


def test_counts() -> None:
    counted = census.count([*shop(), clip("x", "theft", "CC", "")], LABELS)
    assert (counted.whole.clips, counted.whole.takes) == (13, 7)
    assert counted.whole.hours == pytest.approx(130 / 3600)
    assert {label: (t.clips, t.takes) for label, t in counted.labels.items()} == {
        "theft": (5, 3),
        "assault": (4, 2),
        "normal": (4, 2),
    }
    assert {store: tally.clips for store, tally in counted.stores.items()} == {
        "DYA": 6,
        "SMA": 6,
        UNNAMED: 1,
    }
    assert counted.stores["SMA"].labels == {"theft": 2, "assault": 2, "normal": 2}
    assert list(counted.cameras) == ["CA", "CB", "CC"]
    assert counted.actors["DF2_M1"].clips == 13
    assert counted.views[View("SMA", "CB")] == {"theft": 1, "assault": 1, "normal": 1}
    assert counted.views[View(UNNAMED, "CC")] == {"theft": 1}
    assert counted.lengths["theft"] == [10.0] * 5
    assert counted.span_lengths == {"theft": [3.0] * 5, "assault": [3.0] * 4}


def test_labels_stand_in_the_order_asked_for_though_nothing_shows_them() -> None:
    clips = [clip("a", "zeal"), clip("b", "arson"), clip("c", "normal")]
    counted = census.count(clips, LABELS)
    assert list(counted.labels) == [*LABELS, "arson", "zeal"]
    assert counted.labels["theft"].clips == 0


def test_what_is_unlabelled_is_not_normal() -> None:
    counted = census.count([clip("a", "normal", split=UNLABELLED)], LABELS)
    assert counted.labels["normal"].clips == 0
    assert counted.labels[WITHOUT_LABEL].clips == 1


def test_clip_of_several_events_counts_once_and_its_spans_each() -> None:
    spans = (Span(0, 2, "assault"), Span(3, 8, "theft"), Span(8, 9, IGNORED))
    counted = census.count([clip("a", "theft", spans=spans)], LABELS)
    assert counted.views == {View("DYA", "CA"): {"theft": 1}}
    assert counted.span_lengths == {"theft": [5], "assault": [2], IGNORED: [1]}


def test_json_nests_views_by_label_store_and_camera() -> None:
    told = census.to_json(census.count([*shop(), clip("x", "theft", "CC", "")], LABELS))
    assert told["views"]["theft"] == {
        "DYA": {"CA": 1, "CB": 1},
        "SMA": {"CA": 1, "CB": 1},
        UNNAMED: {"CC": 1},
    }
    assert told["labels"]["assault"] == {"clips": 4, "takes": 2, "hours": pytest.approx(1 / 90)}
    assert told["spans"]["assault"] == {"spans": 4, "hours": pytest.approx(1 / 300)}
    assert told["cameras"]["CB"]["labels"] == {"assault": 2, "normal": 2, "theft": 2}
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_nothing_at_all_is_counted_too() -> None:
    counted = census.count([], LABELS)
    assert counted.whole == census.Tally(0, 0, 0.0, {})
    assert counted.views == counted.lengths == counted.span_lengths == {}
    assert census.to_json(counted)["labels"]["theft"]["clips"] == 0
    assert census.doubts([], LABELS) == census.examples([], LABELS) == []


# --- doubts ---


def test_balanced_data_raise_no_doubt() -> None:
    assert census.doubts(shop(), LABELS) == []


def test_take_that_a_camera_filmed_twice() -> None:
    again = clip("DYA-theft", "theft", path="z/again.mp4", clip_id="again")
    [doubt] = census.doubts([again, *shop()], LABELS)
    assert doubt.place == "z/again.mp4"
    assert doubt.problem == ("camera CA films take DYA-theft a second time, after DYA-theft_CA.mp4")


def test_cameras_without_a_name_may_be_many() -> None:
    nameless = [clip("t", "theft", "", path=f"{i}.mp4") for i in range(2)]
    assert census.doubts([*shop(), *nameless], LABELS) == []


def test_take_whose_cameras_disagree() -> None:
    clips = [*shop(), clip("t", "theft", "CA"), clip("t", "normal", "CB")]
    [doubt] = census.doubts(clips, LABELS)
    assert doubt.place == "t_CA.mp4"
    assert doubt.problem == "take t is not the same to all cameras: normal to CB; theft to CA"


def test_label_that_nothing_shows() -> None:
    [doubt] = census.doubts(shop(), [*LABELS, "damage"])
    assert (doubt.place, doubt.problem) == ("damage", "no clip shows this label")


def test_second_event_of_a_clip_is_shown_too() -> None:
    both = (Span(0, 5, "theft"), Span(6, 8, "damage"))
    places = [("CA", "DYA"), ("CB", "SMA")]
    clips = [clip(f"d{store}", "theft", camera, store, spans=both) for camera, store in places]
    assert census.doubts([*shop(), *clips], [*LABELS, "damage"]) == []


def test_normal_is_what_no_span_covers() -> None:
    events = [clip for clip in shop() if clip.label != "normal"]
    assert "no clip shows this label" not in str(census.doubts(events, LABELS))
    whole = [replace(clip, spans=(Span(0, 10, clip.label),)) for clip in events]
    told = {(doubt.place, doubt.problem) for doubt in census.doubts(whole, LABELS)}
    assert ("normal", "no clip shows this label") in told


def test_label_that_only_one_store_has() -> None:
    clips = [c for c in shop() if (c.store, c.label) != ("SMA", "theft")]
    [doubt] = census.doubts(clips, LABELS)
    assert doubt.place == "theft"
    assert "only store DYA has it" in doubt.problem


@pytest.mark.parametrize(("n_frames", "word"), [(6, "very short: 2.0 s"), (300, "very long: 100")])
def test_clip_of_odd_length(n_frames: int, word: str) -> None:
    [doubt] = census.doubts([*shop(), clip("odd", "theft", n_frames=n_frames)], LABELS)
    assert doubt.place == "odd_CA.mp4"
    assert doubt.problem.startswith(word)


def test_where_lengths_vary_no_clip_is_odd() -> None:
    rng = random.Random(0)
    clips = [
        replace(clip, take=f"{i}{clip.take}", n_frames=round(30 * rng.lognormvariate(0, 1)) + 1)
        for i in range(10)
        for clip in shop()
    ]
    lengths = sorted(clip.n_frames for clip in clips)
    assert lengths[0] < lengths[60] / 4
    assert lengths[-1] > lengths[60] * 4
    assert census.doubts(clips, LABELS) == []


def test_unlabelled_data_raise_no_doubt_about_labels() -> None:
    clips = [replace(clip, split=UNLABELLED, spans=()) for clip in shop()]
    assert census.doubts(clips, LABELS) == []


# --- examples ---


def test_examples_are_of_different_stores_and_cameras() -> None:
    clips = [
        clip(f"{store}{i}", "theft", camera, store)
        for i in range(3)
        for store, camera in [("A", "CA"), ("A", "CB"), ("B", "CA"), ("B", "CB"), ("C", "CC")]
    ]
    for order in (clips, clips[::-1]):
        shown = census.examples(order, ["theft"])
        views = [(e.clip.take, e.clip.camera) for e in shown]
        assert views == [("A0", "CA"), ("B0", "CB"), ("C0", "CC")]


def test_examples_of_each_label_show_the_start_of_its_first_span() -> None:
    spans = (Span(0, 2, "assault"), Span(3, 8, "theft"), Span(8.5, 9, "theft"))
    clips = [clip("a", "theft", spans=spans), clip("b", "normal"), clip("c", IGNORED)]
    theft, normal, ignored = census.examples(clips, LABELS)
    assert (theft.label, theft.span, theft.time_s) == ("theft", spans[1], 3)
    assert (normal.label, normal.span, normal.time_s) == ("normal", None, 5.0)
    assert (ignored.label, ignored.time_s) == (IGNORED, 2.0)
