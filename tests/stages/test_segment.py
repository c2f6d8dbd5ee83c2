from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.people import LABELS, project, set_params
from tests.stages.running import run_badly, run_well
from yololstm import scaling, storage


@pytest.mark.parametrize("kind", ["body", "minmax"])
def test_windows_are_scaled_by_train_alone(tmp_path: Path, kind: str) -> None:
    project(tmp_path, {"train": 2, "test": 1}, segment={"scaling": kind})
    said = run_well("segment", tmp_path)
    assert said == "warning: no windows in val\n"
    split = {
        name: storage.read_windows(tmp_path / f"data/windows/{name}.npz")
        for name in ("train", "val", "test")
    }
    fitted = scaling.from_dict(storage.read_json(tmp_path / "data/windows/scaling.json"))
    assert fitted.kind == kind
    assert {name: len(w) for name, w in split.items()} == {"train": 64, "val": 0, "test": 32}
    assert sorted(set(split["test"].y)) == [0, 1, 2, 3]
    if kind == "minmax":
        assert split["train"].x.min() == pytest.approx(0, abs=1e-5)
        assert split["train"].x.max() == pytest.approx(1, abs=1e-5)
        assert split["test"].x.min() < 0 or split["test"].x.max() > 1
    else:
        assert np.abs(split["train"].x).max() < 10


def test_same_landmarks_same_bytes(tmp_path: Path) -> None:
    project(tmp_path, {"train": 1, "val": 1, "test": 1})
    contents = []
    for _ in range(2):
        run_well("segment", tmp_path)
        files = sorted((tmp_path / "data").glob("[rw]*/*"))
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == [
        *("scaling.json", "segment.json", "test.npz", "train.npz", "val.npz")
    ]


def test_clip_without_landmarks_is_counted(tmp_path: Path) -> None:
    project(tmp_path, {"train": 2, "test": 1, "": 1})
    (tmp_path / "data/landmarks/train_theft_0-CA.parquet").unlink()
    run_well("segment", tmp_path)
    report = storage.read_json(tmp_path / "data/reports/segment.json")
    assert report["left_out"] == {"no_landmarks": 1, "unlabelled": 4}
    assert report["windows"]["train"] == {label: 8 if label == "theft" else 16 for label in LABELS}


def test_landmarks_may_be_csv(tmp_path: Path) -> None:
    project(tmp_path, {"train": 1, "test": 1})
    for path in (tmp_path / "data/landmarks").iterdir():
        storage.write_landmarks(path.with_suffix(".csv"), storage.read_landmarks(path))
        path.unlink()
    run_well("segment", tmp_path)
    assert len(storage.read_windows(tmp_path / "data/windows/train.npz")) == 32


def test_poor_landmarks_of_train_are_counted(tmp_path: Path) -> None:
    project(tmp_path, {"train": 2, "test": 1}, segment={"min_quality": 0.9})
    path = tmp_path / "data/landmarks/train_theft_0-CA.parquet"
    seen = storage.read_landmarks(path)
    storage.write_landmarks(path, replace(seen, confidence=seen.confidence * np.float32(0.5)))
    run_well("segment", tmp_path)
    report = storage.read_json(tmp_path / "data/reports/segment.json")
    assert report["dropped"]["poor_quality"] >= 1
    assert report["windows"]["train"]["theft"] == 8
    assert report["windows"]["test"]["theft"] == 8


def test_nothing_left_is_an_error_with_reasons(tmp_path: Path) -> None:
    project(tmp_path, {"train": 1, "test": 1}, segment={"length": 60})
    said = run_badly("segment", tmp_path)
    assert "no windows in train" in said
    assert "8 too_short" in said
    assert storage.read_json(tmp_path / "data/reports/segment.json")["dropped"] == {"too_short": 8}
    set_params(tmp_path, segment={"length": 16}, labels=["theft", "arson"], data={"label_map": {}})
    assert "all windows in train are theft" in run_badly("segment", tmp_path)
