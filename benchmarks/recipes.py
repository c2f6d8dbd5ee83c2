"""Recipes side by side on landmarks tables: train on one part, measure on another.

    python -m benchmarks.recipes FOLDER              FOLDER/train/*.csv and FOLDER/test/*.csv
    python -m benchmarks.recipes --folds 5 FILE.csv  each clip is test in one fold of 5

Nothing is held back for val: every epoch is trained and the last one measured, so that no recipe
chooses by the clips it is measured on, and all learn from all of train. A clip is named by the mean
probability of its windows, as evaluate names it where normal is no label; clips without a window
are counted and left out.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks import old, peers
from yololstm import evaluation, models, params, scaling, splits, training
from yololstm.clips import NORMAL, Clip
from yololstm.cluster import Workers, spread
from yololstm.console import exit_on_error, progress
from yololstm.datasets import reader
from yololstm.errors import AnnotationError, DataError, EmptyError, ParamsError, YololstmError
from yololstm.landmarks import Landmarks
from yololstm.material import Material
from yololstm.segmentation import segment_all
from yololstm.storage import write_json
from yololstm.windows import Windows

ROOT: Final = Path(__file__).parents[1]
OUT: Final = ROOT / "benchmarks" / "out" / "recipes.json"
ABNORMAL: Final = ("theft", "assault", "damage")

Seen = Sequence[tuple[Clip, Landmarks]]


class Measured(NamedTuple):
    """N test windows of a model, and what it was trained on."""

    y: NDArray[np.int64]
    """(N,)"""
    probability: NDArray[np.float32]
    """(N, labels)"""
    clip: NDArray[np.str_]
    """(N,) clip_id"""
    train_windows: int


# --- recipes ---


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
    """The pipeline's way, with the windows and the settings of params.yaml."""

    model: Callable[[int], nn.Module]
    scaling: str = "body"
    both_ways: bool = False
    """Ask for mirror images too."""

    def __call__(self, seen: Seen, labels: tuple[str, ...], seed: int) -> Measured:
        settings = params.load(ROOT / "params.yaml")
        cut = settings.segment
        windows = segment_all(seen, cut.spec(), labels, cut.min_share).windows
        train, test = windows["train"], windows["test"][windows["test"].y >= 0]
        fitted = scaling.fit(self.scaling, train.x, train.valid)
        train, test = (replace(w, x=fitted.transform(w.x, w.valid)) for w in (train, test))
        training.make_repeatable(seed)
        model = self.model(len(labels))
        options = settings.train.model_dump(exclude={"model", "dropout", "device", "seed"})
        fit = training.Settings(**options, seed=seed)
        none = Windows.empty(train.spec)
        model.load_state_dict(training.train(model, train, none, fit, fitted.centre).state)
        return Measured(
            test.y, self.probability(model.eval(), test, fitted.centre), test.clip, len(train)
        )

    @torch.inference_mode()
    def probability(self, model: nn.Module, test: Windows, centre: float) -> NDArray[np.float32]:
        """(N, labels)"""
        x, valid = torch.from_numpy(test.x), torch.from_numpy(test.valid)
        logits = models.both_ways(model, x, valid, centre) if self.both_ways else model(x, valid)
        probability: NDArray[np.float32] = logits.softmax(dim=1).numpy()
        return probability


def product(n_labels: int) -> nn.Module:
    """The model of params.yaml, as the train stage builds it."""
    options = params.load(ROOT / "params.yaml").train
    args = {} if options.dropout is None else {"dropout": options.dropout}
    return models.build(options.model, n_labels, **args)


RECIPES: Final[dict[str, Recipe]] = {
    "old": learn_as_before,
    "old-right": Learn(partial(models.build, "stacked_lstm"), "minmax"),
    "cnn_lstm": Learn(partial(models.build, "cnn_lstm")),
    "bilstm without bones": Learn(peers.BonelessBiLSTM),
    "bilstm": Learn(partial(models.build, "bilstm")),
    "tcn": Learn(peers.TCN),
    "lstm": Learn(partial(models.build, "lstm")),
    "ours": Learn(product, both_ways=True),
}


# --- runs ---


@dataclass(frozen=True)
class Source:
    """Where the clips are, and which of them are test: those of test/, or those of one fold."""

    path: Path
    """A folder, or with folds one file."""
    folds: int = 0


