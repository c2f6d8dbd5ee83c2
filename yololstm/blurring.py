"""Persons made unrecognisable in pictures that leave the machine.

What was seen at some times says where persons are at all times: between two sights of somebody
within the box around both, and for a while before the first and after the last in a box that grows
by what somebody can walk. Where nobody looked for long, nothing of the picture is shown. Whom the
detector never saw stays as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm.landmarks import Landmarks
from yololstm.skeleton import JOINTS, SHOULDERS

What = Literal["faces", "persons"]
Image = NDArray[np.uint8]
Boxes = NDArray[np.float64]

CELLS: Final = {"faces": 3, "persons": 8}
"""Along the longer side of a box: what is left of it."""
AROUND_S: Final = 1.0
"""Before the first and after the last sight of somebody, and between looks."""
_WALK: Final = 1.0
"""Of one's own height, a second."""
_MARGIN: Final = 0.1
"""Of a person's box, to each side, by its longer side."""
_UPPER: Final = 0.35
"""Of the box: where the head is when nobody knows."""
_SURE: Final = 0.5
"""Confidence in a head from which on it is believed."""
_HEAD: Final = JOINTS.index("HEAD")


class _Person(NamedTuple):
    time_s: NDArray[np.float64]
    """(n,) ascending."""
    box: Boxes
    """(n, 4) to be covered."""
    height: NDArray[np.float64]
    """(n,) pixels, of the person."""


@dataclass(frozen=True, eq=False)
class Veil:
    """What to cover, at any time of a video."""

    what: What
    people: tuple[_Person, ...]
    looked_s: NDArray[np.float64]
    """(m,) ascending: when somebody looked, whether anybody was there or not."""

    @classmethod
    def of(cls, landmarks: Landmarks, looked_s: Sequence[float], what: What) -> Veil:
        people = []
        for _, rows in landmarks.tracks():
            height = (rows.box[:, 2:] - rows.box[:, :2]).max(axis=1).astype(np.float64)
            people.append(_Person(rows.time_s, regions(rows, what), height))
        return cls(what, tuple(people), np.sort(np.array(looked_s, dtype=np.float64)))

    def boxes(self, time_s: float) -> Boxes:
        """(n, 4) pixels, some of them perhaps outside of the picture."""
        found = [box for person in self.people if (box := _at(person, time_s)) is not None]
        return np.array(found, dtype=np.float64).reshape(-1, 4)

    def over(self, image: Image, time_s: float) -> Image:
        """A copy with all that is to be covered. image: (H, W, 3)."""
        boxes = self.boxes(time_s)
        if not len(self.looked_s) or np.abs(self.looked_s - time_s).min() > AROUND_S:
            height, width = image.shape[:2]
            boxes = np.array([[0.0, 0.0, width, height]])
        return pixelated(image, boxes, CELLS[self.what])


def regions(rows: Landmarks, what: What) -> Boxes:
    """(N, 4) what is to be covered of each row."""
    box = rows.box.astype(np.float64)
    margin = _MARGIN * (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True)
    whole = np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)
    if what == "persons":
        return whole
    upper = whole.copy()
    upper[:, 3] = box[:, 1] + _UPPER * (box[:, 3] - box[:, 1])
    head = rows.xy[:, _HEAD].astype(np.float64)
    shoulders = rows.xy[:, SHOULDERS].astype(np.float64)
    # Of the two, the one that is there; the longer side of the box where somebody bends forward.
    reach = np.linalg.norm(shoulders - head[:, None], axis=2)
    half = np.fmax(np.fmax(*reach.T), margin[:, 0])[:, None]
    around = np.concatenate([head - half, head + half], axis=1)
    sure = (rows.confidence[:, _HEAD] >= _SURE)[:, None]
    known = np.isfinite(head).all(axis=1, keepdims=True)
    either = _union(np.where(known, around, upper), upper)
    return np.where(known & sure, around, either)


def pixelated(image: Image, boxes: Boxes, cells: int) -> Image:
    """A copy of which each box has no more than so many colours along its longer side."""
    covered = image.copy()
    height, width = image.shape[:2]
    edges = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1)
    for x0, y0, x1, y1 in np.clip(edges, 0, [width, height, width, height]).astype(int).tolist():
        if x1 <= x0 or y1 <= y0:
            continue
        part = covered[y0:y1, x0:x1]
        cell = max(y1 - y0, x1 - x0) / cells
        few = (max(1, round((x1 - x0) / cell)), max(1, round((y1 - y0) / cell)))
        small = cv2.resize(part, few, interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
    return covered


def _at(person: _Person, time_s: float) -> NDArray[np.float64] | None:
    """(4,) or None for nowhere."""
    after = int(np.searchsorted(person.time_s, time_s))
    sights = [i for i in (after - 1, after) if 0 <= i < len(person.time_s)]
    if len(sights) == 2:
        return _union(*person.box[sights])
    away_s = abs(float(person.time_s[sights[0]]) - time_s)
    if away_s > AROUND_S:
        return None
    walked = _WALK * person.height[sights[0]] * away_s
    grown: NDArray[np.float64] = person.box[sights[0]] + walked * np.array([-1, -1, 1, 1])
    return grown


def _union(one: Boxes, other: Boxes) -> Boxes:
    low = np.minimum(one[..., :2], other[..., :2])
    high = np.maximum(one[..., 2:], other[..., 2:])
    return np.concatenate([low, high], axis=-1)
