"""Which files there are below a folder, in zips too, and what hides others.

Names are given composed (Unicode's NFC), as Windows and Linux write them. macOS takes them apart,
and half a data set that has been through it would not pair with the other half.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final

from yololstm import zips
from yololstm.errors import DataError, Problem

#: A zip that was downloaded in pieces: TS_12.zip.part0, TS_12.zip.part1073741824, or TS_12.zip.001.
_PIECE: Final = re.compile(r"(?P<start>(?P<whole>.+\.zip)\.(part)?)\d+", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Listing:
    """paths: relative to the root. problems: single files that cannot be told, or not be had.
    unreadable: what hides files, nobody knows how many: zips that cannot be opened, and folders
    that cannot be listed. All sorted."""

    paths: list[PurePosixPath] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)


def find(root: Path, suffixes: Collection[str]) -> Listing:
    """Files with one of the suffixes, in any case. See Material.listing.

    Raises DataError where there is no such folder, or where a name on disk is not Unicode.
    """
    if not root.is_dir():
        raise DataError(root, "no such folder", "Set data.root to where the data set is")
    paths: list[PurePosixPath] = []
    problems: list[Problem] = []
    unlisted: list[Problem] = []
    names = list(_walk(root, lambda error: unlisted.append(_unlisted(root, error))))
    for name, copies in _by_name(names, {*suffixes, zips.SUFFIX}).items():
        if len(copies) > 1:
            problem = "two files have this name, one composed and one not (NFC and NFD)"
            problems.append(Problem(name, problem, "Keep one of them"))
        elif _suffix(name) == zips.SUFFIX:
            members, faults = _in_zip(root / copies[0], suffixes)
            paths += [PurePosixPath(name, member) for member in members]
            problems += [replace(f, place=f"{name}/{f.place}".rstrip("/")) for f in faults]
        else:
            paths.append(PurePosixPath(name))
    unopened = [problem for problem in problems if _suffix(problem.place) == zips.SUFFIX]
    return Listing(
        sorted(paths),
        sorted({*problems} - {*unopened}),
        sorted([*unopened, *unlisted, *_pieces(names)]),
    )


def on_disk(root: Path, path: PurePosixPath) -> Path:
    """Where the file of a composed name lies, or else would."""
    here = root / path
    if str(path).isascii() or os.path.lexists(here):
        return here
    here = root
    for part in path.parts:
        here /= part if os.path.lexists(here / part) else _uncomposed(here, part)
    return here


def _uncomposed(folder: Path, name: str) -> str:
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208
    return next((other for other in names if _composed(other) == name), name)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _walk(root: Path, on_error: Callable[[OSError], None]) -> Iterator[str]:
    """Files, relative to the root and by the names they have."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, onerror=on_error, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not zips.is_hidden(name))
        here = Path(folder).relative_to(root)
        yield from (str(here / name) for name in names if not zips.is_hidden(name))


def _by_name(names: Iterable[str], suffixes: Collection[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        if _suffix(name) in suffixes:
            _check_decodable(name)
            found[_composed(name)].append(name)
    return found


def _check_decodable(name: str) -> None:
    """Python keeps bytes that it cannot decode as lone surrogates."""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise DataError(ascii(name), "its name is not UTF-8", "Unpack the zip with unzip -O cp949")


def _in_zip(path: Path, suffixes: Collection[str]) -> tuple[list[str], list[Problem]]:
    """Places of problems are relative to the zip."""
    try:
        found = zips.listing(path)
    except DataError as error:
        return [], [replace(error.problem, place="")]
    return (
        [name for name in found.members if _suffix(name) in suffixes],
        [fault for fault in found.problems if _suffix(fault.place) in {*suffixes, zips.SUFFIX}],
    )


def _pieces(names: Iterable[str]) -> list[Problem]:
    """A problem for each zip that lies there in pieces only."""
    names = set(names)
    found = {match["whole"]: match["start"] for match in map(_PIECE.fullmatch, names) if match}
    return [
        Problem(f"{start}*", "a zip in pieces", f"Join them: `{_joining(whole, start)}`")
        for whole, start in found.items()
        if whole not in names
    ]


def _joining(whole: str, start: str) -> str:
    name, pieces = (shlex.quote(PurePosixPath(path).name) for path in (whole, start))
    return f"printf '%s\\0' {pieces}* | sort -zV | xargs -0 cat > {name}"


def _unlisted(root: Path, error: OSError) -> Problem:
    place = os.path.relpath(error.filename, root)
    problem = f"the folder cannot be listed ({error.strerror})"
    return Problem(place, problem, "See that it may be read")
