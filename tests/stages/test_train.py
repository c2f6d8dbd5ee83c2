from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.people import LABELS, project, set_params
from tests.stages.running import command, run_badly, run_well
from yololstm import checkpoint, storage

QUICK = {"epochs": 12, "patience": 12, "batch": 32, "device": "cpu", "seeds": [5]}
TRAINED = "data/trained.safetensors"
HISTORY = "data/reports/history.csv"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"train": 3, "val": 1, "test": 1}
    folder = project(tmp_path_factory.mktemp("prepared"), splits, train=QUICK)
    run_well("segment", folder)
    return folder


@pytest.fixture
def segmented(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "project")


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (TRAINED, HISTORY)}


def kept(folder: Path) -> list[Path]:
    """Resume files; what a kill leaves of one that was being written is hidden."""
    return [p for p in folder.glob(".cache/train/*/*.safetensors") if not p.name.startswith(".")]


def test_killed_run_ends_as_if_it_had_not_been_on_one_core_as_on_two(segmented: Path) -> None:
    """Seeds are taught in processes of their own where there are cores for them."""
    set_params(segmented, train={**QUICK, "seeds": [0, 1]})
    assert start(segmented, cores=1).wait(timeout=300) == 0
    whole = outputs(segmented)
    for name in (TRAINED, HISTORY):
        (segmented / name).unlink()

    process = start(segmented, cores=2)
    deadline = time.monotonic() + 300
    while not kept(segmented):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (segmented / TRAINED).exists()

    time.sleep(1)  # its processes follow it
    mark_first_epoch(kept(segmented)[0])
    run_well("train", segmented)
    again = outputs(segmented)
    assert again[TRAINED] == whole[TRAINED]
    first, second = (text[HISTORY].decode().splitlines() for text in (again, whole))
    changed = [i for i, pair in enumerate(zip(first, second, strict=True)) if len(set(pair)) > 1]
    assert changed in ([1], [13]), "it began anew"
    assert not kept(segmented)


def test_what_runs_with_other_params_left_goes_when_one_ends_well(segmented: Path) -> None:
    cache = segmented / ".cache/train"
    for output in ("data-trained", "data-folds-0-trained"):
        (cache / output).mkdir(parents=True)
        (cache / output / f"{'0' * 64}.safetensors").touch()
    set_params(segmented, train={**QUICK, "epochs": 1})
    run_well("train", segmented)
    assert [path.name for path in cache.iterdir()] == ["data-folds-0-trained"]
    assert kept(segmented)


def start(folder: Path, cores: int) -> subprocess.Popen[bytes]:
    ours = sorted(os.sched_getaffinity(0))[:cores]
    return subprocess.Popen(
        command("train"),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, ours),
    )


def mark_first_epoch(path: Path) -> None:
    """Change what the resume file remembers of the first epoch's train_loss, and nothing else."""
    with safe_open(path, framework="pt") as file:
        value = json.loads(file.metadata()["yololstm"])
    value["history"][0][2] = 123.0
    save_file(load_file(path), path, {"yololstm": json.dumps(value)})


def test_checkpoint_carries_all_and_history_tells_all(segmented: Path) -> None:
    quick = {**QUICK, "epochs": 3, "dropout": 0.25, "seeds": [1, 0]}
    set_params(segmented, train=quick)
    run_well("train", segmented)
    trained = checkpoint.load(segmented / TRAINED)
    assert trained.model == "bilstm"
    assert trained.args == {"dropout": 0.25}
    assert trained.labels == LABELS
    assert len(trained.members) == 2
    assert trained.mirrored
    assert trained.scaling.kind == "body"
    assert (trained.spec.length, trained.spec.hop) == (16, 4)
    assert (trained.temperature_fitted, trained.thresholds) == (False, "default")
    with (segmented / HISTORY).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1"] * 3 + ["0"] * 3
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] * 2
    assert all(float(row["val_loss"]) > 0 for row in rows)


def test_without_val_it_says_so_and_trains_on(segmented: Path) -> None:
    windows = storage.read_windows(segmented / "data/windows/val.npz")
    storage.write_windows(segmented / "data/windows/val.npz", windows[:0])
    set_params(
        segmented,
        train={**QUICK, "epochs": 2, "patience": 1, "model": "stacked_lstm", "augment": []},
    )
    assert run_well("train", segmented).startswith("warning: no window in val has a label")
    trained = checkpoint.load(segmented / TRAINED)
    assert (trained.args, trained.mirrored) == ({}, False)
    assert (segmented / HISTORY).read_text().splitlines()[2].endswith(",,,")


def test_windows_that_are_damaged_are_named(segmented: Path) -> None:
    (segmented / "data/windows/train.npz").write_bytes(b"damaged")
    assert "data/windows/train.npz" in run_badly("train", segmented)
