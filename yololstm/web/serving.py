"""The page, served until somebody stops it."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Generator
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from yololstm.errors import ParamsError

_LEAVE_S: Final = 5
"""How long answers may still take when it stops."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Listens from when it is made."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        """port: 0 for any that is free. Raises ParamsError where it cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            problem = f"cannot listen on {host}, port {port} ({error})"
            raise ParamsError("web", problem, "Choose another host or port") from error
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            access_log=False,
            http="h11",
            lifespan="off",
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


def serve(
    app: FastAPI,
    host: str,
    port: int,
    on_ready: Callable[[str, int], None] = lambda host, port: None,
) -> None:
    """Serves until SIGINT or SIGTERM, in the main thread. Raises ParamsError as Server does."""
    server = Server(app, host, port)

    def stop(number: int, frame: FrameType | None) -> None:
        server.stop()

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        server.run(on_ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
