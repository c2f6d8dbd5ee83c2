"""What of a data set may be handed on.

DVC pushes whatever it keeps, so pictures of footage that may not be shared must never be an output
of a stage: at a push it is too late to tell.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NOTE: Final = "elsewhere.txt"


def is_shareable(root: Path, shareable: Sequence[str]) -> bool:
    """Whether ``root`` is one of the folders that ``shareable`` names, relative to the working
    directory. A link is what it leads to: no name makes other footage shareable."""
    project = Path.cwd().resolve()
    return root.resolve() in {project / name for name in shareable}


def elsewhere(private: Path) -> str:
    """What stands in the place of pictures that are in ``private``."""
    return (
        "The pictures of this data set, which data.shareable does not name, are in"
        f" {private.as_posix()} on the machine that made them, and are not handed on."
    )


def folder_for_pictures(root: Path, shareable: Sequence[str], out: Path, private: Path) -> Path:
    """Where pictures of what lies below ``root`` go: ``out``, which DVC keeps, or ``private``, made
    empty, which neither DVC nor git does. ``out`` then holds nothing but NOTE, which says so."""
    if is_shareable(root, shareable):
        return out
    for folder in (out, private):
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    (out / NOTE).write_text(f"{elsewhere(private)}\n", encoding="utf-8")
    return private
