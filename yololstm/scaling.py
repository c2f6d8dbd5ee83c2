"""Scaling: what makes windows comparable. Fitted on train only, carried in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from yololstm.skeleton import HIPS, N_JOINTS, SHOULDERS, torso_length

Array = NDArray[np.float32]
Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

#: Torso length over the root mean square distance of the joints from their middle: the median over
#: shoppers (AI-Hub 71550) is 1.09 to 1.12.
_TORSO_PER_SPREAD: Final = 1.1
#: A torso this much shorter than the rest of the body lets one expect is seen end-on.
_FORESHORTENED: Final = 0.2


class Scaling(Protocol):
    """x (N, T, 26) in pixels to x of the same shape without a unit; absent joints lie at centre."""

    kind: ClassVar[str]
    centre: ClassVar[float]
    """The coordinate, of x as of y, about which a window may be mirrored and turned."""

    def transform(self, x: Array, valid: Mask) -> Array: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class MinMaxScaling:
    """Each feature to 0..1 over the windows it was fitted on; others may go beyond."""

    kind: ClassVar[str] = "minmax"
    centre: ClassVar[float] = 0.5

    low: tuple[float, ...]
    """(26,) pixels"""
    high: tuple[float, ...]
    """(26,) pixels"""

    @classmethod
    def fit(cls, x: Array, valid: Mask) -> MinMaxScaling:
        """Over valid values; a feature without any gets 0..0, and is 0 ever after."""
        known = np.repeat(valid, 2, axis=-1)
        low = np.where(known, x, np.inf).min(axis=(0, 1), initial=np.inf)
        high = np.where(known, x, -np.inf).max(axis=(0, 1), initial=-np.inf)
        seen = low <= high
        return cls(
            tuple(np.where(seen, low, 0).astype(float).round(4).tolist()),
            tuple(np.where(seen, high, 0).astype(float).round(4).tolist()),
        )

    def transform(self, x: Array, valid: Mask) -> Array:
        low = np.array(self.low)
        extent = np.array(self.high) - low
        scaled = np.where(extent > 0, (x - low) / np.where(extent > 0, extent, 1), 0)
        return _absent_at(self.centre, scaled, valid)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "low": list(self.low), "high": list(self.high)}


@dataclass(frozen=True)
class BodyScaling:
    """Each window about its own hips and in units of its own torso: where in the picture somebody
    is, and how large, no longer matters; how they move within the window does."""

    kind: ClassVar[str] = "body"
    centre: ClassVar[float] = 0.0

    @classmethod
    def fit(cls, x: Array, valid: Mask) -> BodyScaling:
        return cls()

    def transform(self, x: Array, valid: Mask) -> Array:
        xy = x.reshape(*valid.shape, 2).astype(np.float64)
        origin = _origin(xy, valid)
        size = _size(xy, valid)
        scaled = (xy - origin[:, None, None, :]) / size[:, None, None, None]
        return _absent_at(self.centre, scaled.reshape(x.shape), valid)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}


def fit(kind: str, x: Array, valid: Mask) -> Scaling:
    """kind: minmax or body; x: (N, T, 26) pixels of the train split alone; valid: (N, T, 13)."""
    return _KINDS[kind].fit(x, valid)


def from_dict(value: Mapping[str, Any]) -> Scaling:
    """The inverse of to_dict. Raises ValueError where ``value`` is not of its making."""
    match dict(value):
        case {"kind": "body"}:
            return BodyScaling()
        case {"kind": "minmax", "low": [*low], "high": [*high]} if (
            len(low) == len(high) == 2 * N_JOINTS
        ):
            return MinMaxScaling(tuple(map(float, low)), tuple(map(float, high)))
    raise ValueError(f"not a scaling: {dict(value)}")


_KINDS: Final[dict[str, type[MinMaxScaling] | type[BodyScaling]]] = {
    kind.kind: kind for kind in (MinMaxScaling, BodyScaling)
}


def _absent_at(centre: float, scaled: Floats, valid: Mask) -> Array:
    return np.where(np.repeat(valid, 2, axis=-1), scaled, centre).astype(np.float32)


def _origin(xy: Floats, valid: Mask) -> Floats:
    """(N, 2) the mean middle of the hips over the steps that show both; of whichever hip is seen
    where none does; of all joints where no hip is seen; 0 for nobody."""
    hip = np.isin(np.arange(N_JOINTS), HIPS)
    both = valid[..., HIPS].all(axis=-1, keepdims=True)
    origin = np.zeros((len(xy), 2))
    for weights in (valid, valid & hip, both & hip):
        count = weights.sum(axis=(1, 2))[:, None]
        mean = np.where(weights[..., None], xy, 0).sum(axis=(1, 2)) / np.maximum(count, 1)
        origin = np.where(count > 0, mean, origin)
    return origin


def _size(xy: Floats, valid: Mask) -> Floats:
    """(N,) the median torso length, in pixels; of one side of the torso where the other is hidden;
    from the spread of all joints where neither is seen, or seen end-on; 1 for a mere point."""
    spread = _spread(xy, valid) * _TORSO_PER_SPREAD
    size = np.where(spread > 0, spread, 1)
    for length, known in (_side(xy, valid), _torso(xy, valid)):
        median = _median(length, known)
        size = np.where(median > _FORESHORTENED * size, median, size)
    return size


def _torso(xy: Floats, valid: Mask) -> tuple[Floats, Mask]:
    """(N, T) lengths, and where they are known."""
    return torso_length(xy), np.logical_and.reduce(valid[..., [*SHOULDERS, *HIPS]], axis=-1)


def _side(xy: Floats, valid: Mask) -> tuple[Floats, Mask]:
    """(N, 2 T) lengths of the left and right side of the torso, and where they are known."""
    pairs = list(zip(SHOULDERS, HIPS, strict=True))
    lengths = [np.linalg.norm(xy[..., a, :] - xy[..., b, :], axis=-1) for a, b in pairs]
    known = [valid[..., a] & valid[..., b] for a, b in pairs]
    return np.concatenate(lengths, axis=1), np.concatenate(known, axis=1)


def _spread(xy: Floats, valid: Mask) -> Floats:
    """(N,) root mean square distance of the valid joints from their middle, step by step."""
    count = np.maximum(valid.sum(axis=2), 1)[..., None]
    shown = np.where(valid[..., None], xy, 0)
    middle = (shown.sum(axis=2) / count)[:, :, None, :]
    square = np.where(valid[..., None], (xy - middle) ** 2, 0).sum(axis=-1)
    mean: Floats = square.sum(axis=(1, 2)) / np.maximum(valid.sum(axis=(1, 2)), 1)
    return np.sqrt(mean)


def _median(values: Floats, known: Mask) -> Floats:
    """(N,) of the known values along the last axis; 0 where there is none."""
    ordered = np.sort(np.where(known, values, np.inf), axis=-1)
    n = known.sum(axis=-1, keepdims=True)
    middle = np.concatenate([np.maximum(n - 1, 0) // 2, np.minimum(n // 2, n - 1)], axis=-1)
    pair = np.take_along_axis(ordered, np.maximum(middle, 0), axis=-1)
    return np.where(n[:, 0] > 0, pair.mean(axis=-1), 0)
