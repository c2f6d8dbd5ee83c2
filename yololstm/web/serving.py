"""The page, served until somebody stops it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from yololstm.errors import ParamsError

_LEAVE_S: Final = 5
"""How long answers may still take when it stops."""
_HEAD_S: Final = 10.0
"""How long the head of a request may take to come."""
_MOST: Final = 512
"""Connections at a time, where there are descriptors for four times as many: the cameras and the
journal need theirs."""
_BACKLOG: Final = 32
"""Connections that are accepted at once, before any can be refused."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Listens from when it is made."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """port: 0 for any that is free. Raises ParamsError where it cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            why = (getattr(error, "strerror", None) or str(error)).partition(" (while")[0]
            problem = f"cannot listen on {host}, port {port} ({why})"
            raise ParamsError("web", problem, "Choose another host or port") from error
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            access_log=False,
            backlog=_BACKLOG,
            http=_Guarded,
            lifespan="off",
            # Its own would close every handler of the process; faults reach stderr without.
            log_config=None,
            log_level="error",
            # What proxies say of addresses, anybody can say.
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_LEAVE_S,
            ws="none",
        )
        self._server = _Server(config, app)

    def run(self, on_ready: Callable[[str, int], None] = lambda host, port: None) -> None:
        """Serves until ``stop``. on_ready: told host and port, once it answers."""
        self._server.on_ready = lambda: on_ready(self.host, self.port)
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """From any thread, or a signal's handler. Called twice it waits for nothing."""
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True


def serve(server: Server, on_ready: Callable[[str, int], None] = lambda host, port: None) -> None:
    """Until SIGINT or SIGTERM, in the main thread."""

    def stop(number: int, frame: FrameType | None) -> None:
        server.stop()

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        server.run(on_ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Guarded(H11Protocol):
    """Closes connections on which nothing is asked, and those that are too many: in all, and half
    as many of one address."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._is_one_too_many():
            transport.abort()
        else:
            self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _is_one_too_many(self) -> bool:
        most = _most_connections()
        others = [one for one in self.connections if isinstance(one, _Guarded) and one is not self]
        host = self.client and self.client[0]
        same = [one for one in others if (one.client and one.client[0]) == host]
        return len(others) >= most or len(same) >= most // 2

    def _wait_for_head(self) -> None:
        self._waiting = self.loop.call_later(_HEAD_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _most_connections() -> int:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if descriptors == resource.RLIM_INFINITY else max(8, min(_MOST, descriptors // 4))


class _Server(uvicorn.Server):
    """Ends the answers that would go on for ever, and leaves signals to who runs it."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.streams.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield
