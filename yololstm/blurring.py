"""Persons made unrecognisable in pictures that leave the machine.

What was seen at some times says where persons are at all times: between two sights of somebody
within the box around both, and for a while before the first and after the last in a box that grows
by what somebody can walk. Where nobody looked for long, nothing of the picture is shown. Whom the
detector never saw stays as they are.

A row without a track is somebody whom the detector was too unsure of to be followed: who else was
next to where they were says who they are. A row without a box says that nobody was there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm.boxes import iou
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
"""Of the box: where the head is when nobody knows, and the person is upright."""
_UPRIGHT: Final = 1.5
"""Height of a box by its width, from which on the head is on top."""
_SURE: Final = 0.5
"""Confidence in a head from which on it is believed."""
UNFOLLOWED: Final = -1
"""The track of a row without one."""
_SAME: Final = 0.3
"""Of what two boxes cover together both cover so much: they are of one person."""
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
    spans_s: NDArray[np.float64]
    """(n, 2) of each of them, the first and the last sight."""
    looked_s: NDArray[np.float64]
    """(m,) ascending: when somebody looked, whether anybody was there or not."""

    @classmethod
    def of(cls, landmarks: Landmarks, looked_s: Sequence[float], what: What) -> Veil:
        """landmarks: in any order."""
        people = []
        seen = landmarks.persons()
        seen = seen[np.argsort(seen.time_s, kind="stable")]
        for rows in _of_each(seen[np.flatnonzero(np.isfinite(seen.box).all(axis=1))]):
            height = (rows.box[:, 2:] - rows.box[:, :2]).max(axis=1).astype(np.float64)
            people.append(_Person(rows.time_s, regions(rows, what), height))
        spans = [(person.time_s[0], person.time_s[-1]) for person in people]
        return cls(
            what,
            tuple(people),
            np.array(spans, dtype=np.float64).reshape(-1, 2),
            np.sort(np.array(looked_s, dtype=np.float64)),
        )

    def boxes(self, time_s: float) -> Boxes:
        """(n, 4) pixels, some of them perhaps outside of the picture."""
        first_s, last_s = self.spans_s.T
        near = (first_s - AROUND_S <= time_s) & (time_s <= last_s + AROUND_S)
        found = [_at(self.people[i], time_s) for i in np.flatnonzero(near)]
        return np.array(found, dtype=np.float64).reshape(-1, 4)

    def over(
        self, image: Image, time_s: float, corner: tuple[float, float] = (0, 0), scale: float = 1.0
    ) -> Image:
        """A copy with all that is to be covered.

        image: (H, W, 3), of the video or a part of it. corner: where its top left one is, in pixels
        of the video. scale: pixels of the image, of one of the video.
        """
        boxes = (self.boxes(time_s) - np.tile(corner, 2)) * scale
        if not self._is_known(time_s):
            height, width = image.shape[:2]
            boxes = np.array([[0.0, 0.0, width, height]])
        return pixelated(image, boxes, CELLS[self.what])

    def _is_known(self, time_s: float) -> bool:
        """Whether somebody looked shortly before as well as after. A picture may be shown until the
        next one there is: long after the last look it is of who was there then."""
        after = int(np.searchsorted(self.looked_s, time_s, side="right"))
        near = self.looked_s[max(after - 1, 0) : after + 1]
        if len(near) == 2:
            return bool(near[1] - near[0] <= AROUND_S)
        return bool(len(near) and abs(near[0] - time_s) <= AROUND_S)


def _of_each(persons: Landmarks) -> Iterator[Landmarks]:
    """Each person's sights, in order of time."""
    others = persons[persons.track == UNFOLLOWED]
    for track, rows in persons.tracks():
        if track != UNFOLLOWED:
            yield rows
    for chain in _chains(others.time_s, others.box.astype(np.float64)):
        yield others[np.array(chain, dtype=np.intp)]


def _chains(time_s: NDArray[np.float64], box: Boxes) -> list[list[int]]:
    """Rows of one person each, as far as boxes say so that are next to each other in time.

    time_s: (n,) ascending; box: (n, 4).
    """
    ended: list[list[int]] = []
    going_on: list[list[int]] = []
    for row, at in enumerate(time_s):
        ended += [chain for chain in going_on if time_s[chain[-1]] < at - AROUND_S]
        going_on = [chain for chain in going_on if time_s[chain[-1]] >= at - AROUND_S]
        free = [chain for chain in going_on if time_s[chain[-1]] < at]
        same = iou(box[row], box[[chain[-1] for chain in free]])
        if len(free) and same.max() >= _SAME:
            free[int(same.argmax())].append(row)
        else:
            going_on.append([row])
    return ended + going_on


def regions(rows: Landmarks, what: What) -> Boxes:
    """(N, 4) what is to be covered of each row."""
    box = rows.box.astype(np.float64)
    margin = _MARGIN * (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True)
    whole = np.concatenate([box[:, :2] - margin, box[:, 2:] + margin], axis=1)
    if what == "persons":
        return whole
    width, height = (box[:, 2:] - box[:, :2]).T
    upper = whole.copy()
    upper[:, 3] = np.where(height >= _UPRIGHT * width, box[:, 1] + _UPPER * height, whole[:, 3])
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
    inside = np.clip(edges, 0, [width, height, width, height]).astype(int)
    sides = (edges[:, 2:] - edges[:, :2]).max(axis=1, initial=0.0)
    for (x0, y0, x1, y1), side in zip(inside.tolist(), sides.tolist(), strict=True):
        if x1 <= x0 or y1 <= y0:
            continue
        part = covered[y0:y1, x0:x1]
        cell = side / cells
        few = (max(1, round((x1 - x0) / cell)), max(1, round((y1 - y0) / cell)))
        small = cv2.resize(part, few, interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
    return covered


def _at(person: _Person, time_s: float) -> NDArray[np.float64]:
    """(4,)"""
    after = int(np.searchsorted(person.time_s, time_s))
    sights = [i for i in (after - 1, after) if 0 <= i < len(person.time_s)]
    if len(sights) == 2:
        return _union(*person.box[sights])
    away_s = abs(float(person.time_s[sights[0]]) - time_s)
    walked = _WALK * person.height[sights[0]] * away_s
    grown: NDArray[np.float64] = person.box[sights[0]] + walked * np.array([-1, -1, 1, 1])
    return grown


def _union(one: Boxes, other: Boxes) -> Boxes:
    low = np.minimum(one[..., :2], other[..., :2])
    high = np.maximum(one[..., 2:], other[..., 2:])
    return np.concatenate([low, high], axis=-1)
