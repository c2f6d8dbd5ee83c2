"""Recordings are kept for so long and so much of them, and no longer than that."""

from __future__ import annotations

import fcntl
import os
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
    """Seconds since 1970, of the oldest file: a copy that is made later makes it no younger."""
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
        """is_waiting: whether an event's files are still to be uploaded: where there is too much,
        they go last; what is too old goes all the same. on_forgotten: told an event's id before its
        files go, and again where they could not go. on_failed: told why something could not be done
        this time."""
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
        old = [one for one in kept if now - one.written > self._settings.keep_days * _DAY_S]
        for one in old:
            self._forget(one)
        rest = kept[len(old) :]
        excess = sum(one.size for one in rest) - self._settings.keep_gb * 1e9
        # Those that are still to be uploaded go last.
        for one in sorted(rest, key=lambda one: self._is_waiting(one.event)) if excess > 0 else ():
            if excess <= 0:
                break
            excess -= one.size if self._forget(one) else 0
        for day in self._recordings.glob("*/*/"):
            with suppress(OSError):  # it is not empty, or gone
                if now - day.stat().st_mtime > _DAY_S:
                    day.rmdir()

    def _forget(self, one: _Kept) -> bool:
        """Whether it is gone. What fails of one event is told, and ends nothing else: its files are
        found again the next time."""
        try:
            self._on_forgotten(one.event)
            for file in one.files:
                file.unlink(missing_ok=True)
        except Exception as error:  # noqa: BLE001 - the others go
            self._tell(error)
            return False
        return True

    def _tell(self, error: Exception) -> None:
        with suppress(Exception):  # whoever is told may be in trouble, too
            self._on_failed(str(error) or type(error).__name__)

    def _run(self) -> None:
        while True:
            self._asked.wait(_EVERY_S)
            self._asked.clear()
            if self._over.is_set():
                return
            try:
                self.tidy()
            except Exception as error:  # noqa: BLE001 - the next time may do, and it is told
                self._tell(error)

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
                    _remove_unless_written(file)
        kept = [
            _Kept(event, min(times), sum(sizes), tuple(paths))
            for event, rows in found.items()
            for paths, times, sizes in [zip(*rows, strict=True)]
        ]
        return sorted(kept, key=lambda one: (one.written, one.event))


def _remove_unless_written(file: Path) -> None:
    """Clips that are being written, or wait to be finished, are locked by who writes them, of
    whichever process. Raises BlockingIOError for those, which is an OSError."""
    handle = os.open(file, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink()
    finally:
        os.close(handle)
