"""Landmarks that somebody has extracted and committed, put into the store of a fresh clone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from yololstm import storage
from yololstm.console import remark, warn
from yololstm.errors import LandmarksError
from yololstm.landmark_store import LandmarkStore, is_key

_REVISION: Final = "HEAD"
_LOCK: Final = "dvc.lock"
_PATIENCE_S: Final = 3600


def seed(store: LandmarkStore, wanted: Mapping[str, str], out: Path) -> None:
    """Put what the last commit has of ``wanted`` into the store.

    wanted: by clip_id, the key under which its landmarks would be stored. out: the folder in which
    the commit has landmarks, relative to the working directory, which is the repository's root.
    A commit is asked for once for a recipe, of DVC's cache or else its remote; so all that it has
    by the recipes of what is wanted is put there, of whichever clip. What was made by another is of
    no use. Nothing happens where there is no such commit, and what cannot be had is told.
    """
    lock = _committed_lock()
    marker = store.folder / "seeded"
    recipes = {key.partition("/")[0] for key in wanted.values()}
    seen = sha256("".join([lock, *sorted(recipes)]).encode()).hexdigest()
    if f"path: {out.as_posix()}\n" not in lock or _text(marker) == seen:
        return
    remark(f"{out}: looking for what was committed of {len(wanted)} clips")
    with tempfile.TemporaryDirectory(prefix="yololstm-seed-") as folder:
        if problem := _get(out, Path(folder, "landmarks")):
            warn(f"{out}: what was committed cannot be had ({problem}). It is extracted again.")
            return
        for key, content in _found(recipes, Path(folder, "landmarks")):
            store.put(key, content)
    with storage.atomic(marker) as temporary:
        temporary.write_text(seen)


def _committed_lock() -> str:
    """Empty where there is none, or no Git."""
    try:
        done = _run("git", "show", f"{_REVISION}:{_LOCK}")
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout


def _get(path: Path, to: Path) -> str:
    """Why DVC cannot; empty where it could. In a process of its own: it holds the libraries of all
    remotes, with errors of their own, and takes a second to import."""
    try:
        done = _run(
            *(sys.executable, "-m", "dvc", "get", ".", path.as_posix()),
            *("--rev", _REVISION, "-o", str(to)),
        )
    except subprocess.TimeoutExpired:
        return f"no end of it in {_PATIENCE_S} s"
    said = done.stderr.strip().splitlines() or ["DVC does not say why"]
    return said[0].removeprefix("ERROR: ") if done.returncode else ""


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


def _found(recipes: set[str], folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in storage.landmarks_files(folder).values():
        try:
            landmarks = storage.read_landmarks(path)
        except LandmarksError:
            continue
        key = landmarks.source.key
        if is_key(key) and key.partition("/")[0] in recipes:
            yield key, storage.landmarks_to_parquet(landmarks)


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""
