"""One SQLite file that survives a power cut: what a site knows of its events and owes to whom.

Whatever was committed is on disk. Several threads and processes can use it at once: each writes
alone, and readers wait for nobody.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from yololstm.errors import DataError, YololstmError

Connection: TypeAlias = sqlite3.Connection

_APPLICATION: Final = 0x594C534A
"""Stands in the file's header, so that it is known from others."""
_BUSY_S: Final = 30.0
"""For what another process writes, or, on a slow card, flushes."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_VERSIONS: Final = (
    """
    CREATE TABLE events (
        id TEXT PRIMARY KEY,
        camera TEXT NOT NULL,
        track INTEGER NOT NULL,
        label TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('start', 'update', 'end')),
        probability REAL NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER NOT NULL,
        raised INTEGER NOT NULL,
        start_s REAL NOT NULL,
        end_s REAL NOT NULL,
        raised_s REAL NOT NULL,
        frame_s REAL NOT NULL,
        heard INTEGER NOT NULL,
        clip TEXT NOT NULL DEFAULT '',
        picture TEXT NOT NULL DEFAULT '',
        landmarks TEXT NOT NULL DEFAULT '',
        shared TEXT NOT NULL DEFAULT '',
        began INTEGER,
        verdict TEXT NOT NULL DEFAULT '' CHECK (verdict IN ('', 'right', 'wrong')),
        corrected TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX events_by_time ON events (started, id);
    CREATE INDEX events_by_camera ON events (camera, started, id);
    CREATE INDEX events_by_label ON events (label, started, id);
    CREATE INDEX events_by_verdict ON events (verdict, started, id);
    CREATE INDEX events_open ON events (camera) WHERE state <> 'end';

    CREATE TABLE zones (camera TEXT PRIMARY KEY, zones TEXT NOT NULL);

    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        key TEXT NOT NULL,
        body BLOB NOT NULL,
        about TEXT NOT NULL,
        created INTEGER NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'refused')),
        tries INTEGER NOT NULL DEFAULT 0,
        due INTEGER NOT NULL DEFAULT 0,
        holder TEXT NOT NULL DEFAULT '',
        held INTEGER NOT NULL DEFAULT 0,
        settled INTEGER NOT NULL DEFAULT 0,
        why TEXT NOT NULL DEFAULT '',
        slot TEXT NOT NULL DEFAULT '',
        UNIQUE (channel, key)
    );
    CREATE INDEX messages_slots ON messages (channel, slot) WHERE state = 'waiting' AND slot <> '';
    CREATE INDEX messages_waiting ON messages (channel, id) WHERE state = 'waiting';
    CREATE INDEX messages_settled ON messages (state, settled) WHERE state <> 'waiting';

    CREATE TABLE tallies (
        channel TEXT PRIMARY KEY,
        sent INTEGER NOT NULL DEFAULT 0,
        refused INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE tellings (
        channel TEXT NOT NULL,
        event TEXT NOT NULL REFERENCES events (id) ON DELETE CASCADE,
        camera TEXT NOT NULL,
        label TEXT NOT NULL,
        told INTEGER NOT NULL CHECK (told IN (0, 1)),
        since INTEGER NOT NULL,
        changes INTEGER NOT NULL,
        ended INTEGER NOT NULL DEFAULT 0 CHECK (ended IN (0, 1)),
        PRIMARY KEY (channel, event)
    ) WITHOUT ROWID;
    CREATE INDEX tellings_told ON tellings (channel, camera, label, since) WHERE told;
    CREATE INDEX tellings_open ON tellings (channel, camera) WHERE told AND NOT ended;
    CREATE INDEX tellings_event ON tellings (event);

    CREATE TABLE statuses (
        channel TEXT NOT NULL,
        camera TEXT NOT NULL,
        label TEXT NOT NULL,
        PRIMARY KEY (channel, camera)
    ) WITHOUT ROWID
    """,
)
"""What leads from each version to the next. Times are microseconds since 1970, UTC; but for those
in _s, which are seconds from the camera's first frame."""


class Database:
    """From any thread. Every use raises DataError where the file turns out to be damaged, and
    YololstmError where the disk is full or another process keeps the file to itself."""

    def __init__(self, path: Path) -> None:
        """Makes it and its folder where there is none. It is for nobody else on the machine.

        Raises DataError for a file that is no such database, damaged, or of a newer version;
        YololstmError where there can be none.
        """
        self.path = path
        self._writing = threading.RLock()
        self._reading = threading.RLock()
        self._is_closed = False
        _make(path)
        with _explained(path):
            with closing(_connect(path)) as connection:
                _prepare(connection, path)
            _close_to_others(path)
            self._writer, self._reader = _connect(path), _connect(path)
            self._reader.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        with self._writing, self._reading:
            self._is_closed = True
            self._writer.close()
            self._reader.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it is on disk after the block, or, after an error, nothing. Not to
        be nested."""
        with self._writing, self._used(self._writer, "IMMEDIATE"):
            yield self._writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One state of it, whatever is written meanwhile. Not to be nested."""
        with self._reading, self._used(self._reader, "DEFERRED"):
            yield self._reader

    @contextmanager
    def _used(self, connection: Connection, kind: str) -> Iterator[None]:
        if self._is_closed:
            raise YololstmError(self.path, "it was closed", "Start the program again")
        with _explained(self.path), _transaction(connection, kind):
            yield


def to_micros(moment: datetime) -> int:
    """As times stand in the file. Raises TypeError for one that has no time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """UTC; the inverse of to_micros."""
    return _EPOCH + micros * _MICROSECOND


def _make(path: Path) -> None:
    """Empty, where there is none. What SQLite writes beside it has its mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        problem = f"it cannot be written to ({error.strerror})"
        raise YololstmError(path.parent, problem, "Name a folder in which you may write") from error


def _close_to_others(path: Path) -> None:
    """One that was made otherwise; where it is somebody else's, it stays as they want it."""
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))):
        with suppress(FileNotFoundError, PermissionError):
            file.chmod(0o600)


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _prepare(connection: Connection, path: Path) -> None:
    _refuse_others(connection, path)
    _write_ahead(connection)
    with _transaction(connection, "IMMEDIATE"):
        _refuse_others(connection, path)
        for script in _VERSIONS[_pragma(connection, "user_version") :]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(_VERSIONS)}")
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _damaged(path, str(found))


