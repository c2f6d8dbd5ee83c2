from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, get_worker

from tests.elsewhere import Elsewhere
from tests.elsewhere import elsewhere as elsewhere
from tests.people import ROOT
from yololstm import cluster
from yololstm.cluster import Workers, report, spread, still_at_work
from yololstm.errors import VideoError, WorkerError


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


def test_work_is_spread_over_processes_that_are_told_to_use_one_thread() -> None:
    outcomes = [outcome for _, outcome in spread(square, [0, 1, 2, 4], Workers(2))]
    pids = {outcome[1] for outcome in outcomes}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert {outcome[2] for outcome in outcomes} == {"1"}


def clocks(_: int) -> dict[str, float]:
    """What runs beside the work, and how often: ms."""
    return {name: at.callback_time for name, at in get_worker().periodic_callbacks.items()}


def test_worker_is_left_in_peace() -> None:
    """Dask would look at its stack a hundred times a second."""
    (found,) = dict(spread(clocks, [1], Workers(1, timeout_s=60))).values()
    assert isinstance(found, dict)
    assert "heartbeat" in found
    assert not [name for name in found if "profile" in name]
    assert min(found.values()) >= 100
    assert found["monitor"] >= 5000


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bug_is_raised(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(spread(fail, [1, 0, 2], Workers(workers)))


def count_up(number: int) -> int:
    for _ in range(number):
        report(1)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_reports_arrive_before_their_item_is_done(workers: int) -> None:
    heard: list[int] = []
    total = 0
    for _, outcome in spread(count_up, [3, 0, 50], Workers(workers), on_report=heard.append):
        assert isinstance(outcome, int)
        total += outcome
        assert sum(heard) >= total
    assert sum(heard) == 53


def test_a_report_that_nobody_asked_for_is_no_fault() -> None:
    assert dict(spread(count_up, [1, 2], Workers(2))) == {1: 1, 2: 2}
    assert count_up(1) == 1


def test_nothing_to_do() -> None:
    assert list(spread(square, [])) == []


def test_dashboard_is_told_at_a_terminal() -> None:
    """And there is one."""
    script = (
        "from yololstm.cluster import *; from tests.test_cluster import *\n"
        "list(spread(nap, [20], Workers(1, timeout_s=60)))"
    )
    ours, theirs = os.openpty()
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=theirs) as watched:
        os.close(theirs)
        with os.fdopen(ours, encoding="utf-8", errors="replace") as terminal:
            name, _, link = terminal.readline().strip().partition(": ")
            assert name == "dashboard"
            assert link.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(link, timeout=30) as page:
                assert b"Dask Diagnostic UI" in page.read()
            watched.kill()


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hoard(_: int) -> int:
    """How many bytes more the process holds after four threads that are all still there have had
    100 MB each, one after the other."""
    before, turn, end = resident(), threading.Lock(), threading.Barrier(4)

    def use(_: int) -> None:
        with turn:
            assert sum(block[0] for block in [np.ones(2**17) for _ in range(100)]) == 100
        end.wait()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(use, range(4)))
    return resident() - before


def test_threads_of_a_worker_share_what_they_have_had() -> None:
    ((_, more),) = spread(hoard, [1], Workers(1, timeout_s=60))
    assert isinstance(more, int)
    assert more < 200e6


# --- processes that die ---


