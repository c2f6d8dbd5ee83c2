"""The keypoints that AI-Hub annotates, as landmarks: 17 points of each person, a track for each.

Nothing in the file says which keypoints are one person's. Where every name has as many tracks, the
nth of each are of the nth person. Otherwise the names that all persons have say where these are,
and any other track is of the person whose tracks it stands among in the file, or of the clearly
nearest; if neither, it is not used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from yololstm.clips import Clip
from yololstm.cvat import Annotation, Shapes, Track
from yololstm.errors import AnnotationError, Problem
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.material import VideoFacts
from yololstm.skeleton import JOINTS, N_JOINTS

_MAX_PERSONS: Final = 50
#: A keypoint is no further from the middle of its person than this many of the person's lengths,
#: and others are at least so many times as far.
_REACH: Final = 2.0
_TIMES: Final = 2.0
#: So many names may be wrong about the number of persons.
_FEW: Final = 2
_NOBODY: Final = -1

#: The annotated keypoints: our 13 joints, then what only helps to bound the person.
_KEYPOINTS: Final = {
    **{f"{side} shoulder": f"SHOULDER_{side.upper()}" for side in ("left", "right")},
    **{f"{side} elbow": f"ELBOW_{side.upper()}" for side in ("left", "right")},
    **{f"{side} hand": f"WRIST_{side.upper()}" for side in ("left", "right")},
    **{f"{side} hip": f"HIP_{side.upper()}" for side in ("left", "right")},
    **{f"{side} knee": f"KNEE_{side.upper()}" for side in ("left", "right")},
    **{f"{side} foot": f"ANKLE_{side.upper()}" for side in ("left", "right")},
    "center head": "HEAD",
}
_TRUNK: Final = ("pelvis", "spine naval", "spine chest", "neck base")
_PLACES: Final = {
    **{label: JOINTS.index(joint) for label, joint in _KEYPOINTS.items()},
    **{label: N_JOINTS + i for i, label in enumerate(_TRUNK)},
}

_Floats: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class _Keypoint:
    """One keypoint of one person over time."""

    place: int
    """In _PLACES."""
    nth: int
    """Of those of its name."""
    track: Track

    @cached_property
    def shapes(self) -> Shapes:
        """Raises AnnotationError where one is impossible."""
        return self.track.shapes()


class _Body(NamedTuple):
    """Where a person is."""

    frame: NDArray[np.int64]
    """(F,) ascending."""
    middle: _Floats
    """(F, 2)"""
    length: float
    """The usual diagonal of the box around the keypoints; 0 where it is not known."""


def landmarks(annotation: Annotation, clip: Clip, facts: VideoFacts) -> Landmarks | None:
    """A track for each person; None where there are no keypoints, or none that can be used."""
    try:
        frame, person, places = _rows(_keypoints(annotation))
    except AnnotationError:
        return None
    places *= annotation.scale(facts.info.width, facts.info.height)
    known = np.isfinite(places[:, :N_JOINTS, 0]).any(axis=-1)
    if not known.any():
        return None
    frame, person, places = frame[known], person[known], places[known]
    xy = places[:, :N_JOINTS].astype(np.float32)
    return Landmarks(
        frame=frame.astype(np.int32),
        time_s=facts.time_s[frame],
        category=np.full(len(frame), Category.PERSON, dtype=np.uint8),
        track=(person + 1).astype(np.int32),
        score=np.full(len(frame), np.nan, dtype=np.float32),
        box=np.hstack([np.nanmin(places, axis=1), np.nanmax(places, axis=1)]).astype(np.float32),
        xy=xy,
        confidence=np.isfinite(xy[..., 0]).astype(np.float32),
        source=Source(clip.width, clip.height, clip.fps, clip.n_frames, "AI-Hub keypoints"),
    )


def doubts(annotation: Annotation, n_frames: int) -> Iterator[Problem]:
    """Why keypoints are not used. They are read only where something may be wrong with them.

    n_frames: of the video. Places are lines of the annotation.
    """
    try:
        keypoints = _keypoints(annotation)
        if annotation.may_misplace() or annotation.may_reach(n_frames):
            for keypoint in keypoints:
                keypoint.track.shapes()
        whose = _whose(keypoints)
    except AnnotationError as error:
        told = error.problem
        remedy = f"The clip's keypoints are not used. {told.remedy}"
        yield Problem(told.place, told.problem, remedy)
        return
    lost = [
        keypoint.track
        for keypoint, person in zip(keypoints, whose, strict=True)
        if person == _NOBODY and len(keypoint.shapes)
    ]
    if lost:
        more = f", nor of {len(lost) - 1} other keypoints" if len(lost) > 1 else ""
        problem = f"nothing says of which person this {lost[0].label!r} is{more}"
        remedy = "They are not used; annotate each keypoint of every person"
        yield Problem(f"{annotation.path}:{lost[0].line}", problem, remedy)


def _keypoints(annotation: Annotation) -> list[_Keypoint]:
    """In the order of the file, unread. Raises AnnotationError where there are too many."""
    n_tracks: Counter[int] = Counter()
    keypoints = []
    for track in annotation.points:
        if (place := _PLACES.get(track.label)) is not None:
            keypoints.append(_Keypoint(place, n_tracks[place], track))
            n_tracks[place] += 1
            if n_tracks[place] > _MAX_PERSONS:
                problem = f"more than {_MAX_PERSONS} tracks of {track.label!r}, one for each person"
                remedy = "Take out the tracks that are there twice"
                raise AnnotationError(f"{annotation.path}:{track.line}", problem, remedy)
    return keypoints


def _rows(
    keypoints: Sequence[_Keypoint],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Frame (N,) and person (N,), in order, with keypoints (N, 17, 2) in pixels of the annotation,
    NaN where absent."""
    frames, points = [np.empty(0, np.int64)], [np.empty((0, 2))]
    persons: list[int] = []
    places: list[int] = []
    for keypoint, person in zip(keypoints, _whose(keypoints), strict=True):
        if person != _NOBODY:
            frames.append(keypoint.shapes.frame)
            points.append(keypoint.shapes.at)
            persons += [person] * len(keypoint.shapes)
            places += [keypoint.place] * len(keypoint.shapes)
    both = np.stack([np.concatenate(frames), np.array(persons, np.int64)])
    (frame, person_of), row = np.unique(both, axis=1, return_inverse=True)
    xy = np.full((len(frame), len(_PLACES), 2), np.nan)
    xy[row, places] = np.concatenate(points)
    return frame, person_of, xy


