"""How well it does: windows, clips and events against what was labelled.

Labels are indices 0..C-1; -1 as a prediction stands for "none of them".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, precision_recall_fscore_support
from sklearn.metrics import roc_curve as sklearn_roc_curve

from yololstm.calibration import BINS, Bin, ece, nll, reliability, softmax
from yololstm.clips import NORMAL, Clip
from yololstm.errors import EmptyError
from yololstm.events import Rule
from yololstm.intervals import Bootstrap, Interval, poisson_rate
from yololstm.operating import Sweep, curve, measure, sweep
from yololstm.scoring import Casts, Footage, score
from yololstm.windows import Windows

Labels = NDArray[np.integer]
Probability = NDArray[np.floating]

EVEN: Final = 0.5
"""A clip is named for what is more likely than not."""
_CURVE_POINTS: Final = 200
_NONE: Final = "none"


class Table(NamedTuple):
    header: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True)
class Decision:
    """What turns logits into what is said of windows, clips and events."""

    labels: Sequence[str]
    temperature: float
    rule: Rule
    clip_share: float


@dataclass(frozen=True)
class Evaluation:
    metrics: dict[str, Any]
    plots: dict[str, Table]
    """confusion (of clips), confusion_windows, pr, roc, reliability and alarms."""
    predictions: Table
    """Of each window: what it is (y), what it is taken for (label), and how probable each is."""
    footage: Footage
    """What the events are of."""


def evaluate(
    test: Windows,
    logits: NDArray[np.floating],
    clips: Sequence[Clip],
    casts: Casts,
    decision: Decision,
    rng: np.random.Generator,
) -> Evaluation:
    """test: windows with their (N, C) logits; clips: those of the test split; casts: who does what
    in them; rng: for the intervals.

    Windows are scored where they have a label; a clip is named by all of its windows. A clip
    without windows counts as what name_clip makes of it; clips of other labels are counted, and no
    more. Raises EmptyError where no clip or no window is left.
    """
    labels = decision.labels
    known = [clip for clip in clips if clip.label in labels]
    scored = test.y >= 0
    if not known or not scored.any():
        raise EmptyError(
            "evaluate",
            f"{len(known)} test clips and {scored.sum()} test windows of {', '.join(labels)}",
            "See the reports of index and segment",
        )
    probability = softmax(logits, decision.temperature)
    by_clip = _by_clip(test.clip, probability)
    parts = [by_clip.get(clip.clip_id, probability[:0]) for clip in known]
    clip_y = np.array([labels.index(clip.label) for clip in known])
    clip_named = np.array([name_clip(part, labels, decision.clip_share) for part in parts])
    y, named = test.y[scored], probability[scored].argmax(axis=1)
    footage = Footage.of(clips, test, probability, labels, casts)
    swept = sweep(footage, decision.rule)
    clip_take = np.array([clip.take for clip in known])
    takes = np.array([clip.take for clip in clips])
    drawn = Bootstrap.of(np.concatenate([takes, test.take]), rng)
    return Evaluation(
        metrics={
            "window": _scored(test.take[scored], y, named, labels, drawn),
            "clip": _scored(clip_take, clip_y, clip_named, labels, drawn),
            "event": _events(footage, swept, decision.rule, drawn),
            "calibration": _calibration(logits[scored], y, decision.temperature),
            "windows": len(y),
            "windows_without_label": len(test) - len(y),
            "clips": len(known),
            "takes": len(set(clip_take.tolist())),
            "clips_without_windows": sum(not len(part) for part in parts),
            "clips_of_other_labels": len(clips) - len(known),
        },
        plots={
            "confusion": _confusion(clip_y, clip_named, labels),
            "confusion_windows": _confusion(y, named, labels),
            "pr": Table(
                ("label", "precision", "recall", "threshold"),
                list(pr_curves(y, probability[scored], labels)),
            ),
            "roc": Table(
                ("label", "fpr", "tpr", "threshold"),
                list(roc_curves(y, probability[scored], labels)),
            ),
            "reliability": _reliability(logits[scored], y, decision.temperature),
            "alarms": Table(
                ("label", "false_alarms_per_hour", "recall", "threshold"),
                [(label, *_rounded(row)) for label, *row in curve(footage, swept)],
            ),
        },
        predictions=_predictions(test, probability, labels),
        footage=footage,
    )


def _scored(
    take: NDArray[np.str_], y: Labels, named: Labels, labels: Sequence[str], drawn: Bootstrap
) -> dict[str, Any]:
    interval = drawn.macro_f1(take, y, named, len(labels))
    return {**scores(y, named, labels), "macro_f1_95": _told(interval)}


def _calibration(
    logits: NDArray[np.floating], y: Labels, temperature: float
) -> dict[str, float | int]:
    return {
        "bins": BINS,
        "ece": ece(reliability(softmax(logits, temperature), y)),
        "ece_uncalibrated": ece(reliability(softmax(logits), y)),
        "nll": nll(logits, y, temperature),
        "nll_uncalibrated": nll(logits, y),
        "temperature": temperature,
    }


def _reliability(logits: NDArray[np.floating], y: Labels, temperature: float) -> Table:
    tried = {"as they come": 1.0, "calibrated": temperature}
    return Table(
        ("probabilities", *Bin._fields),
        [
            (name, *_rounded(part))
            for name, value in tried.items()
            for part in reliability(softmax(logits, value), y)
        ],
    )


def _events(footage: Footage, swept: Sweep, rule: Rule, drawn: Bootstrap) -> dict[str, Any]:
    """See scoring. resolution_per_hour: of a rate of false alarms; finer ones cannot be seen."""
    hours = footage.normal_hours
    told = measure(footage, swept, rule)
    delay = score(footage, footage.alarms(rule)).delay_s
    takes = np.array([truth.take for truth in footage.truths])
    told["operating"]["recall_95"] = _told(drawn.share(takes, np.isfinite(delay)))
    if hours > 0:
        rate = poisson_rate(told["operating"]["false_alarms"], hours)
        told["operating"]["false_alarms_per_hour_95"] = _told(rate)
    return {
        **told,
        "footage_hours": footage.hours,
        "normal_hours": hours,
        "resolution_per_hour": 1 / hours if hours > 0 else None,
    }


def scores(y: Labels, named: Labels, labels: Sequence[str]) -> dict[str, Any]:
    """accuracy, macro_f1 and, by label, precision, recall, f1 and support; 0 where undefined.

    y, named: (N,), N >= 1. macro_f1 is the mean over the labels that occur in either.
    """
    columns = precision_recall_fscore_support(
        y, named, labels=np.arange(len(labels)), zero_division=0
    )
    present = np.union1d(y, named[named >= 0])
    names = ("precision", "recall", "f1", "support")
    return {
        "accuracy": float(np.mean(y == named)),
        "macro_f1": float(columns[2][present].mean()),
        "per_class": {
            label: dict(zip(names, (c[i].item() for c in columns), strict=True))
            for i, label in enumerate(labels)
        },
    }


def name_clip(
    probability: Probability, labels: Sequence[str], share: float, min_probability: float = EVEN
) -> int:
    """What a clip shows, from the calibrated (N, C) probabilities of its windows, of all tracks
    together.

    An abnormal label scores the mean of its likeliest windows, a ``share`` of all and at least one:
    most of a clip is normal even when a theft is in it. The best is named if it scores at least
    min_probability, normal otherwise. Where normal is no label: the greatest mean over all windows.
    Without any window: normal, or -1 where that is no label.
    """
    normal = labels.index(NORMAL) if NORMAL in labels else -1
    if not len(probability):
        return normal
    if normal < 0:
        return int(probability.mean(axis=0).argmax())
    n = max(1, round(share * len(probability)))
    score = np.sort(probability, axis=0)[-n:].mean(axis=0)
    score[normal] = -1
    best = int(score.argmax())
    return best if score[best] >= min_probability else normal


def over_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What several runs, such as folds, have in common: of every number its mean, its standard
    deviation (n - 1; 0 for a single run) and its values, in the shape of one run's metrics.

    Numbers that are not in every run are left out. Raises EmptyError without any run.
    """
    if not runs:
        raise EmptyError("metrics", "no metrics to gather", "Run the stages that make them")
    shared: dict[str, Any] = {}
    for name in runs[0]:
        values = [run.get(name) for run in runs]
        mappings = [v for v in values if isinstance(v, Mapping)]
        if len(mappings) == len(runs):
            shared[name] = over_runs(mappings)
        numbers = [v for v in values if isinstance(v, int | float)]
        if len(numbers) == len(runs):
            deviation = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else 0.0
            shared[name] = {"mean": float(np.mean(numbers)), "std": deviation, "values": numbers}
    return shared


