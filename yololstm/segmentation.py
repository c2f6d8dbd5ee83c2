"""Segmentation: landmarks cut into windows, with an account of all that did not become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from yololstm.actors import actors
from yololstm.clips import IGNORED, NORMAL, SPLITS, Clip, Span
from yololstm.errors import EmptyError, Problem
from yololstm.landmarks import Category, Landmarks
from yololstm.skeleton import N_FEATURES, N_JOINTS
from yololstm.windows import Windows, WindowSpec

#: Times are stored to the microsecond.
_ROUNDING_S: Final = 2e-6
#: Spans are stored to a tenth of a millisecond, and many containers' times to a whole one.
_LATE_S: Final = 1e-3
_UNKNOWN: Final = "?"
_REASONS: Final = (
    "",
    "label_not_used",
    "ambiguous",
    "ignored",
    "actor_not_found",
    "too_few_landmarks",
)


@dataclass(frozen=True)
class Segmented:
    tracks: Sequence[Windows]
    """x in pixels; of one track each."""
    spec: WindowSpec
    dropped: dict[str, int]
    """Reasons and counts: of tracks for "too_short" and "poor_quality", of windows for every
    other."""
    problems: tuple[Problem, ...] = ()

    @cached_property
    def windows(self) -> Windows:
        return Windows.concatenate(self.tracks, self.spec)


@dataclass(frozen=True)
class Resampled:
    """One track at a fixed rate."""

    time_s: NDArray[np.float64]
    """(G,) from the track's first row on."""
    xy: NDArray[np.float32]
    """(G, 13, 2)"""
    valid: NDArray[np.bool_]
    """(G, 13)"""


def segment(
    landmarks: Landmarks,
    spec: WindowSpec,
    *,
    clip_id: str = "",
    take: str = "",
    spans: Sequence[Span] | None = None,
    labels: Sequence[str] = (),
    min_share: float = 0.0,
    keep_unnamed: bool = False,
    is_good: Callable[[Landmarks], bool] | None = None,
) -> Segmented:
    """Cut every person's track into windows; none reaches over two tracks.

    spans: what the clip shows, () for nothing but normal behaviour; None means that nobody has
    said: y is -1 and no window is dropped for its label.
    labels: what y is an index into; windows of other labels are dropped.
    min_share: smallest share of a window's steps that must bear its label.
    keep_unnamed: windows without a clear label are counted as dropped, but stay, with y -1: what
    a clip is named must not depend on knowing where its labels change.

    is_good: whether a track's landmarks are; None takes all.

    Reasons for dropping: too_short (a track shorter than a window), poor_quality (a track),
    too_few_landmarks, actor_not_found (during a span whose box holds nobody: anybody could be its
    actor), ignored (with any step of an event that is neither learned nor normal), ambiguous,
    label_not_used.
    """
    # What is expressly normal covers nothing that is not.
    ordered = sorted(spans or (), key=lambda span: span.label != NORMAL)
    casts = [(span, actors(landmarks, span)) for span in ordered]
    names = sorted(
        {NORMAL, IGNORED, _UNKNOWN, *(span.label for span in ordered)},
        key=lambda name: (name == NORMAL, name),
    )
    dropped: Counter[str] = Counter()
    parts = []
    for track, rows in _tracks(landmarks):
        steady = resample(landmarks.time_s[rows], landmarks.xy.take(rows, axis=0), spec)
        steps = _steps(len(steady.time_s), spec)
        if not len(steps):
            dropped["too_short"] += 1
            continue
        if is_good is not None and not is_good(landmarks[rows]):
            dropped["poor_quality"] += 1
            continue
        y, reason = np.full(len(steps), -1), np.zeros(len(steps), dtype=np.intp)
        if spans is not None:
            named = _names(steady.time_s, track, casts, names)
            y, reason = _judge(named, names, steps, labels, min_share)
        known = _totals(steady.valid.sum(axis=1), steps) / (spec.length * N_JOINTS)
        few = known < spec.min_valid
        reason[few] = _REASONS.index("too_few_landmarks")
        dropped.update(_counted(reason))
        kept = ~few if keep_unnamed else reason == 0
        parts.append(_cut(steady, steps[kept], y[kept], spec, clip_id, take, track))
    problems = tuple(_nobody(clip_id, span) for span, cast in casts if span.box and not cast)
    return Segmented(parts, spec, dict(dropped), problems)


