"""Probes: what can be told about a window's label without seeing what anybody does.

A label that follows from where its window lies in the clip, from which landmarks are missing, or
from the camera will be learned that way, and looks like skill until the camera is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from yololstm.clips import Clip
from yololstm.errors import DataError, Problem
from yololstm.windows import Windows

Features = NDArray[np.floating]
Labels = NDArray[np.int64]

_TOLD_BY: Final = {
    "position": (
        "the window's position in its clip",
        "Take normal behaviour from the same parts of clips as the rest, or add clips whose events"
        " begin elsewhere",
    ),
    "missing_landmarks": (
        "which landmarks are missing",
        "Make the landmarks of all clips in the same way (extract.source), or raise"
        " segment.min_valid",
    ),
    "place": (
        "store and camera",
        "Add clips of each label from each of them, or measure with data.split: store or camera",
    ),
}
#: Windows that each tree of a forest sees at most, and trees.
_SEEN: Final = 10_000
_TREES: Final = 64
_DEPTH: Final = 6
_LEAST_LEAF: Final = 5
_SHUFFLES: Final = 999
_SURE: Final = 0.01
_MARGIN: Final = 0.05


def measure(
    train: Windows, test: Windows, clips: Sequence[Clip], *, seed: int = 0
) -> dict[str, dict[str, float] | None]:
    """What probes for position, missing_landmarks and place, fitted on train, say on test.

    balanced_accuracy: mean recall over the labels in test; chance: one over their number; p: how
    often as much comes of labels that are shuffled, take by take. None where nothing can be told:
    with one label in train or test, or a place where neither stores nor cameras are two.

    clips: those of the windows, and any others. Windows without a label do not count. Raises
    DataError where a clip is missing.
    """
    train, test = train[train.y >= 0], test[test.y >= 0]
    known = _clips_of(train, test, clips)
    features = {
        "position": (_positions(train, known), _positions(test, known)),
        "missing_landmarks": (_missing(train), _missing(test)),
        "place": _places(train, test, known),
    }
    if min(len(np.unique(train.y)), len(np.unique(test.y))) < 2:
        return dict.fromkeys(features)
    names = [name for name, (fitted_on, _) in features.items() if fitted_on.shape[1]]
    told = [_told(*features[name], train.y, seed) for name in names]
    scores = dict(zip(names, _scores(told, test, np.random.default_rng(seed)), strict=True))
    return {name: scores.get(name) for name in features}


def warnings(result: Mapping[str, Mapping[str, float] | None]) -> list[Problem]:
    """The probes that are clearly above chance, of what ``measure`` returned."""
    return [
        _problem(name, score)
        for name, score in result.items()
        if score and score["p"] < _SURE and score["balanced_accuracy"] > score["chance"] + _MARGIN
    ]


def too_good(
    result: Mapping[str, Mapping[str, float] | None], max_balanced_accuracy: float
) -> list[Problem]:
    """The probes that score above this."""
    return [
        _problem(name, score)
        for name, score in result.items()
        if score and score["balanced_accuracy"] > max_balanced_accuracy
    ]


def _problem(name: str, score: Mapping[str, float]) -> Problem:
    what, remedy = _TOLD_BY[name]
    return Problem(
        f"probe {name}",
        f"labels can be told by {what} alone: balanced accuracy"
        f" {score['balanced_accuracy']:.2f}, by chance {score['chance']:.2f}",
        remedy,
    )


# --- what the probes see ---


def _clips_of(train: Windows, test: Windows, clips: Sequence[Clip]) -> dict[str, Clip]:
    known = {clip.clip_id: clip for clip in clips}
    if unknown := {*train.clip.tolist(), *test.clip.tolist()} - set(known):
        raise DataError(min(unknown), "has windows, but no clip", "Run the segment stage again")
    return known


def _positions(windows: Windows, clips: Mapping[str, Clip]) -> Features:
    """(N, 3) start in seconds and as a share of the clip, and seconds from the end to its end."""
    names, which = np.unique(windows.clip, return_inverse=True)
    durations = np.array([clips[name].duration_s for name in names.tolist()], dtype=np.float64)
    end_s = windows.start_s + windows.spec.length / windows.spec.fps
    duration = np.maximum(durations[which], 1 / windows.spec.fps)
    return np.stack([windows.start_s, windows.start_s / duration, duration - end_s], axis=1)


def _missing(windows: Windows) -> Features:
    """(N, 13 + T + 1) the share of known landmarks by joint, by step, and of all."""
    valid = windows.valid
    overall = valid.mean(axis=(1, 2))[:, None]
    return np.concatenate([valid.mean(axis=1), valid.mean(axis=2), overall], axis=1)


def _places(train: Windows, test: Windows, clips: Mapping[str, Clip]) -> tuple[Features, Features]:
    """(N, stores + cameras) which of those in train a window is of; no column where all of train
    is of one."""
    kinds: tuple[Callable[[Clip], str], ...] = (lambda clip: clip.store, lambda clip: clip.camera)
    columns: tuple[list[Features], list[Features]] = ([], [])
    for place in kinds:
        places = [
            np.array([place(clips[name]) for name in windows.clip.tolist()], dtype=np.str_)
            for windows in (train, test)
        ]
        known = np.setdiff1d(places[0], [""])
        one_hot = known if len(known) > 1 else known[:0]
        for column, of in zip(columns, places, strict=True):
            column.append((of[:, None] == one_hot).astype(np.float64))
    return np.concatenate(columns[0], axis=1), np.concatenate(columns[1], axis=1)


# --- fitting and judging ---


def _told(train: Features, test: Features, y: Labels, seed: int) -> Labels:
    """(N,) what a small forest makes of the test windows: one thread, the same on every machine."""
    forest = RandomForestClassifier(
        n_estimators=_TREES,
        max_depth=_DEPTH,
        min_samples_leaf=_LEAST_LEAF,
        max_samples=min(_SEEN, len(train)),
        class_weight="balanced",
        random_state=seed,
    )
    told: Labels = forest.fit(train, y).predict(test)
    return told


def _scores(
    told: Sequence[Labels], test: Windows, rng: np.random.Generator
) -> list[dict[str, float]]:
    scored = np.array([_balanced_accuracy(test.y, named) for named in told])
    as_good = np.ones(len(told))
    for y in _shuffled(test, rng):
        by_luck = np.array([_balanced_accuracy(y, named) for named in told])
        as_good += _above_chance(by_luck) >= _above_chance(scored) - 1e-12
    return [
        {"balanced_accuracy": accuracy, "chance": chance, "p": p / (_SHUFFLES + 1)}
        for (accuracy, chance), p in zip(scored.tolist(), as_good.tolist(), strict=True)
    ]


def _balanced_accuracy(y: Labels, named: Labels) -> tuple[float, float]:
    """And what chance gives."""
    n = np.bincount(y)
    right = np.bincount(y[y == named], minlength=len(n))
    present = n > 0
    return float((right[present] / n[present]).mean()), float(1 / present.sum())


def _above_chance(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return scores[:, 0] - scores[:, 1]


def _shuffled(test: Windows, rng: np.random.Generator) -> Iterator[Labels]:
    """Labels as they might be if nothing told them: each take gets those of another, in their
    order but from a moment drawn at random on, stretched to its own number of windows.

    So windows of one take stay as much alike as they are, which single windows drawn at random
    would not.
    """
    _, take, n = np.unique(test.take, return_inverse=True, return_counts=True)
    order = np.lexsort((test.track, test.clip, test.start_s, take))
    take, y = take[order], test.y[order]
    first = np.cumsum(n) - n
    done = (np.arange(len(y)) - first[take]) / n[take]
    for _ in range(_SHUFFLES):
        other, moment = rng.permutation(len(n)), rng.random(len(n))
        source = other[take]
        step = ((done + moment[take]) % 1 * n[source]).astype(np.intp)
        shuffled = np.empty_like(y)
        shuffled[order] = y[first[source] + step]
        yield shuffled