@dataclass(frozen=True)
class Job:
    recipe: str
    labels: tuple[str, ...]
    seed: int
    source: Source
    fold: int = 0


def run(job: Job) -> Measured:
    seen = [one for one in clips(job.source) if one[0].label in job.labels]
    if job.source.folds:
        n, number = job.source.folds, job.fold
        placed = splits.fold([clip for clip, _ in seen], number, n, val_share=0.0, seed=0)
        split = {clip.clip_id: clip.split for clip in placed}
        seen = [(replace(clip, split=split[clip.clip_id]), marks) for clip, marks in seen]
    return RECIPES[job.recipe](seen, job.labels, job.seed)


@lru_cache(maxsize=1)
def clips(source: Source) -> Seen:
    """Every clip with its landmarks, in the order of the tables.

    Raises DataError where the path is not there, AnnotationError where a table is of another
    format, EmptyError where nothing is to be learned from or measured on.
    """
    if source.folds:
        return _of_file(source.path)
    seen = _of_folder(source.path)
    for split in ("train", "test"):
        if not any(clip.split == split for clip, _ in seen):
            problem = f"no labelled clip in {split}/"
            raise EmptyError(source.path, problem, "Put tables into train/ and into test/")
    # A val/ that somebody has put there is more to learn from.
    return [(replace(c, split="train") if c.split == "val" else c, marks) for c, marks in seen]


def _of_file(path: Path) -> Seen:
    if not path.is_file():
        raise DataError(path, "no such file", "Name one table of landmarks (.csv)")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, path.name).symlink_to(path.resolve())
        return _of_folder(Path(folder))


def _of_folder(root: Path) -> Seen:
    if not root.is_dir():
        raise DataError(root, "no such folder", "Name one that holds train/*.csv and test/*.csv")
    csv, material = reader("landmarks_csv", {}), Material(root, ROOT / ".cache" / "material")
    found = csv.read(material)
    if found.problems:
        first = found.problems[0]
        raise AnnotationError(root / first.place, first.problem, first.remedy)
    labelled = [clip for clip in found.clips if clip.split]
    if not labelled:
        raise EmptyError(root, "no labelled clip in any .csv", "Give the tables a column 'label'")
    known = ((clip, csv.landmarks(material, clip)) for clip in sorted(labelled, key=_row))
    return [(clip, marks) for clip, marks in known if marks is not None]


def _row(clip: Clip) -> tuple[str, int]:
    path, _, rows = clip.path.rpartition("#row=")
    return path, int(rows.partition("-")[0])


def labels_of(seen: Seen, source: Source) -> list[tuple[str, ...]]:
    """The three abnormal labels, and all four where normal can be learned and measured.
    Raises EmptyError where one of the three cannot."""
    parts = ("",) if source.folds else ("train", "test")
    lacking = {
        label: part
        for label in (*ABNORMAL, NORMAL)
        for part in parts
        if sum(c.label == label and part in ("", c.split) for c, _ in seen) < max(source.folds, 1)
    }
    for label in ABNORMAL:
        if label in lacking:
            where = lacking[label] or f"{source.folds} folds"
            raise EmptyError(source.path, f"too few clips of {label} for {where}", "Add some")
    return [ABNORMAL] if NORMAL in lacking else [ABNORMAL, (*ABNORMAL, NORMAL)]


# --- results ---


def row(
    recipe: str,
    runs: Sequence[Sequence[Measured]],
    known: Mapping[str, int],
    labels: Sequence[str],
) -> dict[str, Any]:
    """runs: by seed, the folds of one recipe; known: the label of every clip they test."""
    pooled = [_pooled(folds) for folds in runs]
    measured = set(pooled[0].clip.tolist())
    window = [evaluation.scores(t.y, t.probability.argmax(axis=1), labels) for t in pooled]
    clip = [_clip_scores(t, known, labels) for t in pooled]
    return {
        "recipe": recipe,
        "classes": len(labels),
        **{f"window_{name}": _mean_sd(s[name] for s in window) for name in _SCORES},
        **{f"clip_{name}": _mean_sd(s[name] for s in clip) for name in _SCORES},
        "seeds": len(runs),
        "train_windows": round(float(np.mean([t.train_windows for t in pooled]))),
        "test_windows": len(pooled[0].y),
        "test_clips": len(measured),
        "test_clips_without_windows": len(known.keys() - measured),
    }


