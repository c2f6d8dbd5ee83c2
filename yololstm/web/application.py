"""The whole of it, put together."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

import yololstm
from yololstm import drawing
from yololstm.bulletin import Bulletin
from yololstm.drawing import Colour
from yololstm.journal import Journal
from yololstm.outbox import Outbox
from yololstm.web import answering, cameras, events, metrics, pages, picturing, refusing, updates
from yololstm.web.access import SESSION_S, Access
from yololstm.web.answering import answer
from yololstm.web.filming import Film
from yololstm.web.guarding import COOKIE, Armour, Bodies, Door, Hosts
from yololstm.web.limiting import Allowance, Rates
from yololstm.web.refusing import RESPONSES, refused
from yololstm.web.streaming import Streams
from yololstm.web.watched import Monitor


@dataclass(frozen=True)
class Login:
    token: str


def create(
    *,
    monitor: Monitor,
    journal: Journal,
    outbox: Outbox,
    bulletin: Bulletin,
    folder: Path,
    token: str,
    hosts: Iterable[str] = (),
    proxies: Iterable[str] = (),
    channels: Iterable[str] = (),
    records: bool = True,
    allowance: Allowance | None = None,
) -> FastAPI:
    """folder: the site's, with its recordings. token: who knows it may see everything. hosts: names
    by which it is asked for, besides localhost and IP addresses. proxies: addresses of those before
    it, who say for whom they ask. channels: of the outbox, to whom something is delivered now.
    records: whether there are clips of events.

    ``app.state.streams`` are the answers that go on: close them before a server stops.
    """
    app = FastAPI(
        title="yololstm",
        version=yololstm.__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    streams, access = Streams(), Access(token)
    app.state.streams = streams
    films, small = (
        {n: Film(c, monitor.labels, journal, bulletin, w) for n, c in monitor.cameras.items()}
        for w in (picturing.WIDTH, picturing.SMALL)
    )
    site = _Site(folder, tuple(channels), records)
    bearer = [Depends(HTTPBearer(auto_error=False, description="The site's token"))]
    for routes in (
        _session(access, streams),
        cameras.router(monitor, journal, bulletin, films, small, streams),
        events.router(journal, bulletin, folder / "recordings", monitor.labels),
        updates.router(monitor, bulletin, streams),
        _system(monitor, outbox, site, streams),
        metrics.router(monitor, outbox, bulletin),
    ):
        app.include_router(routes, dependencies=bearer)
    app.include_router(pages.router(app.openapi))
    refusing.tell(app)
    # The last one is the first that a request passes.
    app.add_middleware(Bodies)
    rates = Rates(allowance or Allowance())
    app.add_middleware(Door, access=access, rates=rates, public=pages.PUBLIC, proxies=list(proxies))
    app.add_middleware(Hosts, names=list(hosts))
    app.add_middleware(Armour)
    return app


def _session(access: Access, streams: Streams) -> APIRouter:
    routes = APIRouter(responses=RESPONSES)

    @routes.post("/api/login", responses=answer(answering.STATUS))
    def login(request: Request, login: Login) -> JSONResponse:
        """Begins a session, which a cookie holds, for who knows the token."""
        if not access.is_token(login.token):
            return refused(401, "token", "it is another one", "See the file token of the site")
        response = JSONResponse({"status": "ok"})
        proxied = request.headers.get("x-forwarded-proto", "").lower()
        response.set_cookie(
            COOKIE,
            access.begin(),
            max_age=int(SESSION_S),
            secure="https" in (request.url.scheme, proxied),
            httponly=True,
            samesite="strict",
        )
        return response

    @routes.post("/api/logout", responses=answer(answering.STATUS))
    def logout(request: Request) -> JSONResponse:
        """Ends the session, and what it was watching."""
        access.end(request.cookies.get(COOKIE, ""))
        streams.close_left()
        response = JSONResponse({"status": "ok"})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    return routes


@dataclass(frozen=True)
class _Site:
    folder: Path
    channels: tuple[str, ...]
    records: bool


def _system(monitor: Monitor, outbox: Outbox, site: _Site, streams: Streams) -> APIRouter:
    routes = APIRouter(responses=RESPONSES)
    started = datetime.now(UTC)
    colours = drawing.palette(monitor.labels)

    @routes.get("/api/system", responses=answer(answering.SYSTEM))
    def system() -> dict[str, Any]:
        """The program, the labels and their colours, the disk, whether clips are recorded, and of
        each receiver what waits for it and why it did not get it."""
        counts = outbox.counts()
        # One to whom nobody delivers any more is told of while something is set aside.
        told = [*site.channels, *(c for c in counts if c not in site.channels)]
        why = outbox.troubles()
        return {
            "version": yololstm.__version__,
            "started": started.isoformat(timespec="seconds"),
            "labels": [{"label": label, "colour": _css(c)} for label, c in colours.items()],
            "records": site.records,
            "outbox": {
                channel: {
                    **(counts.get(channel) or _NOTHING),
                    "why": why.get(channel, ""),
                    "is_told": channel in site.channels,
                }
                for channel in told
            },
            "watching": len(streams),
            "free_bytes": shutil.disk_usage(site.folder).free,
        }

    return routes


_NOTHING: Final = {"waiting": 0, "sent": 0, "refused": 0, "oldest_s": 0.0}


def _css(colour: Colour) -> str:
    red, green, blue = colour
    return f"#{red:02x}{green:02x}{blue:02x}"
