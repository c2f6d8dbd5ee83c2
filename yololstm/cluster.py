"""Work spread over processes with dask.distributed: an embedded cluster of local processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

import dask
from distributed import Client, LocalCluster, as_completed, get_worker

from yololstm.errors import YololstmError

Item = TypeVar("Item")
Result = TypeVar("Result")

_ENVIRONMENT = {
    # The libraries below us start threads of their own; two processes of two threads each on two
    # cores are several times slower than two of one.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Dask has malloc give memory back at once. An image is then paid for page by page, each time:
    # 11 ms of system time a frame of 720p against 1 ms.
    **dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**28)),
}
_SETTINGS = {
    "distributed.worker.memory.terminate": False,
    "distributed.nanny.pre-spawn-environ": _ENVIRONMENT,
}
_REPORTS: Final = "reports"
_on_report: ContextVar[Callable[[int], None]] = ContextVar("on_report", default=lambda _: None)


def spread(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 0,
    on_report: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[Item, Result | YololstmError]]:
    """Call ``function`` on every item and yield (item, outcome) in order of completion.

    workers: processes; 0 is one for each core that this process may use, 1 is this process itself.
    Errors of ours come back as outcomes, so that one bad item does not stop the others; any other
    exception is a bug and is raised here. on_report is told, from any thread, all that the function
    says through ``report``.
    """
    workers = min(workers or len(os.sched_getaffinity(0)), len(items))
    if workers <= 1:
        for item in items:
            context = copy_context()
            context.run(_on_report.set, on_report)
            yield item, context.run(_outcome, function, item)
        return
    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.subscribe_topic(_REPORTS, lambda event: on_report(event[1]))
        futures = {client.submit(_outcome, function, item, pure=False): item for item in items}
        for future in as_completed(futures, loop=client.loop):
            yield futures[future], future.result()
            future.release()


def report(n: int) -> None:
    """For work that is spread: so many units of an item are newly done."""
    try:
        get_worker().log_event(_REPORTS, n)
    except ValueError:
        _on_report.get()(n)


def _outcome(function: Callable[[Item], Result], item: Item) -> Result | YololstmError:
    try:
        return function(item)
    except YololstmError as error:
        return error
