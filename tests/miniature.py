"""A clone of this repository in which DVC has run every stage, on a data set of a few seconds.

Landmarks are the data set's own keypoints: no detector learns persons in the time that a test has.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.people import ROOT
from yololstm.weights import POSE_LANDMARKER

TINY: Final[dict[str, dict[str, Any]]] = {
    "data": {"official": False, "val_share": 0.3, "test_share": 0.3},
    "sample": {"takes": 3, "seconds": 8, "width": 320, "height": 240, "detector_images": 16},
    "detector": {"epochs": 1, "imgsz": 64},
    "extract": {"source": "annotations", "imgsz": 64, "workers": 1},
    "train": {"epochs": 2, "seeds": [0]},
    "evaluate": {"robustness_clips": 4},
    "render": {"clips": 1},
}


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For reading, all stages run, everything committed: change a ``copy`` of it.

    Made once for all processes of a test run.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made, folder = shared / "miniature.made", shared / "miniature"
    with _alone(shared / "miniature.lock"):
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            made.touch()
    return folder


def make(folder: Path) -> None:
    """Clone, with what is not committed yet; run every stage; commit what came out."""
    clone(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    for section, values in TINY.items():
        params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    # Its outputs are not here.
    (folder / "dvc.lock").unlink()
    if (pose_model := ROOT / ".cache/models" / POSE_LANDMARKER).exists():
        (folder / ".cache/models").mkdir(parents=True)
        (folder / ".cache/models" / POSE_LANDMARKER).symlink_to(pose_model)
    run(folder, "dvc", "repro", "--quiet")
    commit(folder, "Run the pipeline on a few seconds")


def clone(folder: Path) -> None:
    """The repository as it lies here, uncommitted and new files included, as one commit."""
    listed = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    run(folder, "git", "init", "--quiet", "--initial-branch=main")
    run(folder, "git", "config", "user.name", "Somebody")
    run(folder, "git", "config", "user.email", "somebody@example.org")
    commit(folder, "Clone")


def copy(miniature: Path, folder: Path) -> Path:
    """One to change. What DVC keeps is linked, not copied: it may be removed, not written."""
    return Path(shutil.copytree(miniature, folder, symlinks=True, copy_function=_copied))


def commit(folder: Path, message: str) -> None:
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", message)


def run(folder: Path, *command: str) -> str:
    """What a command wrote to stdout, run in a folder; fails the test where the command does."""
    done = attempt(folder, *command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def attempt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def environment(folder: Path) -> dict[str, str]:
    """As in a shell where .venv is active, the package being the folder's own."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {
        **found,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder),
        "DVC_SITE_CACHE_DIR": str(folder / ".cache/dvc"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }


def _copied(source: str, destination: str) -> str:
    """DVC writes its files once and takes the right to write them away."""
    if not Path(source).stat().st_mode & 0o222:
        os.link(source, destination)
        return destination
    return shutil.copy2(source, destination)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
