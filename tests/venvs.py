"""Environments that hold some of the packages of this one, and nothing else of it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

from tests.imports import ROOT


def named(extra: str = "") -> list[str]:
    """The requirements that pyproject.toml names for running, or for an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [Requirement(line).name for line in listed]


def pins(file: Path) -> dict[str, str]:
    """Versions by normalized name."""
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {normalized(name): version for name, version in found}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> set[str]:
    """Distributions that are installed with these, these included."""
    seen: set[tuple[str, str]] = set()
    queue = [(normalized(name), "") for name in names]
    while queue:
        name, extra = queue.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in importlib.metadata.requires(name) or []:
            asked = Requirement(line)
            if asked.marker is None or asked.marker.evaluate({"extra": extra}):
                below = normalized(asked.name)
                queue += [(below, ""), *((below, inner) for inner in asked.extras)]
    return {name for name, _ in seen}


def made(folder: Path, names: Iterable[str]) -> Path:
    """A virtual environment with these distributions, as links to those of this environment: what
    is not named is not there. Returns its python."""
    venv.create(folder)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in names:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}
        for top in tops:
            source = Path(str(distribution.locate_file(top)))
            if source.exists() and not (site / top).exists():
                (site / top).symlink_to(source)
    return folder / "bin" / "python"


def install(python: Path, wheel: Path) -> None:
    command = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
    subprocess.run([sys.executable, *command, "--no-deps", str(wheel)], check=True)


def run(python: Path, cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line of an environment, told nothing of this one."""
    inherited = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    return subprocess.run(
        [str(python.parent / "yololstm"), *map(str, arguments)],
        cwd=cwd,
        env=inherited | {"PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
