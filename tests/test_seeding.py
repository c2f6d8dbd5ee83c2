"""A fresh clone takes what was committed: with real Git, DVC, and a folder for a remote."""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.datasets import trees
from tests.extracting import Project, blind_detector
from tests.people import SOURCE
from yololstm import seeding, storage
from yololstm.landmark_store import LandmarkStore
from yololstm.landmarks import Landmarks

OUT = Path("data/landmarks")
INDEX = Path("data/index.csv")
RECIPE: Final = "0123456789abcdef"
PIPELINE: Final = """
stages:
  extract:
    cmd: cp -r made data/landmarks
    deps: [made]
    outs: [data/landmarks]
"""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("dvc") is None, reason="DVC is not installed"
)


def clip_sha256(clip_id: str) -> str:
    return f"{ord(clip_id):064x}"


def key(clip_id: str) -> str:
    return f"{RECIPE}/{clip_sha256(clip_id)}"


def shell(folder: Path, command: str) -> str:
    """dvc: that of these tests."""
    done = subprocess.run(
        command.replace("dvc ", f"{sys.executable} -m dvc "),
        shell=True,
        cwd=folder,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["parquet", "csv"])
def origin(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A repository whose last commit has landmarks of the clips a, b and c; of another recipe for
    c, and none of which are on this machine but in a remote."""
    folder = tmp_path_factory.mktemp("origin")
    for clip_id in "abc":
        made_of = key(clip_id).replace("0", "f") if clip_id == "c" else key(clip_id)
        landmarks = Landmarks.empty(replace(SOURCE, key=made_of))
        storage.write_landmarks(folder / "made" / f"{clip_id}.{request.param}", landmarks)
    (folder / "dvc.yaml").write_text(PIPELINE)
    trees.put(folder / INDEX, "".join(f"{name},{clip_sha256(name)},7\n" for name in "abc"))
    shell(folder, "git init -q && dvc init -q && dvc remote add -q -d r ../remote && dvc repro -q")
    shell(folder, "git add . && git -c user.name=a -c user.email=a@b commit -qm landmarks")
    shell(folder, "dvc push -q && rm -rf .dvc/cache data/landmarks")
    return folder


@pytest.fixture
def clone(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shell(tmp_path, f"git clone -q {origin} clone")
    shell(tmp_path / "clone", f"dvc remote modify -q --local r url {origin.parent / 'remote'}")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def test_clip_added_to_a_fresh_clone_is_the_only_one_extracted(tmp_path: Path) -> None:
    """From end to end. The clone lacks the videos of the others, so that they cannot be."""
    project = Project(tmp_path / "origin", blind_detector(tmp_path / "weights"), n_clips=3)
    outs = ["data/landmarks", "data/reports/extract.json"]
    stage = {"cmd": shlex.join(project.command), "deps": ["data/index.csv"], "outs": outs}
    trees.put(project.root / "dvc.yaml", yaml.safe_dump({"stages": {"extract": stage}}))
    trees.put(project.root / ".gitignore", ".cache\n/data/raw\n/data/landmarks\n")
    trees.put(project.root / "data/reports/.gitignore", "/extract.json\n")
    shell(project.root, "git init -q && dvc init -q && dvc remote add -q -d r ../remote")
    shell(project.root, "dvc repro -q && git add . && dvc push -q")
    shell(project.root, "git -c user.name=a -c user.email=a@b commit -qm landmarks")
    shell(tmp_path, "git clone -q origin clone && rm -r origin/.dvc/cache")
    clone = copy.copy(project)
    clone.root = tmp_path / "clone"
    (clone.root / ".cache").mkdir()
    (clone.root / ".cache/models").symlink_to(project.root / ".cache/models")
    clone.index(4)
    for number in range(3):
        (clone.root / f"data/raw/theft/{number}.mp4").unlink()
    shell(clone.root, "dvc repro -q")
    assert clone.is_whole()
    for path in (project.root / "data/landmarks").iterdir():
        assert (clone.root / "data/landmarks" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> LandmarkStore:
    return LandmarkStore(tmp_path / "store", limit=10**6)


def wanted(clip_ids: str) -> dict[str, str]:
    return {key(clip_id): clip_sha256(clip_id) for clip_id in clip_ids}


@pytest.mark.usefixtures("clone")
def test_what_was_committed_need_not_be_extracted(
    store: LandmarkStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """c was made in another way, d is new. b may be wanted later, when nobody looks again."""
    seeding.seed(store, wanted("acd"), OUT)
    assert set(store.folder.glob("*/*")) == {store.path(key("a")), store.path(key("b"))}
    for clip_id in "ab":
        content = store.get(key(clip_id))
        assert content is not None
        source = storage.landmarks_from_parquet(content, store.path(key(clip_id))).source
        assert source == replace(SOURCE, key=key(clip_id))
    assert capsys.readouterr().err == ""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What DVC was asked for, as it goes."""
    paths: list[Path] = []
    get: Callable[[Path, Path], str] = seeding._get
    monkeypatch.setattr(seeding, "_get", lambda path, to: paths.append(path) or get(path, to))
    return paths


@pytest.mark.usefixtures("clone")
def test_a_commit_is_asked_once_for_one_recipe(store: LandmarkStore, asked: list[Path]) -> None:
    seeding.seed(store, wanted("a"), OUT)
    seeding.seed(store, wanted("ab"), OUT)
    assert len(asked) == 1
    seeding.seed(store, {key("a").replace("0", "e"): clip_sha256("a")}, OUT)
    assert len(asked) == 2


@pytest.mark.usefixtures("clone")
def test_a_commit_is_not_asked_for_clips_that_it_has_not(
    store: LandmarkStore, asked: list[Path]
) -> None:
    seeding.seed(store, wanted("de"), OUT, INDEX)
    assert asked == []
    seeding.seed(store, wanted("da"), OUT, INDEX)
    assert asked == [OUT]
    assert store.get(key("a")) is not None


@pytest.mark.usefixtures("clone")
def test_a_commit_without_an_index_may_have_any(store: LandmarkStore, asked: list[Path]) -> None:
    seeding.seed(store, wanted("d"), OUT, Path("elsewhere.csv"))
    assert asked == [OUT]


@pytest.mark.usefixtures("clone")
def test_what_is_stored_already_is_left_alone(store: LandmarkStore) -> None:
    store.put(key("b"), b"stored")
    seeding.seed(store, wanted("a"), OUT)
    assert store.get(key("a")) is not None
    assert store.get(key("b")) == b"stored"


def test_a_remote_out_of_reach_is_told(
    clone: Path, origin: Path, store: LandmarkStore, capsys: pytest.CaptureFixture[str]
) -> None:
    shell(clone, "dvc remote modify -q --local r url /nowhere")
    seeding.seed(store, wanted("a"), OUT)
    told = capsys.readouterr().err
    assert told.startswith("warning: data/landmarks: what was committed cannot all be had (")
    assert told.count("\n") == 1
    assert store.get(key("a")) is None
    shell(clone, f"dvc remote modify -q --local r url {origin.parent / 'remote'}")
    seeding.seed(store, wanted("a"), OUT)
    assert store.get(key("a")) is not None


def test_without_cache_and_remote_nothing_is_amiss(
    clone: Path, store: LandmarkStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told at a terminal, by the way."""
    (clone / ".dvc/config").write_text("")
    (clone / ".dvc/config.local").unlink()
    shell(clone, "git -c user.name=a -c user.email=a@b commit -qam 'no remote'")
    seeding.seed(store, wanted("a"), OUT)
    assert capsys.readouterr().err == ""
    assert store.get(key("a")) is None


def test_what_is_there_is_taken_where_not_all_is(
    clone: Path, origin: Path, store: LandmarkStore, tmp_path: Path
) -> None:
    remote = tmp_path / "half a remote"
    shell(tmp_path, f"cp -r '{origin.parent / 'remote'}' '{remote}'")
    shell(clone, f"dvc remote modify -q --local r url '{remote}'")
    listed = json.loads(shell(clone, "dvc list . data/landmarks --rev HEAD --json --show-hash"))
    (md5,) = (entry["md5"] for entry in listed if entry["path"].startswith("b."))
    (remote / "files/md5" / md5[:2] / md5[2:]).unlink()
    seeding.seed(store, wanted("ab"), OUT)
    assert (store.get(key("a")) is None) == (made_as(clone) == "csv")
    assert store.get(key("b")) is None


def made_as(clone: Path) -> str:
    return next((clone / "made").glob("a.*")).suffix[1:]


def test_what_broke_off_is_not_taken_for_whole(
    clone: Path, store: LandmarkStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a CSV, nothing says where it should end."""
    get: Callable[[Path, Path], str] = seeding._get

    def broken_off(path: Path, to: Path) -> str:
        assert get(path, to) == ""
        (half,) = to.glob("a.*")
        half.write_bytes(half.read_bytes()[:-1])
        return "no end of it in 3600 s"

    monkeypatch.setattr(seeding, "_get", broken_off)
    seeding.seed(store, wanted("ab"), OUT)
    assert store.get(key("a")) is None
    assert (store.get(key("b")) is None) == (made_as(clone) == "csv")
    monkeypatch.setattr(seeding, "_get", get)
    seeding.seed(store, wanted("ab"), OUT)
    assert store.get(key("a")) is not None


def test_no_repository(
    tmp_path: Path,
    store: LandmarkStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    seeding.seed(store, wanted("a"), OUT)
    shell(tmp_path, "git init -q")
    seeding.seed(store, wanted("a"), OUT)
    assert capsys.readouterr().err == ""
    assert not store.folder.exists()