def resample(time_s: NDArray[np.float64], xy: NDArray[np.float32], spec: WindowSpec) -> Resampled:
    """Joint by joint, linearly over presentation time.

    time_s: (n,) increasing, n >= 1; xy: (n, 13, 2), NaN where a joint is absent. Between two known
    values further apart than spec.max_gap_s, and before the first and after the last, nothing is
    made up: valid is False and xy holds the nearest known value, 0 where there is none.
    """
    grid, before, after = _grid(time_s, spec.fps)
    known = np.isfinite(xy[..., 0] + xy[..., 1])
    valid = known.take(before, axis=0) & known.take(after, axis=0)
    values = xy.take(before, axis=0)
    lost = np.flatnonzero(~valid)

    # Steps that lie between two rows; on a row, its values are there already.
    step = np.flatnonzero(before != after)
    last, following = before[step], after[step]
    weight, bridged = _weigh(grid[step] - time_s[last], time_s[following] - grid[step], spec)
    values[step] = _mixed(xy[last], xy[following], weight[:, None, None])
    valid[step] &= bridged[:, None]

    # Joints that one of the two rows does not show.
    if len(lost):
        step, joint = np.divmod(lost, N_JOINTS)
        last, following = _neighbours(known, before.take(step), after.take(step), joint)
        at = grid.take(step)
        since = np.where(last >= 0, at - time_s.take(last), np.inf)
        until = np.where(following >= 0, time_s.take(following) - at, np.inf)
        weight, bridged = _weigh(since, until, spec)
        valid.put(lost, bridged)
        points = np.where(known[..., None], xy, 0).reshape(-1, 2)
        earlier, later = (points.take(row * N_JOINTS + joint, axis=0) for row in (last, following))
        values.reshape(-1, 2)[lost] = _mixed(earlier, later, weight[:, None])
    return Resampled(grid, values, valid)


@dataclass(frozen=True)
class Segmentation:
    windows: Mapping[str, Windows]
    """By split, in pixels; those of val may be empty, those of val and test unnamed (y -1)."""
    labels: Sequence[str]
    clips: Mapping[str, int]
    """Clips with landmarks, by split."""
    left_out: Mapping[str, int]
    """Clips that were not looked at, by reason: unlabelled, unused, no_landmarks."""
    dropped: Mapping[str, int]
    """Windows and tracks, by reason; see segment."""
    problems: Sequence[Problem]

    def report(self) -> dict[str, Any]:
        return {
            "clips": self.clips,
            "left_out": self.left_out,
            "windows": {split: self._by_label(split) for split in SPLITS},
            "dropped": self.dropped,
            "problems": [vars(problem) for problem in sorted(self.problems)],
            "warnings": self.warnings(),
        }

    def warnings(self) -> list[str]:
        """What one can go on without, but would rather not."""
        missing = [
            f"no window of {label} in {split}"
            for split in ("train", "test")
            for label, count in self._by_label(split).items()
            if not count
        ]
        return missing if sum(self._by_label("val").values()) else [*missing, "no windows in val"]

    def check(self) -> list[str]:
        """Raises EmptyError where there is nothing to train, to test on, or to tell apart.
        Returns what is missing otherwise."""
        for split in ("train", "test"):
            if not sum(self._by_label(split).values()):
                raise self._empty(f"no windows in {split}")
        present = np.unique(self.windows["train"].y)
        if len(present) < 2:
            raise self._empty(f"all windows in train are {self.labels[present[0]]}")
        return self.warnings()

    def _by_label(self, split: str) -> dict[str, int]:
        y = self.windows[split].y
        count = np.bincount(y[y >= 0], minlength=len(self.labels))
        return dict(zip(self.labels, count.tolist(), strict=True))

    def _empty(self, problem: str) -> EmptyError:
        reasons = {**self.left_out, **self.dropped}
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.items()) or "nothing"
        clips = ", ".join(f"{count} {split}" for split, count in self.clips.items()) or "none"
        return EmptyError(
            "segment",
            f"{problem} (clips with landmarks: {clips}; left out: {told})",
            "Check labels and segment in params.yaml, and the reports of index and extract",
        )


