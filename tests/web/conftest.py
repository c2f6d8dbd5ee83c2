from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.web.staged import TOKEN, Site
from yololstm.web import Server

with warnings.catch_warnings():
    # It would like to have another release of httpx.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def client(site: Site) -> TestClient:
    """A program, with the token."""
    return program(site)


def program(site: Site) -> TestClient:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return TestClient(site.app, "http://localhost", headers=headers)


def stranger(site: Site, **options: Any) -> TestClient:
    return TestClient(site.app, "http://localhost", follow_redirects=False, **options)


@contextmanager
def served(site: Site, port: int = 0) -> Iterator[str]:
    """Its address."""
    server = Server(site.app, "127.0.0.1", port)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(lambda host, port: ready.set(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive()
