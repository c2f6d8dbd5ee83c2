"""What streams give and tell, waited for no longer than it can take on a busy machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from yololstm import streams
from yololstm.streams import Patience, Shot, Stream

PATIENCE: Final = Patience(timeout_s=5.0, first_s=0.1, last_s=0.4, cut_s=1.5)
PATIENCE_S: Final = 60.0


class Told:
    """The states of a stream, as they are told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.at: list[float] = []
        """Monotonic."""

    def __call__(self, state: str, why: str) -> None:
        self.at.append(time.monotonic())
        self.said.append((state, why))

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.said]

    def why(self, state: str) -> list[str]:
        return [why for one, why in self.said if one == state]

    def await_(self, state: str, n: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.states.count(state) < n:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)


@contextmanager
def opened(
    source: str, told: Told | None = None, patience: Patience = PATIENCE, **options: Any
) -> Iterator[Stream]:
    """Frames of a camera, 10 a second; they end when it takes too long."""
    with streams.open(source, 10, patience=patience, on_state=told, **options) as stream:
        timer = threading.Timer(PATIENCE_S, stream.close)
        timer.start()
        try:
            yield stream
        finally:
            timer.cancel()


def until(shots: Iterator[Shot | None], time_s: float) -> list[Shot | None]:
    """Those up to the first that is so late."""
    taken: list[Shot | None] = []
    for shot in shots:
        taken.append(shot)
        if shot is not None and shot.frame.time_s >= time_s:
            return taken
    raise AssertionError(f"no frame at {time_s} s or later: {len(taken)} before it")


def until_break(shots: Iterator[Shot | None]) -> list[Shot]:
    """Those before it."""
    taken: list[Shot] = []
    for shot in shots:
        if shot is None:
            return taken
        taken.append(shot)
    raise AssertionError(f"no break: {len(taken)} frames")


def seen(taken: list[Shot | None]) -> list[Shot]:
    return [shot for shot in taken if shot is not None]