def perish(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        time.sleep(60)
    return os.getpid()


def linger(number: int) -> int:
    """As long as it takes, but not without a sign of life."""
    for _ in range(number):
        time.sleep(0.5)
        still_at_work()
    return number


@pytest.mark.parametrize("number", [1, 2])
def test_an_item_that_kills_or_hangs_takes_no_other_with_it(number: int) -> None:
    outcomes = dict(spread(perish, list(range(7)), Workers(number, timeout_s=3)))
    errors = {item: o.problem.problem for item, o in outcomes.items() if isinstance(o, WorkerError)}
    said = "the process died over it, or gave no frame for 3 s, each time it was tried"
    assert errors == {2: said, 4: said}
    assert len(outcomes) == 7
    assert os.getpid() not in outcomes.values()


def test_a_sign_of_life_is_enough() -> None:
    assert list(spread(linger, [5], Workers(1, timeout_s=1.5))) == [(5, 5)]


def test_what_needs_no_process_of_its_own_has_none() -> None:
    still_at_work()
    assert list(spread(linger, [1], Workers(1))) == [(1, 1)]


class Grave:
    """What takes long to be taken apart."""

    def __init__(self, told: Path) -> None:
        self.told = told

    def __del__(self) -> None:
        self.told.touch()


def leave_behind(told: Path) -> str:
    """In the process: something grave, and a folder that is its own."""
    module = sys.modules[__name__]
    module.grave = Grave(told)  # type: ignore[attr-defined]
    module.folder = tempfile.TemporaryDirectory(dir=told.parent)  # type: ignore[attr-defined]
    return str(module.folder.name)


def test_processes_end_quickly_and_leave_nothing(tmp_path: Path) -> None:
    ((told, folder),) = spread(leave_behind, [tmp_path / "told"], Workers(1, timeout_s=30))
    assert isinstance(folder, str)
    assert not Path(folder).exists()
    assert not told.exists()


# --- a cluster elsewhere ---


def where(number: int) -> str:
    time.sleep(0.3)
    return get_worker().address


def test_workers_at_two_addresses_one_of_which_is_lost(elsewhere: Elsewhere) -> None:
    hosts = ("127.0.0.1", "127.0.0.2")
    for host in hosts:
        elsewhere.join(host)
    workers = Workers(timeout_s=30, scheduler=elsewhere.address)
    with Client(elsewhere.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    outcomes = {}
    for item, outcome in spread(where, list(range(12)), workers):
        assert isinstance(outcome, str)
        outcomes[item] = outcome.removeprefix("tcp://").partition(":")[0]
        if len(outcomes) == 4:
            assert set(outcomes.values()) == set(hosts)
            elsewhere.lose("127.0.0.2")
    assert sorted(outcomes) == list(range(12))


def process(_: int) -> int:
    return os.getpid()


def test_workers_begin_anew_for_each_run(elsewhere: Elsewhere) -> None:
    """None of them works with what it had imported or loaded for an earlier one."""
    elsewhere.join("127.0.0.1")
    workers = Workers(scheduler=elsewhere.address)
    first, second = ({outcome for _, outcome in spread(process, [1, 2], workers)} for _ in range(2))
    assert len(first) == len(second) == 1
    assert first.isdisjoint(second)


def test_a_run_in_progress_is_not_disturbed(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while it hands nothing out, as here between two clips."""
    monkeypatch.setattr(cluster, "_OTHERS_S", 1)
    elsewhere.join("127.0.0.1")
    workers = Workers(scheduler=elsewhere.address)
    first = spread(process, [1, 2, 3], workers)
    pids = {next(first)[1]}
    with pytest.raises(WorkerError, match="it is at work for others"):
        list(spread(process, [1], workers))
    pids |= {pid for _, pid in first}
    assert len(pids) == 1
    assert len(list(spread(process, [1], workers))) == 1


def test_of_two_runs_begun_at_once_one_is_refused(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have found workers, and neither has given them anything, when they look whether the
    scheduler is free."""
    monkeypatch.setattr(cluster, "_OTHERS_S", 1)
    elsewhere.join("127.0.0.1")
    together = threading.Barrier(2)
    claim, begin = cluster._claim, cluster._begin_anew
    refused = threading.Event()

    def at_once(client: Client, scheduler: str) -> None:
        together.wait(timeout=60)
        claim(client, scheduler)

    def late(client: Client, scheduler: str) -> None:
        assert refused.wait(timeout=60)
        begin(client, scheduler)

    monkeypatch.setattr(cluster, "_claim", at_once)
    monkeypatch.setattr(cluster, "_begin_anew", late)

    def run(_: int) -> int | str:
        try:
            return len(list(spread(process, [1, 2], Workers(scheduler=elsewhere.address))))
        except WorkerError as error:
            refused.set()
            return error.problem.problem

    with ThreadPoolExecutor(2) as runs:
        assert sorted(runs.map(run, range(2)), key=str) == [2, "it is at work for others"]


def test_a_run_that_was_killed_holds_up_no_other(elsewhere: Elsewhere) -> None:
    elsewhere.join("127.0.0.1")
    script = (
        "from yololstm.cluster import *; from tests.test_cluster import *\n"
        f"for _ in spread(nap, [0, 60], Workers(scheduler={elsewhere.address!r})): print('on')"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"on\n"
        killed.kill()
    assert len(list(spread(process, [1], Workers(scheduler=elsewhere.address)))) == 1


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_workers_that_all_leave(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says so, waits for others, and goes on with them."""
    monkeypatch.setattr(cluster, "_ABSENT_S", 1)
    elsewhere.join("127.0.0.1")
    workers = Workers(scheduler=elsewhere.address, timeout_s=60)
    outcomes = spread(nap, [0.1, 0.2, 0.3, 0.4], workers)
    done = [next(outcomes)[0]]
    elsewhere.lose("127.0.0.1")
    threading.Timer(5, elsewhere.join, ["127.0.0.2"]).start()
    done += [item for item, _ in outcomes]
    assert done == [0.1, 0.2, 0.3, 0.4]
    told = capfd.readouterr().err.splitlines()
    where = f"warning: {elsewhere.address}: "
    joining = f"dask worker {elsewhere.address} --nthreads 1 --memory-limit 0"
    assert told == [
        f"{where}there is no worker any more. It waits for one: start some, {joining}.",
        f"{where}there are workers again. It goes on.",
    ]


def test_worker_that_joins_late_and_would_stop_taking_work(
    elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]
) -> None:
    elsewhere.join("127.0.0.1")
    outcomes = spread(nap, [0.1, 0.2, 0.3], Workers(scheduler=elsewhere.address))
    next(outcomes)
    elsewhere.join("127.0.0.2", "--memory-limit", "4GB")
    with Client(elsewhere.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    assert len(list(outcomes)) == 2
    (told,) = capfd.readouterr().err.splitlines()
    assert told.startswith("warning: tcp://127.0.0.2:")
    assert "it has a limit of memory" in told


def test_workers_that_leave_for_good(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_S", 1)
    elsewhere.join("127.0.0.1")
    outcomes = spread(nap, [0.1, 0.2], Workers(scheduler=elsewhere.address, timeout_s=2))
    assert next(outcomes) == (0.1, 0.1)
    elsewhere.lose("127.0.0.1")
    with pytest.raises(WorkerError, match="there was no worker for 2 s") as caught:
        list(outcomes)
    assert caught.value.problem.place == elsewhere.address
    joining = f"dask worker {elsewhere.address} --nthreads 1 --memory-limit 0"
    assert joining in caught.value.problem.remedy


def test_reports_do_not_pile_up_on_a_scheduler(elsewhere: Elsewhere) -> None:
    elsewhere.join("127.0.0.1")
    heard: list[int] = []
    with Client(elsewhere.address, set_as_default=False) as client:
        list(spread(count_up, [3000], Workers(scheduler=elsewhere.address), heard.append))
        assert len(client.get_events("reports")) <= 1000
    assert sum(heard) == 3000


def test_worker_that_cannot_begin_anew(elsewhere: Elsewhere) -> None:
    elsewhere.join("127.0.0.1", "--no-nanny")
    with pytest.raises(WorkerError, match="it has no nanny"):
        list(spread(process, [1], Workers(scheduler=elsewhere.address)))


def test_worker_that_would_stop_taking_work(elsewhere: Elsewhere) -> None:
    elsewhere.join("127.0.0.1", "--memory-limit", "4GB")
    with pytest.raises(WorkerError, match="it has a limit of memory") as caught:
        list(spread(process, [1], Workers(scheduler=elsewhere.address)))
    assert caught.value.problem.remedy.endswith("--nthreads 1 --memory-limit 0")


def test_memory_holds_up_no_worker() -> None:
    """One above a share of its limit would be given nothing more, without a word."""
    assert dict(spread(memory_limit, [1, 2], Workers(2))) == {1: None, 2: None}


def memory_limit(_: int) -> int | None:
    limit: int | None = get_worker().memory_manager.memory_limit
    return limit


def test_scheduler_that_is_gone(elsewhere: Elsewhere) -> None:
    elsewhere.join("127.0.0.1")
    done = []
    with pytest.raises(WorkerError, match="the connection to it is lost") as caught:
        for item, _ in spread(where, list(range(20)), Workers(scheduler=elsewhere.address)):
            done.append(item)
            if len(done) == 2:
                os.killpg(elsewhere.scheduler.pid, signal.SIGKILL)
    assert caught.value.problem.place == elsewhere.address
    assert 2 <= len(done) < 20


def test_scheduler_that_never_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_JOIN_S", 1)
    with pytest.raises(WorkerError, match="no Dask scheduler answers there"):
        list(spread(where, [1], Workers(scheduler="tcp://127.0.0.1:1")))


def test_scheduler_without_workers(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_JOIN_S", 10)
    with pytest.raises(WorkerError, match="no worker has joined"):
        list(spread(where, [1], Workers(scheduler=elsewhere.address)))


def test_usual_scheduler_is_that_of_the_environment() -> None:
    """Read by Dask when it is imported."""
    script = "from yololstm.cluster import usual_scheduler; print(usual_scheduler())"
    for value in ("tcp://a:1", ""):
        said = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "DASK_SCHEDULER_ADDRESS": value},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert said.strip() == value
