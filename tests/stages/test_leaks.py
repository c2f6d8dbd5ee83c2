from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.people import LABELS, project, set_params
from tests.stages import running
from tests.stages.running import run_well
from yololstm import storage
from yololstm.clips import SPLITS, Clip

REPORT = Path("data/reports/leaks.json")
PATHS = ("data/index.csv", "data/splits.csv", "data/landmarks", "data/windows", str(REPORT))
LIMITS = {"near": 0.03, "near_share": 0.5, "max_probe": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What segment leaves of clips that share nothing."""
    project(tmp_path, {"train": 3, "val": 1, "test": 2}, leaks=LIMITS)
    clips = storage.read_clips(tmp_path / PATHS[0], tmp_path / PATHS[1])
    write(tmp_path, [replace(one, sha256=one.clip_id) for one in clips])
    run_well("segment", tmp_path)
    return tmp_path


def write(folder: Path, clips: Sequence[Clip]) -> None:
    storage.write_index(folder / PATHS[0], clips)
    storage.write_splits(folder / PATHS[1], clips)


def read(folder: Path) -> dict[str, Clip]:
    clips = storage.read_clips(folder / PATHS[0], folder / PATHS[1])
    return {one.clip_id: one for one in clips}


def run(folder: Path) -> tuple[int, list[str], Any]:
    """Exit status, lines on stderr, and the report."""
    done = running.run("leaks", folder)
    return done.returncode, done.stderr.splitlines(), storage.read_json(folder / REPORT)


def found(folder: Path) -> tuple[str, dict[str, int]]:
    """The error, and how much each gate found that found anything."""
    status, said, report = run(folder)
    assert status == 1
    assert said[-1].startswith("error: ")
    return said[-1], {gate: n for gate, n in report["found"].items() if n}


def test_without_leaks_it_reports_and_goes_on(folder: Path) -> None:
    status, said, report = run(folder)
    assert (status, said) == (0, [])
    assert set(report["found"].values()) == {0}
    assert sorted(report["probes"]) == ["missing_landmarks", "place", "position"]
    assert report["probes"]["place"] is None  # one camera, and no store is known
    assert report["probes"]["position"]["chance"] == 0.25
    assert report["clips"] == 24
    assert report["clips_compared"] > 12
    once = (folder / REPORT).read_bytes()
    run(folder)
    assert (folder / REPORT).read_bytes() == once


def test_torn_take_stops_it(folder: Path) -> None:
    clips = read(folder)
    clips["test_theft_0-CA"] = replace(clips["test_theft_0-CA"], take="train_theft_0")
    write(folder, [*clips.values()])
    said, gates = found(folder)
    assert gates == {"torn_takes": 1}
    assert "train_theft_0: this take is in train (train_theft_0-CA) and test" in said


def test_identical_clips_stop_it(folder: Path) -> None:
    clips = read(folder)
    write(folder, [replace(one, sha256=one.clip_id.split("_")[2]) for one in clips.values()])
    said, gates = found(folder)
    assert gates == {"identical": 2}
    assert "one of 2 leaks" in said


def test_copied_landmarks_stop_it(folder: Path) -> None:
    copied = storage.read_landmarks(folder / "data/landmarks/train_damage_0-CA.parquet")
    storage.write_landmarks(folder / "data/landmarks/val_damage_0-CA.parquet", copied)
    said, gates = found(folder)
    assert gates == {"near_identical": 1}
    assert "train_damage_0-CA and val_damage_0-CA" in said


def test_windows_of_another_split_stop_it(folder: Path) -> None:
    windows = {split: folder / f"data/windows/{split}.npz" for split in SPLITS}
    storage.write_windows(windows["val"], storage.read_windows(windows["train"])[:1])
    said, gates = found(folder)
    assert gates == {"shared_tracks": 2}
    assert "track 1: has windows in train and val" in said


def test_probe_stops_it_only_where_params_say_so(folder: Path) -> None:
    clips = read(folder).values()
    places = [replace(one, store=f"S{LABELS.index(one.clip_id.split('_')[1])}") for one in clips]
    write(folder, places)
    status, said, report = run(folder)
    assert status == 0
    assert len(said) == len(report["warnings"]) >= len(LABELS)
    assert sum("only store" in line for line in said) == len(LABELS)
    assert report["probes"]["place"]["balanced_accuracy"] == 1
    set_params(folder, leaks=LIMITS | {"max_probe": 0.9})
    said_last, gates = found(folder)
    assert gates == {"probes": 1}
    assert "store and camera" in said_last
