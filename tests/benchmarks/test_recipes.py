from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks import recipes
from benchmarks.runs import Learn, compare
from benchmarks.tables import Source
from tests.benchmarks.tables import folder
from tests.people import LABELS
from yololstm import models, params

ABNORMAL = LABELS[:3]
ROOT = Path(__file__).parents[2]
LSTM = {"lstm": Learn(partial(models.build, "lstm"), both_ways=False)}
KEYS = {
    *("recipe", "classes", "seeds", "train_windows", "test_windows"),
    *("window_accuracy", "window_macro_f1", "clip_accuracy", "clip_macro_f1"),
    *("test_clips", "test_clips_without_windows"),
}


def test_a_row_for_each_recipe_at_three_classes_and_at_four(tmp_path: Path) -> None:
    two = {**LSTM, "two": Learn(members=2)}
    rows = compare(Source(folder(tmp_path)), two, seeds=2, workers=1)
    assert [(row["recipe"], row["classes"]) for row in rows] == [
        *(("lstm", 3), ("two", 3), ("lstm", 4), ("two", 4)),
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
    rows = compare(Source(root), LSTM, seeds=1, workers=1)
    assert [row["classes"] for row in rows] == [3]
    assert "No rows with 4 classes" in recipes.notes(rows)[0]


def test_same_seed_same_figures(tmp_path: Path) -> None:
    source = Source(folder(tmp_path, ABNORMAL))
    chosen = {name: recipe for name, recipe in recipes.recipes().items() if name in ("old", "lstm")}
    assert compare(source, chosen, 1, workers=1) == compare(source, chosen, 1, workers=1)


def test_ours_is_what_the_train_stage_makes() -> None:
    seeds = params.load(ROOT / "params.yaml").train.seeds
    assert recipes.recipes()["ours"] == Learn(members=len(seeds))


@pytest.mark.parametrize("given", [["--recipes", "x"], ["--seeds", "0"], ["--folds", "1"]])
def test_what_cannot_be_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["recipes", "nowhere", *given])
    with pytest.raises(SystemExit):
        recipes.main()
    assert given[0] in capsys.readouterr().err
