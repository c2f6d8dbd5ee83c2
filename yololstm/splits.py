"""Which clips a model learns from, and which are kept to measure it."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from yololstm.clips import IGNORED, NORMAL, SPLITS, UNLABELLED, UNUSED, Clip, Span, main_label
from yololstm.errors import DataError

By = Literal["take", "store", "camera"]

_PLACE: Final = "data.split"


def assign(
    clips: Sequence[Clip],
    *,
    by: By,
    held_out: str,
    official: bool,
    val_share: float,
    test_share: float,
    seed: int,
) -> list[Clip]:
    """The same clips, each in train, val or test; those of no split stay so, or become UNUSED.

    by: take holds a share of the takes out for test; store all clips of one store; camera all
    clips of one camera, of the takes that are held out: what other cameras saw of these takes, and
    what this camera saw of the others, is UNUSED.
    held_out: that store or camera; empty for the first in order.
    official: keep the data set's own val and test where it has them. Stores cut across them.

    Raises DataError where no clip is of the store or camera to be held out.
    """
    labelled = [clip for clip in clips if clip.split != UNLABELLED]
    if not official or by == "store":
        labelled = [replace(clip, split="train") for clip in labelled]
    match by:
        case "take":
            placed = _held_back(labelled, val_share, test_share, seed)
        case "store":
            name = _held_out(labelled, by, held_out)
            parted = [replace(c, split="test") if c.store == name else c for c in labelled]
            placed = _held_back(parted, val_share, 0.0, seed)
        case "camera":
            name = _held_out(labelled, by, held_out)
            placed = [
                clip if (clip.camera == name) == (clip.split == "test") else _unused(clip)
                for clip in _held_back(labelled, val_share, test_share, seed)
            ]
    return _with_unlabelled(placed, clips)


def fold(clips: Sequence[Clip], number: int, n: int, *, val_share: float, seed: int) -> list[Clip]:
    """The same clips with every ``n``th take as test, from ``number`` on, 0 <= number < n.

    Each take is test in one fold of n; val is a share of the other takes. The data set's own
    splits do not count.
    """
    labelled = [replace(c, split="train") for c in clips if c.split != UNLABELLED]
    takes = _drawn(_labels_of_takes(labelled), seed)
    test = {take for i, take in enumerate(t for group in takes for t in group) if i % n == number}
    placed = [replace(c, split="test") if c.take in test else c for c in labelled]
    return _with_unlabelled(_held_back(placed, val_share, 0.0, seed), clips)


def by_take(
    labels: Mapping[str, str], *, val_share: float, test_share: float, seed: int
) -> dict[str, str]:
    """A split for every take: "train", "val" or "test".

    labels: take -> its label. Each label is divided alike: at least one of its takes stays in
    train, and from three takes on it is in every split whose share is above 0. Takes are drawn in
    the order of a hash of seed and name.
    """
    splits = dict.fromkeys(labels, "train")
    for drawn in _drawn(labels, seed):
        n_val, n_test = _numbers_held_out(len(drawn), val_share, test_share)
        # From both ends of the order, so that a take that is added moves at most one other over
        # either border.
        splits |= dict.fromkeys(drawn[:n_test], "test")
        splits |= dict.fromkeys(drawn[len(drawn) - n_val :], "val")
    return splits


def check(clips: Sequence[Clip], labels: Sequence[str], by: By) -> list[str]:
    """What is missing that one can go on without.

    Raises DataError where train shows no clip of one of ``labels``; or test, unless it is what one
    store or camera happened to see.
    """
    missing = {split: gaps(clips, labels, split) for split in SPLITS}
    fatal = missing["train"] + (missing["test"] if by == "take" else [])
    if fatal:
        raise DataError(
            _PLACE,
            "; ".join(fatal),
            "Add takes, hold out another part, or take the label out of labels",
        )
    return missing["val"] + missing["test"]


def gaps(clips: Sequence[Clip], labels: Sequence[str], split: str) -> list[str]:
    """A sentence for each label that a split does not show; none where no clip has labels."""
    if all(clip.split == UNLABELLED for clip in clips):
        return []
    shown = {label for clip in clips if clip.split == split for label in _shown(clip)}
    return [f"{split} has no clip of {label}" for label in labels if label not in shown]


def report(clips: Sequence[Clip]) -> dict[str, Any]:
    """Numbers of clips, of takes and of hours, by split and label."""
    named = {clip.split or "unlabelled" for clip in clips}
    takes = {(clip.split, clip.take): clip for clip in clips}.values()
    return {
        "clips": _by_split_and_label(clips),
        "takes": _by_split_and_label(takes),
        "hours": {
            name: sum(c.duration_s for c in clips if (c.split or "unlabelled") == name) / 3600
            for name in sorted(named)
        },
    }


def summary(clips: Sequence[Clip]) -> str:
    """One line for a person."""
    counts = Counter(clip.split or "unlabelled" for clip in clips)
    shown = (*SPLITS, UNUSED, "unlabelled")
    return ", ".join(f"{counts[split]} {split}" for split in shown if counts[split])


# --- takes ---


def _held_back(clips: Sequence[Clip], val_share: float, test_share: float, seed: int) -> list[Clip]:
    """Takes of "train" are held back for val and for test, whichever has no clips yet."""
    named = {clip.split for clip in clips}
    splits = by_take(
        _labels_of_takes(clip for clip in clips if clip.split == "train"),
        val_share=0.0 if "val" in named else val_share,
        test_share=0.0 if "test" in named else test_share,
        seed=seed,
    )
    return [
        replace(clip, split=splits[clip.take]) if clip.split == "train" else clip for clip in clips
    ]


def _held_out(clips: Sequence[Clip], by: By, name: str) -> str:
    values = sorted({getattr(clip, by) for clip in clips} - {""})
    if not values:
        raise DataError(_PLACE, f"no clip says its {by}", "Choose data.split: take")
    if len(values) == 1:
        raise DataError(_PLACE, f"all clips are of {by} {values[0]}", "Choose data.split: take")
    if name and name not in values:
        raise DataError(
            "data.held_out", f"there is no {by} {name!r}", f"Known are {', '.join(values)}"
        )
    if nameless := [clip for clip in clips if not getattr(clip, by)]:
        problem = f"{len(nameless)} clips do not say their {by}, for example {nameless[0].path}"
        raise DataError(_PLACE, problem, "Take them out of the data, or choose data.split: take")
    return name or values[0]


def _labels_of_takes(clips: Iterable[Clip]) -> dict[str, str]:
    """Each take's label: that of its longest abnormal span, over all its cameras."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for clip in clips:
        spans[clip.take].extend(clip.spans)
    return {take: main_label(of_take) for take, of_take in spans.items()}


