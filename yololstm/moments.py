"""What a camera shows and what is known by then: one object a frame that was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yololstm.changes import Change
from yololstm.landmarks import Landmarks
from yololstm.streams import Shot

Boxes = NDArray[np.float32]


class Verdict(NamedTuple):
    """What the classifier says of one window."""

    track: int
    start_s: float
    end_s: float
    probability: tuple[float, ...]
    """By label, calibrated, wherever in the picture it is; they add up to 1."""

    def to_dict(self, labels: Sequence[str]) -> dict[str, Any]:
        """In values that JSON can say."""
        probability = zip(labels, self.probability, strict=True)
        return {
            "track": self.track,
            "start_s": round(self.start_s, 6),
            "end_s": round(self.end_s, 6),
            "probability": {label: round(value, 6) for label, value in probability},
        }


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame, who is in it, and what became known with it.

    Without a frame: a break, or the end, after which nobody knows any more who is who.
    """

    camera: str
    shot: Shot | None
    landmarks: Landmarks | None
    """Of that frame, in pixels; None without one."""
    verdicts: Sequence[Verdict]
    changes: Sequence[Change]
    frame_s: float
    """Of the last frame there was,"""
    at: datetime
    """and when that arrived."""
    others: Boxes = field(default_factory=lambda: np.empty((0, 4), dtype=np.float32))
    """(N, 4) pixels: persons whom the detector was too unsure of to be followed."""
