"""Real signals, and streams that would go on for ever."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable

import httpx
import pytest

from tests.web.staged import TOKEN, Site
from yololstm.errors import ParamsError
from yololstm.web import Server, serve


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_whoever_watches(
    site: Site, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before, heard = signal.getsignal(number), []

    def watch(url: str) -> None:
        heard.append(_watched(url, lambda: os.kill(os.getpid(), number)))

    threads = []

    def ready(host: str, port: int) -> None:
        threads.append(threading.Thread(target=watch, args=(f"http://{host}:{port}",)))
        threads[0].start()

    serve(site.app, "127.0.0.1", 0, ready)
    threads[0].join(60)
    assert heard and heard[0] < 100
    assert signal.getsignal(number) is before
    assert capfd.readouterr() == ("", "")


def _watched(url: str, then: Callable[[], None]) -> int:
    """Lines that still come after that, until the server ends them as is due."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    ask = httpx.stream("GET", f"{url}/api/updates?x={TOKEN}", headers=headers, timeout=60)
    with ask as told:
        lines = told.iter_lines()
        next(lines)
        then()
        return sum(1 for _ in lines)


def test_a_port_that_is_taken_is_told(site: Site) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(ParamsError, match=r"cannot listen on 127\.0\.0\.1"):
        Server(site.app, "127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ParamsError, match="port 70000"):
        Server(site.app, "127.0.0.1", 70000)
