"""Who is whom, told from the whole clip: what a tracker, which sees no later frame, cannot know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from yololstm.actors import Life, apart
from yololstm.boxes import Boxes
from yololstm.landmarks import Category, Landmarks
from yololstm.skeleton import HIPS, torso_length

_NEAR_END_S: Final = 1.0
"""The part of a track from which its motion and height at an end are taken."""
_TALLER: Final = 1.5
"""Times that one and the same person's box may be as high as before, at most."""
_IMPOSSIBLE: Final = 1e6
_NOBODY: Final = -2
"""Less than any track number."""

_STILL_BOX: Final = 0.01
"""Heights of the box. Still pictures of eleven persons, encoded anew with the noise of a sensor and
with flickering light, gave 0.001 to 0.007 over 12 s, persons in a shop and on a street 0.02 to 1
over 10 s. But a clerk who sat still gave 0.004, and two who were told to stand still 0.001: at ten
seconds there is no telling them from a picture by this."""
_STILL_JOINTS: Final = 0.06
"""Torso lengths. The pictures gave 0.01 to 0.05 (up to 0.5 where the pose was wrong: those stay),
the clerk 0.08, those who stood still 0.02, everybody else 0.05 and more. What keeps persons is that
this is asked of a whole life, in which they come and go: still_s should be long."""
_STILL_SHOWN: Final = 0.5
"""Share of the rows that must show a torso."""


def refine(landmarks: Landmarks, rejoin_s: float, still_s: float) -> Landmarks:
    """Persons whose track broke off and began anew bear one number; what never moves is left out.

    rejoin_s: longest time out of sight; 0 joins nothing. still_s: shortest life of a track that is
    left out for being still, once joined; 0 leaves none out. Bags stay as they are.
    """
    if rejoin_s > 0:
        landmarks = _rejoined(landmarks, rejoin_s)
    if still_s > 0:
        landmarks = _without_still(landmarks, still_s)
    return landmarks


@dataclass(frozen=True)
class _Course:
    """Of one track."""

    life: Life
    velocity: NDArray[np.float64]
    """(2,) of the box's centre when last seen, pixels a second."""
    first_height: float
    last_height: float
    """Usual ones of the box near each end, pixels."""


def _rejoined(landmarks: Landmarks, rejoin_s: float) -> Landmarks:
    """A track that begins where the person of one that ended would be takes its number.

    That person stands still or walks on as before, or anything between; whoever would have walked
    out of the picture by then has gone. Each track has one successor at most; of all ways to give
    them out that join most, the one with the shortest ways.
    """
    courses = sorted(_courses(landmarks), key=lambda course: course.life.start_s)
    size = np.array([landmarks.source.width, landmarks.source.height])
    costs = {
        (i, j): cost
        for i, j in _candidates(courses, rejoin_s)
        if (cost := _cost(courses[i], courses[j], size)) < _IMPOSSIBLE
    }
    number: dict[int, int] = {}
    for after, before in sorted((j, i) for i, j in _assigned(costs)):
        lost_track, found_track = courses[before].life.track, courses[after].life.track
        number[found_track] = number.get(lost_track, lost_track)
    return _renumbered(landmarks, number)


def _candidates(courses: Sequence[_Course], rejoin_s: float) -> Iterator[tuple[int, int]]:
    """Who ends and who begins within that time, in reach: all that _cost may find possible, and
    little else. Ordered by their start."""
    if not courses:
        return
    start_s = np.array([course.life.start_s for course in courses])
    box = np.array([course.life.first_box for course in courses], dtype=np.float64)
    centre, extent = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    for i, lost in enumerate(courses):
        end_s, width = lost.life.end_s, lost.life.last_box[2] - lost.life.last_box[0]
        later = slice(*np.searchsorted(start_s, [end_s, end_s + rejoin_s], side="right"))
        way = np.abs(lost.velocity * (start_s[later, None] - end_s))
        touching = (lost.life.last_box[2:] - lost.life.last_box[:2] + extent[later]) / 2
        away = np.abs(centre[later] - _centre(lost.life.last_box))
        near = (away <= way + np.maximum(touching, width) + 1).all(axis=1)
        yield from ((i, int(j)) for j in later.start + np.flatnonzero(near))


