"""How good landmarks are, told from themselves: how many there are, how sure and how steady."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from yololstm.landmarks import Landmarks, Source
from yololstm.skeleton import BONES, FLIP, JOINTS, N_JOINTS, torso_length

_STEP_S: Final = 1.0
"""Rows of a track further apart are no step, and a track that ends that much before its clip does
has ended early."""
_EDGE: Final = 0.01
"""Of the picture's width or height: a box that comes this close to its edge may be leaving it."""
_FEWEST: Final = 4
"""Joints with a left and a right of which a swap can be told."""
_SWAPPED_GAIN: Final = 0.3
"""Torso lengths by which a swap shortens the way of a joint, in the mean. In profile, where left
and right lie upon each other, no swap is told, and none matters; so somebody who turns round is
not taken for one, unless they do it within a second and few frames are seen of it."""
_SWAPPED_SHARE: Final = 0.5
"""Of the way, at most, is left after it."""
_HALVED: Final = 0.3
"""Spread of bones that halves the quality of landmarks. On the sample a normal error of 0.11 torsos
in each coordinate makes it, with which seven joints of ten are within 0.2 of the truth."""
_NORMAL: Final = 1.4826
"""Standard deviations in the median deviation of a normal distribution."""
_PARENTS, _CHILDREN = np.array(BONES).T
_SIDED: Final = np.array([not joint.startswith("HEAD") for joint in JOINTS])


@dataclass(frozen=True)
class Tally:
    """Sums, which add up over tracks and over clips."""

    persons: int = 0
    """Boxes of persons over all frames."""
    posed: int = 0
    """Those of them with landmarks."""
    joints: int = 0
    """That these have."""
    confidence: float = 0.0
    """Of these joints."""
    tracks: int = 0
    broken: int = 0
    """Tracks that end more than a second before their clip, and not at the picture's edge."""
    steps: int = 0
    """From row to row of a track, at most a second, with joints of both sides on both rows."""
    swapped: int = 0
    """Those of them whose joints would have gone half as far or less, and 0.3 torsos less each in
    the mean, were left and right exchanged on the later row; beside the movement they share."""
    measured: int = 0
    """Boxes of persons in whose track bones can be measured."""
    spread: float = 0.0
    """Over these, of their track's bones: each bone's length over the torso's in the same frame,
    its median absolute deviation (times 1.4826) over its median; the median bone's."""
    quality: float = 0.0
    """Over all boxes of persons, of their track; see of_track."""

    def __add__(self, other: Self) -> Self:
        sums = (getattr(self, f.name) + getattr(other, f.name) for f in fields(self))
        return type(self)(*sums)

    def report(self) -> dict[str, float | None]:
        """None where there is nothing to take a share or a mean of."""
        return {
            "landmarks_share": _ratio(self.posed, self.persons),
            "joints_share": _ratio(self.joints, self.posed * N_JOINTS),
            "confidence": _ratio(self.confidence, self.joints),
            "broken_share": _ratio(self.broken, self.tracks),
            "swapped_share": _ratio(self.swapped, self.steps),
            "bone_spread": _ratio(self.spread, self.measured),
            "quality": _ratio(self.quality, self.persons),
        }


def tally(landmarks: Landmarks) -> Tally:
    """Of everybody in a clip."""
    return sum((_of_one(track) for _, track in landmarks.tracks()), Tally())


def of_track(track: Landmarks) -> float:
    """The quality of one person's landmarks, one row or more: 0..1.

    The share of rows with landmarks x the share of joints that these have x the mean confidence of
    those x the share of steps without a swap / (1 + (the spread of bones / 0.3)²): see Tally.
    Nothing of it makes up for the lack of another. What cannot be measured, such as bones where no
    row shows a torso, counts as perfect: missing joints are counted already.
    """
    one = _of_one(track)
    return one.quality / one.persons


def at_least(quality: float) -> Callable[[Landmarks], bool] | None:
    """Whether a track has so much; None where all have."""
    return (lambda track: of_track(track) >= quality) if quality > 0 else None


def _of_one(track: Landmarks) -> Tally:
    n = len(track)
    known = np.isfinite(track.xy[..., 0] + track.xy[..., 1])
    posed, joints = int(known.any(axis=1).sum()), int(known.sum())
    confidence = float(track.confidence[known].sum(dtype=np.float64))
    steps, swapped = _steps(track, known)
    spread = _spread(track.xy)
    quality = 0.0
    if joints:
        present = joints / (n * N_JOINTS)
        steady = (1 - swapped / max(steps, 1)) / (1 + ((spread or 0.0) / _HALVED) ** 2)
        quality = present * (confidence / joints) * steady
    return Tally(
        persons=n,
        posed=posed,
        joints=joints,
        confidence=confidence,
        tracks=1,
        broken=int(_breaks_off(track.time_s[-1], track.box[-1], track.source)),
        steps=steps,
        swapped=swapped,
        measured=0 if spread is None else n,
        spread=n * (spread or 0.0),
        quality=n * quality,
    )


def _breaks_off(last_s: float, box: NDArray[np.float32], source: Source) -> bool:
    early = last_s + _STEP_S < (source.n_frames - 1) / float(source.fps)
    size = np.array([source.width, source.height])
    inside = (box[:2] > _EDGE * size).all() and (box[2:] < (1 - _EDGE) * size).all()
    return bool(early and inside)


def _steps(track: Landmarks, known: NDArray[np.bool_]) -> tuple[int, int]:
    """How many there are, and in how many left and right are exchanged."""
    near = np.diff(track.time_s) <= _STEP_S
    compared = known[:-1] & known[1:] & _SIDED
    compared &= compared[:, FLIP]
    n = compared.sum(axis=1)
    steps = near & (n >= _FEWEST)
    torso = _median(torso_length(track.xy)[:, None])[0]
    if not steps.any() or not np.isfinite(torso):
        return int(steps.sum()), 0
    before, after, compared, n = (a[steps] for a in (track.xy[:-1], track.xy[1:], compared, n))
    # The same for both ways of telling left from right, which exchanges joints compared.
    shared = np.where(compared[..., None], after - before, 0).sum(axis=1) / n[:, None]
    straight, crossed = (
        np.linalg.norm(to - before - shared[:, None], axis=-1).sum(axis=1, where=compared)
        for to in (after, after[:, FLIP])
    )
    gain = (straight - crossed) / n
    swapped = (crossed <= _SWAPPED_SHARE * straight) & (gain >= _SWAPPED_GAIN * torso)
    return len(n), int(swapped.sum())


def _spread(xy: NDArray[np.float32]) -> float | None:
    """See Tally.spread; xy: (N, 13, 2)."""
    bone = np.linalg.norm(xy[:, _PARENTS] - xy[:, _CHILDREN], axis=-1)
    torso = torso_length(xy)
    ratio = bone / np.where(torso > 0, torso, np.nan)[:, None]
    median = _median(ratio)
    deviation = _median(np.abs(ratio - median))
    measured = median > 0
    if not measured.any():
        return None
    return float(np.median(_NORMAL * deviation[measured] / median[measured]))


def _median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """(K,) of (N, K), as nanmedian, which is twenty times slower for so few rows."""
    ordered = np.sort(values, axis=0)
    n = np.isfinite(ordered).sum(axis=0)
    column = np.arange(len(n))
    low, high = ordered[np.maximum(n - 1, 0) // 2, column], ordered[n // 2, column]
    middle: NDArray[np.floating] = (low + high) / 2
    return middle


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
