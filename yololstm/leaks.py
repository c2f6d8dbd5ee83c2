"""Leaks: what stands on both sides of the split, so that a test measures memory, not skill.

Only clips of train, val and test count. What is set aside or unlabelled can leak nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from yololstm.clips import IGNORED, NORMAL, SPLITS, Clip
from yololstm.errors import DataError, Problem
from yololstm.windows import Windows

_SHOWN: Final = 3


def torn_takes(clips: Sequence[Clip]) -> list[Problem]:
    """Takes with clips in two splits: the same act, filmed by two cameras, would be learned from
    one and tested on the other."""
    remedy = (
        "Run the split stage again; where the data set itself divides the take, set data.official"
        " to false"
    )
    return [
        Problem(take, f"this take is in {_by_split(group)}", remedy)
        for take, group in _in_two_splits(clips, lambda clip: clip.take)
    ]


def identical(clips: Sequence[Clip]) -> list[Problem]:
    """Clips of the same bytes in two splits."""
    return [
        Problem(
            group[0].path,
            f"the same bytes are in {_by_split(group)}",
            "Keep one of the files, and run the index stage again",
        )
        for _, group in _in_two_splits(clips, lambda clip: clip.sha256)
    ]


def shortcuts(clips: Sequence[Clip], labels: Collection[str]) -> list[Problem]:
    """Labels that only one store, or only one camera, has, though there are more of them.

    Such a label can be told by the place alone, and no split shows it. Clips without any event
    count as normal; a clip whose store or camera is not known says nothing about it.
    """
    kinds: tuple[tuple[str, Callable[[Clip], str]], ...] = (
        ("store", lambda clip: clip.store),
        ("camera", lambda clip: clip.camera),
    )
    used = _used(clips)
    return [problem for kind, place in kinds for problem in _shortcuts(used, labels, kind, place)]


def _shortcuts(
    clips: Sequence[Clip], labels: Collection[str], kind: str, place: Callable[[Clip], str]
) -> Iterator[Problem]:
    places: dict[str, set[str]] = {label: set() for label in labels}
    for clip in clips:
        for label in _labels(clip).intersection(labels) if place(clip) else ():
            places[label].add(place(clip))
    known = set().union(*places.values())
    for label, having in places.items():
        if len(having) == 1 and len(known) > 1:
            yield Problem(
                label,
                f"only {kind} {min(having)} has it, of {len(known)} {kind}s: it can be told by the"
                " place alone",
                f"Add clips of {label} from another {kind}, or leave that {kind} out",
            )


def _labels(clip: Clip) -> set[str]:
    if clip.label == NORMAL:
        return {NORMAL}
    return {span.label for span in clip.spans} - {NORMAL, IGNORED}


def shared_tracks(windows: Mapping[str, Windows]) -> list[Problem]:
    """windows: by split. One person's track, or one take, that has windows in two splits."""
    remedy = "Run the segment stage again, with the splits that are in use"
    tracks = {split: _pairs(part.clip, part.track) for split, part in windows.items()}
    takes = {split: set(part.take.tolist()) - {""} for split, part in windows.items()}
    return [
        *(
            Problem(f"{clip}, track {track}", f"has windows in {' and '.join(splits)}", remedy)
            for (clip, track), splits in _in_two(tracks)
        ),
        *(
            Problem(take, f"this take has windows in {' and '.join(splits)}", remedy)
            for take, splits in _in_two(takes)
        ),
    ]


def _pairs(clip: NDArray[np.str_], track: NDArray[np.int32]) -> set[tuple[str, int]]:
    return set(zip(clip.tolist(), track.tolist(), strict=True))


def _in_two(members: Mapping[str, set[Any]]) -> Iterator[tuple[Any, list[str]]]:
    splits: dict[Any, list[str]] = defaultdict(list)
    for split, having in members.items():
        for member in having:
            splits[member].append(split)
    return ((member, splits[member]) for member in sorted(splits) if len(splits[member]) > 1)


def _used(clips: Iterable[Clip]) -> list[Clip]:
    return [clip for clip in clips if clip.split in SPLITS]


def _in_two_splits(
    clips: Iterable[Clip], key: Callable[[Clip], str]
) -> Iterator[tuple[str, list[Clip]]]:
    groups: dict[str, list[Clip]] = defaultdict(list)
    for clip in _used(clips):
        groups[key(clip)].append(clip)
    for name in sorted(filter(None, groups)):
        if len({clip.split for clip in groups[name]}) > 1:
            yield name, sorted(groups[name], key=lambda clip: clip.path)


def _by_split(clips: Sequence[Clip]) -> str:
    """train (a, b) and test (c)"""
    ids = {split: [clip.clip_id for clip in clips if clip.split == split] for split in SPLITS}
    return " and ".join(f"{split} ({_some(names)})" for split, names in ids.items() if names)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def between_splits(
    clips: Sequence[Clip], windows: Mapping[str, Windows]
) -> dict[str, list[Problem]]:
    """What the gates of this module find, by their name."""
    return {
        "torn_takes": torn_takes(clips),
        "identical": identical(clips),
        "shared_tracks": shared_tracks(windows),
    }


def report(found: Mapping[str, Sequence[Problem]], doubts: Sequence[Problem]) -> dict[str, Any]:
    """found: problems by gate; doubts: what one may go on with."""
    return {
        "found": {gate: len(problems) for gate, problems in found.items()},
        "problems": {gate: [vars(p) for p in problems] for gate, problems in found.items()},
        "warnings": [vars(doubt) for doubt in doubts],
    }


def check(found: Mapping[str, Sequence[Problem]]) -> None:
    """found: problems by gate. Raises DataError with the first, and how many there are."""
    if problems := [problem for gate in found.values() for problem in gate]:
        first, n = problems[0], len(problems)
        told = f"{first.problem} (one of {n} leaks)" if n > 1 else first.problem
        raise DataError(first.place, told, first.remedy)
