from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.web import staged
from tests.web.conftest import served
from tests.web.staged import TOKEN, Site
from yololstm.bulletin import Notice
from yololstm.web import updates
from yololstm.web.updates import Letterbox

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def heard(response: httpx.Response) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Id, name and data of each event."""
    held: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            held[name] = value
        elif "data" in held:
            yield int(held["id"]), held["event"], json.loads(held["data"])
            held = {}


def test_what_happens_is_told_in_order(site: Site) -> None:
    site.live("door")
    with served(site) as url:
        with httpx.stream("GET", f"{url}/api/updates", headers=BEARER, timeout=30) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["x-accel-buffering"] == "no"
            said = heard(response)
            first = [next(said), next(said)]
            assert [(kind, about["camera"]) for _, kind, about in first] == [
                ("camera", "door"),
                ("camera", "till"),
            ]
            site.tell(staged.change(1, "start", camera="문"))
            for number in range(2, 40):
                site.tell(staged.change(number))
            told = [next(said) for _ in range(39)]
        _until(lambda: len(site.bulletin._listeners) == 1)
    assert [number for number, _, _ in [*first, *told]] == list(range(41))
    assert {kind for _, kind, _ in told} == {"change"}
    assert [about["id"] for _, _, about in told] == [staged.name(n) for n in range(1, 40)]
    assert (told[0][2]["change"], told[0][2]["camera"]) == ("start", "문")


def test_a_quiet_line_is_kept_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "HEARTBEAT_S", 0.2)
    with (
        served(site) as url,
        httpx.stream("GET", f"{url}/api/updates", headers=BEARER, timeout=30) as response,
    ):
        assert any(line == "event: alive" for line in response.iter_lines())


def test_who_does_not_listen_is_left_and_holds_nobody_up(site: Site) -> None:
    site.app.state.streams.slow_s = 0.5
    with served(site) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as deaf:
            head = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            deaf.sendall(f"GET /api/updates HTTP/1.1\r\n{head}".encode())
            assert deaf.recv(64).startswith(b"HTTP/1.1 200")
            _until(lambda: len(site.bulletin._listeners) == 2)
            about, slowest = {"camera": "door", "text": "x" * 100_000}, 0.0
            deadline = time.monotonic() + 30
            while len(site.bulletin._listeners) == 2:
                assert time.monotonic() < deadline
                began = time.monotonic()
                site.bulletin.post("zones", about)
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.002)
            assert slowest < 5
            assert len(site.app.state.streams) == 0


def test_a_letterbox_that_is_full_stays_so() -> None:
    async def fill() -> None:
        box = Letterbox(asyncio.get_running_loop(), most=3)
        notices = [Notice("zones", {"n": n}) for n in range(5)]
        for notice in notices[:3]:
            box.put(notice)
        assert not box.is_full
        for notice in notices[3:]:
            box.put(notice)
        assert box.is_full
        assert box.take() == notices[:4]
        box.put(notices[4])
        assert box.take() == []

    asyncio.run(fill())


def test_only_so_many_watch_at_a_time(site: Site) -> None:
    site.app.state.streams._most = 1
    with served(site) as url:
        with httpx.stream("GET", f"{url}/api/updates", headers=BEARER, timeout=30) as response:
            lines = response.iter_lines()
            next(lines)
            refused = httpx.get(f"{url}/api/updates", headers=BEARER)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        _until(lambda: len(site.app.state.streams) == 0)


def _until(is_so: Any, patience_s: float = 30) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
