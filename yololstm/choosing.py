"""Which clips to show, where there are too many for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import TypeVar

from yololstm.clips import NORMAL, Clip

T = TypeVar("T")


def choose(clips: Iterable[Clip], n: int) -> list[Clip]:
    """n clips, always the same ones: labels take turns, and within a label its takes do."""
    by_label: defaultdict[str, defaultdict[str, list[Clip]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for clip in sorted(
        clips, key=lambda clip: (clip.label == NORMAL, clip.label, clip.take, clip.clip_id)
    ):
        by_label[clip.label][clip.take].append(clip)
    return _in_turns(_in_turns(takes.values()) for takes in by_label.values())[:n]


def _in_turns(groups: Iterable[Sequence[T]]) -> list[T]:
    return [item for turn in zip_longest(*groups) for item in turn if item is not None]
