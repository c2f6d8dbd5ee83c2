"""How often somebody may ask."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["login", "request"]

_WINDOW_S: Final = 60.0
_MOST: Final = 1024
"""Visitors who are counted at a time; whoever has not come for longest is forgotten for another."""


@dataclass(frozen=True)
class Allowance:
    """In any minute."""

    logins: int = 5
    """Of an address."""
    requests: int = 600
    """Of whoever is logged in, or else of an address."""


class Rates:
    """From any thread."""

    def __init__(
        self,
        allowance: Allowance,
        clock: Callable[[], float] = time.monotonic,
        most: int = _MOST,
    ) -> None:
        """clock: seconds. most: visitors of each kind."""
        self._limits: dict[Kind, int] = {
            "login": allowance.logins,
            "request": allowance.requests,
        }
        self._clock = clock
        self._most = most
        self._hits: dict[Kind, OrderedDict[bytes, deque[float]]] = {
            kind: OrderedDict() for kind in self._limits
        }
        self._changing = threading.Lock()

    def wait_s(self, kind: Kind, who: str) -> int:
        """Counts one more; seconds until it may be asked again, 0 where it may be now."""
        return self._look(kind, who, counts=True)

    def owed_s(self, kind: Kind, who: str) -> int:
        """The same, and counts nothing."""
        return self._look(kind, who, counts=False)

    def _look(self, kind: Kind, who: str, *, counts: bool) -> int:
        # Of whom nothing is kept but that they came.
        key = hashlib.blake2b(who.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._changing:
            now, kept = self._clock(), self._hits[kind]
            hits = kept.get(key, deque())
            while hits and hits[0] <= now - _WINDOW_S:
                hits.popleft()
            if len(hits) >= self._limits[kind]:
                return max(1, math.ceil(hits[0] + _WINDOW_S - now)) if hits else int(_WINDOW_S)
            if counts:
                hits.append(now)
                kept[key] = hits
                kept.move_to_end(key)
                while len(kept) > self._most:
                    kept.popitem(last=False)
            return 0