def segment_all(
    seen: Iterable[tuple[Clip, Landmarks | None]],
    spec: WindowSpec,
    labels: Sequence[str],
    min_share: float,
    is_good: Callable[[Landmarks], bool] | None = None,
) -> Segmentation:
    """seen: clips with their landmarks, None where there are none. Clips that are unlabelled or
    unused are counted and left out.

    is_good: asked of each track in train. In val and test all stay: a camera sees the poor ones,
    too, and results without them would flatter.
    """
    parts: dict[str, list[Segmented]] = {split: [] for split in SPLITS}
    left_out: Counter[str] = Counter()
    for clip, landmarks in seen:
        if clip.split not in SPLITS:
            left_out[clip.split or "unlabelled"] += 1
        elif landmarks is None:
            left_out["no_landmarks"] += 1
        else:
            parts[clip.split].append(
                segment(
                    landmarks,
                    spec,
                    clip_id=clip.clip_id,
                    take=clip.take,
                    spans=clip.spans,
                    labels=labels,
                    min_share=min_share,
                    keep_unnamed=clip.split != "train",
                    is_good=is_good if clip.split == "train" else None,
                )
            )
    everything = [part for split in SPLITS for part in parts[split]]
    return Segmentation(
        windows={
            split: Windows.concatenate([w for part in parts[split] for w in part.tracks], spec)
            for split in SPLITS
        },
        labels=labels,
        clips={split: len(parts[split]) for split in SPLITS},
        left_out=dict(left_out),
        dropped=dict(sum((Counter(part.dropped) for part in everything), Counter())),
        problems=[problem for part in everything for problem in part.problems],
    )


