"""How well it does: windows, clips and events against what was labelled.

Labels are indices 0..C-1; -1 as a prediction stands for "none of them".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

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
from yololstm.scoring import Casts, Footage
from yololstm.trained import Checkpoint
from yololstm.variation import over_runs
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

    @classmethod
    def of(cls, trained: Checkpoint, clip_share: float) -> Self:
        return cls(trained.labels, trained.temperature, trained.rule, clip_share)


@dataclass(frozen=True)
class Evaluation:
    metrics: dict[str, Any]
    plots: dict[str, Table]
    """confusion (of clips), confusion_windows, pr, roc, reliability and alarms."""
    predictions: Table
    """Of each window: what it is (y), what it is taken for (label), and how probable each is."""
    footage: Footage
    """What the events are of."""

    def joined(self, name: str, metrics: Mapping[str, Any], plot: Table | None = None) -> Self:
        """This, and more of that name."""
        plots = {**self.plots, name: plot} if plot else self.plots
        return replace(self, metrics={**self.metrics, name: metrics}, plots=plots)


class Named(NamedTuple):
    """What windows or clips are, and what they are taken for."""

    take: NDArray[np.str_]
    """(N,)"""
    y: Labels
    """(N,)"""
    named: Labels
    """(N,)"""

    def scores(self, labels: Sequence[str]) -> dict[str, Any]:
        return scores(self.y, self.named, labels)


def evaluate(
    test: Windows,
    logits: NDArray[np.floating],
    clips: Sequence[Clip],
    casts: Casts,
    decision: Decision,
    rng: np.random.Generator,
    unseen: Collection[str] = (),
) -> Evaluation:
    """test: windows with their (N, C) logits; clips: those of the test split; casts: who does what
    in them; rng: for the intervals; unseen: the clip_id of those that nobody looked at.

    Raises EmptyError where no clip or no window is of our labels.
    """
    labels, scored = decision.labels, test.y >= 0
    probability = softmax(logits, decision.temperature)
    windows = name_windows(test.take, test.y, probability)
    whole = name_clips(clips, test.clip, probability, decision)
    if not len(whole.y) or not len(windows.y):
        raise EmptyError(
            "evaluate",
            f"{len(whole.y)} test clips and {len(windows.y)} test windows of {', '.join(labels)}",
            "See the reports of index and segment",
        )
    footage = Footage.of(clips, test, probability, labels, casts, unseen)
    swept = sweep(footage, decision.rule)
    takes = np.array([clip.take for clip in clips])
    drawn = Bootstrap.of(np.concatenate([takes, test.take]), rng)
    return Evaluation(
        metrics={
            "window": _scored(windows, labels, drawn),
            "clip": _scored(whole, labels, drawn),
            "event": _events(footage, swept, decision.rule, drawn),
            "calibration": _calibration(logits[scored], windows.y, decision.temperature),
            "windows": len(windows.y),
            "windows_without_label": len(test) - len(windows.y),
            "clips": len(whole.y),
            "takes": len(np.unique(whole.take)),
            "clips_without_windows": _without_windows(clips, test, labels),
            "clips_of_other_labels": len(clips) - len(whole.y),
        },
        plots={
            "confusion": _confusion(whole.y, whole.named, labels),
            "confusion_windows": _confusion(windows.y, windows.named, labels),
            **_curves(windows.y, probability[scored], labels),
            "reliability": _reliability(logits[scored], windows.y, decision.temperature),
            "alarms": _alarms(footage, swept),
        },
        predictions=_predictions(test, probability, labels),
        footage=footage,
    )


def name_windows(take: NDArray[np.str_], y: Labels, probability: Probability) -> Named:
    """Those that have a label (y not -1), by their (N, C) probabilities."""
    scored = y >= 0
    return Named(take[scored], y[scored], probability[scored].argmax(axis=1))


def name_clips(
    clips: Sequence[Clip], clip: NDArray[np.str_], probability: Probability, decision: Decision
) -> Named:
    """Those of our labels, by all of their windows; see name_clip.

    clip, probability: (N,), (N, C) of windows, of any of the clips.
    """
    labels = decision.labels
    known = [c for c in clips if c.label in labels]
    parts = _by_clip(clip, probability)
    named = (
        name_clip(parts.get(c.clip_id, probability[:0]), labels, decision.clip_share) for c in known
    )
    return Named(
        take=np.array([c.take for c in known], dtype=np.str_),
        y=np.array([labels.index(c.label) for c in known], dtype=np.int64),
        named=np.fromiter(named, dtype=np.int64, count=len(known)),
    )


def over_seeds(
    trained: Checkpoint, test: Windows, clips: Sequence[Clip], decision: Decision
) -> dict[str, Any]:
    """over_runs of the accuracy and macro_f1, by window and by clip, of each member alone.

    The temperature is that of all together.
    """
    runs = []
    for member in trained.members:
        alone = replace(trained, members=(member,)).classifier()
        probability = softmax(alone.logits(test.x, test.valid), decision.temperature)
        levels = {
            "window": name_windows(test.take, test.y, probability),
            "clip": name_clips(clips, test.clip, probability, decision),
        }
        told = {level: named.scores(decision.labels) for level, named in levels.items()}
        runs.append({x: {k: told[x][k] for k in ("accuracy", "macro_f1")} for x in told})
    return over_runs(runs)


def _scored(named: Named, labels: Sequence[str], drawn: Bootstrap) -> dict[str, Any]:
    interval = drawn.macro_f1(*named, len(labels))
    return {**named.scores(labels), "macro_f1_95": _told(interval)}


def _without_windows(clips: Sequence[Clip], test: Windows, labels: Sequence[str]) -> int:
    return len({clip.clip_id for clip in clips if clip.label in labels} - set(test.clip.tolist()))


def _curves(y: Labels, probability: Probability, labels: Sequence[str]) -> dict[str, Table]:
    pr, roc = pr_curves(y, probability, labels), roc_curves(y, probability, labels)
    return {
        "pr": Table(("label", "precision", "recall", "threshold"), list(pr)),
        "roc": Table(("label", "fpr", "tpr", "threshold"), list(roc)),
    }


def _alarms(footage: Footage, swept: Sweep) -> Table:
    header = ("label", "false_alarms_per_hour", "recall", "threshold")
    return Table(header, [(label, *_rounded(row)) for label, *row in curve(footage, swept)])


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
    told, result = measure(footage, swept, rule)
    takes = np.array([truth.take for truth in footage.truths])
    told["operating"]["recall_95"] = _told(drawn.share(takes, np.isfinite(result.delay_s)))
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
