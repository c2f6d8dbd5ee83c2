"""What a person at a terminal sees: progress, and errors as one clear line."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from yololstm.errors import YololstmError

P = ParamSpec("P")
R = TypeVar("R")


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}/s")


class Advance(Protocol):
    def __call__(self, n: int, note: str = "", /) -> None:
        """By so many units. note: to be shown beside the bar from now on."""
        ...


@contextmanager
def progress(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    """A bar with rate and time left on stderr; nothing where stderr is not a terminal.

    Yields what advances it.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn(title),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total, note="")

        def advance(n: int, note: str = "", /) -> None:
            bar.update(task, advance=n)
            if note:
                bar.update(task, note=note)

        yield advance


def exit_on_error(function: Callable[P, R]) -> Callable[P, R]:
    """Our errors become one line on stderr and exit status 1, and Ctrl-C becomes 130, as a shell
    has it; anything else is a bug and stays."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except YololstmError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    return wrapper


def warn(message: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def is_watched() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stderr.isatty()


def remark(message: object) -> None:
    """For who sits at a terminal, and nobody else."""
    if is_watched():
        print(message, file=sys.stderr)