def _grid(
    time_s: NDArray[np.float64], fps: float
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Regular times over a track's duration, and for each the rows at or before, at or after it."""
    # Time stamps in whole milliseconds must not cost a track its last step.
    n = int((time_s[-1] - time_s[0]) * fps + 0.01) + 1
    grid = np.minimum(time_s[0] + np.arange(n) / fps, time_s[-1])
    before = np.searchsorted(time_s, grid + _ROUNDING_S, side="right") - 1
    grid = np.where(np.abs(grid - time_s[before]) <= _ROUNDING_S, time_s[before], grid)
    return grid, before, np.searchsorted(time_s, grid, side="left")


def _steps(n: int, spec: WindowSpec) -> NDArray[np.intp]:
    """(windows, length) places of each window's steps among n steps."""
    starts = np.arange(0, n - spec.length + 1, spec.hop)
    return starts[:, None] + np.arange(spec.length)


def _neighbours(
    known: NDArray[np.bool_],
    before: NDArray[np.intp],
    after: NDArray[np.intp],
    joint: NDArray[np.intp],
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(M,) the last row at or before ``before``, and the first at or after ``after``, that shows
    the joint; -1 where none does. known: (n, 13)."""
    row, none = np.arange(len(known), dtype=np.int32)[:, None], len(known)
    last = np.maximum.accumulate(np.where(known, row, -1))
    following = np.minimum.accumulate(np.where(known, row, none)[::-1])[::-1]
    found = following[after, joint].astype(np.intp)
    return last[before, joint].astype(np.intp), np.where(found < none, found, -1)


def _weigh(
    since: NDArray[np.float64], until: NDArray[np.float64], spec: WindowSpec
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The share of the later of two values, and whether what lies between is bridged: if not, the
    nearer one counts. since, until: seconds, infinite where there is none."""
    gap = since + until
    bridged = gap <= spec.max_gap_s + _ROUNDING_S
    share = np.where(bridged, since, 0) / np.maximum(gap, _ROUNDING_S)
    return np.where(bridged, share, until < since), bridged


def _mixed(
    earlier: NDArray[np.float32], later: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    return earlier * (1 - weight) + later * weight


def _cut(
    steady: Resampled,
    steps: NDArray[np.intp],
    y: NDArray[np.int64],
    spec: WindowSpec,
    clip_id: str,
    take: str,
    track: int,
) -> Windows:
    n = len(steps)
    return Windows(
        x=steady.xy.reshape(-1, N_FEATURES).take(steps, axis=0),
        valid=steady.valid.take(steps, axis=0),
        y=y,
        clip=np.full(n, clip_id),
        take=np.full(n, take),
        track=np.full(n, track, dtype=np.int32),
        start_s=steady.time_s[steps[:, 0]],
        spec=spec,
    )


def _tracks(landmarks: Landmarks) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each person's track number and rows, without a copy of what windows are not made of."""
    people = np.flatnonzero(landmarks.category == Category.PERSON)
    track = landmarks.track[people]
    for number in np.unique(track).tolist():
        yield number, people[track == number]


def _names(
    time_s: NDArray[np.float64],
    track: int,
    casts: Sequence[tuple[Span, frozenset[int]]],
    names: Sequence[str],
) -> NDArray[np.intp]:
    """(G,) the label of each step of a track, an index into names; a later span covers an earlier
    one."""
    named = np.full(len(time_s), names.index(NORMAL))
    late = time_s + _LATE_S
    for span, cast in casts:
        if track in cast or not cast:
            first, end = np.searchsorted(late, (span.start_s, span.end_s))
            named[first:end] = names.index(span.label if cast else _UNKNOWN)
    return named


def _judge(
    named: NDArray[np.intp],
    names: Sequence[str],
    steps: NDArray[np.intp],
    labels: Sequence[str],
    min_share: float,
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """named: (G,) indices into names. The label of each window as (W,) index into labels, and why
    it is dropped, as index into _REASONS."""
    count = _totals(named == np.arange(len(names))[:, None], steps)
    places = np.array([labels.index(name) if name in labels else -1 for name in names])
    y = places[count.argmax(axis=0)]
    reason = np.zeros(len(steps), dtype=np.intp)
    for why, where in (
        ("label_not_used", y < 0),
        ("ambiguous", count.max(axis=0) / steps.shape[1] < min_share - 1e-9),
        ("ignored", count[names.index(IGNORED)] > 0),
        ("actor_not_found", count[names.index(_UNKNOWN)] > 0),
    ):
        reason[where] = _REASONS.index(why)
    return np.where(reason == 0, y, -1), reason


def _totals(values: NDArray[Any], steps: NDArray[np.intp]) -> NDArray[np.int64]:
    """(..., W) sums of values (..., G) over each window's steps."""
    before = np.zeros((*values.shape[:-1], values.shape[-1] + 1), dtype=np.int64)
    np.cumsum(values, axis=-1, out=before[..., 1:])
    totals: NDArray[np.int64] = before[..., steps[:, -1] + 1] - before[..., steps[:, 0]]
    return totals


def _counted(reason: NDArray[np.intp]) -> dict[str, int]:
    return {_REASONS[i]: n for i, n in enumerate(np.bincount(reason).tolist()) if i and n}


def _nobody(clip_id: str, span: Span) -> Problem:
    return Problem(
        f"{clip_id}: {span.start_s:.2f} s",
        f"nobody was found in the box of {span.label}",
        "Check the annotation's box and what the detector sees there",
    )
