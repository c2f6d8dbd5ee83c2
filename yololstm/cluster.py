"""Work spread over processes with dask.distributed: local ones, or those of a cluster elsewhere."""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import logging
import os
import queue
import signal
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Final, TextIO, TypeVar

import dask
from dask.system import cpu_count
from distributed import Client, Future, KilledWorker, LocalCluster, get_worker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError

from yololstm.console import is_watched, remark, warn
from yololstm.errors import WorkerError, YololstmError

Item = TypeVar("Item")
Result = TypeVar("Result")

ENVIRONMENT: Final = {
    # The libraries below us start threads of their own; two processes of two threads each on two
    # cores are several times slower than two of one.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Dask has malloc give memory back at once. An image is then paid for page by page, each time:
    # 11 ms of system time a frame of 720p against 1 ms.
    **dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**28)),
    # Else malloc keeps memory for each thread that decodes a clip: 300 MB more after ten clips.
    "MALLOC_ARENA_MAX": "1",
}
_SETTINGS: Final = {
    "distributed.nanny.pre-spawn-environ": ENVIRONMENT,
    # Who tries again, and when, is decided here.
    "distributed.scheduler.allowed-failures": 0,
    # Stacks a hundred times a second, for the dashboard's page of profiles, and clocks fifty times:
    # on two cores that are both at work that is 5 to 8 % of what they do.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "5s",
}
_JOIN_S: Final = 60
_RESTART_S: Final = 10
_OTHERS_S: Final = 10
_ABSENT_S: Final = 10
_LOOK_S: Final = 1
_PATIENCE_S: Final = 60
_REPORTS: Final = "reports"
_CLAIM: Final = "yololstm-run"
_timeout_s: ContextVar[float] = ContextVar("_timeout_s", default=0.0)
_on_report: ContextVar[Callable[[int], None]] = ContextVar("_on_report", default=lambda _: None)


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    number: processes; 0 is one for each core that this process may use, of which a container can
    have less than it sees; 1 is this process itself.
    timeout_s: with it, items are worked on in processes of their own, even by one worker, and a
    process that gives no sign of life for so long (see still_at_work) is killed.
    scheduler: the address of a Dask scheduler, tcp://host:8786, in place of local processes. Its
    workers must run in the same environment and see files under the same paths; docs/pipeline.md
    tells how to start them. They begin anew for each run, and so serve one at a time.
    """

    number: int = 0
    timeout_s: float | None = None
    scheduler: str = ""


def usual_scheduler() -> str:
    """What DASK_SCHEDULER_ADDRESS says, or Dask's own configuration; else empty."""
    return dask.config.get("scheduler-address", None) or ""


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: Workers = Workers(),
    on_report: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[Item, Result | YololstmError]]:
    """Call ``function`` on every item and yield (item, outcome) in order of completion.

    Errors of ours come back as outcomes, so that one bad item does not stop the others; any other
    exception is a bug and is raised here. An item over which a worker dies or hangs is given to
    another, and its outcome is a WorkerError if that does likewise. Raises WorkerError where the
    scheduler cannot be reached or is at work for others, and where there is no worker at all for
    the timeout, a minute at least. on_report is told, from any thread, all that the function says
    through ``report``.
    """
    number = min(workers.number or cpu_count(), len(items))
    if not items:
        return
    if number <= 1 and workers.timeout_s is None and not workers.scheduler:
        for item in items:
            context = copy_context()
            context.run(_on_report.set, on_report)
            yield item, context.run(_outcome, function, 0.0, item)
        return
    work = functools.partial(_outcome, function, workers.timeout_s or 0.0)
    with _client(number, workers.scheduler) as client:
        client.subscribe_topic(_REPORTS, lambda event: on_report(event[1]))
        remark(f"dashboard: {client.dashboard_link}")
        try:
            yield from _completed(client, work, items, workers)
        except (FutureCancelledError, CommClosedError) as error:
            raise WorkerError(
                workers.scheduler or "scheduler",
                "the connection to it is lost",
                "What is done is kept: start it again, and run this again",
            ) from error


