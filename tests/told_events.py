"""Events that a camera might have told, for tests of whoever hears of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from yololstm.changes import Change, State
from yololstm.events import Event

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def change(
    state: State = "start",
    id: str = "one",
    *,
    camera: str = "door",
    label: str = "theft",
    track: int = 3,
    probability: float = 0.9,
    start_s: float = 12.0,
    seconds: float = 5.0,
    at: datetime = NOON,
) -> Change:
    """seconds: how long it goes on so far; with that frame it became known."""
    end_s = start_s + seconds
    event = Event(label, track, start_s, end_s, probability, start_s + 5.0)
    return Change(id, camera, state, event, end_s, at)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)
