"""How video is looked at. Apart from what looks at it, which takes seconds to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExtractionSettings:
    weights: Path
    """Of the detector."""
    pose_model: Path
    backend: str
    fps: float | None
    """Frames a second to look at, at most; None: every frame."""
    max_persons: int
    """The largest persons of a frame that get landmarks; the others are only tracked."""
    imgsz: int
    """Longer side of the image that the detector sees, pixels."""
    min_confidence: float