def report(n: int) -> None:
    """For a function to say that so many units of its item are newly done."""
    try:
        get_worker().log_event(_REPORTS, n)
    except ValueError:
        _on_report.get()(n)


def still_at_work() -> None:
    """For a function that takes longer than the timeout to say that it does not hang."""
    if timeout_s := _timeout_s.get():
        # A thread outside the interpreter, which no code that hangs can hold up.
        faulthandler.dump_traceback_later(timeout_s, exit=True, file=_nowhere())


def _outcome(
    function: Callable[[Item], Result], timeout_s: float, item: Item
) -> Result | YololstmError:
    token = _timeout_s.set(timeout_s)
    still_at_work()
    try:
        return function(item)
    except YololstmError as error:
        return error
    finally:
        _timeout_s.reset(token)
        if timeout_s:
            faulthandler.cancel_dump_traceback_later()


@functools.cache
def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123


def _completed(
    client: Client,
    work: Callable[[Item], Result | YololstmError],
    items: Sequence[Item],
    workers: Workers,
) -> Iterator[tuple[Item, Result | YololstmError]]:
    """One item at a time is handed out to each worker, so that an item which kills its worker takes
    no other with it."""
    waiting, again, known = deque(items), set[int](), set[str]()
    begun: dict[Future[Any], Item] = {}
    completed = queue.SimpleQueue[Future[Any]]()
    watch = _Watch(workers)

    def hand_out() -> None:
        there = _addresses(client)
        if workers.scheduler and there - known:
            for address, problem in _unfit(client):
                if address not in known:
                    warn(f"{address}: {problem}. Start it: {_joining(workers.scheduler)}.")
        known.update(there)
        watch.see(len(there))
        free = len(there) - len(begun)
        # One waits for the first worker that there will be.
        while waiting and (free > 0 or not begun):
            future = client.submit(work, item := waiting.popleft(), pure=False)
            begun[future] = item
            future.add_done_callback(completed.put)
            free -= 1

    hand_out()
    while begun:
        try:
            future = completed.get(timeout=_LOOK_S)
        except queue.Empty:
            hand_out()
            continue
        item = begun.pop(future)
        result = _result(future, workers.timeout_s)
        future.release()
        if isinstance(result, WorkerError):
            _await_another(client, len(begun))
        if isinstance(result, WorkerError) and not workers.scheduler and id(item) not in again:
            again.add(id(item))
            waiting.appendleft(item)
        else:
            yield item, result
        hand_out()


def _addresses(client: Client) -> set[str]:
    """Of the workers that there are."""
    try:
        return {*client.nthreads()}
    except OSError as error:
        raise CommClosedError(str(error)) from error


@dataclass
class _Watch:
    """Over whether there is any worker."""

    workers: Workers
    _absent_since: float | None = None
    _told: bool = False

    def see(self, number: int) -> None:
        """Tells once, and raises WorkerError in the end, where there is none for long."""
        if number:
            if self._told:
                warn(f"{self._where}: there are workers again. It goes on.")
            self._absent_since, self._told = None, False
            return
        now, patience_s = time.monotonic(), self._patience_s
        if self._absent_since is None:
            self._absent_since = now
        absent_s = now - self._absent_since
        if patience_s is not None and absent_s > patience_s:
            raise WorkerError(
                self._where,
                f"there was no worker for {patience_s:g} s",
                f"What is done is kept: {self._remedy}; then run this again",
            )
        if absent_s > _ABSENT_S and not self._told:
            warn(f"{self._where}: there is no worker any more. It waits for one: {self._remedy}.")
            self._told = True

    @property
    def _patience_s(self) -> float | None:
        if self.workers.timeout_s is None:
            return None
        # A process in the place of one that died takes time to start, however short the timeout.
        return max(self.workers.timeout_s, _PATIENCE_S)

    @property
    def _where(self) -> str:
        return self.workers.scheduler or "workers"

    @property
    def _remedy(self) -> str:
        scheduler = self.workers.scheduler
        return f"start some, {_joining(scheduler)}" if scheduler else "see that memory suffices"


