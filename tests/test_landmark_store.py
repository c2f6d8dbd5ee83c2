from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from yololstm.landmark_store import LandmarkStore
from yololstm.storage import UNFINISHED

RECIPE = "0123456789abcdef"


def key(number: int) -> str:
    return f"{RECIPE}/{number:064x}"


@pytest.fixture
def store(tmp_path: Path) -> LandmarkStore:
    return LandmarkStore(tmp_path / "store", limit=3500)


def put(store: LandmarkStore, number: int, used_s_ago: float) -> None:
    store.put(key(number), bytes(1000 - 76))
    then = time.time() - used_s_ago
    os.utime(store.path(key(number)), (then, then))


def kept(store: LandmarkStore) -> list[int]:
    return [number for number in range(9) if store.path(key(number)).exists()]


def test_gives_what_was_put(store: LandmarkStore) -> None:
    assert store.get(key(1)) is None
    for content in (b"", b"content", b"another"):
        store.put(key(1), content)
        assert store.get(key(1)) == content


@pytest.mark.parametrize("byte", [0, 9, 12, 75, 76, 80, -1])
def test_any_changed_byte_is_noticed(
    store: LandmarkStore, byte: int, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put(key(1), b"landmarks")
    whole = bytearray(store.path(key(1)).read_bytes())
    whole[byte] ^= 1
    store.path(key(1)).write_bytes(whole)
    assert store.get(key(1)) is None
    assert f"warning: {store.path(key(1))}: " in capsys.readouterr().err
    assert store.get(key(1)) is None
    assert capsys.readouterr().err == ""


def test_entry_copied_over_another_is_noticed(store: LandmarkStore) -> None:
    store.put(key(1), b"landmarks")
    store.put(key(2), b"landmarks of somebody else")
    store.path(key(1)).write_bytes(store.path(key(2)).read_bytes())
    assert store.get(key(1)) is None
    assert store.get(key(2)) is not None


def test_what_cannot_be_read_is_damaged(
    store: LandmarkStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.path(key(1)).mkdir(parents=True)
    store.put(key(2), b"landmarks")
    store.path(key(2)).unlink()
    store.path(key(2)).symlink_to(store.path(key(2)))
    for number in (1, 2):
        assert store.get(key(number)) is None
        assert f"warning: {store.path(key(number))}: " in capsys.readouterr().err
    assert kept(store) == [1]
    replace(store, limit=0).prune()
    assert kept(store) == [1]


@pytest.mark.parametrize("bad", ["", "../../etc/passwd", f"{RECIPE}/1", f"{RECIPE}/{'g' * 64}"])
def test_what_is_no_key(store: LandmarkStore, bad: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.get(bad)


def test_what_was_not_used_longest_goes_first(store: LandmarkStore) -> None:
    for number, age_s in enumerate((50, 10, 40, 20, 30)):
        put(store, number, age_s)
    assert store.get(key(0)) is not None
    store.prune()
    assert kept(store) == [0, 1, 3]
    store.prune()
    assert kept(store) == [0, 1, 3]


def test_what_killed_processes_left_goes(store: LandmarkStore) -> None:
    put(store, 1, 0)
    old, new = (store.folder / RECIPE / f"{UNFINISHED}{name}" for name in ("old", "new"))
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    store.prune()
    assert (old.exists(), new.exists(), kept(store)) == (False, True, [1])
