"""Models that are there, and whether they are those that they should be."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from yololstm import weights
from yololstm.detector import checksum
from yololstm.errors import DataError, Problem, WeightsError

LOCK: Final = Path("dvc.lock")


@dataclass(frozen=True)
class Model:
    """One that was asked for."""

    role: str
    path: Path
    sha256: str = ""
    """What it must be; "" where dvc.lock says it, or a file beside it, or nobody."""
    said_by: str = ""
    """Who says so."""
    remedy: str = ""
    """Where it is absent, or another one."""
    needed: bool = True
    """To run. Others are looked at where they are there."""
    is_fetched: bool = False
    """What is written beside it is what came when it was first fetched."""


@dataclass(frozen=True)
class Verdict:
    model: Model
    sha256: str
    """What it is, "" where it is absent."""
    said_by: str
    """Who says what it must be; "" where nobody does."""
    problem: Problem | None
    """Why it cannot be used: it is absent, or another one."""

    @property
    def likeness(self) -> str:
        """What it is like, where there is no problem; "" where nobody says what it must be."""
        if self.model.is_fetched and self.said_by == _beside(self.model):
            return "as when it was fetched"
        return f"as {self.said_by} says" if self.said_by else ""


def verify(model: Model, lock: Path = LOCK) -> Verdict:
    """Compare a model with what is said of it. Raises DataError where ``lock`` cannot be read."""
    path = model.path
    if not path.exists():
        problem = Problem(str(path), "it is not there", model.remedy)
        return Verdict(model, "", "", problem)
    actual = checksum(path)
    said_by, is_right = _compared(model, actual, lock)
    wrong = Problem(str(path), f"it is not the one of which {said_by} has the checksum", _WRONG)
    return Verdict(model, actual, said_by, None if is_right else wrong)


_WRONG: Final = "Fetch, pull or make it again; use it only if you know who changed it"


def _compared(model: Model, actual: str, lock: Path) -> tuple[str, bool]:
    """Who says what it must be, and whether it is; ("", True) where nobody does."""
    if model.sha256:
        return model.said_by, actual == model.sha256.lower()
    for path in (model.path, model.path.parent):
        if locked := locked_md5(path, lock):
            return lock.name, locked == dvc_md5(path)
    try:
        recorded = weights.recorded(model.path)
    except WeightsError as error:
        return error.problem.place, False
    return (_beside(model), actual == recorded) if recorded else ("", True)


def _beside(model: Model) -> str:
    return f"{model.path.name}.sha256"


# --- as DVC has it ---


def locked_md5(path: Path, lock: Path = LOCK) -> str:
    """What a dvc.lock says of one of its outputs; "" where there is none, or it is no output."""
    if not lock.is_file():
        return ""
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        outs = {out["path"]: out["md5"] for stage in stages.values() for out in _outs(stage)}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        remedy = f"Take it from git again: git checkout {lock}"
        raise DataError(lock, f"it is no lock of DVC's ({type(error).__name__})", remedy) from error
    return str(outs.get(path.as_posix(), ""))


def _outs(stage: dict[str, Any]) -> list[dict[str, str]]:
    return [out for out in stage.get("outs", []) if "md5" in out]


def dvc_md5(path: Path) -> str:
    """Of a file; of a folder, as DVC has it, over the names and sums of its files."""
    if path.is_file():
        return _md5(path)
    entries = [
        {"md5": _md5(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file()
    ]
    listed = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
