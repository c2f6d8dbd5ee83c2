"""AI-Hub's names for the files of its shop data sets, and which of them are of one take.

    C_3_12_1_BU_DYA_07-31_16-15-01_CA_RGB_DF2_M1       71550, abnormal behaviour
    C_1_1_10_BU_DYA_08-13_14-41-55_CA_DF1_F1_F1        71549, normal shopping
                store       time   camera actors

A take is the name without the camera. Its cameras are started by hand, seconds apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from yololstm.clips import Clip

_NAME: Final = re.compile(
    r"(?P<scene>.+)_(?P<time>\d\d-\d\d-\d\d)_(?P<camera>C[A-Z])(?P<actors>_.+)?"
)
_SHOPPING: Final = re.compile(r"C_1_.+")
#: Before the date: C_3_12_1_BU_DYA_07-31
_STORE: Final = re.compile(r"_(?P<store>[A-Z]+)_\d\d-\d\d$")
_RGB: Final = re.compile(r"^_RGB(?=_|$)")
#: Cameras of one take are started by hand, seconds apart; a take lasts a minute.
_SAME_TAKE_S: Final = 30


class Name(NamedTuple):
    """What the name of a file says; all but the take may be empty."""

    take: str
    store: str
    camera: str
    actors: str
    is_shopping: bool


def parse(stem: str) -> Name:
    """A name of another form is a take of its own."""
    stem = stem.upper()
    is_shopping = _SHOPPING.fullmatch(stem) is not None
    name = _NAME.fullmatch(stem)
    if name is None:
        return Name(stem, "", "", "", is_shopping)
    actors = name["actors"] or ""
    store = _STORE.search(name["scene"])
    return Name(
        take=f"{name['scene']}_{name['time']}{actors}",
        store=store["store"] if store else "",
        camera=name["camera"],
        actors=_RGB.sub("", actors).removeprefix("_"),
        is_shopping=is_shopping,
    )


class _Start(NamedTuple):
    """When the cameras of one name were started."""

    second: int
    take: str
    cameras: frozenset[str]


def with_takes_joined(clips: Sequence[Clip]) -> list[Clip]:
    """Takes whose names differ by a few seconds only are one: the first of them."""
    cameras: dict[tuple[str, str], dict[tuple[int, str], set[str]]] = defaultdict(
        lambda: defaultdict(set)
    )
    for clip in clips:
        if name := _NAME.fullmatch(PurePosixPath(clip.path).stem.upper()):
            scene = (name["scene"], name["actors"] or "")
            cameras[scene][_seconds(name["time"]), clip.take].add(name["camera"])
    first: dict[str, str] = {}
    for of_scene in cameras.values():
        starts = [_Start(*start, frozenset(seen)) for start, seen in sorted(of_scene.items())]
        first.update(_first_takes(starts))
    return [replace(clip, take=first.get(clip.take, clip.take)) for clip in clips]


def _first_takes(starts: Iterable[_Start]) -> dict[str, str]:
    """The take that each belongs to: the latest that began seconds before, none of whose cameras
    would film it twice. starts: of one scene, in order of time."""
    takes: list[_Start] = []
    first = {}
    for start in starts:
        takes = [take for take in takes if start.second - take.second < _SAME_TAKE_S]
        fitting = (take for take in reversed(takes) if not take.cameras & start.cameras)
        take = next(fitting, start)
        first[start.take] = take.take
        if take in takes:
            takes.remove(take)
        takes.append(_Start(start.second, take.take, take.cameras | start.cameras))
    return first


def _seconds(time: str) -> int:
    hours, minutes, seconds = map(int, time.split("-"))
    return (hours * 60 + minutes) * 60 + seconds
