"""Real signals, and streams that would go on for ever."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.people import ROOT
from tests.web.conftest import served
from tests.web.staged import TOKEN, Site
from yololstm.errors import ParamsError
from yololstm.web import Server, serve, serving, updates


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

    serve(Server(site.app, "127.0.0.1", 0), ready)
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


def test_what_others_log_to_stays_open(site: Site, tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log")
    with contextlib.closing(handler), served(site):
        assert handler.stream and not handler.stream.closed


FAULTY = """
import sys
from pathlib import Path
import httpx
from tests.web.conftest import served
from tests.web.staged import TOKEN, Site
site = Site(Path(sys.argv[1]))
@site.app.get("/api/faulty")
def faulty() -> None:
    raise ZeroDivisionError
with served(site) as url:
    print(httpx.get(f"{url}/api/faulty", headers={"Authorization": f"Bearer {TOKEN}"}).status_code)
site.close()
"""


def test_a_fault_of_ours_is_told_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAULTY, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "500\n"), done.stderr
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError"
    assert done.stderr.count("Traceback") == 1


def test_a_port_that_is_taken_is_told(site: Site) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(ParamsError, match=r"cannot listen on 127\.0\.0\.1"):
        Server(site.app, "127.0.0.1", taken.getsockname()[1])
    with pytest.raises(ParamsError, match="port 70000"):
        Server(site.app, "127.0.0.1", 70000)


def test_who_asks_nothing_is_left(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_HEAD_S", 0.5)
    monkeypatch.setattr(updates, "HEARTBEAT_S", 0.2)
    with served(site) as url, _connected(url) as idle, _connected(url) as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\n")
        assert _is_closed(idle) and _is_closed(slow)
        # As one that has been answered, and then asks no more than half.
        with _connected(url) as half:
            half.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert half.recv(100).startswith(b"HTTP/1.1 200")
            half.sendall(b"GET /health")
            assert _is_closed(half)
        assert _watched_for(url, 1.0) > 0


def test_connections_are_never_more_than_can_be_had(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_MOST", 8)
    with served(site) as url, contextlib.ExitStack() as opened:
        held = [opened.enter_context(_connected(url)) for _ in range(4)]
        assert _is_closed(opened.enter_context(_connected(url)))
        held.pop().close()
        _until_it_answers(url)


def _connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30)


def _is_closed(connection: socket.socket) -> bool:
    """By the other side, after whatever it had to say."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1000):
            pass
    return True


def _watched_for(url: str, seconds: float) -> int:
    """Lines of a stream that goes on for longer than a head may take."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.stream("GET", f"{url}/api/updates", headers=headers, timeout=60) as told:
        until = time.monotonic() + seconds
        lines = itertools.takewhile(lambda _: time.monotonic() < until, told.iter_lines())
        return sum(1 for _ in lines)


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert httpx.get(f"{url}/health").status_code == 200
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
