"""Stages run as DVC runs them: in a project's folder, told its paths."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import torch

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


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def command(name: str) -> list[str]:
    return [sys.executable, str(ROOT / f"stages/{name}.py"), *ARGUMENTS[name].split()]


def run(name: str, folder: Path, arguments: Sequence[str] | None = None) -> Done:
    """As its command does, but in this process, which has imported what takes seconds. In the
    miniature DVC runs every one of them in a process of its own."""
    script = str(ROOT / f"stages/{name}.py")
    given = ARGUMENTS[name].split() if arguments is None else arguments
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", [script, *given]),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        _torch_as_it_is(),
    ):
        try:
            runpy.run_path(script, run_name="__main__")
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _torch_as_it_is() -> Iterator[None]:
    """Stages set what holds for a whole process."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_deterministic_debug_mode(mode)


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
