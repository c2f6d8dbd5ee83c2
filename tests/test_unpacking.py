from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from yololstm.errors import YololstmError
from yololstm.unpacking import BoundedFolder

SPAWN = multiprocessing.get_context("spawn")


def content(name: str, size: int = 1000) -> bytes:
    return (name.encode() * size)[:size]


def write(name: str, size: int = 1000) -> Callable[[BinaryIO], None]:
    def write_it(file: BinaryIO) -> None:
        file.write(content(name, size))

    return write_it


def must_not_write(file: BinaryIO) -> None:
    raise AssertionError("it is there already")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def get(folder: BoundedFolder, *names: str) -> None:
    for name in names:
        with folder.file(name, 1000, write(name)) as path:
            assert path.read_bytes() == content(name)


@pytest.fixture
def folder(tmp_path: Path) -> BoundedFolder:
    return BoundedFolder(tmp_path / "cache", limit=3500)


def test_file_is_made_once(folder: BoundedFolder) -> None:
    get(folder, "a")
    with folder.file("a", 1000, must_not_write) as path:
        assert path.read_bytes() == content("a")


def test_those_not_used_longest_go_first(folder: BoundedFolder) -> None:
    get(folder, "a", "b", "c")
    get(folder, "a")
    get(folder, "d")
    assert files(folder.folder) == ["a", "c", "d"]
    get(folder, "e")
    assert files(folder.folder) == ["a", "d", "e"]


def test_there_are_never_too_many_files(tmp_path: Path) -> None:
    folder = BoundedFolder(tmp_path, limit=10**9, max_files=3)
    get(folder, *"abcde")
    assert files(tmp_path) == ["c", "d", "e"]


def test_files_in_use_stay(folder: BoundedFolder) -> None:
    with ExitStack() as stack:
        held = [
            stack.enter_context(folder.file(name, 1000, write(name))) for name in "abcd"
        ]  # more than the limit
        get(folder, "e", "f")
        assert [path.read_bytes() for path in held] == [content(name) for name in "abcd"]
    get(folder, "g")
    assert files(folder.folder) == ["d", "f", "g"]


def test_file_in_use_twice_stays_until_the_last_is_done(folder: BoundedFolder) -> None:
    with folder.file("a", 1000, write("a")) as first:
        with folder.file("a", 1000, must_not_write) as second:
            assert first == second
        get(folder, *"bcdef")
        assert first.read_bytes() == content("a")


def test_what_is_being_made_counts_as_large_as_it_will_be(folder: BoundedFolder) -> None:
    def write_slowly(file: BinaryIO) -> None:
        get(folder, "b", "c")
        file.write(content("a", 2000))

    with folder.file("a", 2000, write_slowly):
        assert files(folder.folder) == ["a", "c"]


def test_failure_leaves_nothing_behind(folder: BoundedFolder) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise RuntimeError("the line went dead")

    with pytest.raises(RuntimeError), folder.file("a", 1000, fail):
        pass
    assert files(folder.folder) == []
    get(folder, "a")


def test_file_that_is_not_whole_is_made_anew(folder: BoundedFolder) -> None:
    get(folder, "a")
    (folder.folder / "a").write_bytes(b"cut")
    get(folder, "a")


def test_errors_within_the_block_are_not_ours(folder: BoundedFolder) -> None:
    with pytest.raises(FileNotFoundError), folder.file("a", 1000, write("a")) as path:
        path.with_name("no such file").read_bytes()


def test_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    folder = BoundedFolder(tmp_path / "cache", 3500)
    with pytest.raises(YololstmError, match="cache: nothing can be unpacked"):
        get(folder, "a")


# --- several at once ---


def use_at_random(folder: BoundedFolder, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for number in rng.integers(0, 8, 60):
        name = f"name{number}"
        with folder.file(name, 1000, write(name)) as path:
            for _ in range(2):
                assert path.read_bytes() == content(name)
                time.sleep(float(rng.uniform(0, 0.002)))


def test_threads_and_processes_do_not_disturb_each_other(folder: BoundedFolder) -> None:
    """Of 8 names 3 fit in, so that there is always something to be deleted."""
    processes = [SPAWN.Process(target=use_at_random, args=(folder, seed)) for seed in (1, 2)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(use_at_random, folder, seed) for seed in (3, 4, 5, 6)]:
            future.result()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    get(folder, "last")
    assert len(files(folder.folder)) <= 3
    assert sum((folder.folder / name).stat().st_size for name in files(folder.folder)) <= 3500


def test_two_who_make_the_same_file_both_get_it(folder: BoundedFolder) -> None:
    both = threading.Barrier(2)

    def write_together(file: BinaryIO) -> None:
        both.wait(timeout=60)
        file.write(content("a"))

    def use() -> int:
        with folder.file("a", 1000, write_together) as path:
            both.wait(timeout=60)
            get(folder, "b", "c", "d")
            assert path.read_bytes() == content("a")
            return path.stat().st_ino

    with ThreadPoolExecutor(2) as pool:
        inodes = [future.result() for future in [pool.submit(use) for _ in range(2)]]
    assert len(set(inodes)) == 1
    assert not any(name.endswith(".part") for name in files(folder.folder))


def test_file_that_goes_as_it_is_asked_for_is_made_anew(folder: BoundedFolder) -> None:
    get(folder, "a")
    with (folder.folder / "a").open("rb") as file, ThreadPoolExecutor(1) as pool:
        fcntl.flock(file, fcntl.LOCK_EX)  # as if to delete it
        asked = pool.submit(get, folder, "a")
        time.sleep(0.1)
        assert not asked.done()
        (folder.folder / "a").unlink()
        fcntl.flock(file, fcntl.LOCK_UN)
        asked.result(timeout=60)
    assert files(folder.folder) == ["a"]


def be_killed_while_writing(folder: BoundedFolder) -> None:
    def write_half(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    with folder.file("a", 3000, write_half):
        pass


def be_killed_while_using(folder: BoundedFolder) -> None:
    with folder.file("b", 1000, write("b")):
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_processes_leave_nothing_that_is_wrong_or_stays(folder: BoundedFolder) -> None:
    for target in (be_killed_while_writing, be_killed_while_using):
        process = SPAWN.Process(target=target, args=(folder,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        if target is be_killed_while_writing:
            (left,) = files(folder.folder)
            assert left.endswith(".part")
    with folder.file("b", 1000, must_not_write):
        pass
    with folder.file("a", 3000, write("a", 3000)) as path:
        assert path.read_bytes() == content("a", 3000)
    assert files(folder.folder) == ["a"]
