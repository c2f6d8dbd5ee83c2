"""Copies: clips that show the same people doing the same, under other names.

Told by the landmarks, not by the pixels: on a camera that hangs still, the background of all clips
is alike, and what tells them apart is the people.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.spatial import cKDTree

from yololstm.clips import Clip
from yololstm.errors import Problem
from yololstm.landmarks import Landmarks
from yololstm.skeleton import JOINTS

#: Joints that a pose needs to be compared, and two poses need in common.
_LEAST_JOINTS: Final = 6
#: A joint below this confidence was guessed, and is guessed otherwise in a copy.
_CONFIDENT: Final = 0.5
#: Persons smaller than this share of the frame's height are measured as if they were so large:
#: their joints are no more precise.
_LEAST_SIZE: Final = 0.25
#: Poses a second of a track that are kept.
_KEPT_FPS: Final = 10.0
#: Longest gap in a track over which poses are interpolated.
_LONGEST_GAP_S: Final = 1.0
#: Motion is measured from so long before to so long after.
_AROUND_S: Final = 1 / 3
#: Times are stored to the microsecond.
_SAME_S: Final = 2e-6
#: A person moves from this speed on, in body sizes a second.
_MOVING: Final = 0.1
#: Moving poses without which a clip is not compared.
_LEAST_MOVING: Final = 8

#: Poses are found by the joints that are seen most often, each with the one that stands for it
#: where it is not seen.
_KEYS: Final = {
    JOINTS.index(joint): JOINTS.index(instead)
    for joint, instead in (
        ("SHOULDER_LEFT", "SHOULDER_RIGHT"),
        ("SHOULDER_RIGHT", "SHOULDER_LEFT"),
        ("HEAD", "SHOULDER_LEFT"),
    )
}
#: Poses of a clip that are looked up.
_LOOKED_UP: Final = 16
#: A pose with more likes than this is a common one and says nothing.
_COMMON: Final = 2000
#: How much further than the tolerance a candidate may be, because it lies between two frames.
_LEEWAY: Final = 1.5
#: Gaps between poses that can be found; those of tracks are halved until they are as short.
_FOUND_GAP_S: Final = 0.25
#: Clips that are looked up at once.
_AT_ONCE: Final = 16
#: Poses vote for a time offset this precisely, and it takes so many of them to look closer: at
#: offsets in such steps, so many each way.
_OFFSET_BIN_S: Final = 0.25
_LEAST_VOTES: Final = 3
_OFFSET_STEP_S: Final = 1 / 30
_OFFSET_STEPS: Final = 12


@dataclass(frozen=True)
class Fingerprint:
    """Poses of the persons of one clip, ordered by track, then time; as small as may be."""

    clip_id: str
    split: str
    fps: float
    """Poses a second that a track has."""
    track: NDArray[np.int32]
    """(P,)"""
    time_s: NDArray[np.float64]
    """(P,)"""
    pose: NDArray[np.float32]
    """(P, 13, 2) x and y in frame heights; NaN where a joint is absent."""
    size: NDArray[np.float32]
    """(P,) the longer side of the person's box, in frame heights; see _LEAST_SIZE."""
    moving: NDArray[np.bool_]
    """(P,) whether the person moves enough to tell one moment from another."""

    def __len__(self) -> int:
        return len(self.track)

    @property
    def is_comparable(self) -> bool:
        """Whether people move enough to tell this clip from others."""
        return int(np.count_nonzero(self.moving)) >= _LEAST_MOVING


def fingerprint(clip: Clip, landmarks: Landmarks) -> Fingerprint:
    """landmarks: of the clip, at any rate; a copy at another size, rate or place has a like one."""
    people = landmarks.persons()
    height = people.source.height
    known = np.isfinite(people.xy).all(axis=2) & (people.confidence >= _CONFIDENT)
    pose = np.where(known[..., None], people.xy / height, np.nan).astype(np.float32)
    sides = people.box[:, 2:] - people.box[:, :2]
    size = np.fmax(sides.max(axis=1, initial=0) / height, _LEAST_SIZE).astype(np.float32)
    order = np.lexsort((people.time_s, people.track))
    order = order[known.sum(axis=1)[order] >= _LEAST_JOINTS]
    rows = order[_thinned(people.track[order], people.time_s[order])]
    tracks = _Tracks(people.track[rows], people.time_s[rows])
    return Fingerprint(
        clip.clip_id,
        clip.split,
        min(float(people.source.fps), _KEPT_FPS),
        tracks.track,
        tracks.time_s,
        pose[rows],
        size[rows],
        moving=_speed(tracks, pose[rows], size[rows]) >= _MOVING,
    )


