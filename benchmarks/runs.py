"""Recipes, spread over processes, and the scores of what they learned.

Nothing is held back for val: every epoch is trained and the last one measured, so that no recipe
chooses by the clips it is measured on, and all learn from all of train. A clip is named by the mean
probability of its windows, as evaluate names it where normal is no label; clips without a window
are counted and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks import old
from benchmarks.tables import ROOT, Seen, Source, clips, divided, labels_of
from yololstm import evaluation, models, params, scaling, training
from yololstm.cluster import Workers, spread
from yololstm.console import progress
from yololstm.errors import YololstmError
from yololstm.inference import Classifier
from yololstm.segmentation import segment_all
from yololstm.trained import TorchNetwork
from yololstm.windows import Windows


class Measured(NamedTuple):
    """N test windows of a model, and what it was trained on."""

    y: NDArray[np.int64]
    """(N,)"""
    probability: NDArray[np.float32]
    """(N, labels)"""
    clip: NDArray[np.str_]
    """(N,) clip_id"""
    train_windows: int


Recipe = Callable[[Seen, tuple[str, ...], int], Measured]
"""Clips in train and test with their landmarks, labels, seed -> the test windows."""


def learn_as_before(seen: Seen, labels: tuple[str, ...], seed: int) -> Measured:
    """The old project's way."""
    training.make_repeatable(seed)
    train, test = (
        old.sequences([one for one in seen if one[0].split == split], labels)
        for split in ("train", "test")
    )
    model = models.build("stacked_lstm", len(labels))
    old.train(model, train.x, train.y)
    return Measured(test.y, old.probability(model, test.x), test.clip, len(train.y))


@dataclass(frozen=True)
class Learn:
    """The pipeline's way, with params.yaml; without arguments, one network of it."""

    model: Callable[[int], nn.Module] | None = None
    """Of a number of labels; None for that of params.yaml."""
    segment: Mapping[str, Any] = field(default_factory=dict)
    """What differs from params.yaml."""
    train: Mapping[str, Any] = field(default_factory=dict)
    """Likewise."""
    members: int = 1
    """Networks that are asked together, each with a seed of its own."""
    both_ways: bool = True
    """Ask for both mirror images where they were taught."""

    def __call__(self, seen: Seen, labels: tuple[str, ...], seed: int) -> Measured:
        settings = params.load(ROOT / "params.yaml")
        cut = settings.segment.model_copy(update=dict(self.segment))
        options = settings.train.model_copy(update=dict(self.train))
        windows = segment_all(seen, cut.spec(), labels, cut.min_share).windows
        train, test = windows["train"], windows["test"][windows["test"].y >= 0]
        fitted = scaling.fit(cut.scaling, train.x, train.valid)
        train, test = (replace(w, x=fitted.transform(w.x, w.valid)) for w in (train, test))
        fit = training.Settings(
            **options.model_dump(exclude={"model", "dropout", "device", "seeds"}), seed=0
        )
        networks = [
            self._trained(train, len(labels), options, replace(fit, seed=member), fitted.centre)
            for member in range(self.members * seed, self.members * (seed + 1))
        ]
        network: nn.Module = models.Ensemble(networks)
        if self.both_ways and fit.mirrored:
            network = models.BothWays(network, fitted.centre)
        classifier = Classifier(TorchNetwork(network), fitted, train.spec, labels)
        probability = classifier.scaled(test.x, test.valid)
        return Measured(test.y, probability, test.clip, len(train))

    def _trained(
        self,
        windows: Windows,
        n_labels: int,
        options: params.Train,
        fit: training.Settings,
        centre: float,
    ) -> nn.Module:
        training.make_repeatable(fit.seed)
        model = self.model(n_labels) if self.model else _product(n_labels, options)
        none = Windows.empty(windows.spec)
        model.load_state_dict(training.train(model, windows, none, fit, centre).state)
        return model


