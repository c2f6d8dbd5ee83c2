"""The index stage as DVC runs it: a process in the project's root, told its paths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.datasets.trees import MAKERS, Tree, aihub, aihub_name, annotation, event, put_pair
from yololstm import storage

ROOT = Path(__file__).parents[2]
INDEX, REPORT = Path("data/index.csv"), Path("data/reports/index.json")


def run(project: Path, tree: Tree, **data: Any) -> subprocess.CompletedProcess[str]:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= {"kind": tree.kind, "root": tree.root.name, **data}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    command = [sys.executable, str(ROOT / "stages" / "index.py"), tree.root.name]
    return subprocess.run(
        [*command, str(INDEX), str(REPORT)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", MAKERS)
def test_index_of_a_sound_data_set(tmp_path: Path, kind: str) -> None:
    tree = MAKERS[kind](tmp_path / "root")
    done = run(tmp_path, tree)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tree.n_clips} clips of ")
    clips = storage.read_index(tmp_path / INDEX)
    assert len(clips) == tree.n_clips
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in clips)
    report = storage.read_json(tmp_path / REPORT)
    assert sum(sum(labels.values()) for labels in report["clips"].values()) == tree.n_clips
    assert report["left_out"] == 0


def test_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(tmp_path / name, aihub(tmp_path / name / "root"))
        outputs.append([(tmp_path / name / file).read_bytes() for file in (INDEX, REPORT)])
    assert outputs[0] == outputs[1]


def test_faults_are_told_and_counted(tmp_path: Path) -> None:
    tree = aihub(tmp_path / "root")
    put_pair(tree.root, aihub_name(7), annotation(event("fall")))
    (tree.root / tree.victim).write_text("<annotation/>")
    done = run(tmp_path, tree)
    assert done.returncode == 0
    told = done.stderr.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"warning: {tree.victim}:1: its root is <annotation>")
    assert "data.label_map has no label for the event 'fall'" in told[1]
    assert done.stdout.endswith("; 2 left out\n")
    assert storage.read_json(tmp_path / REPORT)["left_out"] == 2
    assert str(tmp_path) not in (tmp_path / REPORT).read_text()


def test_too_many_faults_stop_it(tmp_path: Path) -> None:
    tree = aihub(tmp_path / "root")
    (tree.root / tree.victim).write_bytes(b"")
    done = run(tmp_path, tree, max_left_out=0.01)
    assert done.returncode == 1
    assert "more than data.max_left_out (1%)" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / INDEX).exists()


def test_folder_that_is_not_there_stops_it(tmp_path: Path) -> None:
    done = run(tmp_path, Tree("folder", tmp_path / "nowhere", 0, ""))
    assert done.returncode == 1
    assert done.stderr == (
        "error: nowhere: no such folder. Set data.root to where the data set is.\n"
    )


def test_label_without_clips_stops_it(tmp_path: Path) -> None:
    done = run(tmp_path, aihub(tmp_path / "root"), label_map={"theft": "theft"})
    assert done.returncode == 1
    assert "train has no clip of assault; train has no clip of damage" in done.stderr


def test_val_without_a_label_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, aihub(tmp_path / "root"), val_share=0)
    assert done.returncode == 0
    assert "warning: val has no clip of theft" in done.stderr.splitlines()
