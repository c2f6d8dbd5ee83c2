"""What each request passes before it is answered, and each answer before it leaves."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from yololstm.web.access import Access
from yololstm.web.limiting import Rates
from yololstm.web.refusing import refused

COOKIE: Final = "yololstm-session"
LOGIN: Final = "/api/login"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_MOST_BYTES: Final = 64 * 1024
_BODY_S: Final = 30.0
"""How long a body may take to come."""

_SECURE: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Armour:
    """Tells browsers what the page never does, and to keep nothing of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def armed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURE.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, armed)


class Hosts:
    """Answers to its own names alone: a foreign name that leads here is an attack on browsers
    (DNS rebinding). An IP address is no name, so that any does."""

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(Headers(scope=scope).getlist("host")):
            remedy = "Ask by the address that the program has told, or list this name in web.names"
            await refused(421, "Host", "no name of this site", remedy)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, said: list[str]) -> bool:
        try:
            (host,) = said
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        return "@" not in host and (name in self._names or _is_address(name))


class Bodies:
    """Takes small bodies, whole; others never reach what would read them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _SAFE:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(_BODY_S):
                body = await _whole(receive)
        except TimeoutError:
            response = refused(408, "body", "it does not come", "Send it at once")
            await response(scope, receive, send)
            return
        if body is None:
            return
        if len(body) > _MOST_BYTES:
            problem = f"it is larger than {_MOST_BYTES} bytes"
            response = refused(413, "body", problem, "Send less", {"Connection": "close"})
            await response(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)


async def _whole(receive: Receive) -> bytes | None:
    """As much of it as is taken, and a byte more; None where who sends it has left."""
    parts = bytearray()
    while len(parts) <= _MOST_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(parts[: _MOST_BYTES + 1])


@dataclass(frozen=True)
class _Visitor:
    key: str
    """Whom requests are counted for."""
    stays: Callable[[], bool] | None
    """Whether they are logged in still; None where they never were."""
    by_cookie: bool
    """What browsers send along, whoever asks for it."""


class Door:
    """Lets nobody in who is not logged in, nobody who asks too often, and no other site.

    What is inside finds ``stays`` in the request's state: whether who asked is logged in still.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        rates: Rates,
        public: Collection[str],
        proxies: Collection[str] = (),
    ) -> None:
        """public: paths that anybody may get. proxies: addresses that are believed when they say
        for whom they ask, by X-Forwarded-For."""
        self._app = app
        self._access = access
        self._rates = rates
        self._public = public
        self._proxies = frozenset(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        address = _address(connection, self._proxies)
        visitor = self._visitor(connection, address)
        response = visitor if isinstance(visitor, Response) else self._refused(scope, visitor)
        if response is None and (scope["method"], scope["path"]) == ("POST", LOGIN):
            # Of the address: who is in already can guess no oftener.
            wait_s = self._rates.wait_s("login", address)
            response = _too_often(wait_s) if wait_s else None
        if response is not None or isinstance(visitor, Response):
            assert response is not None
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["stays"] = visitor.stays or (lambda: False)
        await self._app(scope, receive, send)

    def _visitor(self, connection: HTTPConnection, address: str) -> _Visitor | Response:
        """Or the answer to who guesses too often: then no token is looked at, right or wrong."""
        said = connection.headers.get("authorization")
        if said is not None and connection.scope["path"] != "/health":
            if wait_s := self._rates.owed_s("login", address):
                return _too_often(wait_s)
            scheme, _, token = said.partition(" ")
            if scheme.lower() == "bearer" and self._access.is_token(token.strip()):
                return _Visitor(f"token {address}", lambda: True, by_cookie=False)
            self._rates.wait_s("login", address)
            return _Visitor(address, None, by_cookie=False)
        # Of a session 256 bits would have to be guessed, so that nobody is counted for another
        # than there is now: it may have been one of before the program started.
        name = connection.cookies.get(COOKIE, "")
        if name and self._access.is_open(name):
            return _Visitor(f"session {name}", lambda: self._access.is_open(name), by_cookie=True)
        # Who asks for the API in vain can ask for the login still.
        is_public = connection.scope["path"] in (*self._public, LOGIN)
        return _Visitor(f"public {address}" if is_public else address, None, by_cookie=True)

    def _refused(self, scope: Scope, visitor: _Visitor) -> Response | None:
        path, method, headers = scope["path"], scope["method"], Headers(scope=scope)
        if path == "/health":
            return None
        if wait_s := self._rates.wait_s("request", visitor.key):
            return _too_often(wait_s)
        if visitor.by_cookie and (why := _foreign(scope, headers)):
            remedy = "Ask from the page, or with a Bearer token; a proxy must pass Host on as it is"
            return refused(403, "request", why, remedy)
        is_public = (method, path) == ("POST", LOGIN) or (method in _SAFE and path in self._public)
        if visitor.stays is not None or is_public:
            return None
        if path == "/":
            return RedirectResponse("/login", 303)
        remedy = "Log in, or send Authorization: Bearer with the site's token"
        return refused(401, "request", "not logged in", remedy, {"WWW-Authenticate": "Bearer"})


def _address(connection: HTTPConnection, proxies: Collection[str]) -> str:
    """For whom it is asked: the last that no proxy has added. Of IPv6 the network, of which
    somebody has all addresses."""
    address = connection.client.host if connection.client else ""
    said = connection.headers.getlist("x-forwarded-for") if address in proxies else []
    for one in reversed([part.strip() for line in said for part in line.split(",")]):
        if not _is_address(one):
            break
        address = one
        if one not in proxies:
            break
    try:
        whole = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = whole.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((whole, 64), strict=False))


def _foreign(scope: Scope, headers: Headers) -> str:
    """Why it is not to be done with what a browser sends by itself; "" where it is."""
    changes = scope["method"] not in _SAFE
    within = scope["path"].startswith(("/api/", "/metrics"))
    if (changes or within) and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return "it is asked by another site"
    if not changes:
        return ""
    origin = headers.get("origin")
    if origin is not None and _place_of(origin) != headers.get("host", "").lower():
        return "it is asked by another site"
    is_json = headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"
    if not is_json and "x-requested-with" not in headers:
        return "neither is its body JSON nor has it the header X-Requested-With"
    return ""


def _place_of(origin: str) -> str:
    """Name and port; "" for what is no address."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _too_often(wait_s: int) -> Response:
    problem, headers = "asked too often", {"Retry-After": str(wait_s)}
    return refused(429, "request", problem, f"Wait {wait_s} s", headers)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
