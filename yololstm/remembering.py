"""What was found out about files, kept between runs so that it need not be found out again.

A small SQLite file. It may be deleted at any time; whatever befalls it, what it gives is what was
put in, or nothing.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from yololstm.console import warn

_VERSION: Final = 1
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS facts"
    " (key BLOB PRIMARY KEY, identity BLOB, value BLOB, sum INTEGER) WITHOUT ROWID"
)
_WAIT_S: Final = 5
#: UnicodeDecodeError: where SQLite cites damaged text in telling what is wrong.
_FAILURES: Final = (sqlite3.Error, OSError, UnicodeDecodeError)
#: What making the file anew does not mend. Anything else is damage.
_BEYOND_US: Final = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    }
)


@dataclass(frozen=True)
class Remembered:
    """Values that JSON can say, by key. Threads and processes may share the file."""

    path: Path

    def get(self, key: str, identity: str) -> Any:
        """The value that was put under this key, if its identity was this; else None."""
        rows = self._database.execute(
            "SELECT value, sum FROM facts WHERE key = ? AND identity = ?",
            (_bytes(key), _bytes(identity)),
        )
        for value, total in rows:
            if isinstance(value, bytes) and total == _sum(key, identity, value):
                return json.loads(value)
        return None

    def put(self, key: str, identity: str, value: Any) -> None:
        content = json.dumps(value, separators=(",", ":")).encode()
        self._database.execute(
            "INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)",
            (_bytes(key), _bytes(identity), content, _sum(key, identity, content)),
        )

    @property
    def _database(self) -> _Database:
        return _database(self.path, os.getpid())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _sum(key: str, identity: str, content: bytes) -> int:
    """SQLite keeps none, and a changed bit would be a wrong fact."""
    return zlib.crc32(content, zlib.crc32(_bytes(f"{key}\0{identity}\0")))


@functools.lru_cache(maxsize=8)
def _database(path: Path, process: int) -> _Database:
    """One for each process: what a fork inherits must not be used."""
    return _Database(path)


class _Database:
    """Made anew once where it is damaged, then done without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._was_mended = False
        try:
            with _alone(path):
                self._connection = _connected(path)
        except _FAILURES as error:
            self._mend(error)

    def execute(self, statement: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        """Rows; none where the file does not work."""
        with self._lock:
            if self._connection is None:
                return []
            try:
                return self._connection.execute(statement, values).fetchall()
            except _FAILURES as error:
                self._connection = None
                self._mend(error)
                return []

    def _mend(self, error: Exception) -> None:
        if self._was_mended or _is_beyond_us(error):
            warn(f"{self._path}: nothing can be remembered between runs ({error}).")
            return
        self._was_mended = True
        warn(f"{self._path}: it is damaged ({error}). It is made anew.")
        try:
            with _alone(self._path):
                self._connection = _connected_anew(self._path)
        except _FAILURES as reason:
            self._mend(reason)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody opens the file while its parts are being deleted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _connected(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error where the file is not sound, as far as can be seen from its head."""
    connection = sqlite3.connect(
        path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        # No WAL: a part of it is mapped into memory, and damage to that kills the process. No
        # waiting for the disk: after a power cut there is nothing, or damage, which is looked for.
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"version {version}, not {_VERSION}")
        if version == 0:
            connection.execute(_TABLE)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except _FAILURES:
        connection.close()
        raise
    return connection


def _connected_anew(path: Path) -> sqlite3.Connection:
    """Another process may have been here first: then its file is sound, and is kept."""
    try:
        connection = _connected(path)
        if connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]:
            return connection
        connection.close()
    except _FAILURES:
        pass
    for suffix in ("", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    return _connected(path)


def _is_beyond_us(error: Exception) -> bool:
    """The low byte of SQLite's code says what kind it is."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return False
    return isinstance(error, OSError) or code & 0xFF in _BEYOND_US