def _assigned(costs: Mapping[tuple[int, int], float]) -> list[tuple[int, int]]:
    """As many of the pairs as can be, no number twice on the same side, at the lowest cost."""
    if not costs:
        return []
    pairs = np.array(list(costs))
    before, row = np.unique(pairs[:, 0], return_inverse=True)
    after, column = np.unique(pairs[:, 1], return_inverse=True)
    cost = np.full((len(before), len(after)), _IMPOSSIBLE)
    cost[row, column] = list(costs.values())
    return [
        (int(before[i]), int(after[j]))
        for i, j in zip(*linear_sum_assignment(cost), strict=True)
        if cost[i, j] < _IMPOSSIBLE
    ]


def _courses(landmarks: Landmarks) -> Iterator[_Course]:
    people = landmarks.persons()
    people = people[np.argsort(people.track, kind="stable")]
    begins = np.flatnonzero(np.diff(people.track, prepend=_NOBODY))
    for begin, end in pairwise([*begins.tolist(), len(people)]):
        yield _course(people[begin:end])


def _course(track: Landmarks) -> _Course:
    time_s, box = track.time_s, track.box
    life = Life(int(track.track[0]), float(time_s[0]), float(time_s[-1]), box[0], box[-1])
    height = box[:, 3] - box[:, 1]
    beginning = time_s <= life.start_s + _NEAR_END_S
    end = time_s >= life.end_s - _NEAR_END_S
    centre = (box[end, :2] + box[end, 2:]).astype(np.float64) / 2
    since = time_s[end] - time_s[end].mean()
    velocity = since @ centre / max(float(since @ since), 1e-9)
    return _Course(
        life, velocity, float(np.median(height[beginning])), float(np.median(height[end]))
    )


def _cost(lost: _Course, found: _Course, size: NDArray[np.int64]) -> float:
    """In heights of the person."""
    lower, higher = sorted((lost.last_height, found.first_height))
    way = lost.velocity * (found.life.start_s - lost.life.end_s)
    there, here = _centre(found.life.first_box), _centre(lost.life.last_box)
    gone = ((here + way < 0) | (here + way > size)).any()
    if gone or higher > _TALLER * lower:
        return _IMPOSSIBLE
    share = np.clip((there - here) @ way / max(float(way @ way), 1e-9), 0, 1)
    distance = apart(lost.life.last_box + np.tile(share * way, 2), found.life.first_box)
    return _IMPOSSIBLE if distance is None else distance / max(higher, 1e-9)


def _centre(box: Boxes) -> NDArray[np.float64]:
    return (box[:2] + box[2:]).astype(np.float64) / 2


def _renumbered(landmarks: Landmarks, number: dict[int, int]) -> Landmarks:
    """number: of persons, the new one of each that gets one."""
    track = landmarks.track.copy()
    person = landmarks.category == Category.PERSON
    for before, after in number.items():
        track[person & (landmarks.track == before)] = after
    order = np.lexsort((track, landmarks.category, landmarks.frame))
    return replace(landmarks, track=track)[order]


def _without_still(landmarks: Landmarks, still_s: float) -> Landmarks:
    still = [
        number
        for number, track in landmarks.tracks()
        if track.time_s[-1] - track.time_s[0] >= still_s and _never_moves(track)
    ]
    person = landmarks.category == Category.PERSON
    return landmarks[~(person & np.isin(landmarks.track, still))]


def _never_moves(track: Landmarks) -> bool:
    """Over its whole life the box's centre and the joints about the hips stay where they are but
    for what noise does: see _STILL_BOX and _STILL_JOINTS."""
    centre = (track.box[:, :2] + track.box[:, 2:]) / 2
    height = np.median(track.box[:, 3] - track.box[:, 1])
    if _deviation(centre) > _STILL_BOX * height:
        return False
    torso = torso_length(track.xy)
    known = np.isfinite(torso)
    if known.mean() < _STILL_SHOWN:
        return False
    about_hips = track.xy - track.xy[:, HIPS].mean(axis=1, keepdims=True)
    return _deviation(about_hips[known]) <= _STILL_JOINTS * float(np.median(torso[known]))


def _deviation(places: NDArray[np.floating]) -> float:
    """Root mean square distance from the mean place; (N, 2), or (N, 13, 2) of each joint from its
    own. NaN counts for nothing; something must be known."""
    if places.ndim > 2:
        places = places[:, np.isfinite(places).any(axis=(0, 2))]
    squares = np.square(places - np.nanmean(places, axis=0)).sum(axis=-1)
    return float(np.sqrt(np.nanmean(squares)))
