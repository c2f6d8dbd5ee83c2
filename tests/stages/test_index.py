"""The index stage as DVC runs it: in the project's root, told its paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.datasets.trees import (
    MAKERS,
    Tree,
    aihub,
    aihub_name,
    annotation,
    event,
    put,
    put_pair,
)
from tests.stages import running
from tests.stages.running import Done
from yololstm import datasets, storage

ROOT = Path(__file__).parents[2]
INDEX, REPORT = Path("data/index.csv"), Path("data/reports/index.json")
PAGE = Path("data/reports/index.html")
PRIVATE = Path("data/private/index.html")


def run(project: Path, tree: Tree, **data: Any) -> Done:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    root = tree.root.name
    params["data"] |= {"kind": tree.kind, "root": root, "shareable": [root], **data}
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return running.run("index", project, [root, *map(str, (INDEX, REPORT, PAGE, PRIVATE))])


def told(done: Done) -> list[str]:
    """What it warned of. The trees hold one video under many names, which goes without saying."""
    lines = [line for line in done.stderr.splitlines() if "byte for byte" not in line]
    return [line for line in lines if "more such, which the report lists" not in line]


@pytest.mark.parametrize("kind", MAKERS)
def test_index_of_a_sound_data_set(tmp_path: Path, kind: str) -> None:
    tree = MAKERS[kind](tmp_path / "root")
    done = run(tmp_path, tree)
    assert (done.returncode, told(done)) == (0, [])
    assert done.stdout.startswith(f"{tree.n_clips} clips of ")
    clips = storage.read_index(tmp_path / INDEX)
    assert len(clips) == tree.n_clips
    assert [clip.clip_id for clip in clips] == sorted(clip.clip_id for clip in clips)
    report = storage.read_json(tmp_path / REPORT)
    assert report["clips"] == sum(n["clips"] for n in report["labels"].values()) == tree.n_clips
    assert report["problems"] == report["unmapped"] == []
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "no picture" not in page
    assert ("data:image/jpeg;base64," in page) == (kind not in datasets.WITHOUT_VIDEO)


def test_pictures_that_may_not_be_handed_on_are_on_a_page_of_their_own(tmp_path: Path) -> None:
    tree = aihub(tmp_path / "root")
    run(tmp_path, tree)
    whole = (tmp_path / PAGE).read_bytes()
    assert not (tmp_path / PRIVATE).exists()
    run(tmp_path, tree, shareable=["data/raw/sample"])
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "data:image" not in page
    assert f"are in {PRIVATE} on the machine that made them" in page
    assert (tmp_path / PRIVATE).read_bytes() == whole


def test_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run(tmp_path / name, aihub(tmp_path / name / "root"))
        outputs.append([(tmp_path / name / file).read_bytes() for file in (INDEX, REPORT, PAGE)])
    assert outputs[0] == outputs[1]


def test_faults_are_told_and_counted(tmp_path: Path) -> None:
    tree = aihub(tmp_path / "root")
    put_pair(tree.root, aihub_name(7), annotation(event("fall")))
    put(tree.root / tree.victim, "<annotation/>")
    done = run(tmp_path, tree)
    assert done.returncode == 0
    broken, unmapped = told(done)
    assert broken.startswith(f"warning: {tree.victim}:1: its root is <annotation>")
    assert "data.label_map has no label for the event 'fall'" in unmapped
    assert done.stdout.endswith("; 2 left out\n")
    report = storage.read_json(tmp_path / REPORT)
    assert (report["left_out"], report["left_out_for_faults"]) == (2, 1)
    assert report["problems"][0]["place"] == f"{tree.victim}:1"
    for file in (INDEX, REPORT, PAGE):
        assert str(tmp_path) not in (tmp_path / file).read_text(encoding="utf-8")


def test_what_only_all_clips_show_is_told(tmp_path: Path) -> None:
    tree = aihub(tmp_path / "root")
    for camera, marks in (("CA", event("theft")), ("CB", "")):
        put_pair(tree.root, aihub_name(12, 9, camera), annotation(marks))
    done = run(tmp_path, tree)
    assert (done.returncode, len(told(done))) == (0, 1)
    assert "is not the same to all cameras: normal to CB; theft to CA" in told(done)[0]
    assert "normal to CB; theft to CA" in (tmp_path / PAGE).read_text(encoding="utf-8")


def test_too_many_faults_stop_it(tmp_path: Path) -> None:
    tree = aihub(tmp_path / "root")
    put(tree.root / tree.victim, "")
    done = run(tmp_path, tree, max_left_out=0.01)
    assert done.returncode == 1
    assert "more than data.max_left_out (1%)" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / INDEX).exists()
    (problem,) = storage.read_json(tmp_path / REPORT)["problems"]
    assert problem["place"].startswith(tree.victim)
    assert tree.victim in (tmp_path / PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["TS_12.zip", "TS_12.zip.part0"])
def test_what_cannot_be_opened_stops_it_however_little_it_is(tmp_path: Path, name: str) -> None:
    tree = aihub(tmp_path / "root")
    put(tree.root / name, b"PK\3\4 and no more")
    name = name.removesuffix("0")
    done = run(tmp_path, tree, max_left_out=1.0)
    assert done.returncode == 1
    warning, error = told(done)
    assert warning.startswith(f"warning: {name}")
    assert error.startswith(f"error: {name}")
    assert ", so that nobody knows what is missing. " in error
    assert not (tmp_path / INDEX).exists()
    report = storage.read_json(tmp_path / REPORT)
    assert (report["problems"], report["left_out"], report["clips"]) == ([], 0, tree.n_clips)
    assert report["unreadable"][0]["place"].startswith(name)
    assert name in (tmp_path / PAGE).read_text(encoding="utf-8")


def test_folder_that_is_not_there_stops_it(tmp_path: Path) -> None:
    done = run(tmp_path, Tree("folder", tmp_path / "nowhere", 0, ""))
    assert done.returncode == 1
    assert done.stderr == (
        "error: nowhere: no such folder. Set data.root to where the data set is.\n"
    )


def test_label_without_clips_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, aihub(tmp_path / "root"), label_map={"theft": "theft"})
    assert done.returncode == 0
    assert sum("no clip shows this label" in line for line in told(done)) == 2
