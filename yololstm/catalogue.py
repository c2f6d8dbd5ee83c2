"""What a data set is found to hold: the part of reading that all kinds of data set share."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

from yololstm import storage
from yololstm.clips import NORMAL, Clip, Span
from yololstm.errors import AnnotationError, DataError, Problem
from yololstm.video import VideoInfo

Item = TypeVar("Item")
OnItem = Callable[[], None]


class UnmappedError(AnnotationError):
    """An event that is known and sound, but that data.label_map gives no label."""


@dataclass(frozen=True)
class Found:
    """clips: ordered by clip_id; their paths are relative to the data root.

    problems: a fault each, for which one file was left out; unmapped: clips left out for an event
    that data.label_map does not name. Places are relative to the data root.
    """

    clips: list[Clip]
    problems: list[Problem]
    unmapped: list[Problem] = field(default_factory=list)


def files(root: Path, suffixes: Collection[str]) -> list[PurePosixPath]:
    """Files below ``root``, at any depth, with one of these suffixes in any case; sorted.

    Links to folders are followed, each folder once. Hidden files, such as macOS leaves in its
    zips, do not count. Raises DataError where there is no such folder, or where a name is not
    Unicode, as when a Korean zip was unpacked without its encoding.
    """
    if not root.is_dir():
        raise DataError(root, "no such folder", "Set data.root to where the data set is")
    paths = sorted(
        PurePosixPath(path.relative_to(root))
        for path in _walk(root)
        if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )
    for path in paths:
        if _is_undecodable(path):
            shown = ascii(str(path))
            raise DataError(shown, "its name is not UTF-8", "Unpack the zip with unzip -O cp949")
    return paths


def _is_undecodable(path: PurePosixPath) -> bool:
    """Python keeps bytes that it cannot decode as lone surrogates."""
    return any("\ud800" <= letter <= "\udfff" for letter in str(path))


def _walk(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names)


def collect(
    make: Callable[[Item], Iterable[Clip]],
    items: Iterable[Item],
    root: Path,
    on_item: OnItem | None = None,
) -> Found:
    """Call ``make`` on every item, in threads; what its DataErrors leave out is listed.

    on_item: called after each item, in this thread.
    """
    found = Found([], [])

    def outcome(item: Item) -> list[Clip] | DataError:
        try:
            return list(make(item))
        except DataError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for result in pool.map(outcome, items):
            if isinstance(result, UnmappedError):
                found.unmapped.append(_below(root, result.problem))
            elif isinstance(result, DataError):
                found.problems.append(_below(root, result.problem))
            else:
                found.clips.extend(result)
            if on_item is not None:
                on_item()
    return Found(_with_unique_ids(found.clips), sorted(found.problems), sorted(found.unmapped))


def video_clip(
    root: Path,
    path: PurePosixPath,
    info: VideoInfo,
    *,
    take: str,
    camera: str,
    split: str,
    spans: tuple[Span, ...],
) -> Clip:
    file = root / path
    return Clip(
        clip_id=path.stem,
        path=str(path),
        sha256=storage.sha256(file),
        bytes=file.stat().st_size,
        fps=info.fps,
        n_frames=info.n_frames,
        width=info.width,
        height=info.height,
        take=take,
        camera=camera,
        split=split,
        spans=spans,
    )


def whole_clip(label: str, duration_s: float) -> tuple[Span, ...]:
    """The spans of a clip that shows ``label`` from end to end; see clips.main_label for normal."""
    return () if label == NORMAL else (Span(0.0, duration_s, label),)


def _below(root: Path, problem: Problem) -> Problem:
    """The same problem, placed relative to the data root, which differs from machine to machine."""
    return replace(problem, place=problem.place.removeprefix(f"{root}{os.sep}"))


def _with_unique_ids(clips: list[Clip]) -> list[Clip]:
    """Clips that share a clip_id get their folder in front, and if need be a number behind.

    Case does not tell ids apart, because they become names of files.
    """
    clips = sorted(clips, key=lambda clip: clip.path)
    stems = Counter(clip.clip_id.casefold() for clip in clips)
    taken = {stem for stem, n in stems.items() if n == 1}
    unique = []
    for clip in clips:
        clip_id = clip.clip_id
        if stems[clip_id.casefold()] > 1:
            clip_id = _free("-".join([*PurePosixPath(clip.path).parent.parts, clip_id]), taken)
            taken.add(clip_id.casefold())
        unique.append(replace(clip, clip_id=clip_id))
    return sorted(unique, key=lambda clip: clip.clip_id)


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], numbered) if n.casefold() not in taken)
