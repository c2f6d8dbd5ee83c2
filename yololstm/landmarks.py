"""What was seen in a clip: persons with landmarks, and bags, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import NDArray

from yololstm.skeleton import N_JOINTS


class Category(IntEnum):
    PERSON = 0
    BAG = 1


@dataclass(frozen=True)
class Source:
    """Where landmarks come from. fps is the rate at which frames were looked at."""

    width: int
    height: int
    fps: Fraction
    n_frames: int
    backend: str
    """Pose backend and detector with their versions, for people to read."""
    key: str = ""
    """Names all that they were made of, as landmark_store does; empty where nobody asked."""


@dataclass(frozen=True)
class Landmarks:
    """A row per (frame, track); rows are ordered by frame, then category, then track.

    Coordinates are pixels of the full frame, x to the right, y down, the origin at the top left
    corner. Tracks of persons and of bags are numbered separately, from 1 up.
    """

    frame: NDArray[np.int32]
    """(N,) index of the frame in the video, counted in decoded frames from 0."""
    time_s: NDArray[np.float64]
    """(N,) presentation time of the frame in seconds; the video's first frame is 0."""
    category: NDArray[np.uint8]
    """(N,) a Category."""
    track: NDArray[np.int32]
    """(N,)"""
    score: NDArray[np.float32]
    """(N,) the detector's confidence in 0..1; NaN where no detector ran."""
    box: NDArray[np.float32]
    """(N, 4) x0, y0, x1, y1."""
    xy: NDArray[np.float32]
    """(N, 13, 2) NaN where a joint is absent; bags have none."""
    confidence: NDArray[np.float32]
    """(N, 13) in 0..1; 0 where a joint is absent."""
    source: Source

    def __len__(self) -> int:
        return len(self.frame)

    def __post_init__(self) -> None:
        n = len(self.frame)
        for name, shape in _SHAPES.items():
            if (got := getattr(self, name).shape) != (n, *shape):
                raise ValueError(f"{name} has shape {got}, not {(n, *shape)}")

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Self:
        return replace(self, **{name: getattr(self, name)[rows] for name in _SHAPES})

    def persons(self) -> Self:
        return self[self.category == Category.PERSON]

    def bags(self) -> Self:
        return self[self.category == Category.BAG]

    def tracks(self) -> Iterator[tuple[int, Self]]:
        """Each person's track number and rows, in order of time."""
        people = self.persons()
        for track in np.unique(people.track):
            yield int(track), people[people.track == track]

    @classmethod
    def empty(cls, source: Source) -> Self:
        return cls(
            **{name: np.empty((0, *shape), dtype=_DTYPES[name]) for name, shape in _SHAPES.items()},
            source=source,
        )

    @classmethod
    def concatenate(cls, parts: list[Self], source: Source) -> Self:
        """Stack parts in the order given; an empty list gives no rows."""
        if not parts:
            return cls.empty(source)
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _SHAPES},
            source=source,
        )


_SHAPES: dict[str, tuple[int, ...]] = {
    "frame": (),
    "time_s": (),
    "category": (),
    "track": (),
    "score": (),
    "box": (4,),
    "xy": (N_JOINTS, 2),
    "confidence": (N_JOINTS,),
}
_DTYPES: dict[str, type[np.generic]] = {
    "frame": np.int32,
    "time_s": np.float64,
    "category": np.uint8,
    "track": np.int32,
    "score": np.float32,
    "box": np.float32,
    "xy": np.float32,
    "confidence": np.float32,
}
assert [f.name for f in fields(Landmarks)] == [*_SHAPES, "source"]
