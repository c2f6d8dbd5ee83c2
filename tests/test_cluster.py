from __future__ import annotations

import os
import time

import pytest

from yololstm.cluster import Workers, spread
from yololstm.errors import VideoError


def square(number: int) -> tuple[int, int, str | None]:
    if number == 3:
        raise VideoError("clip.mp4", "broken", "Fetch it again")
    time.sleep(0.05)
    return number**2, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def fail(number: int) -> int:
    return 1 // number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_its_outcome(workers: int) -> None:
    outcomes = dict(spread(square, list(range(6)), Workers(workers)))
    error = outcomes.pop(3)
    assert isinstance(error, VideoError)
    assert error.problem.remedy == "Fetch it again"
    assert {i: o[0] for i, o in outcomes.items()} == {i: i**2 for i in (0, 1, 2, 4, 5)}


def test_work_is_spread_over_single_threaded_processes() -> None:
    outcomes = [outcome for _, outcome in spread(square, [0, 1, 2, 4], Workers(2))]
    pids = {outcome[1] for outcome in outcomes}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {outcome[2] for outcome in outcomes} == {"1"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_raised(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(fail, [1, 0, 2], Workers(workers)))


def test_nothing_to_do() -> None:
    assert list(spread(square, [])) == []
