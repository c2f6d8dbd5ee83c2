from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import recipes
from benchmarks.recipes import Measured, Source, compare
from tests.benchmarks.tables import table
from tests.people import LABELS
from yololstm.errors import AnnotationError, DataError, EmptyError

ABNORMAL = LABELS[:3]
KEYS = {
    *("recipe", "classes", "seeds", "train_windows", "test_windows"),
    *("window_accuracy", "window_macro_f1", "clip_accuracy", "clip_macro_f1"),
    *("test_clips", "test_clips_without_windows"),
}


def folder(root: Path, labels: tuple[str, ...] = LABELS) -> Path:
    table(root / "train" / "a.csv", 4, labels)
    table(root / "test" / "b.csv", 2, labels, seed=1)
    return root


def test_a_row_for_each_recipe_at_three_classes_and_at_four(tmp_path: Path) -> None:
    rows = compare(Source(folder(tmp_path)), ["lstm", "ours"], seeds=2, workers=1)
    assert [(row["recipe"], row["classes"]) for row in rows] == [
        *(("lstm", 3), ("ours", 3), ("lstm", 4), ("ours", 4)),
    ]
    for row in rows:
        assert row.keys() == KEYS
        # 30 rows are 4 windows of 16 steps.
        assert row["train_windows"] == row["classes"] * 4 * 4
        assert row["test_windows"] == row["classes"] * 2 * 4
        assert row["test_clips"] == row["classes"] * 2
        mean, deviation = row["window_accuracy"]
        assert mean > 0.6
        assert 0 <= deviation < 0.5
    assert json.loads(json.dumps(rows)) == rows
    assert "4 classes: 8 clips are measured" in recipes.notes(rows)[-1]


def test_table_without_walks_has_no_fourth_class_and_says_so(tmp_path: Path) -> None:
    root = folder(tmp_path, ABNORMAL)
    rows = compare(Source(root), ["lstm"], seeds=1, workers=1)
    assert [row["classes"] for row in rows] == [3]
    assert "No rows with 4 classes" in recipes.notes(rows)[0]


def test_folds_measure_every_clip_once(tmp_path: Path) -> None:
    path = table(tmp_path / "one.csv", 3, ABNORMAL)
    (tmp_path / "broken.csv").write_text("a,b\n1,2\n")  # beside it, but not asked for
    [row] = compare(Source(path, folds=3), ["lstm"], seeds=1, workers=1)
    assert (row["test_clips"], row["test_windows"]) == (9, 9 * 4)
    assert row["train_windows"] == 6 * 4


def test_same_seed_same_figures(tmp_path: Path) -> None:
    source = Source(folder(tmp_path, ABNORMAL))
    names = ["old", "ours"]
    assert compare(source, names, 1, workers=1) == compare(source, names, 1, workers=1)


def test_clip_is_named_by_the_mean_of_its_windows() -> None:
    probability = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8]], dtype=np.float32)
    tested = Measured(np.array([0, 0, 0, 1]), probability, np.array(["a", "a", "a", "b"]), 9)
    found = recipes.row("x", [[tested], [tested]], {"a": 0, "b": 1, "short": 1}, ("t", "u"))
    assert found["window_accuracy"] == [0.75, 0.0]
    assert found["clip_accuracy"] == [0.5, 0.0]
    assert (found["test_clips"], found["test_clips_without_windows"]) == (2, 1)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no such folder"):
        compare(Source(tmp_path / "nowhere"), ["lstm"], 1, 1)
    with pytest.raises(DataError, match=r"x\.csv: no such file"):
        compare(Source(tmp_path / "x.csv", folds=2), ["lstm"], 1, 1)
    table(tmp_path / "train/a.csv", 1)
    with pytest.raises(EmptyError, match="no labelled clip in test/"):
        compare(Source(tmp_path), ["lstm"], 1, 1)
    table(tmp_path / "test/a.csv", 1, ("theft", "assault"))
    with pytest.raises(EmptyError, match="too few clips of damage for test"):
        compare(Source(tmp_path.parent / tmp_path.name / "."), ["lstm"], 1, 1)


def test_unknown_header_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path, ABNORMAL)
    text = (root / "test/b.csv").read_text()
    (root / "test/b.csv").write_text(text.replace("HEAD_X", "NOSE_X", 1))
    with pytest.raises(AnnotationError, match=r"test/b\.csv:1: columns are not known: .*NOSE_X"):
        compare(Source(root), ["lstm"], 1, 1)
