from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from yololstm import catalogue, storage
from yololstm.clips import Clip
from yololstm.errors import AnnotationError, DataError, Problem, WeightsError
from yololstm.finding import Listing

CLIP = Clip(
    *("a", "a.mp4", "", 1, Fraction(3), 9, 64, 48),
    *("take", "DYA", "CA", "M1", "train", "a.xml", ""),
    spans=(),
)


def make(number: int) -> Iterator[Clip | Problem]:
    name = f"{number:04d}"
    if number % 7 == 3:
        raise AnnotationError(f"{name}.xml:1", "broken", "Mend it")
    if number % 7 == 5:
        raise catalogue.UnmappedError(f"{name}.xml:2", "fall", "Map it")
    if number % 7 == 6:
        yield Problem(f"{name}.xml:3", "odd", "Look at it")
    yield replace(CLIP, clip_id=name, path=f"{name}.mp4", sha256=name)


def with_its_process(number: int) -> Iterator[Clip]:
    yield replace(
        CLIP, clip_id=f"{number}", path=f"{number}", sha256=f"{number}", bytes=os.getpid()
    )


def stopped(number: int) -> Iterator[Clip]:
    yield CLIP
    if number == 300:
        raise WeightsError("disk", "full", "Make room")


@pytest.mark.parametrize("n", [30, 500])
def test_outcomes_are_sorted_out_however_many(n: int) -> None:
    calls: list[None] = []
    found = catalogue.collect(
        make,
        range(n),
        lambda: calls.append(None),
        listing=Listing(
            problems=[Problem("0.zip/x.mp4", "damaged", "Fetch it")],
            unreadable=[Problem("0.zip", "damaged", "Fetch it")],
        ),
    )
    numbers = {kind: [i for i in range(n) if i % 7 == kind] for kind in range(7)}
    assert len(calls) == n
    assert [p.place for p in found.problems] == [
        "0.zip/x.mp4",
        *(f"{i:04d}.xml:1" for i in numbers[3]),
    ]
    assert [p.place for p in found.unreadable] == ["0.zip"]
    assert [p.place for p in found.unmapped] == [f"{i:04d}.xml:2" for i in numbers[5]]
    assert [p.place for p in found.warnings] == [f"{i:04d}.xml:3" for i in numbers[6]]
    left_out = {*numbers[3], *numbers[5]}
    assert [clip.clip_id for clip in found.clips] == [
        f"{i:04d}" for i in range(n) if i not in left_out
    ]


def test_many_items_are_shared_out() -> None:
    few = catalogue.collect(with_its_process, range(30))
    many = catalogue.collect(with_its_process, range(500))
    assert {clip.bytes for clip in few.clips} == {os.getpid()}
    if len(os.sched_getaffinity(0)) > 1:
        assert len({clip.bytes for clip in many.clips} - {os.getpid()}) > 1


@pytest.mark.parametrize("n", [301, 500])
def test_what_is_no_fault_of_the_data_stops_it(n: int) -> None:
    with pytest.raises(WeightsError, match="disk: full"):
        catalogue.collect(stopped, range(n))


def test_same_bytes_under_two_names_are_warned_of() -> None:
    clips = [replace(CLIP, path=path) for path in ("b.mp4", "a.mp4", "c.mp4")]
    found = catalogue.collect(lambda clip: [clip], clips)
    assert [(p.place, p.problem) for p in found.warnings] == [
        ("b.mp4", "byte for byte the same as a.mp4"),
        ("c.mp4", "byte for byte the same as a.mp4"),
    ]
    assert [clip.clip_id for clip in found.clips] == ["a", "a-2", "a-3"]


def test_ids_can_be_names_of_files(tmp_path: Path) -> None:
    clips = [
        replace(CLIP, clip_id=stem, path=f"{folder}/{stem}.mp4", sha256=f"{folder}{stem}")
        for stem in ("절" * 80 + "1", "절" * 80 + "2", "a" * 240)
        for folder in ("x" * 100 + "/" + "y" * 100, "z")
    ]
    ids = [clip.clip_id for clip in catalogue.collect(lambda clip: [clip], clips).clips]
    assert len({clip_id.casefold() for clip_id in ids}) == len(clips)
    for clip_id in ids:
        with storage.atomic(tmp_path / f"{clip_id}.parquet") as temporary:
            temporary.touch()
    assert len(list(tmp_path.iterdir())) == len(clips)


def test_label_of_an_event() -> None:
    label_map = {"fight": "assault"}
    assert catalogue.label_of("fight", "x.xml:3", ["fight"], label_map) == "assault"
    with pytest.raises(catalogue.UnmappedError, match="no label for the event 'fall'"):
        catalogue.label_of("fall", "x.xml:3", ["fall"], label_map)
    with pytest.raises(DataError, match=r"unknown event 'figth'.*the nearest known is fight"):
        catalogue.label_of("figth", "x.xml:3", ["fall"], label_map)
