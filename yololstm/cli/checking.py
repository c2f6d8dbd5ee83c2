"""``yololstm data``: what a data set holds, before anything is made of it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from yololstm.cli.choices import data_params, shareable
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError

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
    it would be left out. Where data.shareable does not name ROOT, OUT must not be where git would
    take it.
    """
    from rich.console import Console

    from yololstm import census, datasets, indexing
    from yololstm.console import progress
    from yololstm.material import Material

    page = out / "check.html"
    _refuse_public(page, root)
    usual_kind, label_map, labels = data_params()
    reader = datasets.reader(kind or usual_kind, label_map, labels)
    material = Material(root, MATERIAL)
    with progress("check", total=None, unit="files") as advance:
        found = indexing.examined(reader.read(material, lambda: advance(1)), labels)
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


@app.command("export-feedback")
@exit_on_error
def export_feedback(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="a new folder", show_default=False)],
    folder: Annotated[Path, typer.Option(help="of the site, as site.yaml names it")] = Path(
        "data/live"
    ),
) -> None:
    """Make a data set of what people said of events.

    Clips of events that were judged right or wrong on the page become OUT, in the shape of AI-Hub
    (data.kind: aihub), with the events that data.label_map of params.yaml names for their labels.
    Each export is a version: what is in OUT already is never changed. The exit status is 1 where a
    judged event had to be left out.
    """
    from yololstm import feedback
    from yololstm.database import Database
    from yololstm.datasets import aihub
    from yololstm.journal import Journal
    from yololstm.recording import FOLDER
    from yololstm.services import JOURNAL

    journal = folder / JOURNAL
    if not journal.is_file():
        raise ParamsError(journal, "no such file", "Name the site's folder: --folder")
    if _git_would_take((out / feedback.MANIFEST).resolve()):
        remedy = "Name a folder that git ignores, as data/raw/feedback-1"
        raise ParamsError(out, "git would take footage that is written there", remedy)
    _, label_map, _ = data_params()
    database = Database(journal)
    try:
        entries = Journal(database).entries(limit=-1)
    finally:
        database.close()
    names = feedback.event_names(label_map, aihub.EVENTS)
    made = feedback.export(entries, folder / FOLDER, out, names)
    for problem in made.left_out:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{made.clips} clips -> {out}")
    if made.left_out:
        raise typer.Exit(1)


def _refuse_public(page: Path, root: Path) -> None:
    """Raises ParamsError where git would take pictures that may not be shared."""
    from yololstm.sharing import is_shareable

    if is_shareable(root, shareable()) or not _git_would_take(page.resolve()):
        return
    problem = f"git would take {page}, with pictures of {root}, which data.shareable does not name"
    remedy = "Name a folder that git ignores, as this project's data/check, or one outside of it"
    raise ParamsError("--out", problem, remedy)


def _git_would_take(path: Path) -> bool:
    """It is in a repository, and not ignored; without git nothing is."""
    folder = next(parent for parent in path.parents if parent.is_dir())
    command = ["git", "-C", str(folder), "check-ignore", "--quiet", "--", str(path)]
    try:
        # 0: it is ignored; 1: it is not; 128: there is no repository.
        return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1
    except FileNotFoundError:
        return False


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
