"""Zones: parts of a camera's picture in which a label counts, or does not.

Places are shares of the picture's width and height from its top left corner, so that they stay
where they are when a camera films larger. A person stands where the middle of their box's lower
edge is: their feet, or as near to them as can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from yololstm.landmarks import Landmarks

Mode = Literal["count", "ignore"]

MODES: Final[tuple[Mode, ...]] = ("count", "ignore")
MOST_CORNERS: Final = 64
_WITHIN: Final = 1 - 1e-9
"""What is on the right or lower side of a polygon is not in it: whoever the picture cuts off must
stand within a zone that reaches to its edge."""


@dataclass(frozen=True)
class Zone:
    name: str
    mode: Mode
    """count: with any such zone of a label, it counts in them alone; ignore: in them it does not,
    whatever others say."""
    polygon: tuple[tuple[float, float], ...]
    """Its corners, in order, 3 or more; each 0..1. Where edges cross, what they enclose twice is
    outside."""
    labels: tuple[str, ...] = ()
    """Those that it is for; () for all."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("a zone has no name")
        if self.mode not in MODES:
            raise ValueError(f"{self.mode!r} is neither of {', '.join(MODES)}")
        if not 3 <= len(self.polygon) <= MOST_CORNERS:
            raise ValueError(f"{len(self.polygon)} corners, not 3 to {MOST_CORNERS}")
        if not all(0 <= side <= 1 for corner in self.polygon for side in corner):
            raise ValueError("a corner lies outside of the picture")

    def to_dict(self) -> dict[str, Any]:
        """In values that JSON can say."""
        corners = [[round(side, 6) for side in corner] for corner in self.polygon]
        return {
            **{"name": self.name, "mode": self.mode},
            **{"polygon": corners, "labels": list(self.labels)},
        }

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> Self:
        """The inverse of to_dict. Raises KeyError, TypeError or ValueError."""
        name, labels = said["name"], said["labels"]
        # A text is a sequence of texts, too.
        if not isinstance(labels, list) or not all(isinstance(t, str) for t in (name, *labels)):
            raise TypeError("a zone's name is a text, and its labels are a list of texts")
        polygon = tuple((float(x), float(y)) for x, y in said["polygon"])
        return cls(name, said["mode"], polygon, tuple(labels))


def standing(landmarks: Landmarks) -> NDArray[np.float64]:
    """(N, 2) where each row's person stands."""
    box, source = landmarks.box.astype(np.float64), landmarks.source
    feet = np.stack([(box[:, 0] + box[:, 2]) / 2, box[:, 3]], axis=1)
    shares = feet / (source.width, source.height)
    inside: NDArray[np.float64] = np.clip(shares, 0.0, _WITHIN)
    return inside


def counted(
    places: NDArray[np.float64], zones: Sequence[Zone], labels: Sequence[str]
) -> NDArray[np.bool_]:
    """(N, C) whether each label counts at each place.

    places: (N, 2) as ``standing`` gives them.
    """
    counts = np.ones((len(places), len(labels)), dtype=np.bool_)
    for column, label in enumerate(labels):
        of_label = [zone for zone in zones if not zone.labels or label in zone.labels]
        within = {mode: np.zeros(len(places), dtype=np.bool_) for mode in MODES}
        for zone in of_label:
            within[zone.mode] |= _inside(places, np.array(zone.polygon))
        if any(zone.mode == "count" for zone in of_label):
            counts[:, column] = within["count"]
        counts[:, column] &= ~within["ignore"]
    return counts


def _inside(places: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether a ray to the right crosses the polygon's edges an odd number of times."""
    (x, y), start, end = places.T[:, :, None], polygon, np.roll(polygon, -1, axis=0)
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    height = np.where(start[:, 1] == end[:, 1], 1.0, end[:, 1] - start[:, 1])
    crossing = start[:, 0] + (y - start[:, 1]) / height * (end[:, 0] - start[:, 0])
    odd: NDArray[np.bool_] = (spans & (x < crossing)).sum(axis=1) % 2 == 1
    return odd