def near_identical(prints: Sequence[Fingerprint], tolerance: float, share: float) -> list[Problem]:
    """Pairs of clips of different splits that show the same people doing the same.

    Found are copies under another name: encoded anew, scaled, at another frame rate, trimmed or
    cut from the same film. Two clips are alike where, at one constant offset in time, at least
    ``share`` of the moving poses of the one that has fewer lie on a pose of the other: root mean
    square distance of their joints at most ``tolerance``, as a share of the person's size. Poses
    are compared where they stand in the frame, which tells acts at one place apart.

    Not seen are copies that are mirrored, cropped or slowed down; films of people who walk, when
    both are thinned to few frames a second and no frame is in both; and clips in which nobody is
    found or moves for some seconds: what stands still looks alike in all clips of a camera.
    """
    prints = [print_ for print_ in prints if print_.is_comparable]
    alike: dict[tuple[int, int], _Match] = {}
    for a, b, offset_s in _candidates(prints, tolerance, share):
        match = _refined(prints[a], prints[b], offset_s, tolerance)
        if match.poses >= _LEAST_MOVING and match.share >= share:
            alike[a, b] = max(match, alike.get((a, b), match))
    return sorted(_alike(prints[a], prints[b], match) for (a, b), match in alike.items())


class _Candidate(NamedTuple):
    """What a shows at a time, b shows offset_s later. a and b are places among the prints."""

    a: int
    b: int
    offset_s: float


class _Match(NamedTuple):
    share: float
    poses: int
    offset_s: float


def _alike(a: Fingerprint, b: Fingerprint, match: _Match) -> Problem:
    return Problem(
        f"{a.clip_id} and {b.clip_id}",
        f"{match.share:.0%} of {match.poses} moving poses are the same in {a.split} and {b.split},"
        f" {abs(match.offset_s):.1f} s apart",
        "Keep one of the two files, and run the index stage again; if they show two acts after"
        " all, lower leaks.near",
    )


@dataclass(frozen=True)
class _Around:
    """Between which rows each of many moments lies."""

    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight: NDArray[np.float32]
    """Of the row after."""

    def mixed(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Where the weight is all on one row, what the other lacks does not count."""
        share = self.weight.reshape(-1, *[1] * (values.ndim - 1))
        before, after = values[self.before], values[self.after]
        mixed = before * (1 - share) + after * share
        return np.where(share == 0, before, np.where(share == 1, after, mixed))


@dataclass(frozen=True)
class _Tracks:
    """Rows ordered by track, then time, to be looked up by both."""

    track: NDArray[np.int32]
    time_s: NDArray[np.float64]

    def around(self, track: NDArray[np.int32], time_s: NDArray[np.float64]) -> _Around:
        """track: of those there are. Before a track begins and after it ends, its nearest row is
        on both sides."""
        names, first = np.unique(self.track, return_index=True)
        last = np.append(first[1:], len(self.track)) - 1
        which = np.searchsorted(names, track)
        # Time runs on from track to track, so that one search finds both.
        start = min(self.time_s.min(initial=0), time_s.min(initial=0))
        stride = max(self.time_s.max(initial=0), time_s.max(initial=0)) - start + 1
        key = np.searchsorted(names, self.track) * stride + self.time_s
        after = np.searchsorted(key, which * stride + time_s - _SAME_S)
        after = np.clip(after, first[which], last[which])
        exact = self.time_s[after] <= time_s + _SAME_S
        before = np.where(exact, after, np.maximum(after - 1, first[which]))
        gap = self.time_s[after] - self.time_s[before]
        weight = np.where(gap > 0, (time_s - self.time_s[before]) / np.maximum(gap, _SAME_S), 0)
        return _Around(before, after, weight.astype(np.float32))


def _thinned(track: NDArray[np.int32], time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The first row of a track in each tick of the rate that is kept."""
    tick = np.floor(time_s * _KEPT_FPS + 0.01)
    first = np.ones(len(track), dtype=np.bool_)
    first[1:] = (track[1:] != track[:-1]) | (tick[1:] != tick[:-1])
    return first


def _speed(
    tracks: _Tracks, pose: NDArray[np.float32], size: NDArray[np.float32]
) -> NDArray[np.floating]:
    """(P,) root mean square speed of the joints, in body sizes a second; 0 where not known."""
    start = tracks.around(tracks.track, tracks.time_s - _AROUND_S)
    end = tracks.around(tracks.track, tracks.time_s + _AROUND_S)
    took = end.mixed(tracks.time_s) - start.mixed(tracks.time_s)
    way = _distance(start.mixed(pose), end.mixed(pose))
    known = np.isfinite(way) & (took > _SAME_S)
    return np.where(known, way, 0) / np.where(known, took, 1) / size


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.floating]:
    """(N,) root mean square over the joints that both have; infinite where those are too few."""
    squared = ((a - b) ** 2).sum(axis=2)
    known = np.isfinite(squared)
    n = known.sum(axis=1)
    total = np.where(known, squared, 0).sum(axis=1)
    return np.where(n >= _LEAST_JOINTS, np.sqrt(total / np.maximum(n, 1)), np.inf)


