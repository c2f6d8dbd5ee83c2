"""What of a data set may be handed on.

DVC pushes whatever it keeps, so pictures of footage that may not be shared must never be an output
of a stage: at a push it is too late to tell.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from yololstm.errors import YololstmError

NOTE: Final = "elsewhere.txt"


def is_shareable(root: Path, shareable: Sequence[str]) -> bool:
    """Whether ``root`` is one of the folders that ``shareable`` names, relative to the working
    directory. A link is what it leads to: no name makes other footage shareable."""
    project = Path.cwd().resolve()
    return root.resolve() in {project / name for name in shareable}


def elsewhere(root: Path, private: Path) -> str:
    """What stands in the place of pictures that are in ``private``."""
    return (
        f"The pictures of {root.as_posix()}, which data.shareable does not name, are in"
        f" {private.as_posix()} on the machine that made them, until it makes those of another data"
        " set, and are not handed on."
    )


def folder_for_pictures(root: Path, shareable: Sequence[str], out: Path, private: Path) -> Path:
    """Where pictures of what lies below ``root`` go: ``out``, which DVC keeps, or ``private``,
    which neither DVC nor git does; ``out`` then holds nothing but NOTE, which says so. They are
    emptied.

    Raises YololstmError where ``private`` is no folder that can be made anew."""
    _make_anew(out)
    if is_shareable(root, shareable):
        return out
    _make_anew(private)
    (out / NOTE).write_text(f"{elsewhere(root, private)}\n", encoding="utf-8")
    return private


def _make_anew(folder: Path) -> None:
    """What a link leads to is not ours to empty."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise YololstmError(folder, "no folder, but pictures go there", "Move it away")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
