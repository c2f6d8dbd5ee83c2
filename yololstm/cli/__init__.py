"""The command line. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from yololstm.cli import checking, doctor, exporting, models, running, serving, watching

_NO_LIBRARY: Final = "cannot open shared object file"
_SYSTEM_LIBRARIES: Final = (
    "It is the system's to install: of Debian, apt install libgl1 libglib2.0-0"
)


class _Commands(TyperGroup):
    """Tells what brings a package or a library that a command needs and that is not installed."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            from yololstm import installed

            if not (remedy := installed.remedy(error.name or "")):
                raise
            print(f"error: {error.name}: it is not installed. {remedy}.", file=sys.stderr)
            sys.exit(1)
        except ImportError as error:
            if _NO_LIBRARY not in str(error):
                raise
            print(f"error: {error}. {_SYSTEM_LIBRARIES}.", file=sys.stderr)
            sys.exit(1)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(running.run)
app.command()(watching.watch)
app.command()(serving.serve)
app.command()(exporting.export)
app.command()(doctor.doctor)
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
