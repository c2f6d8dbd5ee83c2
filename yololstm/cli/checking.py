"""``yololstm data``: what a data set holds, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from yololstm.cli.choices import data_params
from yololstm.console import exit_on_error

if TYPE_CHECKING:
    from rich.table import Table

    from yololstm.census import Census

MATERIAL: Final = Path(".cache/material")

app = typer.Typer(no_args_is_help=True, help="Look at a data set before anything is made of it.")


@app.command()
@exit_on_error
def check(
    root: Annotated[Path, typer.Argument(metavar="ROOT", show_default=False)],
    kind: Annotated[
        str | None,
        typer.Option(
            help="aihub, aihub_outdoor, folder, landmarks_csv",
            show_default="params.yaml, else aihub",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="gets check.json and check.html")] = Path("data/check"),
) -> None:
    """Look for faults in a data set.

    Reads ROOT as the index stage does, with the labels and data.label_map of params.yaml in the
    working directory where there is one. Shows what was found, and writes OUT/check.json and a
    page with pictures, OUT/check.html. The exit status is 1 where something has faults, so that
    it would be left out.
    """
    from rich.console import Console

    from yololstm import census, datasets, indexing
    from yololstm.console import progress
    from yololstm.material import Material

    usual_kind, label_map, labels = data_params()
    reader = datasets.reader(kind or usual_kind, label_map, labels)
    material = Material(root, MATERIAL)
    with progress("check", total=None, unit="files") as advance:
        found = indexing.examined(reader.read(material, lambda: advance(1)), labels)
    page = out / "check.html"
    indexing.write_report(found, labels, material, json=out / "check.json", html=page)
    Console(markup=False, highlight=False, emoji=False).print(
        _table(census.count(found.clips, labels))
    )
    for title, problems in (
        ("not opened, with all that they hold", found.unreadable),
        ("left out for faults", found.problems),
        ("left out without a label", found.unmapped),
        ("to be looked at", found.warnings),
    ):
        for i, line in enumerate(indexing.told(problems)):
            typer.echo(f"  {line}" if i else f"{len(problems)} {title}\n  {line}")
    typer.echo(f"{indexing.summary(found)} -> {page}")
    indexing.build(found, labels=labels, max_left_out=1.0)
    if found.problems:
        raise typer.Exit(1)


def _table(counted: Census) -> Table:
    """Clips by store and camera, and by label; then what they come to."""
    from rich.table import Table

    table = Table("store", "camera")
    for label in (*counted.labels, "all"):
        table.add_column(label, justify="right")
    for view, numbers in counted.views.items():
        table.add_row(*view, *_cells(numbers, counted.labels), f"{sum(numbers.values())}")
    table.add_section()
    whole, tallies = counted.whole, counted.labels.values()
    for name, values in (
        ("clips", [f"{tally.clips}" for tally in (*tallies, whole)]),
        ("takes", [f"{tally.takes}" for tally in (*tallies, whole)]),
        ("hours", [f"{tally.hours:.2f}" for tally in (*tallies, whole)]),
    ):
        table.add_row(name, "", *values)
    return table


def _cells(numbers: Mapping[str, int], labels: Mapping[str, object]) -> list[str]:
    return [f"{numbers[label]}" if label in numbers else "-" for label in labels]
