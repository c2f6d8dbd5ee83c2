"""Footage that may not be shared reaches neither DVC's cache, nor a remote, nor git."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import yaml

from tests.miniature import copy
from tests.people import ROOT
from tests.sharing.remotes import (
    UP_TO_DATE,
    attempt,
    configure,
    fresh,
    installed,
    outputs,
    recipe,
    succeed,
)
from tests.sharing.servers import PASSWORD, Sftp
from yololstm import video

#: Made of landmarks alone.
DRAWN = "data/reports/plots/timelines.png"


@pytest.fixture(scope="module")
def licensed(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's project on footage of their own, which data/raw/user leads to; all stages run."""
    folder = tmp_path_factory.mktemp("licensed")
    project = copy(miniature, folder / "project")
    footage = folder / "footage"
    shutil.copytree(project / "data" / "raw" / "sample", footage)
    for file in footage.rglob("*.mp4"):
        film(file)
    (project / "data" / "raw" / "user").symlink_to(footage)
    change(project, "data", root="data/raw/user")
    succeed(project, "dvc", "repro", "--quiet")
    succeed(project, "git", "commit", "--quiet", "--all", "--message", "Other footage")
    return project


def film(file: Path) -> None:
    """The same, but brighter: other bytes, and the same annotations fit."""
    info = video.probe(file)
    frames = [frame.image // 2 + 127 for frame in video.read(file)]
    file.unlink()
    with video.writing(file, Fraction(info.fps), info.width, info.height) as writer:
        for image in frames:
            writer.write(image)


def change(project: Path, section: str, **values: object) -> None:
    file = project / "params.yaml"
    params = yaml.safe_load(file.read_text(encoding="utf-8"))
    params[section] |= values
    file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def with_pictures(files: Iterator[Path]) -> set[bytes]:
    """The contents that are video or images, or have some in them."""
    contents = {file.read_bytes() for file in files if file.is_file()}
    signs = (b"ftyp", b"\xff\xd8\xff", b"\x89PNG", b"data:image/")
    return {content for content in contents if any(sign in content for sign in signs)}


def test_pictures_of_footage_are_never_pushed(
    licensed: Path, miniature: Path, sftp: Sftp, tmp_path: Path
) -> None:
    private = licensed / "data" / "private"
    assert len([*(private / "renders").glob("*.mp4")]) == 1
    assert "data:image/jpeg" in (private / "index.html").read_text(encoding="utf-8")
    configure(licensed, f"    url = {sftp.url('licensed')}\n    password = {PASSWORD}")
    succeed(licensed, "dvc", "push", "--run-cache", "--all-commits")
    pushed = with_pictures((sftp.root / "licensed").rglob("*"))
    of_the_sample = with_pictures((miniature / ".dvc" / "cache").rglob("*"))
    drawn = (licensed / DRAWN).read_bytes()
    assert of_the_sample & pushed
    assert pushed - of_the_sample <= {drawn}
    assert with_pictures((licensed / ".dvc" / "cache").rglob("*")) <= {*of_the_sample, drawn}
    assert succeed(licensed, "git", "status", "--porcelain") == ""


def test_without_the_footage_all_else_can_be_had(
    licensed: Path, sftp: Sftp, tmp_path: Path
) -> None:
    remote = f"    url = {sftp.url('without')}\n    password = {PASSWORD}"
    configure(licensed, remote)
    succeed(licensed, "dvc", "push", "--run-cache")
    clone = fresh(licensed, tmp_path / "clone", remote)
    told = succeed(installed(clone), "bash", "-c", recipe("licensed"))
    assert told.count(UP_TO_DATE) == 2
    made = {n: content for n, content in outputs(licensed).items() if "/private/" not in n}
    assert outputs(clone) == made
    done = attempt(clone, "dvc", "repro")
    assert done.returncode != 0
    assert str(clone / "data" / "raw" / "user") in done.stderr
    succeed(clone, "bash", "-c", recipe("licensed, back"))
    assert outputs(clone) == made
    change(clone, "evaluate", clip_share=0.5)
    told = succeed(clone, "bash", "-c", recipe("licensed"))
    assert told.count("Running stage") == told.count("Running stage 'evaluate'") > 0


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("add", "data/raw/shop"),
        ("add --to-remote", "elsewhere"),
        ("import-url", "elsewhere"),
        ("import-url --to-remote", "data/raw/shop"),
    ],
)
def test_dvc_takes_no_footage(miniature: Path, tmp_path: Path, command: str, place: str) -> None:
    project = fresh(miniature, tmp_path / "project", f"    url = {tmp_path / 'remote'}")
    footage = tmp_path / "footage" / "a.mp4"
    footage.parent.mkdir()
    footage.write_bytes(b"footage")
    out = project / place / "a.mp4"
    out.parent.mkdir(parents=True)
    if command == "add":
        shutil.copy(footage, out)
        words = ["add", str(out)]
    else:
        flag = ["--out"] if command.startswith("add") else []
        words = [*command.split(), str(footage), *flag, str(out)]
    done = attempt(project, "dvc", *words)
    assert done.returncode != 0
    assert f"bad DVC file name '{place}/a.mp4.dvc' is git-ignored" in done.stderr
    kept = [*(project / ".dvc" / "cache").rglob("*"), *(tmp_path / "remote").rglob("*")]
    assert not [file for file in kept if file.is_file()]


def test_git_takes_no_footage(miniature: Path, tmp_path: Path) -> None:
    project = fresh(miniature, tmp_path / "project")
    places = ["data/raw/shop/a.mp4", "data/raw/b.zip", "data/private/c.mp4", "data/check/d.html"]
    for place in (*places, "data/raw/shop.dvc", "shop.dvc", ".cache/material/e.mp4"):
        (project / place).parent.mkdir(parents=True, exist_ok=True)
        (project / place).touch()
    (project / "data" / "raw" / "user").symlink_to(tmp_path)
    assert succeed(project, "git", "status", "--porcelain") == ""


def test_no_stage_keeps_what_it_was_given_to_read() -> None:
    """What is in data/raw and made by a stage is made of params alone."""
    kept = {
        (name, out)
        for file in (ROOT / "dvc.yaml", ROOT / "crossvalidation" / "dvc.yaml")
        for name, stage in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].items()
        for kind in ("outs", "metrics", "plots")
        for entry in stage.get("do", stage).get(kind, [])
        for out in (entry if isinstance(entry, dict) else [entry])
    }
    assert kept
    assert not [out for _, out in kept if "${data" in out or "data/private".startswith(out)]
    assert {(name, out) for name, out in kept if out.startswith("data/raw")} == {
        ("sample", "data/raw/sample"),
        ("sample", "data/raw/sample_boxes"),
    }
