"""What happens now, to whoever listens: between the threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["camera", "change", "verdicts", "recorded", "feedback", "zones"]


@dataclass(frozen=True)
class Notice:
    kind: Kind
    about: Mapping[str, Any]
    """In values that JSON can say."""


Hear = Callable[[Notice], None]


class Bulletin:
    """Nothing is kept: who was not listening then has missed it."""

    def __init__(self) -> None:
        self._listeners: tuple[Hear, ...] = ()
        self._changing = threading.Lock()

    def listen(self, hear: Hear) -> Callable[[], None]:
        """hear: called by the thread in which it happens, so it must not wait. Returns what ends
        it."""
        with self._changing:
            self._listeners = (*self._listeners, hear)

        def leave() -> None:
            with self._changing:
                self._listeners = tuple(one for one in self._listeners if one is not hear)

        return leave

    def post(self, kind: Kind, about: Mapping[str, Any]) -> None:
        for hear in self._listeners:
            hear(Notice(kind, about))