def _drawn(labels: Mapping[str, str], seed: int) -> list[list[str]]:
    """The takes of each label, in the order of a draw."""
    groups: dict[str, list[str]] = defaultdict(list)
    for take, label in labels.items():
        groups[label].append(take)

    def draw(take: str) -> bytes:
        return hashlib.sha256(f"{seed}:{take}".encode()).digest()

    return [sorted(groups[label], key=draw) for label in sorted(groups)]


def _numbers_held_out(n: int, val_share: float, test_share: float) -> tuple[int, int]:
    """Numbers of takes for val and test out of ``n``; what is scarce goes to train, then test."""
    kept_for_val = 1 if val_share > 0 and n >= 3 else 0
    n_test = min(_ceil(test_share * n), n - 1 - kept_for_val)
    n_val = min(_ceil(val_share * n), n - 1 - n_test)
    return n_val, n_test


def _ceil(value: float) -> int:
    # 0.1 * 30 is 3.0000000000000004, which means 3.
    return math.ceil(round(value, 9))


# --- clips ---


def _unused(clip: Clip) -> Clip:
    return replace(clip, split=UNUSED)


def _with_unlabelled(placed: Sequence[Clip], clips: Sequence[Clip]) -> list[Clip]:
    unlabelled = [clip for clip in clips if clip.split == UNLABELLED]
    return sorted([*placed, *unlabelled], key=lambda clip: clip.clip_id)


def _shown(clip: Clip) -> set[str]:
    """Labels that a clip has time of; what no span covers is normal."""
    labels = {span.label for span in clip.spans} - {IGNORED}
    return labels | (set() if clip.is_covered else {NORMAL})


def _by_split_and_label(clips: Iterable[Clip]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if clip.split == UNLABELLED:
            counts["unlabelled"]["unlabelled"] += 1
        else:
            counts[clip.split][clip.label] += 1
    return {split: dict(labels) for split, labels in counts.items()}
