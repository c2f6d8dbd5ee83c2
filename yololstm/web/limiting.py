"""How often somebody may ask."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

Kind = Literal["login", "request"]


@dataclass(frozen=True)
class Allowance:
    """As ``limits`` writes it."""

    logins: str = "5/minute"
    """Of an address."""
    requests: str = "600/minute"
    """Of whoever is logged in, or else of an address."""


class Rates:
    def __init__(self, allowance: Allowance) -> None:
        self._limits: dict[Kind, RateLimitItem] = {
            "login": parse(allowance.logins),
            "request": parse(allowance.requests),
        }
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def wait_s(self, kind: Kind, who: str) -> int:
        """Counts one more; seconds until it may be asked again, 0 where it may be now."""
        limit = self._limits[kind]
        if self._limiter.hit(limit, kind, who):
            return 0
        stats = self._limiter.get_window_stats(limit, kind, who)
        return max(1, math.ceil(stats.reset_time - time.time()))