def pr_curves(
    y: Labels, probability: Probability, labels: Sequence[str]
) -> Iterator[tuple[str | float, ...]]:
    """Rows of label, precision, recall, threshold; a label that never occurs has none."""
    for i, label in enumerate(labels):
        if (y == i).any():
            precision, recall, threshold = precision_recall_curve(y == i, probability[:, i])
            # The last point, where nothing is named, has no threshold.
            for row in _thinned(precision, recall, np.append(threshold, 1.0)):
                yield label, *row


def roc_curves(
    y: Labels, probability: Probability, labels: Sequence[str]
) -> Iterator[tuple[str | float, ...]]:
    """Rows of label, fpr, tpr, threshold; a label that never or always occurs has none."""
    for i, label in enumerate(labels):
        if (y == i).any() and (y != i).any():
            fpr, tpr, threshold = sklearn_roc_curve(y == i, probability[:, i])
            # The first threshold is infinite, which no plot can show.
            for row in _thinned(fpr, tpr, np.minimum(threshold, 1.0)):
                yield label, *row


def _by_clip(clip: NDArray[np.str_], probability: Probability) -> dict[str, Probability]:
    names, place = np.unique(clip, return_inverse=True)
    order = np.argsort(place, kind="stable")
    bounds = np.flatnonzero(np.diff(place[order])) + 1
    return dict(zip(names.tolist(), np.split(probability[order], bounds), strict=False))


def _told(interval: Interval | None) -> dict[str, float] | None:
    return interval._asdict() if interval else None


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 6) for value in values]


def _confusion(y: Labels, named: Labels, labels: Sequence[str]) -> Table:
    names = [*labels, _NONE]  # -1 is the last
    pairs = zip(y.tolist(), named.tolist(), strict=True)
    return Table(("actual", "predicted"), [(names[a], names[b]) for a, b in pairs])


def _predictions(test: Windows, probability: Probability, labels: Sequence[str]) -> Table:
    header = ("clip", "track", "start_s", "y", "label", *(f"probability_{x}" for x in labels))
    named = _confusion(test.y, probability.argmax(axis=1), labels).rows
    places = zip(test.clip, test.track, test.start_s.round(4), strict=True)
    chances = probability.astype(float).round(4).tolist()
    return Table(header, [(*a, *b, *c) for a, b, c in zip(places, named, chances, strict=True)])


def _thinned(*columns: NDArray[np.floating]) -> Iterator[tuple[float, ...]]:
    """At most so many rows as a plot can show, the first and last among them."""
    n = len(columns[0])
    kept = np.unique(np.linspace(0, n - 1, min(n, _CURVE_POINTS)).round().astype(int))
    return zip(*(column[kept].round(6).tolist() for column in columns), strict=True)
