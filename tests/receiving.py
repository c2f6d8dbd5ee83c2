"""A receiver of webhooks that is as bad as receivers are."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Post:
    path: str
    headers: Headers
    body: bytes
    at: float
    """Monotonic."""

    @property
    def key(self) -> str:
        return self.headers["Idempotency-Key"]


@dataclass(frozen=True)
class Answer:
    status: int = 204
    """0: the connection is dropped without one."""
    headers: tuple[tuple[str, str], ...] = ()
    trickle_s: float = 0.0
    """Its head comes byte by byte over so long."""


class Receiver:
    """What came, and what is answered to it: the n-th is asked for with n, from 0 on."""

    def __init__(
        self, answer: Callable[[int], Answer], port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer = answer
        self.posts: list[Post] = []
        self.taken: list[Post] = []
        """Those that were answered with 2xx."""
        self._asking = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver._take(self, Post(self.path, self.headers, body, time.monotonic()))

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://somebody:geheim@127.0.0.1:{self.port}/geheim?key=geheim"

    def wait(self, n: int, timeout_s: float = 60.0) -> list[Post]:
        """Until so many were taken."""
        deadline = time.monotonic() + timeout_s
        while len(self.taken) < n:
            assert time.monotonic() < deadline, [post.key for post in self.taken]
            time.sleep(0.01)
        return list(self.taken)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _take(self, handler: BaseHTTPRequestHandler, post: Post) -> None:
        with self._asking:
            answer = self.answer(len(self.posts))
            self.posts.append(post)
            if 200 <= answer.status < 300:
                self.taken.append(post)
        if not answer.status:
            return
        head = f"HTTP/1.1 {answer.status} Told\r\nContent-Length: 0\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
        with suppress(OSError):  # who asked did not wait
            for byte in f"{head}\r\n".encode():
                if answer.trickle_s:
                    time.sleep(answer.trickle_s / len(head))
                handler.wfile.write(bytes([byte]))


@contextmanager
def receiver(
    answer: Callable[[int], Answer] = lambda n: Answer(),
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    receiving = Receiver(answer, port, tls)
    try:
        yield receiving
    finally:
        receiving.close()
