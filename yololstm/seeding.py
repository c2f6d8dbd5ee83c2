"""Landmarks that somebody has extracted and committed, put into the store of a fresh clone."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from yololstm import storage
from yololstm.console import remark, warn
from yololstm.errors import LandmarksError
from yololstm.landmark_store import LandmarkStore, is_key

_REVISION: Final = "HEAD"
_LOCK: Final = Path("dvc.lock")
_PATIENCE_S: Final = 3600
_SHA256: Final = re.compile(r"\b[0-9a-f]{64}\b")


def seed(
    store: LandmarkStore, wanted: Mapping[str, str], out: Path, index: Path | None = None
) -> None:
    """Put what the last commit has of ``wanted`` into the store.

    wanted: by the key under which a clip's landmarks would be stored, the sha256 of the clip. out:
    the folder in which the commit has landmarks; index: the file in which it names their clips.
    Both are relative to the working directory, which is the repository's root.

    A commit whose index has none of the clips is not asked. Any other is asked once for a recipe,
    of DVC's cache or else its remote; so all that it has by the recipes of what is wanted is put
    there, of whichever clip. What was made by another is of no use. Nothing happens where there is
    no such commit; where its remote fails, that is told.
    """
    lock = _committed(_LOCK) or ""
    marker = store.folder / "seeded"
    recipes = {key.partition("/")[0] for key in wanted}
    seen = sha256("".join([lock, *sorted(recipes)]).encode()).hexdigest()
    if f"path: {out.as_posix()}\n" not in lock or _text(marker) == seen:
        return
    indexed = None if index is None else _committed(index)
    if indexed is not None and set(wanted.values()).isdisjoint(_SHA256.findall(indexed)):
        return
    remark(f"{out}: looking for what was committed of {len(wanted)} clips")
    with tempfile.TemporaryDirectory(prefix="yololstm-seed-") as folder:
        problem = _get(out, Path(folder, "landmarks"))
        # Of what broke off, a CSV may be cut short at a line's end; Parquet is told by its end.
        _take(store, recipes, Path(folder, "landmarks"), "*.parquet" if problem else "*")
    if not problem:
        with storage.atomic(marker) as temporary:
            temporary.write_text(seen)
    elif _has_remote():
        warn(f"{out}: what was committed cannot all be had ({problem}). It is extracted again.")
    else:
        remark(f"{out}: what was committed is not all here. It is extracted.")


def _committed(path: Path) -> str | None:
    """None where there is no such file, or no Git."""
    try:
        done = _run("git", "show", f"{_REVISION}:./{path.as_posix()}")
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout


def _get(path: Path, to: Path) -> str:
    """Why DVC cannot; empty where it could."""
    try:
        done = _dvc("get", ".", path.as_posix(), "--rev", _REVISION, "-o", str(to))
    except subprocess.TimeoutExpired:
        return f"no end of it in {_PATIENCE_S} s"
    said = done.stderr.strip().splitlines() or ["DVC does not say why"]
    return said[0].removeprefix("ERROR: ") if done.returncode else ""


def _has_remote() -> bool:
    return bool(_dvc("remote", "list").stdout.strip())


def _dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: it holds the libraries of all remotes, with errors of their own, and
    takes a second to import."""
    return _run(sys.executable, "-m", "dvc", *arguments)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE_S,
        check=False,
    )


def _take(store: LandmarkStore, recipes: set[str], folder: Path, pattern: str) -> None:
    for path in sorted(folder.glob(pattern)):
        try:
            key = storage.read_source(path).key
            if is_key(key) and key.partition("/")[0] in recipes and not store.path(key).exists():
                store.put(key, _parquet(path))
        except LandmarksError:
            continue


def _parquet(path: Path) -> bytes:
    if path.suffix != ".csv":
        return path.read_bytes()
    return storage.landmarks_to_parquet(storage.read_landmarks(path))


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
