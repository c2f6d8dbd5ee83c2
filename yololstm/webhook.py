"""Webhooks: a message as an HTTP POST, through httpx.

    Content-Type: application/json
    Idempotency-Key: 598ba586-07b7-5710-a2ae-e3dbe2866a2b:start:1
    X-Yololstm-Signature: t=1795410001,v1=5257a869…

The same message may come again, with the same key: leave out what you have. It came from here, and
just now, where all of this holds:

- v1 is the HMAC-SHA256, in hexadecimal digits, of "<t>.<body>" under the secret that both know, the
  body being the bytes as they came. Compare them in constant time, as hmac.compare_digest does;
- t, in seconds since 1970, is a few minutes away from now at most. It is that of the try, and so
  another one, with another v1, when the message comes again.

Answer 2xx once it is kept. 400, 405, 406, 410, 411, 413, 414, 415, 422 and 431 say that it never
shall come again: there is something wrong with it, or there is nobody any more. Whatever else is
answered, 401, 403 and 404 too, says that it shall, not before a Retry-After of up to an hour. No
redirect is followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Self

import httpx

from yololstm import __version__
from yololstm.errors import ParamsError
from yololstm.outbox import LONGEST_WAIT, Message, Refused, Undelivered

if TYPE_CHECKING:
    from yololstm import site

_NEVER: Final = (400, 405, 406, 410, 411, 413, 414, 415, 422, 431)
"""Of the body or the method. Who asks for somebody to log in, or is not there, may be back soon."""
_TALKERS: Final = ("httpx", "httpcore")
"""Loggers that would tell whole addresses."""


class Webhook:
    def __init__(
        self, url: str, secret: str = "", timeout_s: float = 10.0, ca_file: str = ""
    ) -> None:
        """secret: signs the body; "": nothing is signed. timeout_s: for the whole of an answer's
        head. ca_file: certificates in the place of those that are known anyway.

        Raises ParamsError, without the address, for one that is none; OSError where ca_file cannot
        be read.
        """
        self._url = _checked(url)
        self._secret = secret
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | bool = False
        if self._url.scheme == "https":
            own = ssl.create_default_context(cafile=ca_file) if ca_file else None
            self._tls = own or httpx.create_ssl_context()
        for name in _TALKERS:
            logging.getLogger(name).setLevel(logging.WARNING)

    @classmethod
    def of(cls, receiver: site.Webhook) -> Self:
        url, secret = receiver.url.get_secret_value(), receiver.secret.get_secret_value()
        return cls(url, secret, receiver.timeout_s, receiver.ca_file)

    @property
    def shown(self) -> str:
        """No more of the address than the host: secrets stand anywhere in it."""
        return f"{self._url.scheme}://{self._url.netloc.decode()}/…"

    def __call__(self, message: Message) -> None:
        """Raises Refused or Undelivered."""
        try:
            answer = asyncio.run(self._post(message))
        except TimeoutError:
            raise Undelivered(f"{self.shown}: no answer in {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise Undelivered(f"{self.shown}: no answer ({type(error).__name__})") from None
        if answer.is_success:
            return
        told = f"{self.shown} answered {answer.status_code}"
        if answer.status_code in _NEVER:
            raise Refused(told)
        raise Undelivered(told, _after_s(answer.headers))

    async def _post(self, message: Message) -> httpx.Response:
        """Without the answer's body, which nobody reads. A connection each, for they may be days
        apart."""
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": message.key,
            "User-Agent": f"yololstm/{__version__}",
        }
        if self._secret:
            headers["X-Yololstm-Signature"] = signature(self._secret, message.body, time.time())
        # httpx knows a limit for each read alone, and so none for an answer that trickles.
        async with (
            asyncio.timeout(self._timeout_s),
            httpx.AsyncClient(verify=self._tls, timeout=self._timeout_s) as client,
            client.stream("POST", self._url, content=message.body, headers=headers) as answer,
        ):
            return answer


def signature(secret: str, body: bytes, now: float) -> str:
    """now: seconds since 1970."""
    signed = b"%d.%b" % (int(now), body)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={int(now)},v1={digest}"


def _checked(url: str) -> httpx.URL:
    problem = "no address of http or https"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise ParamsError("url", problem, "Give a whole one") from None
    is_whole = parsed.scheme in ("http", "https") and parsed.host and (parsed.port or 0) < 65536
    if not is_whole:
        raise ParamsError("url", problem, "Give a whole one")
    return parsed


def _after_s(headers: Mapping[str, str]) -> float:
    """What Retry-After asks for, as seconds or as a date; 0 where it asks for nothing."""
    asked = headers.get("Retry-After", "").strip()
    try:
        after_s = float(asked)
    except ValueError:
        after_s = _until_s(asked)
    return min(max(after_s, 0.0), LONGEST_WAIT.total_seconds()) if math.isfinite(after_s) else 0.0


def _until_s(date: str) -> float:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return 0.0
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