# --- candidates: pairs of clips, and offsets, that are worth a close look ---


@dataclass(frozen=True)
class _Poses:
    """Moving poses of many clips."""

    clip: NDArray[np.intp]
    """(M,) place among the prints"""
    time_s: NDArray[np.floating]
    pose: NDArray[np.floating]
    size: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, rows: NDArray[np.intp]) -> _Poses:
        return _Poses(self.clip[rows], self.time_s[rows], self.pose[rows], self.size[rows])

    def keys(self) -> NDArray[np.floating]:
        """(M, 6) as far apart as the joints are, the place in the frame first: joints that move
        together would leave a tree nothing to divide by."""
        whole = self.pose.copy()
        for joint, instead in _KEYS.items():
            absent = np.isnan(whole[:, joint])
            whole[:, joint] = np.where(absent, whole[:, instead], whole[:, joint])
        turned: NDArray[np.floating] = dct(whole[:, list(_KEYS)], axis=1, norm="ortho")
        return turned.reshape(len(self), 2 * len(_KEYS))

    @classmethod
    def stacked(cls, parts: Sequence[_Poses]) -> _Poses:
        columns = ("clip", "time_s", "pose", "size")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _candidates(
    prints: Sequence[Fingerprint], tolerance: float, share: float
) -> Iterator[_Candidate]:
    """Poses of each clip are looked up among all clips of each other split, and vote."""
    for split in sorted({print_.split for print_ in prints}):
        places = [i for i, print_ in enumerate(prints) if print_.split == split]
        kept = _Poses.stacked([_to_be_found(prints[i], i) for i in places])
        tree = cKDTree(kept.keys())
        others = [i for i, print_ in enumerate(prints) if print_.split != split]
        for start in range(0, len(others), _AT_ONCE):
            some = others[start : start + _AT_ONCE]
            wanted = _Poses.stacked([_to_look_up(prints[i], i) for i in some])
            hits = _hits(wanted, kept, tree, _LEEWAY * tolerance)
            yield from _voted(wanted, kept, hits, share)


def _to_be_found(print_: Fingerprint, place: int) -> _Poses:
    """Moving poses, and such between two of them that no moment is far from one."""
    following = np.minimum(np.arange(len(print_)) + 1, len(print_) - 1)
    gap = print_.time_s[following] - print_.time_s
    between = (print_.track[following] == print_.track) & (gap > _FOUND_GAP_S)
    between &= print_.moving & print_.moving[following] & (gap <= _LONGEST_GAP_S)
    before = np.concatenate([np.flatnonzero(print_.moving), np.flatnonzero(between)])
    after = np.concatenate([np.flatnonzero(print_.moving), following[between]])
    around = _Around(before, after, np.full(len(before), 0.5, dtype=np.float32))
    return _complete(
        _Poses(
            np.full(len(before), place),
            around.mixed(print_.time_s),
            around.mixed(print_.pose),
            print_.size[before],
        )
    )


def _to_look_up(print_: Fingerprint, place: int) -> _Poses:
    rows = np.flatnonzero(print_.moving)
    moving = _complete(
        _Poses(np.full(len(rows), place), print_.time_s[rows], print_.pose[rows], print_.size[rows])
    )
    n = min(len(moving), _LOOKED_UP)
    return moving[np.linspace(0, len(moving) - 1, n).round().astype(np.intp)]


def _complete(poses: _Poses) -> _Poses:
    return poses[np.flatnonzero(np.isfinite(poses.keys()).all(axis=1))]


