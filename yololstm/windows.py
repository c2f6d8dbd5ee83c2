"""Windows: fixed-length slices of one track at a fixed rate."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from yololstm.skeleton import N_FEATURES, N_JOINTS


@dataclass(frozen=True)
class WindowSpec:
    """What every window of a data set, of a checkpoint and of a live camera has in common."""

    fps: float
    """Steps a second after resampling."""
    length: int
    """Steps a window."""
    hop: int
    """Steps from the start of one window to the start of the next."""
    max_gap_s: float
    """Longest stretch without landmarks that is bridged by interpolation."""
    min_valid: float
    """Smallest share of (step, joint) pairs that must be known in a window."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Windows:
    """N windows of T steps. x is in pixels until a Scaling has made it comparable."""

    x: NDArray[np.float32]
    """(N, T, 26)"""
    valid: NDArray[np.bool_]
    """(N, T, 13) the joint was seen or bridged; elsewhere x holds the nearest known value, or 0."""
    y: NDArray[np.int64]
    """(N,) index into labels; -1 where nobody has said."""
    clip: NDArray[np.str_]
    """(N,) clip_id"""
    take: NDArray[np.str_]
    """(N,)"""
    track: NDArray[np.int32]
    """(N,)"""
    start_s: NDArray[np.float64]
    """(N,) presentation time of the first step."""
    spec: WindowSpec

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Self:
        return self.from_arrays({k: v[rows] for k, v in self.arrays().items()}, self.spec)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "spec"}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], spec: WindowSpec) -> Self:
        return cls(**arrays, spec=spec)

    @classmethod
    def concatenate(cls, parts: Sequence[Self], spec: WindowSpec) -> Self:
        """Stack parts in the order given; an empty list gives no windows."""
        if not parts:
            return cls.empty(spec)
        if len(parts) == 1:
            return parts[0]
        columns = [part.arrays() for part in parts]
        return cls.from_arrays(
            {name: np.concatenate([column[name] for column in columns]) for name in columns[0]},
            spec,
        )

    @classmethod
    def empty(cls, spec: WindowSpec) -> Self:
        return cls(
            x=np.empty((0, spec.length, N_FEATURES), dtype=np.float32),
            valid=np.empty((0, spec.length, N_JOINTS), dtype=np.bool_),
            y=np.empty(0, dtype=np.int64),
            clip=np.empty(0, dtype=np.str_),
            take=np.empty(0, dtype=np.str_),
            track=np.empty(0, dtype=np.int32),
            start_s=np.empty(0, dtype=np.float64),
            spec=spec,
        )
