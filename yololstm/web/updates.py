"""What happens now, to pages that are open: server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, Request

from yololstm.bulletin import Bulletin, Notice
from yololstm.web.refusing import RESPONSES, content
from yololstm.web.streaming import Stream, Streams
from yololstm.web.watched import Monitor

MEDIA_TYPE: Final = "text/event-stream"
HEARTBEAT_S: Final = 5.0
"""Nothing new for so long is said, too, so that who hears nothing knows that the line is dead."""
_HELD: Final = 512
"""Notices that wait for one page."""


def router(monitor: Monitor, bulletin: Bulletin, streams: Streams) -> APIRouter:
    routes = APIRouter(responses=RESPONSES)

    @routes.get("/api/updates", response_class=Stream, responses=content(MEDIA_TYPE))
    async def updates(request: Request) -> Stream:
        """Server-sent events: camera, change, verdicts, recorded, feedback, zones; and alive, where
        there is nothing else for 5 s. First comes how each camera is. Nothing is repeated, and what
        other processes do is not heard: ask anew for what may have been missed."""
        streams.check_room()
        now = [Notice("camera", c.status().to_dict()) for c in monitor.cameras.values()]
        return Stream(_told(bulletin, now), streams, request.state.stays, MEDIA_TYPE)

    return routes


async def _told(bulletin: Bulletin, first: Sequence[Notice]) -> AsyncGenerator[bytes, None]:
    box = Letterbox(asyncio.get_running_loop(), first)
    leave = bulletin.listen(box.put)
    number = 0
    try:
        yield b"retry: 2000\n\n"
        while not box.is_full:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await box.filled.wait()
            notices = box.take()
            parts = [_event(notice, number + i) for i, notice in enumerate(notices)]
            number += len(notices)
            yield b"".join(parts) or b"event: alive\ndata: {}\n\n"
    finally:
        leave()


class Letterbox:
    """Filled by any thread, emptied by one task. Once full it stays so: what was missed is lost."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, first: Sequence[Notice] = (), most: int = _HELD
    ) -> None:
        self.filled = asyncio.Event()
        self.is_full = False
        self._loop = loop
        self._most = most
        self._notices = deque(first)
        self._changing = threading.Lock()
        if first:
            self.filled.set()

    def put(self, notice: Notice) -> None:
        with self._changing:
            if self.is_full:
                return
            self.is_full = len(self._notices) >= self._most
            self._notices.append(notice)
        with suppress(RuntimeError):  # the loop is closed: nobody is there any more
            self._loop.call_soon_threadsafe(self.filled.set)

    def take(self) -> list[Notice]:
        with self._changing:
            self.filled.clear()
            notices = list(self._notices)
            self._notices.clear()
        return notices


def _event(notice: Notice, number: int) -> bytes:
    about = json.dumps(dict(notice.about), separators=(",", ":"))
    return f"id: {number}\nevent: {notice.kind}\ndata: {about}\n\n".encode("ascii")
