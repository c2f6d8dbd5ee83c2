"""The split stage, and the crossvalidation that runs it once a fold."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import people
from tests.people import ROOT
from tests.stages import running
from tests.stages.running import Done, run_well
from tests.test_splits import LABELS, clip, takes
from yololstm import storage
from yololstm.clips import Clip

INDEX, SPLITS, REPORT = Path("data/index.csv"), Path("data/splits.csv"), Path("data/split.json")


def run(folder: Path, clips: Sequence[Clip], *fold: str, **data: Any) -> Done:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= data
    params["labels"] = list(LABELS)
    params["data"]["label_map"] = {"theft": "theft"}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    clips = [replace(c, sha256=c.sha256 or c.clip_id) for c in clips]
    storage.write_index(folder / INDEX, sorted(clips, key=lambda c: c.clip_id))
    return running.run("split", folder, [*map(str, (INDEX, SPLITS, REPORT)), *fold])


def read(folder: Path) -> list[Clip]:
    return storage.read_clips(folder / INDEX, folder / SPLITS)


def test_takes_are_held_out(tmp_path: Path) -> None:
    done = run(tmp_path, takes(5))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "18 train, 6 val, 6 test\n"
    assert storage.read_json(tmp_path / REPORT)["takes"]["test"] == dict.fromkeys(LABELS, 1)
    assert len({(c.take, c.split) for c in read(tmp_path)}) == 15


@pytest.mark.parametrize(("split", "held_out"), [("store", "S1"), ("camera", "CB")])
def test_a_store_or_camera_is_held_out(tmp_path: Path, split: str, held_out: str) -> None:
    done = run(tmp_path, takes(6), split=split, held_out=held_out)
    assert (done.returncode, done.stderr) == (0, "")
    clips = read(tmp_path)
    where = {getattr(c, split): set() for c in clips}
    for c in clips:
        where[getattr(c, split)].add(c.split)
    assert "test" in where.pop(held_out)
    assert not any("test" in splits for splits in where.values())


@pytest.mark.parametrize(("split", "held_out"), [("store", "S1"), ("camera", "CB")])
def test_what_is_held_out_is_what_is_measured(tmp_path: Path, split: str, held_out: str) -> None:
    """All the way to the metrics."""
    data, short = {"split": split, "held_out": held_out}, {"epochs": 1, "seeds": [0]}
    made = people.project(tmp_path, {"train": 9}, data=data)
    set_places(made)
    done = running.run("split", made, [str(path) for path in (INDEX, SPLITS, REPORT)])
    assert done.returncode == 0, done.stderr
    people.set_params(made, data=data, train=short)
    for stage in ("segment", "leaks", "train", "finish", "evaluate"):
        run_well(stage, made)
    clips = {c.clip_id: c for c in storage.read_clips(made / INDEX, made / SPLITS)}
    with (made / "data/predictions.csv").open() as file:
        measured = {row["clip"] for row in csv.DictReader(file)}
    assert measured == {c.clip_id for c in clips.values() if c.split == "test"}
    assert {getattr(clips[name], split) for name in measured} == {held_out}
    metrics = storage.read_json(made / "data/reports/metrics.json")
    assert metrics["clips"] == len(measured)


def set_places(folder: Path) -> None:
    """Three stores; two cameras, each before every take: i and i + 1 of a label are one take."""
    clips = storage.read_index(folder / INDEX)
    numbered = [(c, int(c.take.rsplit("_", 1)[1])) for c in clips]
    placed = [
        replace(
            c,
            sha256=c.clip_id,
            store=f"S{n // 2 % 3}",
            camera="CB" if n % 2 else "CA",
            take=f"{c.label} {n // 2}",
        )
        for c, n in numbered
    ]
    storage.write_index(folder / INDEX, placed)


def test_folds(tmp_path: Path) -> None:
    tested = []
    for number in range(3):
        done = run(tmp_path, takes(6), str(number), "3")
        assert (done.returncode, done.stderr) == (0, "")
        tested += [c.take for c in read(tmp_path) if c.split == "test" and c.camera == "CA"]
    assert sorted(tested) == sorted({c.take for c in takes(6)})


def test_take_that_the_data_set_tears_stops_it(tmp_path: Path) -> None:
    torn = [clip("t1", "theft", "train", "CA"), clip("t1", "theft", "test", "CB")]
    done = run(tmp_path, [*takes(5), *takes(2, "test"), *torn])
    assert done.returncode == 1
    assert "t1" in done.stderr
    assert "data.official" in done.stderr
    assert not (tmp_path / SPLITS).exists()
    assert run(tmp_path, [*takes(5), *takes(2, "test"), *torn], official=False).returncode == 0


def test_the_same_video_on_both_sides_stops_it(tmp_path: Path) -> None:
    clips = takes(5)
    run(tmp_path, clips)
    placed = {c.clip_id: c.split for c in read(tmp_path)}
    train, test = (
        next(c for c in clips if placed[c.clip_id] == split) for split in ("train", "test")
    )
    done = run(tmp_path, [replace(c, sha256="same") if c in (train, test) else c for c in clips])
    assert done.returncode == 1
    assert train.clip_id in done.stderr
    assert test.clip_id in done.stderr


def test_label_without_clips_stops_it(tmp_path: Path) -> None:
    done = run(tmp_path, takes(5, labels=["theft", "normal"]))
    assert done.returncode == 1
    assert "train has no clip of assault; test has no clip of assault" in done.stderr


def test_val_without_a_label_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, takes(5), val_share=0)
    assert done.returncode == 0
    assert "warning: val has no clip of theft" in done.stderr.splitlines()
