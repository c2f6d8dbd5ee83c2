from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.people import project, set_params
from tests.stages.running import run_badly, run_well
from yololstm import checkpoint, storage
from yololstm.clips import Box, Span

TRAIN: dict[str, Any] = {"epochs": 8, "batch": 32, "device": "cpu", "seeds": [0]}
TRAINED = "data/trained.safetensors"
CHECKPOINT = "data/checkpoint.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": 3, "val": 1, "test": 1}
    folder = project(tmp_path_factory.mktemp("trained"), splits, train=TRAIN)
    for stage in ("segment", "train"):
        run_well(stage, folder)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "project")


def test_the_same_gives_the_same_bytes(folder: Path) -> None:
    made = []
    for _ in range(2):
        run_well("finish", folder)
        made.append((folder / CHECKPOINT).read_bytes())
    assert made[0] == made[1]


def test_a_change_of_events_changes_the_rule_and_no_weights(folder: Path) -> None:
    before = (folder / TRAINED).read_bytes()
    weights = checkpoint.load(folder / TRAINED)
    for leave in (0.5, 0.9):
        set_params(folder, train=TRAIN, events={"leave": leave, "cool_down_s": 12})
        run_well("finish", folder)
        made = checkpoint.load(folder / CHECKPOINT)
        assert (made.rule.leave, made.rule.cool_down_s) == (leave, 12)
        assert set(made.rule.enter) == {"theft", "assault", "damage"}
        assert made.temperature_fitted
        assert made.temperature != 1
        (ours,), (theirs,) = made.members, weights.members
        assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert (folder / TRAINED).read_bytes() == before


def test_what_val_cannot_show_is_told_and_kept(folder: Path) -> None:
    assert "too few to see 1 false alarms an hour" in run_well("finish", folder)
    assert checkpoint.load(folder / CHECKPOINT).thresholds == "f1"
    set_params(folder, train=TRAIN, events={"false_alarms_per_hour": 1000})
    assert "too few" not in run_well("finish", folder)
    assert checkpoint.load(folder / CHECKPOINT).thresholds == "rate"


def test_without_val_it_says_so_and_goes_on(folder: Path) -> None:
    windows = storage.read_windows(folder / "data/windows/val.npz")
    storage.write_windows(folder / "data/windows/val.npz", windows[:0])
    assert run_well("finish", folder).startswith("warning: no windows in val")
    made = checkpoint.load(folder / CHECKPOINT)
    assert (made.temperature_fitted, made.thresholds) == (False, "default")


def test_footage_without_landmarks_shows_no_rate(folder: Path) -> None:
    """What extraction left out adds no hours in which there was no false alarm."""
    set_params(folder, train=TRAIN, events={"false_alarms_per_hour": 1000})
    for path in (folder / "data/landmarks").glob("val_normal_*"):
        path.unlink()
    windows = storage.read_windows(folder / "data/windows/val.npz")
    seen = windows[windows.clip != "val_normal_0-CA"]
    storage.write_windows(folder / "data/windows/val.npz", seen)
    assert "0.0 minutes of normal footage" in run_well("finish", folder)


def test_landmarks_say_who_does_it(folder: Path) -> None:
    """They are read where a box points at somebody; clips that are only normal need none."""
    clips = storage.read_clips(folder / "data/index.csv", folder / "data/splits.csv")
    pointed = [
        replace(clip, spans=(Span(0, 99, clip.label, Box(0, 0, 9, 9)),))
        if clip.clip_id == "val_theft_0-CA"
        else clip
        for clip in clips
    ]
    storage.write_index(folder / "data/index.csv", pointed)
    run_well("finish", folder)
    (folder / "data/landmarks/val_normal_0-CA.parquet").write_bytes(b"damaged")
    run_well("finish", folder)
    (folder / "data/landmarks/val_theft_0-CA.parquet").write_bytes(b"damaged")
    assert "data/landmarks/val_theft_0-CA.parquet" in run_badly("finish", folder)


def test_weights_of_other_windows_are_refused(folder: Path) -> None:
    val = storage.read_windows(folder / "data/windows/val.npz")
    other = replace(val, spec=replace(val.spec, fps=5))
    storage.write_windows(folder / "data/windows/val.npz", other)
    assert "trained on other windows" in run_badly("finish", folder)


def test_weights_that_are_not_there_are_named(folder: Path) -> None:
    (folder / TRAINED).unlink()
    assert TRAINED in run_badly("finish", folder)
