from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.people import LABELS, project
from tests.stages.running import run_badly, run_well
from yololstm import storage

TRAIN = {"epochs": 10, "batch": 32, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("trained"), {"train": 4, "test": 2}, train=TRAIN)
    for stage in ("segment", "train"):
        run_well(stage, folder)
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


def test_reports_agree_with_each_other_and_with_themselves(folder: Path) -> None:
    run_well("evaluate", folder)
    once = reports(folder)
    run_well("evaluate", folder)
    assert reports(folder) == once
    metrics = storage.read_json(folder / "data/reports/metrics.json")
    assert metrics["clips"] == 8
    assert metrics["takes"] == 8
    assert metrics["window"]["accuracy"] > 0.6  # four labels, and behaviours easily told apart
    plots = folder / "data/reports/plots"
    assert sorted(path.name for path in plots.iterdir()) == [
        *("confusion.csv", "confusion_windows.csv", "pr.csv", "roc.csv")
    ]
    for level, file in (("clip", "confusion"), ("window", "confusion_windows")):
        rows = table(plots / f"{file}.csv")
        right = sum(row["actual"] == row["predicted"] for row in rows) / len(rows)
        assert metrics[level]["accuracy"] == pytest.approx(right, abs=1e-6)
    predictions = table(folder / "data/predictions.csv")
    assert len(predictions) == metrics["windows"] == 64
    for row in predictions:
        chances = [float(row[f"probability_{label}"]) for label in LABELS]
        assert sum(chances) == pytest.approx(1, abs=1e-3)
        assert row["label"] == LABELS[chances.index(max(chances))]
    assert {row["label"] for row in table(plots / "roc.csv")} == set(LABELS)


def test_clip_without_windows_counts(folder: Path) -> None:
    test = storage.read_windows(folder / "data/windows/test.npz")
    others = test[test.clip != "test_theft_0-CA"]
    storage.write_windows(folder / "data/windows/test.npz", others)
    run_well("evaluate", folder)
    metrics = storage.read_json(folder / "data/reports/metrics.json")
    assert metrics["clips"] == 8
    assert metrics["clips_without_windows"] == 1
    assert metrics["clip"]["per_class"]["theft"]["support"] == 2


def test_checkpoint_of_other_windows_is_refused(folder: Path) -> None:
    test = storage.read_windows(folder / "data/windows/test.npz")
    other = replace(test, spec=replace(test.spec, fps=5))
    storage.write_windows(folder / "data/windows/test.npz", other)
    assert "trained on other windows" in run_badly("evaluate", folder)


def test_damaged_checkpoint_is_named(folder: Path) -> None:
    (folder / "data/checkpoint.safetensors").write_bytes(b"nothing")
    assert "data/checkpoint.safetensors" in run_badly("evaluate", folder)
