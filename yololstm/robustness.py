"""How the metrics fall where landmarks are worse than those of test.

Landmarks are disturbed in one way at a time and go through the very same segmentation, scaling and
classifier:

- noise: every coordinate is off by a normal error, of this share of the person's torso; anew in
  every frame, which is harder than an error that stays.
- dropped_joints: each joint of each person and frame is absent with this probability;
- dropped_frames: all joints of a person are, frame by frame.
- fps: no more than so many frames a second are looked at. Clips that have no more stay as they
  are, and a rate that no clip exceeds is left out: resampling makes steps and not observations, so
  material of 3 fps cannot show what 30 would.
- size: the camera is so much further away. The picture shrinks, and what a backend errs by in
  pixels does not, so that it becomes a larger share of the person. It is taken to be ERROR of a
  torso at the size that was filmed.

What is true stays as it is: rows lose joints and are never taken away, so that the tracks, who does
what and when a window starts are those of test. A window that has lost too many joints is gone;
clips count with the windows they have left, as anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yololstm.calibration import softmax
from yololstm.clips import Clip
from yololstm.evaluation import Decision, Table, name_clips, name_windows
from yololstm.inference import Classifier
from yololstm.landmarks import Category, Landmarks
from yololstm.segmentation import segment
from yololstm.skeleton import torso_length
from yololstm.windows import Windows

ERROR: Final = 0.05
"""Of a coordinate, in torso lengths: two pose backends on shop CCTV are a median of 0.08 torsos
apart, which normal errors of 0.05 in each coordinate of each of the two would make."""
_HEIGHT: Final = 3.0
"""Of somebody upright, in torso lengths."""

Logits = NDArray[np.floating]
Summary = dict[str, dict[str, dict[str, float | None]]]
Disturb = Callable[[Landmarks, float, np.random.Generator], Landmarks]


class Row(NamedTuple):
    disturbance: str
    level: float
    """0: as it is."""
    window_accuracy: float | None
    window_macro_f1: float | None
    """Of the windows that are left; None without any."""
    clip_macro_f1: float
    windows: int
    """Those with a label that are left."""


class Case(NamedTuple):
    disturbance: str
    level: float


def noise(landmarks: Landmarks, share: float, rng: np.random.Generator) -> Landmarks:
    error = rng.standard_normal(landmarks.xy.shape) * (share * _torso(landmarks))[:, None, None]
    return replace(landmarks, xy=(landmarks.xy + error).astype(np.float32))


def dropped_joints(landmarks: Landmarks, probability: float, rng: np.random.Generator) -> Landmarks:
    return _without(landmarks, rng.random(landmarks.confidence.shape) < probability)


def dropped_frames(landmarks: Landmarks, probability: float, rng: np.random.Generator) -> Landmarks:
    return _without(landmarks, rng.random((len(landmarks), 1)) < probability)


def fps(landmarks: Landmarks, rate: float, rng: np.random.Generator) -> Landmarks:
    share = Fraction(rate) / landmarks.source.fps
    if share >= 1:
        return landmarks
    number = np.round(landmarks.time_s * float(landmarks.source.fps)).astype(np.int64)
    before, now = ((number + i) * share.numerator // share.denominator for i in (-1, 0))
    return _without(landmarks, (before == now)[:, None])


def size(landmarks: Landmarks, factor: float, rng: np.random.Generator) -> Landmarks:
    """About the middle of the picture. Boxes stay, because they say who does what."""
    middle = np.array([landmarks.source.width, landmarks.source.height]) / 2
    smaller = replace(landmarks, xy=((landmarks.xy - middle) * factor + middle).astype(np.float32))
    # One part of the error has shrunk with the picture; what it lacks is independent of that.
    return noise(smaller, ERROR * np.sqrt(factor**-2 - 1), rng)


_DISTURBANCES: Final[Mapping[str, tuple[Disturb, Sequence[float]]]] = {
    "noise": (noise, (0.02, 0.05, 0.1, 0.2)),
    "dropped_joints": (dropped_joints, (0.1, 0.2, 0.4)),
    "dropped_frames": (dropped_frames, (0.1, 0.3, 0.5)),
    "fps": (fps, (10, 5, 3, 2)),
    "size": (size, (0.5, 0.25)),
}
"""Levels get worse."""


def measure(
    seen: Iterable[tuple[Clip, Landmarks | None]],
    test: Windows,
    logits: Logits,
    classifier: Classifier,
    decision: Decision,
    rng: np.random.Generator,
) -> list[Row]:
    """seen: clips of test, as many as there is time for; test: windows with their (N, C) logits.

    The levels of a disturbance are drawn from the same numbers: what is wrong at one is wrong at
    the next.
    """
    places = _places(test)
    clips: list[Clip] = []
    said: dict[Case, Logits] = {}
    for clip, landmarks in seen:
        clips.append(clip)
        seed = int(rng.integers(2**63))
        place = places.get(clip.clip_id, {})
        if landmarks is not None and place:
            for case, windows, told in _classified(_worse(landmarks, seed), classifier):
                values = said.setdefault(case, logits.copy())
                values[list(place.values())] = np.nan
                values[[place[key] for key in _keys(windows)]] = told
    mine = np.isin(test.clip, [clip.clip_id for clip in clips])
    asked = [(name, level) for name, (_, levels) in _DISTURBANCES.items() for level in (0, *levels)]
    return [
        _row(case, test, np.where(mine[:, None], said.get(case, logits), np.nan), clips, decision)
        for case in (Case(*pair) for pair in asked)
        if case in said or not case.level
    ]


def table(rows: Sequence[Row]) -> Table:
    told = ((row, [None if x is None else round(x, 6) for x in row[2:]]) for row in rows)
    return Table(Row._fields, [(row.disturbance, f"{row.level:g}", *rest) for row, rest in told])


def summary(rows: Sequence[Row]) -> Summary:
    """By disturbance and level; what is as it is, is left out."""
    told: Summary = {}
    for row in rows:
        if row.level:
            told.setdefault(row.disturbance, {})[f"{row.level:g}"] = {
                "window_macro_f1": row.window_macro_f1,
                "clip_macro_f1": row.clip_macro_f1,
            }
    return told


def _worse(landmarks: Landmarks, seed: int) -> dict[Case, Landmarks]:
    """Where that makes a difference."""
    worse = {
        Case(name, level): disturb(landmarks, level, np.random.default_rng(seed))
        for name, (disturb, levels) in _DISTURBANCES.items()
        for level in levels
    }
    return {case: other for case, other in worse.items() if other is not landmarks}


def _classified(
    worse: Mapping[Case, Landmarks], classifier: Classifier
) -> Iterator[tuple[Case, Windows, Logits]]:
    """All cases of a clip at once, which is quicker."""
    spec = classifier.spec
    parts = [segment(landmarks, spec).windows for landmarks in worse.values()]
    windows = Windows.concatenate(parts, spec)
    x = classifier.scaling.transform(windows.x, windows.valid)
    logits = classifier.logits(x, windows.valid)
    ends = np.cumsum([len(part) for part in parts])
    return zip(worse, parts, np.split(logits, ends[:-1]), strict=True)


def _row(
    case: Case, test: Windows, logits: Logits, clips: Sequence[Clip], decision: Decision
) -> Row:
    left = np.isfinite(logits[:, 0])
    probability = softmax(logits[left], decision.temperature)
    whole = name_clips(clips, test.clip[left], probability, decision).scores(decision.labels)
    windows = name_windows(test.take[left], test.y[left], probability)
    told = windows.scores(decision.labels) if len(windows.y) else {}
    return Row(*case, told.get("accuracy"), told.get("macro_f1"), whole["macro_f1"], len(windows.y))


def _places(test: Windows) -> dict[str, dict[tuple[int, float], int]]:
    """By clip, where each window stands in test."""
    places: dict[str, dict[tuple[int, float], int]] = {}
    for row, (clip, key) in enumerate(zip(test.clip.tolist(), _keys(test), strict=True)):
        places.setdefault(clip, {})[key] = row
    return places


def _keys(windows: Windows) -> list[tuple[int, float]]:
    """Of the windows of a clip, or of several."""
    return list(zip(windows.track.tolist(), windows.start_s.round(4).tolist(), strict=True))


def _torso(landmarks: Landmarks) -> NDArray[np.float64]:
    """(N,) pixels: the median over each person's track, of their box's height where no torso is
    ever seen; NaN for bags."""
    torso = np.full(len(landmarks), np.nan)
    length = torso_length(landmarks.xy)
    height = (landmarks.box[:, 3] - landmarks.box[:, 1]) / _HEIGHT
    person = landmarks.category == Category.PERSON
    for track in np.unique(landmarks.track[person]):
        rows = person & (landmarks.track == track)
        known = length[rows & np.isfinite(length)]
        torso[rows] = np.median(known if len(known) else height[rows])
    return torso


def _without(landmarks: Landmarks, absent: NDArray[np.bool_]) -> Landmarks:
    """absent: (N, 13) or (N, 1)."""
    return replace(
        landmarks,
        xy=np.where(absent[..., None], np.float32(np.nan), landmarks.xy),
        confidence=np.where(absent, np.float32(0), landmarks.confidence),
    )