_SCORES: Final = ("accuracy", "macro_f1")


def _pooled(folds: Sequence[Measured]) -> Measured:
    y, probability, clip = (np.concatenate([f[i] for f in folds]) for i in range(3))
    train_windows = round(float(np.mean([f.train_windows for f in folds])))
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


def compare(
    source: Source,
    recipes: Sequence[str],
    seeds: int,
    workers: int,
    numbers: Collection[int] = (3, 4),
) -> list[dict[str, Any]]:
    """A row for each recipe and number of classes."""
    seen = clips(source)
    classes = [labels for labels in labels_of(seen, source) if len(labels) in numbers]
    jobs = [
        Job(recipe, labels, seed, source, fold)
        for labels in classes
        for recipe in recipes
        for seed in range(seeds)
        for fold in range(max(source.folds, 1))
    ]
    runs: dict[tuple[str, tuple[str, ...], int], dict[int, Measured]] = defaultdict(dict)
    with progress("recipes", total=len(jobs), unit="fits") as advance:
        for job, outcome in spread(run, jobs, Workers(workers)):
            if isinstance(outcome, YololstmError):
                raise outcome
            runs[job.recipe, job.labels, job.seed][job.fold] = outcome
            advance(1)
    rows = []
    for labels in classes:
        known = {
            clip.clip_id: labels.index(clip.label)
            for clip, _ in seen
            if clip.label in labels and (source.folds or clip.split == "test")
        }
        for recipe in recipes:
            of_seeds = [runs[recipe, labels, seed] for seed in range(seeds)]
            folds = [[of_seed[fold] for fold in sorted(of_seed)] for of_seed in of_seeds]
            rows.append(row(recipe, folds, known, labels))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Table:
    shown = Table(title="percent, mean ± sd over seeds")
    for name in ("recipe", "classes"):
        shown.add_column(name, no_wrap=True)
    for name in ("window accuracy", "window macro-F1", "clip accuracy", "clip macro-F1"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("seeds", "train windows", "test windows"):
        shown.add_column(name, justify="right")
    for before, one in zip([None, *rows], rows, strict=False):
        if before is not None and before["classes"] != one["classes"]:
            shown.add_section()
        scores = (one[f"{of}_{name}"] for of in ("window", "clip") for name in _SCORES)
        shown.add_row(
            one["recipe"],
            str(one["classes"]),
            *(f"{100 * mean:.1f} ± {100 * sd:.1f}" for mean, sd in scores),
            *(str(one[name]) for name in ("seeds", "train_windows", "test_windows")),
        )
    return shown


@exit_on_error
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes")
    parser.add_argument(
        "path", type=Path, help="a folder with train/ and test/; with --folds a CSV"
    )
    parser.add_argument("--folds", type=int, default=0, help="cross-validation, grouped by clip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, nargs="+", choices=(3, 4), default=(3, 4))
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), metavar="NAME")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    _check(given)
    source = Source(given.path.resolve(), given.folds)
    rows = compare(source, given.recipes, given.seeds, given.workers, given.classes)
    write_json(given.out, rows)
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table(rows))
    for note in notes(rows):
        console.print(note)


def notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader of the table must know."""
    told = []
    if all(one["classes"] == len(ABNORMAL) for one in rows):
        told.append("No rows with 4 classes: not asked for, or no clips of normal (label 3).")
    for classes in sorted({one["classes"] for one in rows}):
        one = [row for row in rows if row["classes"] == classes][-1]
        told.append(
            f"{classes} classes: {one['test_clips']} clips are measured;"
            f" {one['test_clips_without_windows']} are too short for a window."
        )
    return told


def _check(given: argparse.Namespace) -> None:
    if unknown := [name for name in given.recipes if name not in RECIPES]:
        raise ParamsError("--recipes", f"{unknown[0]!r}?", f"Known are {', '.join(RECIPES)}")
    if given.seeds < 1 or given.folds < 0 or given.folds == 1:
        raise ParamsError("--seeds, --folds", "too few", "At least 1 seed, and 2 folds or none")


if __name__ == "__main__":
    # Under its own name, by which worker processes know the functions of this module.
    from benchmarks import recipes

    recipes.main()
