"""How video is looked at. Apart from what looks at it, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Backend = Literal["mediapipe", "yolo-pose"]
"""Who finds joints: a pose backend."""
FIND_PERSONS: Final = frozenset({"yolo-pose"})
"""Backends that find persons themselves, and need no detector."""


@dataclass(frozen=True)
class ExtractionSettings:
    weights: Path | None
    """Of the detector; None for a backend of FIND_PERSONS."""
    pose_model: Path
    backend: Backend
    fps: float | None
    """Frames a second to look at, at most; None: every frame."""
    max_persons: int
    """The largest persons of a frame that get landmarks; the others are only tracked."""
    imgsz: int | None
    """Longer side of the image in which persons are looked for, pixels; None: see Network."""
    min_confidence: float
    detect_every: int = 1
    """The detector looks at every so many-th frame; in between, persons are on the way from where
    it saw them to where it sees them next."""
    rejoin_s: float = 0.0
    """A person who is out of sight for at most so long keeps their number."""
    still_s: float = 0.0
    """Tracks that last at least so long and never move are no persons; 0 keeps them."""
    smoothing: str = "none"
    """none, one_euro or savgol."""
