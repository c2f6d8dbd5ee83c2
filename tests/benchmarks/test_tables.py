from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.tables import DIVISIONS, Seen, Source, clips, divided, labels_of
from tests.benchmarks.tables import folder, table
from tests.people import LABELS, acting, clip, landmarks
from yololstm.errors import AnnotationError, DataError, EmptyError

ABNORMAL = LABELS[:3]


def of_file(path: Path) -> Seen:
    return clips(Source(path, parts=2))


def test_file_is_read_alone_and_in_order(tmp_path: Path) -> None:
    path = table(tmp_path / "one.csv", 3, ABNORMAL)
    (tmp_path / "broken.csv").write_text("a,b\n1,2\n")  # beside it, but not asked for
    assert [clip.label for clip, _ in of_file(path)] == [
        *(label for label in ABNORMAL for _ in range(3))
    ]


@pytest.mark.parametrize("by", DIVISIONS)
def test_every_clip_is_tested_once(by: str, tmp_path: Path) -> None:
    source = Source(table(tmp_path / "one.csv", 4, ABNORMAL), 3, by)
    seen = clips(source)
    tested = [
        clip.clip_id
        for part in range(3)
        for clip, _ in divided(seen, source, part)
        if clip.split == "test"
    ]
    assert sorted(tested) == sorted(clip.clip_id for clip, _ in seen)


def test_order_takes_the_first_clips_of_every_label(tmp_path: Path) -> None:
    source = Source(table(tmp_path / "one.csv", 4, ABNORMAL), 2, "order")
    splits = [clip.split for clip, _ in divided(clips(source), source, 0)]
    assert splits == ["test", "test", "train", "train"] * 3


def test_place_keeps_those_together_who_are_near_or_far() -> None:
    rng, times = np.random.default_rng(0), np.arange(30) / 3
    size = [0.3, 1, 0.4, 1.2, 0.5, 1.1]
    seen = [
        (clip(f"{i}-CA", label, ""), landmarks({1: (times, s * acting(label, times, rng))}))
        for i, (s, label) in enumerate(zip(size, LABELS[:3] * 2, strict=True))
    ]
    far = {clip.clip_id for (clip, _), s in zip(seen, size, strict=True) if s <= 0.5}
    assert DIVISIONS["place"](seen, 2, 0) in (far, {c.clip_id for c, _ in seen} - far)


def test_fourth_label_counts_where_it_can_be_learned_and_measured(tmp_path: Path) -> None:
    source = Source(folder(tmp_path))
    seen = clips(source)
    assert labels_of(seen, source) == [ABNORMAL, LABELS]
    unseen = [one for one in seen if (one[0].label, one[0].split) != ("normal", "test")]
    assert labels_of(unseen, source) == [ABNORMAL]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        clips(Source(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"x\.csv: no such file"):
        clips(Source(tmp_path / "x.csv", parts=2))
    table(tmp_path / "train/a.csv", 1)
    with pytest.raises(EmptyError, match="no labelled clip in test/"):
        clips(Source(tmp_path))
    table(tmp_path / "test/a.csv", 1, ("theft", "assault"))
    source = Source(tmp_path.parent / tmp_path.name / ".")
    clips.cache_clear()
    with pytest.raises(EmptyError, match="too few clips of damage for test"):
        labels_of(clips(source), source)


def test_unknown_header_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path, ABNORMAL)
    text = (root / "test/b.csv").read_text()
    (root / "test/b.csv").write_text(text.replace("HEAD_X", "NOSE_X", 1))
    with pytest.raises(AnnotationError, match=r"test/b\.csv:1: columns are not known: .*NOSE_X"):
        clips(Source(root))
