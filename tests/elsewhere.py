"""A Dask cluster of real processes, as on other machines."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.people import ROOT


@dataclass
class Elsewhere:
    """A scheduler, and workers that are started by hand, as on other machines."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: dict[str, subprocess.Popen[bytes]]

    def join(self, host: str, *options: str) -> None:
        """options: the last of a kind counts."""
        command = ("worker", self.address, "--host", host, "--nthreads", "1", "--no-dashboard")
        self.workers[host] = _dask(*command, "--memory-limit", "0", *options)

    def lose(self, host: str) -> None:
        """With all that would start it again: a machine that is gone."""
        os.killpg(self.workers[host].pid, signal.SIGKILL)


def _dask(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    scheduler = _dask("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    one = Elsewhere(f"tcp://127.0.0.1:{port}", scheduler, {})
    yield one
    for process in (scheduler, *one.workers.values()):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
