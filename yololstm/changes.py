"""What becomes of events, named: an object a change, the same to everybody who is told of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from yololstm.events import Event, Signal

State = Literal["start", "update", "end"]

_STATES: Final[dict[str, State]] = {"raised": "start", "updated": "update", "ended": "end"}


@dataclass(frozen=True)
class Change:
    """Something has become of an event."""

    id: str
    """The event's; no other's, of any camera at any time."""
    camera: str
    state: State
    event: Event
    frame_s: float
    """Frame time with which it became known,"""
    at: datetime
    """and when that frame arrived."""

    @property
    def started(self) -> datetime:
        """When the event started, by the clock of this machine."""
        return self.at - timedelta(seconds=self.frame_s - self.event.start_s)

    @property
    def ended(self) -> datetime:
        """When it ended, as far as it is known."""
        return self.at - timedelta(seconds=self.frame_s - self.event.end_s)

    def to_dict(self) -> dict[str, Any]:
        """In values that JSON can say. Times are seconds from the camera's first frame, but for
        ``wall``: UTC, ISO 8601."""
        event = self.event
        return {
            "id": self.id,
            "camera": self.camera,
            "track": event.track,
            "label": event.label,
            "state": self.state,
            "probability": round(event.probability, 6),
            "start_s": round(event.start_s, 6),
            "end_s": round(event.end_s, 6),
            "frame_s": round(self.frame_s, 6),
            "wall": self.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        }


@dataclass(frozen=True)
class Teller:
    """Names the events of one camera, from when it is watched to when it is not."""

    camera: str
    session: uuid.UUID
    """Of this time of watching alone."""

    def changes(self, signals: Iterable[Signal], frame_s: float, at: datetime) -> Iterator[Change]:
        """frame_s, at: of the frame with which they came."""
        for signal in signals:
            event = signal.event
            name = f"{event.track} {event.label} {event.start_s:.6f}"
            named = str(uuid.uuid5(self.session, name))
            yield Change(named, self.camera, _STATES[signal.kind], event, frame_s, at)