def _refuse_others(connection: Connection, path: Path) -> None:
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if n_tables and _pragma(connection, "application_id") != _APPLICATION:
        raise DataError(path, "a database of another program", "Name another folder")
    if (version := _pragma(connection, "user_version")) > len(_VERSIONS):
        problem = f"it is of version {version}, and this program knows {len(_VERSIONS)}"
        raise DataError(path, problem, "Use the newer version of yololstm that made it")


def _write_ahead(connection: Connection) -> None:
    """SQLite does not wait for others that do the same at that moment."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _pragma(connection: Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


@contextmanager
def _transaction(connection: Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # a mistake of ours
    except UnicodeDecodeError as error:
        raise _damaged(path, "it cites text that is none") from error
    except sqlite3.DatabaseError as error:
        if _code(error) == sqlite3.SQLITE_FULL:
            problem, remedy = "it cannot be written (the disk is full)", "Make room there"
            raise YololstmError(path, problem, remedy) from error
        if _code(error) == sqlite3.SQLITE_BUSY:
            problem = f"another program has kept it locked for {_BUSY_S:g} s"
            raise YololstmError(path, problem, "End that program") from error
        if _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(path, str(error)) from error
        remedy = "See that the disk is well, and that you may write there"
        raise DataError(path, f"it cannot be used ({error})", remedy) from error


def _damaged(path: Path, problem: str) -> DataError:
    remedy = "Move it away, and a new one is begun"
    return DataError(path, f"it cannot be used as a database ({problem})", remedy)


def _code(error: sqlite3.Error) -> int:
    """The primary one; 0 where the error has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
