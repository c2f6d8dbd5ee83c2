from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.people import LABELS, project, set_params
from tests.stages.running import run_badly, run_well
from yololstm import checkpoint, storage

TRAIN: dict[str, Any] = {"epochs": 10, "batch": 32, "device": "cpu", "seeds": [0, 1]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("trained"), {"train": 4, "test": 2}, train=TRAIN)
    for stage in ("segment", "train", "finish"):
        run_well(stage, folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(trained: Path) -> Path:
    """To be read, and not changed."""
    folder = shutil.copytree(trained, trained.with_name("evaluated"))
    run_well("evaluate", folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "project")


def table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def reports(folder: Path) -> list[bytes]:
    files = [folder / "data/predictions.csv", *sorted(folder.glob("data/reports/**/*.*"))]
    return [path.read_bytes() for path in files]


def test_the_same_checkpoint_gives_the_same_reports(folder: Path, evaluated: Path) -> None:
    run_well("evaluate", folder)
    assert reports(folder) == reports(evaluated)


def test_reports_agree_with_each_other(evaluated: Path) -> None:
    metrics = storage.read_json(evaluated / "data/reports/metrics.json")
    assert metrics["clips"] == 8
    assert metrics["takes"] == 8
    assert metrics["window"]["accuracy"] > 0.6  # four labels, and behaviours easily told apart
    plots = evaluated / "data/reports/plots"
    assert sorted(path.name for path in plots.iterdir()) == [
        *("alarms.csv", "confusion.csv", "confusion_windows.csv", "pr.csv", "reliability.csv"),
        *("robustness.csv", "roc.csv", "timelines.csv", "timelines.png"),
    ]
    for level, file in (("clip", "confusion"), ("window", "confusion_windows")):
        rows = table(plots / f"{file}.csv")
        right = sum(row["actual"] == row["predicted"] for row in rows) / len(rows)
        assert metrics[level]["accuracy"] == pytest.approx(right, abs=1e-6)
    predictions = table(evaluated / "data/predictions.csv")
    assert len(predictions) == metrics["windows"] == 64
    for row in predictions:
        chances = [float(row[f"probability_{label}"]) for label in LABELS]
        assert sum(chances) == pytest.approx(1, abs=1e-3)
        assert row["label"] == LABELS[chances.index(max(chances))]
    assert {row["label"] for row in table(plots / "roc.csv")} == set(LABELS)


def test_seeds_and_worse_landmarks_are_told(evaluated: Path) -> None:
    metrics = storage.read_json(evaluated / "data/reports/metrics.json")
    assert len(metrics["seeds"]["window"]["macro_f1"]["values"]) == len(TRAIN["seeds"])
    rows = table(evaluated / "data/reports/plots/robustness.csv")
    as_it_is = [row for row in rows if row["level"] == "0"]
    assert len(as_it_is) == 5
    for row in as_it_is:
        assert float(row["window_macro_f1"]) == pytest.approx(metrics["window"]["macro_f1"])
        assert float(row["clip_macro_f1"]) == pytest.approx(metrics["clip"]["macro_f1"])
        assert int(row["windows"]) == metrics["windows"]
    worst = metrics["robustness"]["dropped_joints"]["0.4"]["window_macro_f1"]
    assert worst < metrics["window"]["macro_f1"]
    assert list(metrics["robustness"]["fps"]) == ["2"]  # the landmarks are of 3 a second


def test_params_say_whose_data_it_is_and_how_many_clips_are_made_worse(
    folder: Path, evaluated: Path
) -> None:
    card = "data/reports/model_card.md"
    assert "synthetic" in (evaluated / card).read_text()  # data.root is the sample's
    changes = {"data": {"root": "data/raw/user"}, "evaluate": {"robustness_clips": 2}}
    set_params(folder, train=TRAIN, **changes)
    run_well("evaluate", folder)
    assert "synthetic" not in (folder / card).read_text()
    rows = table(folder / "data/reports/plots/robustness.csv")
    assert {int(row["windows"]) for row in rows if row["level"] == "0"} == {16}


def test_timelines_can_be_looked_at(evaluated: Path) -> None:
    plots = evaluated / "data/reports/plots"
    picture = cv2.imread(str(plots / "timelines.png"))
    assert picture is not None
    assert picture.std() > 10
    assert len({row["clip"] for row in table(plots / "timelines.csv")}) == 8


def test_thresholds_that_are_measured_are_those_of_the_checkpoint(folder: Path) -> None:
    kept = checkpoint.load(folder / "data/checkpoint.safetensors")
    enter = {"theft": 0.31, "assault": 0.32, "damage": 0.33}
    other = replace(kept, rule=replace(kept.rule, enter=enter), temperature=2.0)
    checkpoint.save(folder / "data/checkpoint.safetensors", other)
    run_well("evaluate", folder)
    metrics = storage.read_json(folder / "data/reports/metrics.json")
    assert metrics["event"]["operating"]["thresholds"] == enter
    assert metrics["calibration"]["temperature"] == 2.0


def test_clip_without_windows_counts(folder: Path) -> None:
    test = storage.read_windows(folder / "data/windows/test.npz")
    others = test[test.clip != "test_theft_0-CA"]
    storage.write_windows(folder / "data/windows/test.npz", others)
    run_well("evaluate", folder)
    metrics = storage.read_json(folder / "data/reports/metrics.json")
    assert metrics["clips"] == 8
    assert metrics["clips_without_windows"] == 1
    assert metrics["clip"]["per_class"]["theft"]["support"] == 2


def test_clip_without_landmarks_is_missed_and_adds_no_hours(folder: Path, evaluated: Path) -> None:
    """Extraction left it out; a clip in which it found nobody has landmarks, and counts."""
    test = storage.read_windows(folder / "data/windows/test.npz")
    for name in ("test_normal_0-CA", "test_theft_0-CA"):
        test = test[test.clip != name]
        (folder / f"data/landmarks/{name}.parquet").unlink()
    storage.write_windows(folder / "data/windows/test.npz", test)
    run_well("evaluate", folder)
    before, after = (
        storage.read_json(each / "data/reports/metrics.json")["event"]
        for each in (evaluated, folder)
    )
    assert after["operating"]["events"] == before["operating"]["events"]
    assert after["operating"]["per_class"]["theft"]["caught"] <= 1
    assert after["footage_hours"] == pytest.approx(before["footage_hours"] * 6 / 8)
    assert after["normal_hours"] == pytest.approx(before["normal_hours"] / 2)


def test_checkpoint_of_other_windows_is_refused(folder: Path) -> None:
    test = storage.read_windows(folder / "data/windows/test.npz")
    other = replace(test, spec=replace(test.spec, fps=5))
    storage.write_windows(folder / "data/windows/test.npz", other)
    assert "trained on other windows" in run_badly("evaluate", folder)


def test_damaged_checkpoint_is_named(folder: Path) -> None:
    (folder / "data/checkpoint.safetensors").write_bytes(b"nothing")
    assert "data/checkpoint.safetensors" in run_badly("evaluate", folder)
