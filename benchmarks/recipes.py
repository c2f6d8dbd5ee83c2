"""Recipes side by side on landmarks tables: train on one part, measure on another.

python -m benchmarks.recipes FOLDER              FOLDER/train/*.csv and FOLDER/test/*.csv
python -m benchmarks.recipes --folds 5 FILE.csv  each clip is test in one fold of 5
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.runs import SCORES, Learn, Recipe, compare, learn_as_before
from benchmarks.tables import ABNORMAL, ROOT, Source
from yololstm import models, params
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError
from yololstm.storage import write_json

OUT: Final = ROOT / "benchmarks" / "out" / "recipes.json"


def recipes() -> dict[str, Recipe]:
    """By name; each but the last is one network, asked for what it is shown."""

    def one(name: str) -> Recipe:
        return Learn(partial(models.build, name), both_ways=False)

    return {
        "old": learn_as_before,
        "old-right": Learn(
            partial(models.build, "stacked_lstm"), segment={"scaling": "minmax"}, both_ways=False
        ),
        "cnn_lstm": one("cnn_lstm"),
        "bilstm without bones": Learn(peers.BonelessBiLSTM, both_ways=False),
        "bilstm": one("bilstm"),
        "tcn": Learn(peers.TCN, both_ways=False),
        "lstm": one("lstm"),
        # What the train stage makes.
        "ours": Learn(members=len(params.load(ROOT / "params.yaml").train.seeds)),
    }


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
        scores = (one[f"{of}_{name}"] for of in ("window", "clip") for name in SCORES)
        shown.add_row(
            one["recipe"],
            str(one["classes"]),
            *(f"{100 * mean:.1f} ± {100 * sd:.1f}" for mean, sd in scores),
            *(str(one[name]) for name in ("seeds", "train_windows", "test_windows")),
        )
    return shown


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


@exit_on_error
def main() -> None:
    known = recipes()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes")
    parser.add_argument(
        "path", type=Path, help="a folder with train/ and test/; with --folds a CSV"
    )
    parser.add_argument("--folds", type=int, default=0, help="cross-validation, grouped by clip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, nargs="+", choices=(3, 4), default=(3, 4))
    parser.add_argument("--recipes", nargs="+", default=list(known), metavar="NAME")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if unknown := [name for name in given.recipes if name not in known]:
        raise ParamsError("--recipes", f"{unknown[0]!r}?", f"Known are {', '.join(known)}")
    if given.seeds < 1 or given.folds < 0 or given.folds == 1:
        raise ParamsError("--seeds, --folds", "too few", "At least 1 seed, and 2 folds or none")
    source = Source(given.path.resolve(), given.folds)
    chosen = {name: known[name] for name in given.recipes}
    rows = compare(source, chosen, given.seeds, given.workers, given.classes)
    write_json(given.out, rows)
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table(rows))
    for note in notes(rows):
        console.print(note)


if __name__ == "__main__":
    main()
