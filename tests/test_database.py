from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from yololstm import database as module
from yololstm.database import Database, from_micros, to_micros
from yololstm.errors import DataError, YololstmError

MANY = [f"{i} is a camera with quite a long name {'x' * 500}" for i in range(40)]
PUT = "INSERT INTO zones (camera, zones) VALUES (?, '[]')"


def cameras(database: Database) -> set[str]:
    with database.reading() as connection:
        return {row["camera"] for row in connection.execute("SELECT camera FROM zones")}


def put(path: Path, names: list[str]) -> None:
    database = Database(path)
    for name in names:
        with database.writing() as connection:
            connection.execute(PUT, (name,))
    database.close()


def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/journal.db"
    put(path, ["door", "till"])
    database = Database(path)
    assert cameras(database) == {"door", "till"}
    with database.writing() as connection:
        for name, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert connection.execute(f"PRAGMA {name}").fetchone()[0] == value
    database.close()


def test_a_transaction_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db")
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.execute(PUT, ("door",))
        _ = 1 / 0
    with database.writing() as connection:
        connection.execute(PUT, ("till",))
        assert cameras(database) == set()  # who reads sees none of it yet
    assert cameras(database) == {"till"}
    with pytest.raises(DataError, match="readonly"), database.reading() as connection:
        connection.execute(PUT, ("yard",))
    database.close()


def test_threads_and_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    spawning = multiprocessing.get_context("fork")
    mine = [[f"{kind}{i}-{n}" for n in range(10)] for kind in "pt" for i in range(3)]
    others = [spawning.Process(target=put, args=(path, names)) for names in mine[:3]]
    for other in others:
        other.start()
    database = Database(path)  # at the same time as they do

    def write(names: list[str]) -> None:
        for name in names:
            with database.writing() as connection:
                connection.execute(PUT, (name,))

    threads = [threading.Thread(target=write, args=(names,)) for names in mine[3:]]
    for thread in threads:
        thread.start()
    for one in (*threads, *others):
        one.join()
    assert [other.exitcode for other in others] == [0, 0, 0]
    assert cameras(database) == {name for names in mine for name in names}
    database.close()


def test_what_is_no_such_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("no database at all\n" * 100)
    with pytest.raises(DataError, match=r"text\.db: it cannot be used as a database"):
        Database(text)
    assert text.read_text() == "no database at all\n" * 100
    with pytest.raises(DataError, match="unable to open"):
        Database(tmp_path)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(DataError, match="of another program"):
        Database(other)
    assert other.read_bytes() == before


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    put(path, ["door"])
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match=r"of version 99.*Use the newer version"):
        Database(path)


def test_an_older_version_goes_on_as_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    old = Database(path)
    with old.writing() as connection:
        connection.execute(
            "INSERT INTO messages (channel, key, body, about, created) VALUES ('a','b','','',0)"
        )
    old.close()
    more = "ALTER TABLE messages ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'"
    monkeypatch.setattr(module, "_VERSIONS", (*module._VERSIONS, more))
    for _ in range(2):
        new = Database(path)
        with new.reading() as connection:
            (row,) = connection.execute("SELECT key, colour FROM messages")
            assert tuple(row) == ("b", "red")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            assert version == len(module._VERSIONS) > 1
        new.close()


def modes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


def test_it_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    """Whoever may read the folder, and whatever it was before."""
    tmp_path.chmod(0o755)
    path = tmp_path / "journal.db"
    private = dict.fromkeys(("journal.db", "journal.db-wal", "journal.db-shm"), 0o600)
    database = Database(path)
    with database.writing() as connection:
        connection.execute(PUT, ("door",))
    assert modes(tmp_path) == private
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    again = Database(path)
    assert modes(tmp_path) == private
    again.close()
    database.close()
    path.chmod(0o666)
    again = Database(path)
    assert cameras(again) == {"door"}
    assert modes(tmp_path) == private
    again.close()


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("a file")
    for folder in (tmp_path / "live", tmp_path / "live/deep"):
        with pytest.raises(YololstmError) as told:
            Database(folder / "journal.db")
        assert told.value.problem.place == str(folder)
        assert "cannot be written to" in told.value.problem.problem


@pytest.mark.parametrize("text", ["SQLite format", "CREATE TABLE", "20 is a camera"])
def test_damage_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.db"
    put(path, MANY)
    content = bytearray(path.read_bytes())
    place = content.index(text.encode())
    content[place : place + 2000] = b"\xa5" * 2000
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be used as a database|of another program"):
        Database(path)


def test_damage_that_comes_later_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    put(path, MANY)
    database = Database(path)
    path.write_bytes(b"\xa5" * path.stat().st_size)
    with pytest.raises(DataError, match="cannot be used as a database"):
        cameras(database)
    database.close()


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db")
    with database.writing() as connection:
        connection.execute(PUT, ("door",))
    database._writer.execute("PRAGMA max_page_count = 1")  # it is never less than there are
    with pytest.raises(YololstmError, match="the disk is full"), database.writing() as connection:
        for i in range(1000):
            connection.execute(PUT, (f"{i} {'x' * 500}",))
    assert cameras(database) == {"door"}
    database._writer.execute("PRAGMA max_page_count = 100000")
    with database.writing() as connection:
        connection.execute(PUT, ("till",))
    assert cameras(database) == {"door", "till"}
    database.close()


def test_whoever_comes_after_it_was_closed_is_told(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db")
    database.close()
    with pytest.raises(YololstmError, match="it was closed"), database.reading():
        pass


def test_times_keep_their_microseconds() -> None:
    moment = datetime(2026, 11, 23, 14, 0, 1, 123457, tzinfo=timezone(timedelta(hours=9)))
    assert from_micros(to_micros(moment)) == moment
    assert from_micros(to_micros(moment)).tzinfo is UTC
    with pytest.raises(TypeError):
        to_micros(datetime(2026, 11, 23))
