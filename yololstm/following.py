"""Who is who from one look of the detector to the next, and where they are in between."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from yololstm.detector import Detections
from yololstm.landmarks import Category
from yololstm.tracking import UNTRACKED, Tracker


@dataclass(frozen=True)
class Followed:
    """Persons and bags of one frame, each with its track."""

    found: Detections
    """Ordered by category, then track."""
    track: NDArray[np.int32]
    """(N,)"""


class Following:
    """The tracks of one clip."""

    def __init__(self, fps: Fraction) -> None:
        """fps: the rate at which the detector looks."""
        self._trackers = {category: Tracker(float(fps)) for category in Category}

    def update(self, found: Detections) -> tuple[Followed, NDArray[np.intp]]:
        """Those that belong to a track, and their rows in ``found``."""
        track = np.full(len(found), UNTRACKED, dtype=np.int32)
        for category, tracker in self._trackers.items():
            rows = found.category == category
            track[rows] = tracker.update(found.box[rows], found.score[rows])
        order = np.lexsort((track, found.category))
        order = order[track[order] != UNTRACKED]
        return Followed(found[order], track[order]), order


def between(before: Followed, after: Followed, share: float) -> Followed:
    """Those of ``before`` on their way to where they are in ``after``, at that share of it (0..1).

    Who is not there any more stays where they were. Their scores are NaN: nobody looked.
    """
    _, here, there = np.intersect1d(_who(before), _who(after), return_indices=True)
    box = before.found.box.copy()
    box[here] += np.float32(share) * (after.found.box[there] - box[here])
    unscored = np.full_like(before.found.score, np.nan)
    return replace(before, found=replace(before.found, box=box, score=unscored))


def _who(followed: Followed) -> NDArray[np.int64]:
    return followed.found.category.astype(np.int64) << 32 | followed.track
