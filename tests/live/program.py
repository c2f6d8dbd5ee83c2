"""``yololstm watch`` as a program, and a folder for it to work in."""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import torch

from tests import drawn, spotted
from tests.people import LABELS
from yololstm import checkpoint, models
from yololstm.events import Rule
from yololstm.scaling import BodyScaling
from yololstm.trained import Checkpoint
from yololstm.windows import WindowSpec

PATIENCE_S: Final = 120
SPEC: Final = WindowSpec(fps=3.0, length=6, hop=2, max_gap_s=1.0, min_valid=0.3)
RULE: Final = Rule({"theft": 0.0, "assault": 1.0, "damage": 1.0}, cool_down_s=3)
"""Everything is theft."""


def lay_out(folder: Path) -> Path:
    """Models, and a clip with somebody in it."""
    (folder / ".cache").mkdir()
    (folder / ".cache/models").symlink_to(drawn.pose_model().parent)
    torch.manual_seed(0)
    state = dict(models.build("bilstm", len(LABELS)).state_dict())
    made = Checkpoint("bilstm", {}, (state,), BodyScaling(), SPEC, LABELS, rule=RULE)
    (folder / "data/detector").mkdir(parents=True)
    checkpoint.save(folder / "data/checkpoint.safetensors", made)
    spotted.detector(folder / "data/detector/weights.pt")
    spotted.clip(folder)
    return folder


class Program:
    """``yololstm watch``, or another command, and what it has said so far."""

    def __init__(
        self, folder: Path, *arguments: str, command: str = "watch", **environment: str
    ) -> None:
        ours = {"PYTHONPATH": str(drawn.ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "yololstm", command, *arguments],
            cwd=folder,
            env={**os.environ, **ours, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests may have had it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        self._changes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.stderr: list[str] = []
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._hear)]
        for thread in self._threads:
            thread.start()

    def next(self, state: str, event: str = "") -> dict[str, Any]:
        """The next such change; others before it are passed over.

        event: its id; any where none is given.
        """
        while True:
            change = self._changes.get(timeout=PATIENCE_S)
            if change["state"] == state and event in ("", change["id"]):
                return change

    def end(self, number: signal.Signals, *, to_another_thread: bool = False) -> int:
        """to_another_thread: than the main one, as the kernel may decide."""
        if to_another_thread:
            tell, pid = ctypes.CDLL(None).tgkill, self.process.pid
            others = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
            assert any(
                tell(pid, thread, number) == 0
                for thread in sorted(others, reverse=True)
                if thread != pid and not _blocks(pid, thread, number)
            )
        else:
            self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE_S)
        for thread in self._threads:
            thread.join()
        return status

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._changes.put(json.loads(line))

    def _hear(self) -> None:
        assert self.process.stderr is not None
        self.stderr.extend(self.process.stderr)


def _blocks(process: int, thread: int, number: signal.Signals) -> bool:
    """Whether it takes no notice of that signal, or is gone."""
    with suppress(OSError):
        status = Path(f"/proc/{process}/task/{thread}/status").read_text()
        blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:"))
        return bool(int(blocked.split()[1], 16) >> (number - 1) & 1)
    return True


def check_same(watched: str, found: Sequence[dict[str, Any]]) -> None:
    """watched: the lines of ``yololstm watch``; found: the events of ``yololstm run``."""
    changes = [json.loads(line) for line in watched.splitlines()]
    ended = sorted(
        (change for change in changes if change["state"] == "end"),
        key=lambda change: (change["start_s"], change["track"]),
    )
    assert len(ended) == len(found)
    for change, event in zip(ended, found, strict=True):
        for name in ("label", "track"):
            assert change[name] == event[name]
        for name in ("start_s", "end_s", "probability"):
            assert change[name] == pytest.approx(event[name], abs=2e-6)
