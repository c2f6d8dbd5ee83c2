"""Stages run as DVC runs them: as programs, in a project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.people import ROOT

ARGUMENTS: Final = {
    "segment": (
        "data/index.csv data/splits.csv data/landmarks data/windows data/reports/segment.json"
    ),
    "leaks": ("data/index.csv data/splits.csv data/landmarks data/windows data/reports/leaks.json"),
    "train": "data/windows data/trained.safetensors data/reports/history.csv",
    "finish": (
        "data/index.csv data/splits.csv data/landmarks data/windows data/trained.safetensors"
        " data/checkpoint.safetensors"
    ),
    "evaluate": (
        "data/raw/sample data/index.csv data/splits.csv data/landmarks data/windows"
        " data/checkpoint.safetensors data/reports/metrics.json data/reports/plots"
        " data/predictions.csv data/reports/model_card.md"
    ),
}


def command(name: str) -> list[str]:
    return [sys.executable, str(ROOT / f"stages/{name}.py"), *ARGUMENTS[name].split()]


def run(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name),
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def run_well(name: str, folder: Path) -> str:
    """What it said on stderr; fails the test where it failed."""
    done = run(name, folder)
    assert done.returncode == 0, done.stderr
    return done.stderr


def run_badly(name: str, folder: Path) -> str:
    """The one line that it said; fails the test where it went well or showed a traceback."""
    done = run(name, folder)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr
