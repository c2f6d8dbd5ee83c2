"""What a data set is made of: counts, lengths, what is doubtful across its clips, and examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from yololstm import leaks
from yololstm.clips import NORMAL, UNLABELLED, Clip, Span
from yololstm.errors import Problem

Item = TypeVar("Item")

UNNAMED: Final = "unnamed"
"""Stands for a store, a camera or actors that nobody names,"""
WITHOUT_LABEL: Final = "unlabelled"
"""and this for the label of clips that nobody has labelled."""

_ODD_FACTOR: Final = 4.0
"""Clips so many times as long or short as the median are told,"""
_FAR_OUT: Final = 3.0
"""unless lengths vary anyhow: so far from the quartiles, in interquartile ranges of logarithms."""
_LEAD_IN_S: Final = 5.0


class View(NamedTuple):
    """Where clips were filmed."""

    store: str
    camera: str


@dataclass(frozen=True)
class Tally:
    """Of a group of clips. labels: numbers of clips by what they are as a whole."""

    clips: int
    takes: int
    hours: float
    labels: dict[str, int]


@dataclass(frozen=True)
class Census:
    """labels: those that were asked for, in their order, then others that clips bear; the other
    groups are ordered by name.

    views: numbers of clips by label, where there are any. lengths: seconds, of the clips of each
    label; span_lengths: of the spans that bear it.
    """

    whole: Tally
    labels: dict[str, Tally]
    stores: dict[str, Tally]
    cameras: dict[str, Tally]
    actors: dict[str, Tally]
    views: dict[View, dict[str, int]]
    lengths: dict[str, list[float]]
    span_lengths: dict[str, list[float]]


def count(clips: Sequence[Clip], labels: Sequence[str]) -> Census:
    by_label = _grouped(clips, _whole_label, first=labels)
    spans = [span for clip in clips for span in clip.spans]
    by_view = _grouped(clips, _view)
    return Census(
        whole=_tally(clips),
        labels={label: _tally(group) for label, group in by_label.items()},
        stores=_tallies(clips, lambda clip: clip.store),
        cameras=_tallies(clips, lambda clip: clip.camera),
        actors=_tallies(clips, lambda clip: clip.actors),
        views={view: _numbers_of_labels(group) for view, group in by_view.items()},
        lengths={
            label: [clip.duration_s for clip in group] for label, group in by_label.items() if group
        },
        span_lengths={
            label: [span.end_s - span.start_s for span in group]
            for label, group in _grouped(spans, lambda span: span.label, first=labels).items()
            if group
        },
    )


def to_json(census: Census) -> dict[str, Any]:
    """Numbers, nested by name; ``views`` by label, store and camera."""
    views: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for view, numbers in census.views.items():
        for label, n in numbers.items():
            views[label][view.store][view.camera] = n
    return {
        "clips": census.whole.clips,
        "takes": census.whole.takes,
        "hours": census.whole.hours,
        "labels": {
            label: {"clips": tally.clips, "takes": tally.takes, "hours": tally.hours}
            for label, tally in census.labels.items()
        },
        **{
            kind: {name: vars(tally) for name, tally in getattr(census, kind).items()}
            for kind in ("stores", "cameras", "actors")
        },
        "spans": {
            label: {"spans": len(lengths), "hours": sum(lengths) / 3600}
            for label, lengths in census.span_lengths.items()
        },
        "views": views,
    }


def _whole_label(clip: Clip) -> str:
    """What the clip is as a whole; WITHOUT_LABEL where nobody has said it."""
    return WITHOUT_LABEL if clip.split == UNLABELLED else clip.label


def _tallies(clips: Iterable[Clip], name: Callable[[Clip], str]) -> dict[str, Tally]:
    groups = _grouped(clips, lambda clip: name(clip) or UNNAMED)
    return {key: _tally(group) for key, group in groups.items()}


def _tally(clips: Sequence[Clip]) -> Tally:
    return Tally(
        clips=len(clips),
        takes=len({clip.take for clip in clips}),
        hours=sum(clip.duration_s for clip in clips) / 3600,
        labels=_numbers_of_labels(clips),
    )


def _numbers_of_labels(clips: Iterable[Clip]) -> dict[str, int]:
    return dict(sorted(Counter(map(_whole_label, clips)).items()))


def _view(clip: Clip) -> View:
    return View(clip.store or UNNAMED, clip.camera or UNNAMED)


def _grouped(
    items: Iterable[Item], key: Callable[[Item], Any], first: Sequence[str] = ()
) -> dict[Any, list[Item]]:
    """By key, in order; the keys of ``first`` stand first, if need be empty."""
    groups: dict[Any, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return {name: groups[name] for name in [*first, *sorted(groups.keys() - {*first})]}


# --- doubts ---


def doubts(clips: Sequence[Clip], labels: Sequence[str]) -> list[Problem]:
    """What no clip shows by itself: nothing is wrong for certain, but each should be looked at.

    In this order: a label that nothing shows, or only one store or camera; takes whose cameras
    disagree about the label, or that one camera filmed twice; clips far shorter or longer than
    the others.
    """
    return [
        *_never_shown(clips, labels),
        *leaks.shortcuts(clips, labels),
        *_disagreeing(clips),
        *_filmed_twice(clips),
        *_of_odd_length(clips),
    ]


def _never_shown(clips: Sequence[Clip], labels: Sequence[str]) -> Iterator[Problem]:
    labelled = [clip for clip in clips if clip.split != UNLABELLED]
    shown = {span.label for clip in labelled for span in clip.spans}
    if any(not clip.is_covered for clip in labelled):
        shown.add(NORMAL)
    for label in labels if labelled else ():
        if label not in shown:
            remedy = "Map an event to it in data.label_map, add clips, or take it out of labels"
            yield Problem(label, "no clip shows this label", remedy)


def _disagreeing(clips: Iterable[Clip]) -> Iterator[Problem]:
    labelled = (clip for clip in clips if clip.split != UNLABELLED)
    for take, group in _grouped(labelled, lambda clip: clip.take).items():
        by_label = _grouped(group, lambda clip: clip.label)
        if len(by_label) > 1:
            views = "; ".join(
                f"{label} to {', '.join(sorted(clip.camera or clip.path for clip in seeing))}"
                for label, seeing in by_label.items()
            )
            yield Problem(
                min(clip.path for clip in group),
                f"take {take} is not the same to all cameras: {views}",
                "Compare their annotations; a camera that cannot see the event may well differ",
            )


def _filmed_twice(clips: Iterable[Clip]) -> Iterator[Problem]:
    named = (clip for clip in clips if clip.camera)
    for (take, camera), group in _grouped(named, lambda clip: (clip.take, clip.camera)).items():
        first, *more = sorted(group, key=lambda clip: clip.path)
        for clip in more:
            problem = f"camera {camera} films take {take} a second time, after {first.path}"
            yield Problem(clip.path, problem, "Take it out if it is a copy, or correct its name")


def _of_odd_length(clips: Sequence[Clip]) -> Iterator[Problem]:
    timed = sorted((c for c in clips if c.duration_s > 0), key=lambda clip: clip.path)
    if not timed:
        return
    lengths = np.log([clip.duration_s for clip in timed])
    low, middle, high = np.quantile(lengths, [0.25, 0.5, 0.75])
    fence = _FAR_OUT * (high - low)
    least = min(middle - np.log(_ODD_FACTOR), low - fence)
    most = max(middle + np.log(_ODD_FACTOR), high + fence)
    for clip, length in zip(timed, lengths, strict=True):
        if not least <= length <= most:
            word = "short" if length < least else "long"
            yield Problem(
                clip.path,
                f"very {word}: {clip.duration_s:.1f} s, where half of the clips have"
                f" {np.exp(middle):.1f} s or less",
                "Check that it is one clip, and whole",
            )


# --- examples ---


@dataclass(frozen=True)
class Example:
    """A clip that stands for a label, and the moment at which to look at it.

    span: the first that bears the label; None where the clip as a whole is normal or unlabelled.
    """

    label: str
    clip: Clip
    span: Span | None

    @property
    def time_s(self) -> float:
        """The start of the span; else a little into the clip."""
        if self.span is not None:
            return self.span.start_s
        return min(_LEAD_IN_S, self.clip.duration_s / 2)


def examples(clips: Sequence[Clip], labels: Sequence[str], n: int = 3) -> list[Example]:
    """Up to ``n`` clips of each label, of as many stores and cameras as may be."""
    groups = _grouped(clips, _whole_label, first=labels)
    return [
        Example(label, clip, next((span for span in clip.spans if span.label == label), None))
        for label, group in groups.items()
        for clip in _varied(group, n)
    ]


def _varied(clips: Sequence[Clip], n: int) -> list[Clip]:
    """Each the most unlike those before it; of equals the first by clip_id."""
    rest = sorted(clips, key=lambda clip: clip.clip_id)
    chosen: list[Clip] = []
    stores: set[str] = set()
    cameras: set[str] = set()
    takes: set[str] = set()
    while rest and len(chosen) < n:
        clip = min(rest, key=lambda c: (c.store in stores, c.camera in cameras, c.take in takes))
        rest.remove(clip)
        chosen.append(clip)
        stores.add(clip.store)
        cameras.add(clip.camera)
        takes.add(clip.take)
    return chosen
