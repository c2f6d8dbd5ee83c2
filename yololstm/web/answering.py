"""What answers look like, for the API's document."""

from __future__ import annotations

from typing import Any, Final

TIME: Final = "date-time"
NUMBER: Final = "number"
_TEXT: Final = "string"
_WHOLE: Final = "integer"
_KINDS: Final = (NUMBER, _TEXT, _WHOLE, "boolean", "object", "null")

ZONE: Final = {"name": _TEXT, "mode": "count|ignore", "polygon": [[NUMBER]], "labels": [_TEXT]}
ZONES: Final = {"camera": _TEXT, "zones": [ZONE]}
CAMERA: Final = {
    **{"camera": _TEXT, "since": TIME, "state": "connecting|live|lost|ended|failed", "why": _TEXT},
    **{"read": _WHOLE, "dropped": _WHOLE, "looked": _WHOLE, "fps": NUMBER, "delay_s": NUMBER},
    **{"width": _WHOLE, "height": _WHOLE, "connections": _WHOLE},
}
CAMERAS: Final = {"cameras": [CAMERA]}
VERDICTS: Final = {
    **{"camera": _TEXT, "frame_s": (NUMBER, "null"), "wall": (TIME, "null")},
    "verdicts": [{"track": _WHOLE, "start_s": NUMBER, "end_s": NUMBER, "probability": "object"}],
    "tracks": [_WHOLE],
}
EVENT: Final = {
    **{"id": _TEXT, "camera": _TEXT, "track": _WHOLE, "label": _TEXT, "state": "start|update|end"},
    **{"probability": NUMBER, "started": TIME, "ended": TIME, "raised": TIME},
    **{"clip": _TEXT, "picture": _TEXT, "landmarks": _TEXT, "shared": _TEXT},
    **{"began": (TIME, "null"), "verdict": "|right|wrong", "corrected": _TEXT},
}
EVENTS: Final = {"events": [EVENT], "more": "boolean"}
SYSTEM: Final = {
    **{"version": _TEXT, "started": TIME, "labels": [{"label": _TEXT, "colour": _TEXT}]},
    **{"records": "boolean", "outbox": "object", "watching": _WHOLE, "free_bytes": _WHOLE},
}
STATUS: Final = {"status": "ok"}


def answer(shape: Any) -> dict[int | str, dict[str, Any]]:
    """Of an operation that answers with that, in JSON."""
    return {200: {"content": {"application/json": {"schema": _schema(shape)}}}}


def _schema(shape: Any) -> dict[str, Any]:
    """shape: a mapping, a list of one, a tuple of what it may be, a kind, or the words that it can
    be."""
    if isinstance(shape, dict):
        parts = {name: _schema(part) for name, part in shape.items()}
        return {"type": "object", "properties": parts, "required": list(parts)}
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0])}
    if isinstance(shape, tuple):
        return {"anyOf": [_schema(part) for part in shape]}
    if shape == TIME:
        return {"type": "string", "format": TIME}
    return {"type": shape} if shape in _KINDS else {"type": "string", "enum": shape.split("|")}
