from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from yololstm import storage
from yololstm.clips import UNLABELLED, UNUSED, Box, Clip, Span
from yololstm.errors import AnnotationError, DataError, LandmarksError, YololstmError
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.skeleton import FEATURES
from yololstm.windows import Windows, WindowSpec

SOURCE = Source(1920, 1080, Fraction(30000, 1001), 90, "test backend 1.0, 한글")


def landmarks(n: int = 5, seed: int = 0) -> Landmarks:
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 1900, (n, 13, 2)).astype(np.float32)
    confidence = rng.uniform(0, 1, (n, 13)).astype(np.float32)
    absent = rng.random((n, 13)) < 0.2
    xy[absent], confidence[absent] = np.nan, 0
    return Landmarks(
        frame=np.arange(n, dtype=np.int32),
        time_s=np.arange(n) / 3,
        category=np.where(np.arange(n) % 4 == 3, Category.BAG, Category.PERSON).astype(np.uint8),
        track=rng.integers(1, 4, n).astype(np.int32),
        score=rng.uniform(0, 1, n).astype(np.float32),
        box=rng.uniform(0, 1900, (n, 4)).astype(np.float32),
        xy=xy,
        confidence=confidence,
        source=SOURCE,
    )


def assert_equal(a: Landmarks, b: Landmarks, time_tolerance: float = 1e-6) -> None:
    for name in ("frame", "category", "track", "score", "box", "xy", "confidence"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
        assert getattr(a, name).dtype == getattr(b, name).dtype
    np.testing.assert_allclose(a.time_s, b.time_s, atol=time_tolerance)
    assert a.source == b.source


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_landmarks_round_trip(tmp_path: Path, suffix: str, n: int) -> None:
    path = tmp_path / f"clip.{suffix}"
    storage.write_landmarks(path, landmarks(n))
    assert_equal(storage.read_landmarks(path), landmarks(n))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_landmarks_bytes_depend_on_nothing_else(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        storage.write_landmarks(tmp_path / f"{name}.{suffix}", landmarks())
    first, second = (tmp_path / f"{name}.{suffix}" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_landmarks_csv_is_for_other_programs(tmp_path: Path) -> None:
    storage.write_landmarks(tmp_path / "clip.csv", landmarks())
    table = pd.read_csv(tmp_path / "clip.csv", comment="#")
    assert set(FEATURES) < set(table.columns)
    assert list(table["category"][:4]) == ["person", "person", "person", "bag"]


@pytest.mark.parametrize("content", [b"", b"PAR1 not really", b"a,b\n1,2\n"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_damaged_landmarks_are_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(content)
    with pytest.raises(LandmarksError, match=rf"clip\.{suffix}: unreadable landmarks"):
        storage.read_landmarks(path)


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.parquet"
    pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(LandmarksError, match="unreadable landmarks"):
        storage.read_landmarks(path)


CLIP = Clip(
    *("a", "a.mp4", "", 1, Fraction(3), 9, 64, 48),
    *("take", "DYA", "CA", "M1", "train", "a.xml", ""),
    spans=(),
)

finite = st.floats(0, 1e5, allow_nan=False).map(lambda value: round(value, 2))
spans = st.builds(
    Span,
    finite,
    finite,
    st.sampled_from(["theft", "폭행", 'a "quoted", label']),
    st.none() | st.builds(Box, finite, finite, finite, finite),
)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
clips = st.builds(
    Clip,
    clip_id=texts,
    path=texts,
    sha256=texts,
    bytes=st.integers(0, 2**60),
    fps=st.fractions(Fraction(1, 10), 240),
    n_frames=st.integers(0, 10**9),
    width=st.integers(1, 10**5),
    height=st.integers(1, 10**5),
    take=texts,
    store=texts,
    camera=texts,
    actors=texts,
    split=st.sampled_from(["train", "val", "test", ""]),
    annotation=texts,
    annotation_sha256=texts,
    spans=st.lists(spans, max_size=3).map(tuple),
)


@settings(max_examples=50)
@given(st.lists(clips, max_size=4))
def test_index_round_trip(tmp_path_factory: pytest.TempPathFactory, found: list[Clip]) -> None:
    path = tmp_path_factory.mktemp("index") / "index.csv"
    storage.write_index(path, found)
    assert storage.read_index(path) == found


def test_splits_lie_over_the_index(tmp_path: Path) -> None:
    index, splits = tmp_path / "index.csv", tmp_path / "splits.csv"
    found = [replace(CLIP, clip_id=name) for name in "abcd"]
    storage.write_index(index, found)
    placed = [
        replace(clip, split=split)
        for clip, split in zip(found, ("test", UNUSED, UNLABELLED, "val"), strict=True)
    ]
    storage.write_splits(splits, reversed(placed))
    assert storage.read_clips(index, splits) == placed
    assert storage.read_index(index) == found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("clip_id,split\na,train\n", "names other clips"),
        ("clip_id,split\na,train\nb,tset\n", "split 'tset'"),
        ("clip_id,split\na,train\nb,train\na,test\n", "a clip stands twice"),
        ("a,b\n", "columns"),
        ("clip_id,split\na\n", "columns"),
        ("", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_splits_that_do_not_fit_are_refused(tmp_path: Path, text: str | None, problem: str) -> None:
    index, splits = tmp_path / "index.csv", tmp_path / "splits.csv"
    storage.write_index(index, [replace(CLIP, clip_id=name) for name in "ab"])
    if text is not None:
        splits.write_text(text)
    with pytest.raises(DataError, match=problem) as raised:
        storage.read_clips(index, splits)
    assert "split stage" in raised.value.problem.remedy


def test_foreign_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    path.write_text("name,label\nx,theft\n")
    with pytest.raises(AnnotationError, match=r"index\.csv:1: not a clip index"):
        storage.read_index(path)


def test_absent_or_broken_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken\.json: cannot be read"):
        storage.read_json(tmp_path / "broken.json")
    with pytest.raises(DataError, match=r"index\.csv: cannot be read"):
        storage.read_index(tmp_path / "index.csv")


def test_broken_index_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    storage.write_index(path, [CLIP, CLIP])
    path.write_text(path.read_text().replace(",3/1,", ",3/0,", 1))
    with pytest.raises(AnnotationError, match=r"index\.csv:2: unreadable clip"):
        storage.read_index(path)


@given(x=hnp.arrays(np.float32, (3, 4, 26), elements=st.floats(-1e3, 1e3, width=32)))
@settings(max_examples=10)
def test_windows_round_trip(tmp_path_factory: pytest.TempPathFactory, x: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("windows")
    windows = Windows(
        x=x,
        valid=x[..., ::2] > 0,
        y=np.array([0, 1, -1]),
        clip=np.array(["a", "b", "가"]),
        take=np.array(["a", "b", "c"]),
        track=np.array([1, 1, 2], dtype=np.int32),
        start_s=np.array([0.0, 1.0, 2.0]),
        spec=WindowSpec(fps=3.0, length=4, hop=2, max_gap_s=1.0, min_valid=0.5),
    )
    for name in ("a", "b"):
        storage.write_windows(folder / f"{name}.npz", windows)
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()
    again = storage.read_windows(folder / "a.npz")
    assert again.spec == windows.spec
    for name, array in windows.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_pickled_windows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    np.savez(path, x=np.array([{"an": "object"}], dtype=object))
    with pytest.raises(LandmarksError, match="unreadable windows"):
        storage.read_windows(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_damaged_windows_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "train.npz"
    path.write_bytes(content)
    with pytest.raises(LandmarksError, match=r"train\.npz: unreadable windows"):
        storage.read_windows(path)


def test_json_is_sorted_rounded_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    storage.write_json(path, {"b": np.float64(1 / 3), "a": [np.int64(2)]})
    assert path.read_text() == '{\n  "a": [\n    2\n  ],\n  "b": 0.333333\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        storage.write_json(path, {"a": float("nan")})
    assert storage.read_json(path)["a"] == [2]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_atomic_takes_the_place_of_files_only(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    make(path)
    with pytest.raises(YololstmError, match="is no file"), storage.atomic(path):
        pass
    assert path.exists()
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_keeps_the_old_file_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with storage.atomic(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(OSError, match="full"), storage.atomic(path) as temporary:
        temporary.write_text("half of the ne")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]
