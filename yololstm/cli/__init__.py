"""The command line. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer

from yololstm.cli import checking, models, running

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(running.run)
app.add_typer(checking.app, name="data")
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.metadata.version("yololstm"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Shop CCTV in, named abnormal behaviour out."""
