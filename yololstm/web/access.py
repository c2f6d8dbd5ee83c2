"""Who may see the site: whoever knows its token, and the sessions they have begun."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

SESSION_S: Final = 7 * 24 * 3600.0
_MOST: Final = 1000
"""Sessions at a time; the oldest is ended for another."""


class Access:
    def __init__(self, token: str, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds. Raises ValueError for a token that is too short to be none's guess."""
        if len(token) < 16:
            raise ValueError("a token has 16 characters or more")
        self._token = _digest(token)
        self._clock = clock
        self._until: dict[bytes, float] = {}
        """When each session ends, by the digest of its id, in the order in which they began."""
        self._changing = threading.Lock()

    def is_token(self, said: str) -> bool:
        return hmac.compare_digest(_digest(said), self._token)

    def begin(self) -> str:
        """A new session's id."""
        name = secrets.token_urlsafe(32)
        with self._changing:
            now = self._clock()
            self._until = {key: until for key, until in self._until.items() if until > now}
            for key in list(self._until)[: len(self._until) + 1 - _MOST]:
                del self._until[key]
            self._until[_digest(name)] = now + SESSION_S
        return name

    def end(self, name: str) -> None:
        with self._changing:
            self._until.pop(_digest(name), None)

    def is_open(self, name: str) -> bool:
        until = self._until.get(_digest(name))
        return until is not None and self._clock() < until


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