class _Hits(NamedTuple):
    wanted: NDArray[np.intp]
    kept: NDArray[np.intp]


def _hits(wanted: _Poses, kept: _Poses, tree: cKDTree, tolerance: float) -> _Hits:
    """Rows of both that are alike. tree: of the keys of those kept."""
    keys = wanted.keys()
    radius = tolerance * wanted.size * np.sqrt(len(_KEYS))
    rows = np.flatnonzero(tree.query_ball_point(keys, radius, return_length=True) <= _COMMON)
    found = tree.query_ball_point(keys[rows], radius[rows])
    asking = np.repeat(rows, [len(likes) for likes in found])
    likes = np.fromiter(itertools.chain.from_iterable(found), dtype=np.intp, count=len(asking))
    close = _distance(wanted.pose[asking], kept.pose[likes]) <= tolerance * wanted.size[asking]
    return _Hits(asking[close], likes[close])


def _voted(wanted: _Poses, kept: _Poses, hits: _Hits, share: float) -> Iterator[_Candidate]:
    """For each pair of clips the offset that most poses agree on, if half as many do as would in
    a copy."""
    if not len(hits.kept):
        return
    looked_up = np.bincount(wanted.clip)
    asking, found = wanted.clip[hits.wanted], kept.clip[hits.kept]
    bins = np.floor((kept.time_s[hits.kept] - wanted.time_s[hits.wanted]) / _OFFSET_BIN_S)
    first = bins.min()
    bins = (bins - first).astype(np.intp)
    # An offset counts for the bins to both sides, as it may differ a little from pose to pose.
    columns = [np.tile(column, 2) for column in (asking, found, bins, hits.wanted)]
    columns[2][len(bins) :] += 1
    sizes = [int(column.max()) + 1 for column in columns]
    ballots = np.unique(np.ravel_multi_index(columns, sizes))
    agreed, votes = np.unique(ballots // sizes[3], return_counts=True)
    asking, found, bins = np.unravel_index(agreed, sizes[:3])
    enough = np.flatnonzero(votes >= np.maximum(share / 2 * looked_up[asking], _LEAST_VOTES))
    best = {(asking[i], found[i]): i for i in enough[np.argsort(votes[enough], kind="stable")]}
    for i in best.values():
        yield _ordered(int(asking[i]), int(found[i]), float(bins[i] + first) * _OFFSET_BIN_S)


def _ordered(asking: int, found: int, offset_s: float) -> _Candidate:
    if asking < found:
        return _Candidate(asking, found, offset_s)
    return _Candidate(found, asking, -offset_s)


# --- a close look at two clips ---


def _refined(a: Fingerprint, b: Fingerprint, offset_s: float, tolerance: float) -> _Match:
    """The best match near an offset. Poses of the clip that has fewer a second are looked for
    between those of the other."""
    if a.fps > b.fps:
        match = _refined(b, a, -offset_s, tolerance)
        return match._replace(offset_s=-match.offset_s)
    poses = int(min(np.count_nonzero(a.moving), np.count_nonzero(b.moving) * a.fps / b.fps))
    steps = np.arange(-_OFFSET_STEPS, _OFFSET_STEPS + 1) * _OFFSET_STEP_S
    matching = np.array([_matching(a, b, offset_s + step, tolerance) for step in steps])
    best = int(np.median(np.flatnonzero(matching == matching.max())))
    return _Match(min(1.0, matching[best] / max(poses, 1)), poses, offset_s + float(steps[best]))


def _matching(a: Fingerprint, b: Fingerprint, offset_s: float, tolerance: float) -> int:
    """How many moving poses of a lie on a pose that b has offset_s later."""
    rows = np.flatnonzero(a.moving)
    wanted_s = a.time_s[rows] + offset_s
    matched = np.zeros(len(rows), dtype=np.bool_)
    tracks = _Tracks(b.track, b.time_s)
    for track in np.unique(b.track):
        around = tracks.around(np.full(len(rows), track), wanted_s)
        seen = np.abs(around.mixed(b.time_s) - wanted_s) < _OFFSET_STEP_S
        seen &= b.time_s[around.after] - b.time_s[around.before] <= _LONGEST_GAP_S
        distance = _distance(a.pose[rows], around.mixed(b.pose))
        matched |= seen & (distance <= tolerance * a.size[rows])
    return int(np.count_nonzero(matched))
