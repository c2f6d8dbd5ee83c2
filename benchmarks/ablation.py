"""What each part of the recipe is worth: one thing changed at a time.

    python -m benchmarks.ablation FILE.csv

Tested on divisions of a table that are harder than random folds: on halves of it, and on people who
are elsewhere in the picture and of another size. A difference counts where it exceeds the standard
deviations of both rows together; they are over seeds, not over clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.runs import Learn, Recipe, compare
from benchmarks.tables import ROOT, Source
from yololstm import models
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError
from yololstm.storage import write_json

OUT: Final = ROOT / "benchmarks" / "out" / "ablation.json"
BASE: Final = "one network"
DIVISIONS: Final = {"halves": ("order", 2), "places": ("place", 2)}
"""Names, and how and in how many parts a table is divided."""
SCORES: Final = ("window_accuracy", "clip_accuracy")

_AUGMENT: Final = ("mirror", "rotate", "scale")
VARIANTS: Final[dict[str, Recipe]] = {
    BASE: Learn(),
    "3 networks": Learn(members=3),
    "asked for one image": Learn(both_ways=False),
    "no bones": Learn(peers.BonelessBiLSTM),
    "no motion": Learn(peers.MotionlessBiLSTM),
    "neither": Learn(peers.JointsBiLSTM),
    "min-max scaling": Learn(segment={"scaling": "minmax"}),
    "no augmentation": Learn(train={"augment": []}),
    **{
        f"no {name}": Learn(train={"augment": [other for other in _AUGMENT if other != name]})
        for name in _AUGMENT
    },
    "mirror alone": Learn(train={"augment": ["mirror"]}),
    "last step": Learn(peers.LastStepBiLSTM),
    "attention": Learn(peers.AttentionBiLSTM),
    "forwards only": Learn(partial(models.build, "lstm")),
    **{f"{length} steps": Learn(segment={"length": length}) for length in (12, 24, 32)},
    "no dropout": Learn(train={"dropout": 0.0}),
    "dropout 0.5": Learn(train={"dropout": 0.5}),
    "no label smoothing": Learn(train={"label_smoothing": 0.0}),
    "no class weights": Learn(train={"class_weights": False}),
    "no weight decay": Learn(train={"weight_decay": 0.0}),
    "float32": Learn(train={"precision": "float32"}),
}
"""Each is BASE, which is what the train stage makes of one seed, but for what its name says."""


def measure(
    path: Path, variants: Mapping[str, Recipe], seeds: int, workers: int
) -> list[dict[str, Any]]:
    """A row for each variant and division, and what it comes to against that of the first."""
    rows = []
    for division, (by, parts) in DIVISIONS.items():
        found = compare(Source(path, parts, by), variants, seeds, workers, numbers=(3,))
        for one in found:
            verdict = {name: judged(one[name], found[0][name]) for name in SCORES}
            rows.append({"division": division, **one, "verdict": verdict})
    return rows


def judged(score: Sequence[float], base: Sequence[float]) -> str:
    """Means and standard deviations."""
    (mean, sd), (base_mean, base_sd) = score, base
    if abs(mean - base_mean) <= sd + base_sd:
        return "within the spread"
    return "better" if mean > base_mean else "worse"


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    shown = Table(
        title="accuracy in percent, mean ± sd over seeds; + better, - worse than the first"
    )
    shown.add_column("variant", no_wrap=True)
    for division in DIVISIONS:
        for of in ("window", "clip"):
            shown.add_column(f"{division}, {of}", justify="right", no_wrap=True)
    shown.add_column("seeds", justify="right")
    of_variant: dict[str, list[str]] = {}
    for one in rows:
        cells = of_variant.setdefault(one["recipe"], [])
        cells += [_cell(one[name], one["verdict"][name]) for name in SCORES]
    for name, cells in of_variant.items():
        shown.add_row(name, *cells, str(rows[0]["seeds"]))
    return shown


def _cell(score: Sequence[float], verdict: str) -> str:
    sign = {"better": "+", "worse": "-"}.get(verdict, " ")
    return f"{100 * score[0]:.1f} ± {100 * score[1]:.1f} {sign}"


@exit_on_error
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation")
    parser.add_argument("path", type=Path, help="a CSV of the old format")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if unknown := [name for name in given.variants if name not in VARIANTS]:
        raise ParamsError("--variants", f"{unknown[0]!r}?", f"Known are {', '.join(VARIANTS)}")
    if given.seeds < 2:
        raise ParamsError("--seeds", "one has no spread", "At least 2")
    chosen = {name: VARIANTS[name] for name in (BASE, *given.variants)}
    rows = measure(given.path.resolve(), chosen, given.seeds, given.workers)
    write_json(given.out, rows)
    Console(width=None if Console().is_terminal else 140).print(table(rows))


if __name__ == "__main__":
    main()
