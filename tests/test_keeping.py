from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from yololstm import storage
from yololstm.keeping import Keeper
from yololstm.site import Record

DAY_S = 86400.0


def write(folder: Path, event: str, age_s: float, size: int = 1000, camera: str = "door") -> Path:
    """An event's clip, of so many bytes, and its picture, of none."""
    day = folder / camera / "2026-01-05"
    day.mkdir(parents=True, exist_ok=True)
    for name, content in ((f"{event}.mp4", bytes(size)), (f"{event}.jpg", b"")):
        (day / name).write_bytes(content)
        at = time.time() - age_s
        os.utime(day / name, (at, at))
    return day / f"{event}.mp4"


def keeper(
    folder: Path, forgotten: list[str], waiting: tuple[str, ...] = (), **settings: float
) -> Keeper:
    made = Record.model_validate(settings)
    return Keeper(folder, made, lambda event: event in waiting, forgotten.append)


def kept(folder: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in folder.rglob("*.*")}


def test_what_is_too_old_goes_though_it_is_still_to_be_uploaded(tmp_path: Path) -> None:
    for event, days in (("a", 9.0), ("b", 7.1), ("c", 6.9), ("d", 0.0), ("e", 8.0)):
        write(tmp_path, event, days * DAY_S, camera="door" if event < "c" else "till")
    forgotten: list[str] = []
    keeper(tmp_path, forgotten, waiting=("e",), keep_days=7.0).tidy()
    assert forgotten == ["a", "e", "b"]
    assert kept(tmp_path) == {"c", "d"}


def test_a_copy_that_is_made_later_makes_nothing_younger(tmp_path: Path) -> None:
    clip = write(tmp_path, "a", 8 * DAY_S)
    clip.with_suffix(".shared.mp4").write_bytes(b"new")
    keeper(tmp_path, forgotten := [], keep_days=7.0).tidy()
    assert forgotten == ["a"]
    assert kept(tmp_path) == set()


def test_the_oldest_go_until_the_rest_fits(tmp_path: Path) -> None:
    for i, event in enumerate("abcdef"):
        write(tmp_path, event, 600.0 - 100 * i, camera="door" if i % 2 else "till")
    forgotten: list[str] = []
    keeper(tmp_path, forgotten, waiting=("b",), keep_gb=3000 / 1e9).tidy()
    assert forgotten == ["a", "c", "d"]
    assert kept(tmp_path) == {"b", "e", "f"}
    keeper(tmp_path, forgotten, keep_gb=3000 / 1e9).tidy()
    assert len(forgotten) == 3
    keeper(tmp_path, forgotten, waiting=("b", "f"), keep_gb=1000 / 1e9).tidy()
    assert forgotten[3:] == ["e", "b"]


def test_what_cannot_go_is_told_and_the_others_go(tmp_path: Path) -> None:
    for event in "abc":
        write(tmp_path, event, 40 * DAY_S)
    stuck = tmp_path / "door/2026-01-05/b.mp4"
    stuck.unlink()
    stuck.mkdir()
    os.utime(stuck, (time.time() - 40 * DAY_S,) * 2)
    forgotten: list[str] = []
    told: list[str] = []
    made = Keeper(tmp_path, Record(), lambda event: False, forgotten.append, told.append)
    for n in (1, 2):
        made.tidy()
        assert kept(tmp_path) == {"b"}
        assert sorted(forgotten) == sorted("abc" + "b" * (n - 1))
        assert ["b.mp4" in why for why in told] == [True] * n


def test_nothing_goes_before_the_journal_knows(tmp_path: Path) -> None:
    clips = {event: write(tmp_path, event, 40 * DAY_S) for event in "ab"}
    told: list[str] = []

    def forget(event: str) -> None:
        assert clips[event].exists()
        if event == "a":
            raise OSError("journal")

    Keeper(tmp_path, Record(), lambda event: False, forget, told.append).tidy()
    assert told == ["journal"]
    assert kept(tmp_path) == {"a"}


def test_what_killed_writers_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    day = write(tmp_path, "a", 0.0).parent
    old, new, held = (day / f"{storage.UNFINISHED}{name}.mp4" for name in ("old", "new", "held"))
    for path in (old, new, held):
        path.write_bytes(bytes(5000))
    for path in (old, held):
        os.utime(path, (time.time() - 700,) * 2)
    forgotten: list[str] = []
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        keeper(tmp_path, forgotten, keep_gb=2000 / 1e9).tidy()
    assert not old.exists()
    assert new.exists()
    assert held.exists()
    assert forgotten == []
    keeper(tmp_path, forgotten).tidy()
    assert not held.exists()


def test_days_of_which_nothing_is_left_go(tmp_path: Path) -> None:
    day = write(tmp_path, "a", 40 * DAY_S).parent
    today = tmp_path / "door" / "2026-01-06"
    today.mkdir()
    forgotten: list[str] = []
    keeper(tmp_path, forgotten).tidy()
    assert forgotten == ["a"]
    os.utime(day, (time.time() - 2 * DAY_S,) * 2)
    keeper(tmp_path, forgotten).tidy()
    assert not day.exists()
    assert today.exists()


def test_a_file_may_vanish_meanwhile(tmp_path: Path) -> None:
    clips = [write(tmp_path, event, 40 * DAY_S) for event in "ab"]
    gone: list[str] = []

    def forget(event: str) -> None:
        gone.append(event)
        clips[1].unlink(missing_ok=True)

    Keeper(tmp_path, Record(), lambda event: False, forget).tidy()
    assert gone == ["a", "b"]
    assert kept(tmp_path) == set()
    keeper(tmp_path / "nothing", gone).tidy()


def test_it_looks_when_it_starts_and_when_it_is_asked(tmp_path: Path) -> None:
    forgotten: list[str] = []
    write(tmp_path, "a", 40 * DAY_S)
    made = keeper(tmp_path, forgotten)
    made.start()
    try:
        for event in "ab":
            if event == "b":
                write(tmp_path, event, 40 * DAY_S)
                made.poke()
            deadline = time.monotonic() + 20
            while event not in forgotten:
                assert time.monotonic() < deadline
                time.sleep(0.01)
    finally:
        made.stop()
    assert not made._thread.is_alive()


@pytest.mark.parametrize("trouble", [OSError("disk"), ValueError("journal")])
def test_trouble_once_does_not_end_it(tmp_path: Path, trouble: Exception) -> None:
    forgotten: list[str] = []
    write(tmp_path, "a", 60.0)

    def fail_once(event: str) -> bool:
        if not asked:
            asked.append(event)
            raise trouble
        return False

    def tell(why: str) -> None:
        told.append(why)
        raise RuntimeError

    asked: list[str] = []
    told: list[str] = []
    settings = Record(keep_gb=1e-9)
    made = Keeper(tmp_path, settings, fail_once, forgotten.append, on_failed=tell)
    made.start()
    try:
        deadline = time.monotonic() + 20
        while not forgotten:
            assert time.monotonic() < deadline
            made.poke()
            time.sleep(0.02)
    finally:
        made.stop()
    assert str(trouble) in told[0]