# --- whose keypoints they are ---


def _whose(keypoints: Sequence[_Keypoint]) -> list[int]:
    """The person of each, from 0 up, or _NOBODY where nothing says.

    Where every person has all that anybody has, the nth of each name is the nth person's, whether
    the file goes person by person or name by name. Else the names that all persons have say where
    each of them is; any other keypoint is of the person between whose keypoints it stands in the
    file, or who is nearest.

    Raises AnnotationError where it must read one that is impossible.
    """
    of_place: dict[int, list[_Keypoint]] = defaultdict(list)
    for keypoint in keypoints:
        of_place[keypoint.place].append(keypoint)
    if len({len(same) for same in of_place.values()}) <= 1:
        return [keypoint.nth for keypoint in keypoints]
    n_persons = _n_persons(list(of_place.values()))
    whole = {place for place, same in of_place.items() if len(same) == n_persons}
    known = [keypoint.nth if keypoint.place in whole else _NOBODY for keypoint in keypoints]
    bodies = [
        _body([keypoint for keypoint, one in zip(keypoints, known, strict=True) if one == person])
        for person in range(n_persons)
    ]
    nearest = [
        _nearest(keypoint.shapes, bodies, among) if person == _NOBODY else person
        for keypoint, person, among in zip(
            keypoints, known, _between(known, n_persons, len(whole)), strict=True
        )
    ]
    return _without_rivals(keypoints, nearest)


def _n_persons(names: Sequence[Sequence[_Keypoint]]) -> int:
    """As many as most names have tracks, or as some names show at once. More tracks of a name are
    of somebody who was lost and found again, or are there twice."""
    usual = Counter(len(same) for same in names)
    most = max(usual, key=lambda n_tracks: (usual[n_tracks], n_tracks))
    at_once = sorted(map(_at_once, names), reverse=True)
    return max([most, *at_once[_FEW : _FEW + 1]])


def _at_once(keypoints: Sequence[_Keypoint]) -> int:
    """How many of them are seen in one frame, at most."""
    frames = np.concatenate([np.unique(keypoint.shapes.frame) for keypoint in keypoints])
    return int(np.unique(frames, return_counts=True)[1].max(initial=0))


def _between(known: Sequence[int], n_persons: int, n_names: int) -> list[range]:
    """The persons that each keypoint may be of by its place in the file: the last before it and the
    next after it, where persons stand one after the other there, and anybody else."""
    order = [person for person in known if person != _NOBODY]
    if n_names < 2 or order != sorted(order):
        return [range(n_persons)] * len(known)
    person = np.array(known)
    last = np.maximum.accumulate(np.where(person == _NOBODY, 0, person))
    following = np.where(person == _NOBODY, n_persons - 1, person)
    following = np.minimum.accumulate(following[::-1])[::-1]
    return [range(a, b + 1) for a, b in zip(last.tolist(), following.tolist(), strict=True)]


def _body(keypoints: Sequence[_Keypoint]) -> _Body:
    frames, points = [np.empty(0, np.int64)], [np.empty((0, 2))]
    frames += [keypoint.shapes.frame for keypoint in keypoints]
    points += [keypoint.shapes.at for keypoint in keypoints]
    frame, row = np.unique(np.concatenate(frames), return_inverse=True)
    low, high = np.full((len(frame), 2), np.inf), np.full((len(frame), 2), -np.inf)
    np.minimum.at(low, row, np.concatenate(points))
    np.maximum.at(high, row, np.concatenate(points))
    length = float(np.median(np.hypot(*(high - low).T))) if len(frame) else 0.0
    return _Body(frame, (low + high) / 2, length)


def _nearest(shapes: Shapes, bodies: Sequence[_Body], among: Iterable[int]) -> int:
    """The one person who is near; _NOBODY where there is none, or others are about as near."""
    (distance, person), *others = sorted((_distance(shapes, bodies[n]), n) for n in among)
    is_clear = distance <= _REACH and all(_TIMES * distance <= other for other, _ in others)
    return person if is_clear else _NOBODY


def _distance(shapes: Shapes, body: _Body) -> float:
    """From the middle of the person, in lengths of the person; inf where that is not known."""
    _, here, there = np.intersect1d(shapes.frame, body.frame, return_indices=True)
    if not (len(here) and body.length):
        return np.inf
    away = np.hypot(*(shapes.at[here] - body.middle[there]).T)
    return float(away.mean()) / body.length


def _without_rivals(keypoints: Sequence[_Keypoint], whose: Sequence[int]) -> list[int]:
    """Nobody has two keypoints of one name at once: then neither is theirs."""
    rivals: dict[tuple[int, int], list[_Keypoint]] = defaultdict(list)
    for keypoint, person in zip(keypoints, whose, strict=True):
        rivals[keypoint.place, person].append(keypoint)
    return [
        person if _at_once(rivals[keypoint.place, person]) <= 1 else _NOBODY
        for keypoint, person in zip(keypoints, whose, strict=True)
    ]
