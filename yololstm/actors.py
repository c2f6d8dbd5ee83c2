"""Who takes part in a span: the tracks its box points at, and the tracks that carry them on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from yololstm.boxes import Boxes, area, intersection, iou
from yololstm.clips import Span
from yololstm.landmarks import Category, Landmarks

#: How far from a span's start its actors are looked for, and how long one may be out of sight.
REACH_S: Final = 1.0
_SAME_PERSON_IOU: Final = 0.6
_INSIDE_SHARE: Final = 0.7
_NEAR_IOU: Final = 0.1


class Life(NamedTuple):
    """When and where a track begins and ends."""

    track: int
    start_s: float
    end_s: float
    first_box: Boxes
    last_box: Boxes


def actors(landmarks: Landmarks, span: Span) -> frozenset[int]:
    """The tracks that do what the span says; empty where its box holds nobody.

    A box that fits one person (IoU >= 0.6) means that person; a larger one means everybody who is
    at least 70 % inside. They are looked for in the frame nearest to the span's start, then in the
    next nearest, up to 1 s away, because a detector misses people now and then.
    """
    if span.box is None:
        return frozenset(landmarks.track[landmarks.category == Category.PERSON].tolist())
    pointed_at = _pointed_at(landmarks.persons(), span)
    return with_heirs(pointed_at, lives(landmarks), span.end_s)


def lives(landmarks: Landmarks) -> list[Life]:
    return [
        Life(track, float(rows.time_s[0]), float(rows.time_s[-1]), rows.box[0], rows.box[-1])
        for track, rows in landmarks.tracks()
    ]


def with_heirs(tracks: frozenset[int], lives: Iterable[Life], end_s: float) -> frozenset[int]:
    """``tracks`` and those that carry them on until ``end_s``.

    A person who is lost and found again has a new number: a track that begins where another ended,
    within 1 s, is taken for the same person. Few frames a second make that common.
    """
    others = [life for life in lives if life.track not in tracks]
    lost = [life for life in lives if life.track in tracks]
    found = set(tracks)
    while lost:
        last = lost.pop()
        heir = _heir(last, others) if last.end_s < end_s else None
        if heir is not None:
            others = [life for life in others if life.track != heir.track]
            found.add(heir.track)
            lost.append(heir)
    return frozenset(found)


def apart(last_box: Boxes, first_box: Boxes) -> float | None:
    """Pixels between the centres of two boxes that one person can have left and come back in: they
    overlap, or are no further apart than the person was wide. None for others."""
    distance = float(np.hypot(*(last_box[:2] + last_box[2:] - first_box[:2] - first_box[2:]) / 2))
    near = distance <= last_box[2] - last_box[0] or iou(last_box, first_box[None])[0] > _NEAR_IOU
    return distance if near else None


def _pointed_at(people: Landmarks, span: Span) -> frozenset[int]:
    box = np.array(span.box, dtype=np.float64)
    distance = np.abs(people.time_s - span.start_s)
    for away in np.unique(distance[distance <= REACH_S]):
        there = people[distance == away]
        overlap = iou(box, there.box)
        if overlap.max() >= _SAME_PERSON_IOU:
            return frozenset({int(there.track[overlap.argmax()])})
        inside = intersection(box, there.box) / np.maximum(area(there.box), 1e-9)
        if tracks := frozenset(there.track[inside >= _INSIDE_SHARE].tolist()):
            return tracks
    return frozenset()


def _heir(lost: Life, others: Iterable[Life]) -> Life | None:
    near = [
        (distance, life)
        for life in others
        if 0 < life.start_s - lost.end_s <= REACH_S
        and (distance := apart(lost.last_box, life.first_box)) is not None
    ]
    return min(near, key=lambda pair: pair[0])[1] if near else None
