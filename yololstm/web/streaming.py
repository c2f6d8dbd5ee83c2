"""Answers that go on until somebody has had enough, and never longer than the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from yololstm.web.refusing import Refusal

_MOST: Final = 64
"""At a time."""
_SLOW_S: Final = 20.0
"""Whoever takes nothing for so long has had enough."""


class Streams:
    """Those of one server."""

    def __init__(self, slow_s: float = _SLOW_S, most: int = _MOST) -> None:
        self.slow_s = slow_s
        self._most = most
        self._open: set[Stream] = set()
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def check_room(self) -> None:
        """Raises Refusal where there are too many."""
        if len(self._open) >= self._most:
            remedy, headers = "Close a page that shows it", {"Retry-After": "10"}
            raise Refusal(503, "request", "too many are watching", remedy, headers)

    def close(self) -> None:
        """From any thread; ends them all."""
        with self._changing:
            opened = list(self._open)
        for stream in opened:
            stream.stop()

    def close_left(self) -> None:
        """Those of who is no longer logged in."""
        with self._changing:
            left = [stream for stream in self._open if not stream.stays()]
        for stream in left:
            stream.stop()

    def add(self, stream: Stream) -> None:
        with self._changing:
            self._open.add(stream)

    def remove(self, stream: Stream) -> None:
        with self._changing:
            self._open.discard(stream)


class Stream(Response):
    """Sends parts as they come; who does not take them is left, not waited for."""

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        streams: Streams,
        stays: Callable[[], bool],
        media_type: str,
        headers: Mapping[str, str] | None = None,
        status_code: int = 200,
    ) -> None:
        """stays: asked before each part; without it the stream ends."""
        self.status_code, self.media_type, self.background = status_code, media_type, None
        # Nobody in between keeps parts back until there are more.
        self.init_headers({"X-Accel-Buffering": "no", **(headers or {})})
        self._parts = parts
        self._streams = streams
        self.stays = stays
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()

    def stop(self) -> None:
        """From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._over.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._streams.add(self)
        sending = asyncio.create_task(self._send(send))
        others = [asyncio.create_task(_left(receive)), asyncio.create_task(self._over.wait())]
        try:
            await asyncio.wait([sending, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.remove(self)
            is_over = self._over.is_set() and not sending.done()
            for task in (sending, *others):
                task.cancel()
            results = await asyncio.gather(sending, *others, return_exceptions=True)
            await self._parts.aclose()
        if isinstance(results[0], Exception) and not isinstance(results[0], TimeoutError):
            raise results[0]
        if is_over:
            await self._say(send, b"", more=False)

    async def _send(self, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        async with asyncio.timeout(self._streams.slow_s):
            await send(start)
        async for part in self._parts:
            if not self.stays():
                break
            await self._say(send, part, more=True)
        await self._say(send, b"", more=False)

    async def _say(self, send: Send, body: bytes, *, more: bool) -> None:
        async with asyncio.timeout(self._streams.slow_s):
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
