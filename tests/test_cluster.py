from __future__ import annotations

import os
import time

import pytest

from yololstm.cluster import report, spread
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
    outcomes = dict(spread(square, list(range(6)), workers))
    error = outcomes.pop(3)
    assert isinstance(error, VideoError)
    assert error.problem.remedy == "Fetch it again"
    assert {i: o[0] for i, o in outcomes.items()} == {i: i**2 for i in (0, 1, 2, 4, 5)}


def test_work_is_spread_over_single_threaded_processes() -> None:
    outcomes = [outcome for _, outcome in spread(square, [0, 1, 2, 4], workers=2)]
    pids = {outcome[1] for outcome in outcomes}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {outcome[2] for outcome in outcomes} == {"1"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_raised(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(fail, [1, 0, 2], workers))


def count_up(number: int) -> int:
    for _ in range(number):
        report(1)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_reports_arrive_before_their_item_is_done(workers: int) -> None:
    heard: list[int] = []
    total = 0
    for _, outcome in spread(count_up, [3, 0, 50], workers, on_report=heard.append):
        assert isinstance(outcome, int)
        total += outcome
        assert sum(heard) >= total
    assert sum(heard) == 53


def test_a_report_that_nobody_asked_for_is_no_fault() -> None:
    assert dict(spread(count_up, [1, 2], workers=2)) == {1: 1, 2: 2}
    assert count_up(1) == 1


def test_nothing_to_do() -> None:
    assert list(spread(square, [])) == []
