"""Recordings are kept for so long and so much of them, and no longer than that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from yololstm import storage
from yololstm.site import Record

_EVERY_S: Final = 3600.0
_ABANDONED_S: Final = 600.0
"""A file that is being written is written to more often."""
_DAY_S: Final = 86400.0


class _Kept(NamedTuple):
    event: str
    written: float
    """Seconds since 1970, of the newest file."""
    size: int
    files: tuple[Path, ...]


class Keeper:
    """Of the recordings of a site's cameras. Looks when it starts, when it is asked to, and every
    hour."""

    def __init__(
        self,
        recordings: Path,
        settings: Record,
        is_waiting: Callable[[str], bool],
        on_forgotten: Callable[[str], None],
        on_failed: Callable[[str], None] = lambda why: None,
    ) -> None:
        """is_waiting: whether an event's files are still to be uploaded: they stay. on_forgotten:
        told an event's id, after its files are gone. on_failed: told why it could not be done this
        time."""
        self._recordings = recordings
        self._settings = settings
        self._is_waiting = is_waiting
        self._on_forgotten = on_forgotten
        self._on_failed = on_failed
        self._asked = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keep", daemon=True)

    def start(self) -> None:
        self._asked.set()
        self._thread.start()

    def poke(self) -> None:
        """There is more now. Does not wait."""
        self._asked.set()

    def stop(self) -> None:
        self._over.set()
        self._asked.set()
        self._thread.join()

    def tidy(self) -> None:
        """What is too old, and of the rest the oldest until it fits; what killed writers left; and
        folders of days of which nothing is left."""
        now = time.time()
        kept = self._kept(now)
        room = self._settings.keep_gb * 1e9 - sum(one.size for one in kept)
        for one in kept:
            is_old = now - one.written > self._settings.keep_days * _DAY_S
            if (is_old or room < 0) and not self._is_waiting(one.event):
                for file in one.files:
                    file.unlink(missing_ok=True)
                room += one.size
                self._on_forgotten(one.event)
        for day in self._recordings.glob("*/*/"):
            with suppress(OSError):  # it is not empty, or gone
                if now - day.stat().st_mtime > _DAY_S:
                    day.rmdir()

    def _run(self) -> None:
        while True:
            self._asked.wait(_EVERY_S)
            self._asked.clear()
            if self._over.is_set():
                return
            try:
                self.tidy()
            except Exception as error:  # noqa: BLE001 - the next time may do, and it is told
                self._on_failed(str(error) or type(error).__name__)

    def _kept(self, now: float) -> list[_Kept]:
        """By event, the oldest first. Those that are gone meanwhile are left out."""
        found: dict[str, list[tuple[Path, float, int]]] = {}
        for file in self._recordings.glob("*/*/*"):
            with suppress(OSError):
                stat = file.stat()
                if not file.name.startswith(storage.UNFINISHED):
                    event = file.name.partition(".")[0]
                    found.setdefault(event, []).append((file, stat.st_mtime, stat.st_size))
                elif now - stat.st_mtime > _ABANDONED_S:
                    file.unlink()
        kept = [
            _Kept(event, max(times), sum(sizes), tuple(paths))
            for event, rows in found.items()
            for paths, times, sizes in [zip(*rows, strict=True)]
        ]
        return sorted(kept, key=lambda one: (one.written, one.event))
