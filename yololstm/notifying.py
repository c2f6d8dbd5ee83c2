"""What a receiver is told of events, and what is kept from them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Final, Literal

from yololstm.changes import Change, State
from yololstm.errors import ParamsError

Template = Literal["event", "status"]

TOPICS: Final[Mapping[Template, str]] = {
    "event": "yololstm/{camera}/{label}",
    "status": "yololstm/{camera}",
}
"""Of MQTT, where none is given."""
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_FIELDS: Final = ("camera", "label")
_UNSAFE: Final = re.compile(r"[%+#/$\x00-\x1f\x7f-\x9f]")
"""What would make another level, a wildcard or a topic of the broker's own of a value."""


@dataclass(frozen=True)
class Policy:
    labels: Mapping[str, float] = field(default_factory=dict)
    """The labels to tell of, and from which probability on; none: all events."""
    cool_down_s: float = 0.0
    """After an event of a camera and label was first told, others are not told for so long."""
    quiet_hours: Sequence[tuple[time, time]] = ()
    """In local time, from the first up to the second, which may be of the next day; all day where
    they are the same. Nothing that would first be told then is ever told."""
    template: Template = "event"
    updates: bool = True
    """Or only the start and the end of an event are told."""

    def counts(self, label: str, probability: float) -> bool:
        """Whether an event is worth telling."""
        if not self.labels:
            return True
        return label in self.labels and probability >= self.labels[label]

    def is_quiet(self, local: time) -> bool:
        return any(_within(local, start, end) for start, end in self.quiet_hours)

    def is_cooling(self, at: datetime, last: datetime | None) -> bool:
        """last: when another event of that camera and label was first told, None for never."""
        return last is not None and 0 <= (at - last).total_seconds() < self.cool_down_s


@dataclass(frozen=True)
class Telling:
    """What a receiver knows of an event for which it was decided."""

    told: bool
    """Or it is kept from them, for good."""
    changes: int = 0
    """So many were told."""
    ended: bool = False


def decide(
    policy: Policy,
    change: Change,
    known: Telling | None,
    *,
    local: time,
    last: datetime | None,
) -> tuple[Telling | None, State | None]:
    """What is known of the event after a change, and as what that is told: None for not at all.

    Told first is a start, whatever the change is; then each change, up to the end. known: None
    where it was not decided before. local: the time of the change by the receiver's clock. last: as
    in is_cooling.
    """
    if known is None:
        event = change.event
        if change.state == "end" or not policy.counts(event.label, event.probability):
            return None, None
        if policy.is_quiet(local) or policy.is_cooling(change.at, last):
            return Telling(told=False), None
        return Telling(told=True, changes=1), "start"
    if not known.told or known.ended:
        return known, None
    is_end = change.state == "end"
    if not (is_end or policy.updates):
        return known, None
    state: State = "end" if is_end else "update"
    return Telling(told=True, changes=known.changes + 1, ended=is_end), state


def status(state: State, label: str, said: str, n_open: int) -> str | None:
    """What a telling makes of a camera's status: the label of the event that started last, and ""
    once none goes on; None where it stays.

    said: the status before; n_open: events told to that receiver that go on now, a start included.
    """
    if state == "start":
        return None if label == said and n_open > 1 else label
    return "" if said and not n_open else None


def event_body(change: Change, state: State) -> bytes:
    """The line of ``yololstm watch``. state: as what the change is told."""
    return _json({**change.to_dict(), "state": state})


def status_body(camera: str, label: str) -> bytes:
    """label: "" for none."""
    return _json({"camera": camera, "status": label or None})


def topic_of(topic: str, about: Mapping[str, str]) -> str:
    """With {camera} and {label} as they stand in ``about``. The values stay within their level:
    what could lead out of it stands as %2F does in an address."""
    return _FIELD.sub(lambda field: _level(about.get(field[1], "")), topic)


def check_topic(place: str, topic: str, template: Template = "event") -> None:
    """Raises ParamsError for one that cannot be published to, and for one where the status of a
    camera would not stand in one place of its own."""
    fields = _FIELD.findall(topic)
    if unknown := [name for name in fields if name not in _FIELDS]:
        problem, remedy = f"{{{unknown[0]}}} is not known", "Known are {camera} and {label}"
        raise ParamsError(place, problem, remedy)
    if not topic or re.search(r"[+#\x00]", topic):
        problem = "it is empty, or has wildcards"
        raise ParamsError(place, problem, f"Give one like {TOPICS[template]}")
    if template == "status" and set(fields) != {"camera"}:
        problem = "a status is that of a camera, whatever the label"
        remedy = "Give a topic with {camera} and without {label}, or template: event"
        raise ParamsError(place, problem, remedy)


def _level(value: str) -> str:
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


def _within(local: time, start: time, end: time) -> bool:
    if start < end:
        return start <= local < end
    return local >= start or local < end


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