def _product(n_labels: int, options: params.Train) -> nn.Module:
    """As the train stage builds it."""
    args = {} if options.dropout is None else {"dropout": options.dropout}
    return models.build(options.model, n_labels, **args)


# --- runs ---


@dataclass(frozen=True)
class Job:
    name: str
    recipe: Recipe
    labels: tuple[str, ...]
    seed: int
    source: Source
    part: int = 0


def run(job: Job) -> Measured:
    seen = [one for one in clips(job.source) if one[0].label in job.labels]
    return job.recipe(divided(seen, job.source, job.part), job.labels, job.seed)


def compare(
    source: Source,
    recipes: Mapping[str, Recipe],
    seeds: int,
    workers: int,
    numbers: Collection[int] = (3, 4),
) -> list[dict[str, Any]]:
    """A row for each recipe and number of classes."""
    seen = clips(source)
    classes = [labels for labels in labels_of(seen, source) if len(labels) in numbers]
    jobs = [
        Job(name, recipe, labels, seed, source, part)
        for labels in classes
        for name, recipe in recipes.items()
        for seed in range(seeds)
        for part in range(max(source.parts, 1))
    ]
    runs: dict[tuple[str, tuple[str, ...], int], dict[int, Measured]] = defaultdict(dict)
    with progress("learn", total=len(jobs), unit="runs") as advance:
        for job, outcome in spread(run, jobs, Workers(workers)):
            if isinstance(outcome, YololstmError):
                raise outcome
            runs[job.name, job.labels, job.seed][job.part] = outcome
            advance(1)
    rows = []
    for labels in classes:
        known = {
            clip.clip_id: labels.index(clip.label)
            for clip, _ in seen
            if clip.label in labels and (source.parts or clip.split == "test")
        }
        for name in recipes:
            of_seeds = [runs[name, labels, seed] for seed in range(seeds)]
            parts = [[of_seed[part] for part in sorted(of_seed)] for of_seed in of_seeds]
            rows.append(row(name, parts, known, labels))
    return rows


# --- scores ---


def row(
    recipe: str,
    runs: Sequence[Sequence[Measured]],
    known: Mapping[str, int],
    labels: Sequence[str],
) -> dict[str, Any]:
    """runs: by seed, the parts of one recipe; known: the label of every clip they test."""
    pooled = [_pooled(parts) for parts in runs]
    measured = set(pooled[0].clip.tolist())
    window = [evaluation.scores(t.y, t.probability.argmax(axis=1), labels) for t in pooled]
    clip = [_clip_scores(t, known, labels) for t in pooled]
    return {
        "recipe": recipe,
        "classes": len(labels),
        **{f"window_{name}": _mean_sd(s[name] for s in window) for name in SCORES},
        **{f"clip_{name}": _mean_sd(s[name] for s in clip) for name in SCORES},
        "seeds": len(runs),
        "train_windows": round(float(np.mean([t.train_windows for t in pooled]))),
        "test_windows": len(pooled[0].y),
        "test_clips": len(measured),
        "test_clips_without_windows": len(known.keys() - measured),
    }


SCORES: Final = ("accuracy", "macro_f1")


def _pooled(parts: Sequence[Measured]) -> Measured:
    y, probability, clip = (np.concatenate([part[i] for part in parts]) for i in range(3))
    train_windows = round(float(np.mean([part.train_windows for part in parts])))
    return Measured(y, probability, clip, train_windows)


def _clip_scores(
    tested: Measured, known: Mapping[str, int], labels: Sequence[str]
) -> dict[str, Any]:
    ids = np.unique(tested.clip).tolist()
    mean = [tested.probability[tested.clip == clip].mean(axis=0) for clip in ids]
    y = np.array([known[clip] for clip in ids])
    return evaluation.scores(y, np.stack(mean).argmax(axis=1), labels)


def _mean_sd(values: Iterable[float]) -> list[float]:
    found = list(values)
    return [float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else 0.0]