def _joining(scheduler: str) -> str:
    return f"dask worker {scheduler} --nthreads 1 --memory-limit 0"


def _await_another(client: Client, busy: int) -> None:
    """In the place of one that died."""
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(busy + 1, timeout=_RESTART_S)


def _result(future: Future[Any], timeout_s: float | None) -> Result | YololstmError:
    try:
        result: Result | YololstmError = future.result()
    except KilledWorker:
        hung = f", or gave no frame for {timeout_s:g} s," if timeout_s else ""
        problem = f"the process died over it{hung} each time it was tried"
        remedy = "See that the file is sound, and that memory suffices"
        return WorkerError("workers", problem, remedy)
    return result


@contextlib.contextmanager
def _client(number: int, scheduler: str) -> Iterator[Client]:
    # It would show how it fails to reconnect, at length; what matters is raised.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    if scheduler:
        with _reached(scheduler) as client:
            yield client
        return
    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=number,
            threads_per_worker=1,
            # A worker above a share of it would take no further item, and never end.
            memory_limit=0,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": is_watched()},
            silence_logs=logging.CRITICAL,
            preload=[__name__],
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def dask_setup(worker: object) -> None:
    """Called by Dask in each process that it starts. Ctrl-C is for the one who started it, which
    then ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # After what is made later has put its files away, and before the interpreter takes torch apart,
    # which takes seconds.
    weakref.finalize(dask_setup, os._exit, 0)


@contextlib.contextmanager
def _reached(scheduler: str) -> Iterator[Client]:
    remark(f"{scheduler}: waiting for it and for workers, up to {_JOIN_S} s for each")
    try:
        client = Client(scheduler, set_as_default=False, timeout=_JOIN_S)
    except (OSError, TimeoutError) as error:
        raise WorkerError(
            scheduler, "no Dask scheduler answers there", "Start it: dask scheduler"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_JOIN_S)
        except TimeoutError as error:
            problem = f"no worker has joined this scheduler in {_JOIN_S} s"
            remedy = f"Start some: {_joining(scheduler)}"
            raise WorkerError(scheduler, problem, remedy) from error
        _claim(client, scheduler)
        _begin_anew(client, scheduler)
        yield client


def _claim(client: Client, scheduler: str) -> None:
    """For as long as the client is connected. What others have begun would die with the workers
    that begin anew."""

    def claimed(me: str, dask_scheduler: Any) -> bool:
        """On the scheduler, which need not know this module, and asks one at a time."""
        others = [them for them in dask_scheduler.clients.values() if them.client_key != me]
        owner = dask_scheduler.get_metadata([_CLAIM], default=None)
        if any(them.wants_what or them.client_key == owner for them in others):
            return False
        dask_scheduler.set_metadata([_CLAIM], me)
        return True

    # One that was killed is taken for there for moments.
    end = time.monotonic() + _OTHERS_S
    while not client.run_on_scheduler(claimed, client.id):
        if time.monotonic() > end:
            remedy = "Wait until they are done, or start a scheduler of your own"
            raise WorkerError(scheduler, "it is at work for others", remedy)
        time.sleep(_LOOK_S)


def _begin_anew(client: Client, scheduler: str) -> None:
    """Workers that served an earlier run hold its code and what it had loaded."""
    for address, problem in _unfit(client):
        raise WorkerError(address, problem, f"Start it: {_joining(scheduler)}")
    workers = sorted(_addresses(client))
    begun = client.restart_workers(workers, timeout=_JOIN_S, raise_for_error=False)
    if late := sorted(address for address, said in begun.items() if said != "OK"):
        raise WorkerError(late[0], f"it does not begin anew in {_JOIN_S} s", "Start it again")


def _unfit(client: Client) -> Iterator[tuple[str, str]]:
    """Addresses of workers that should not be given work, and why."""
    for address, worker in sorted(client.scheduler_info(n_workers=-1)["workers"].items()):
        if not worker["nanny"]:
            yield address, "it has no nanny, and cannot begin anew with the code of today"
        elif worker["memory_limit"]:
            yield (
                address,
                "it has a limit of memory, near which it silently takes no work",
            )
