from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.runs import Learn, Measured, compare, row
from benchmarks.tables import Source, clips, divided
from tests.benchmarks.tables import table
from tests.people import LABELS

ABNORMAL = LABELS[:3]
QUICK = {"epochs": 1}


def test_parts_measure_every_clip_once(tmp_path: Path) -> None:
    path = table(tmp_path / "one.csv", 3, ABNORMAL)
    [found] = compare(Source(path, parts=3), {"x": Learn(train=QUICK)}, seeds=1, workers=1)
    # 30 rows are 4 windows of 16 steps.
    assert (found["test_clips"], found["test_windows"]) == (9, 9 * 4)
    assert found["train_windows"] == 6 * 4


def test_recipe_is_params_yaml_but_for_what_it_says(tmp_path: Path) -> None:
    source = Source(table(tmp_path / "one.csv", 2, ABNORMAL), 2, "order")
    seen = divided(clips(source), source, 0)
    assert len(Learn(train=QUICK)(seen, ABNORMAL, 0).y) == 3 * 4
    assert len(Learn(train=QUICK, segment={"length": 24})(seen, ABNORMAL, 0).y) == 3 * 2


def test_members_of_different_seeds_are_different_ones(tmp_path: Path) -> None:
    source = Source(table(tmp_path / "one.csv", 2, ABNORMAL), 2, "order")
    seen = divided(clips(source), source, 0)
    one = [Learn(train=QUICK)(seen, ABNORMAL, seed).probability for seed in (2, 3)]
    both = Learn(train=QUICK, members=2)(seen, ABNORMAL, 1).probability
    logits = np.log(one[0]) + np.log(one[1])
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(both, expected, atol=1e-5)
    assert not np.allclose(one[0], one[1], atol=1e-3)


def test_clip_is_named_by_the_mean_of_its_windows() -> None:
    probability = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8]], dtype=np.float32)
    tested = Measured(np.array([0, 0, 0, 1]), probability, np.array(["a", "a", "a", "b"]), 9)
    found = row("x", [[tested], [tested]], {"a": 0, "b": 1, "short": 1}, ("t", "u"))
    assert found["window_accuracy"] == [0.75, 0.0]
    assert found["clip_accuracy"] == [0.5, 0.0]
    assert (found["test_clips"], found["test_clips_without_windows"]) == (2, 1)
