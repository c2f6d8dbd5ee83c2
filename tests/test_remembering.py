from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yololstm import remembering
from yololstm.remembering import Remembered

SPAWN = multiprocessing.get_context("spawn")


def value(number: int) -> dict[str, object]:
    return {"sha256": f"{number:064x}", "steps": [[number, 179]], "place": "절도"}


@pytest.fixture
def remembered(tmp_path: Path) -> Remembered:
    return Remembered(tmp_path / "cache" / "facts.sqlite")


def fill(remembered: Remembered, start: int = 0, stop: int = 200) -> None:
    for number in range(start, stop):
        remembered.put(f"key {number}", "identity", value(number))


def in_a_new_process() -> None:
    """Forget the open file, as a new process has."""
    remembering._database.cache_clear()


def test_what_was_put_is_got(remembered: Remembered) -> None:
    assert remembered.get("key", "1") is None
    remembered.put("key", "1", value(1))
    assert remembered.get("key", "1") == value(1)
    in_a_new_process()
    assert remembered.get("key", "1") == value(1)


def test_only_of_the_same_identity(remembered: Remembered) -> None:
    remembered.put("key", "1", value(1))
    assert remembered.get("key", "2") is None
    remembered.put("key", "2", value(2))
    assert remembered.get("key", "1") is None
    assert remembered.get("key", "2") == value(2)


def test_keys_that_are_no_unicode(remembered: Remembered) -> None:
    remembered.put("\udcff", "1", value(1))
    assert remembered.get("\udcff", "1") == value(1)


# --- damage ---


@pytest.mark.parametrize("content", [b"", b"this is no database" * 100, b"SQLite format 3\0" * 99])
def test_file_of_something_else_is_made_anew(
    remembered: Remembered, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    remembered.path.parent.mkdir()
    remembered.path.write_bytes(content)
    assert remembered.get("key", "1") is None
    remembered.put("key", "1", value(1))
    assert ("facts.sqlite: it is damaged" in capsys.readouterr().err) == bool(content)
    in_a_new_process()
    assert remembered.get("key", "1") == value(1)
    assert capsys.readouterr().err == ""


def test_file_of_another_version_is_made_anew(
    remembered: Remembered, capsys: pytest.CaptureFixture[str]
) -> None:
    remembered.path.parent.mkdir()
    with sqlite3.connect(remembered.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    fill(remembered, 0, 1)
    assert "version 99" in capsys.readouterr().err
    assert remembered.get("key 0", "identity") == value(0)


@given(st.data())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damage_is_never_taken_for_a_fact(tmp_path: Path, data: st.DataObject) -> None:
    """Wherever the file is damaged: facts are right or gone, and new ones are kept again."""
    path = tmp_path / "facts.sqlite"
    for left in tmp_path.iterdir():
        left.unlink()
    in_a_new_process()
    fill(Remembered(path), 0, 60)
    in_a_new_process()
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=20)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.just(len(content)) | st.integers(1, len(content)))])
    remembered = Remembered(path)
    for _ in range(2):
        for number in range(60):
            assert remembered.get(f"key {number}", "identity") in (value(number), None)
        fill(remembered, 0, 60)
        in_a_new_process()


def test_damage_while_it_is_open_is_mended(remembered: Remembered) -> None:
    fill(remembered)
    for file in remembered.path.parent.iterdir():
        os.truncate(file, min(100, file.stat().st_size))
    for number in range(200):
        assert remembered.get(f"key {number}", "identity") in (value(number), None)
    fill(remembered)
    in_a_new_process()
    fill(remembered)
    assert remembered.get("key 7", "identity") == value(7)


def test_damage_in_the_middle_is_mended(
    remembered: Remembered, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(remembered)
    in_a_new_process()
    content = bytearray(remembered.path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    remembered.path.write_bytes(content)
    assert remembered.get("key 7", "identity") is None
    fill(remembered)
    found = [remembered.get(f"key {number}", "identity") for number in range(200)]
    assert found == [value(number) for number in range(200)]
    assert "nothing can be remembered" not in capsys.readouterr().err


def test_folder_that_goes_away_stops_nothing(
    remembered: Remembered, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(remembered, 0, 5)
    shutil.rmtree(remembered.path.parent)
    fill(remembered, 0, 5)
    in_a_new_process()
    assert remembered.get("key 3", "identity") == value(3)
    assert "nothing can be remembered" not in capsys.readouterr().err


# --- done without ---


def test_locked_file_is_done_without(
    remembered: Remembered, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "_WAIT_S", 0.1)
    fill(remembered, 0, 5)
    in_a_new_process()
    other = sqlite3.connect(remembered.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    fill(remembered, 5, 10)
    told = capsys.readouterr().err
    assert told.count("nothing can be remembered between runs (database is locked)") == 1
    other.execute("ROLLBACK")
    other.close()
    in_a_new_process()
    assert remembered.get("key 4", "identity") == value(4)
    assert remembered.get("key 5", "identity") is None


def test_folder_that_cannot_be_is_done_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").write_text("a file")
    remembered = Remembered(tmp_path / "cache" / "facts.sqlite")
    fill(remembered, 0, 3)
    assert remembered.get("key 0", "identity") is None
    assert capsys.readouterr().err.count("warning") == 1


# --- several at once ---


def test_threads_and_processes_share_it(remembered: Remembered) -> None:
    starts = range(0, 400, 100)
    processes = [
        SPAWN.Process(target=fill, args=(remembered, start, start + 100)) for start in starts[:2]
    ]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as pool:
        for start in (*starts[2:], *starts[2:]):
            pool.submit(fill, remembered, start, start + 100)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    found = [remembered.get(f"key {number}", "identity") for number in range(400)]
    assert found == [value(number) for number in range(400)]


def test_forked_process_opens_its_own(remembered: Remembered) -> None:
    fill(remembered, 0, 1)
    process = multiprocessing.get_context("fork").Process(target=fill, args=(remembered, 1, 50))
    process.start()
    fill(remembered, 50, 100)
    process.join()
    assert process.exitcode == 0
    found = [remembered.get(f"key {number}", "identity") for number in range(100)]
    assert found == [value(number) for number in range(100)]


def fill_and_be_killed(remembered: Remembered) -> None:
    fill(remembered)
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_process_harms_nothing(
    remembered: Remembered, capsys: pytest.CaptureFixture[str]
) -> None:
    process = SPAWN.Process(target=fill_and_be_killed, args=(remembered,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    found = [remembered.get(f"key {number}", "identity") for number in range(200)]
    assert found == [value(number) for number in range(200)]
    assert capsys.readouterr().err == ""
