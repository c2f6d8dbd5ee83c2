"""From what was found in a data set to an index that a model can be trained and measured on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Final

from yololstm.catalogue import Found
from yololstm.clips import NORMAL, SPLITS, UNLABELLED, Clip, Span, main_label
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.splits import by_take

_PLACE: Final = "data.root"
_SHOWN: Final = 3


def build(
    found: Found,
    *,
    labels: Sequence[str],
    val_share: float,
    test_share: float,
    seed: int,
    max_left_out: float,
) -> list[Clip]:
    """The clips that were found, ordered by clip_id, each in a split.

    Takes of "train" are held back for val and for test, whichever the data set itself does not
    name; both are shares of the takes that stand in "train" before. max_left_out: the share of
    what was found that may have faults.

    Raises EmptyError where nothing was found. Raises DataError where too much has faults, where a
    clip bears another label than ``labels`` or normal, where clips of one take stand in different
    splits (the model would be measured on what it learned from), or where train or test shows no
    clip of one of ``labels``.
    """
    _check_found(found, max_left_out)
    _check_labels(found.clips, labels)
    _check_takes(found.clips)
    clips = _held_back(found.clips, val_share, test_share, seed)
    if missing := [*gaps(clips, labels, "train"), *gaps(clips, labels, "test")]:
        raise DataError(_PLACE, "; ".join(missing), "Add takes, or take the label out of labels")
    return sorted(clips, key=lambda clip: clip.clip_id)


def gaps(clips: Sequence[Clip], labels: Sequence[str], split: str) -> list[str]:
    """A sentence for each label that a split does not show; none where no clip has labels."""
    if all(clip.split == UNLABELLED for clip in clips):
        return []
    shown = {label for clip in clips if clip.split == split for label in _shown(clip)}
    return [f"{split} has no clip of {label}" for label in labels if label not in shown]


def report(found: Found, clips: Sequence[Clip]) -> dict[str, object]:
    """Numbers of clips and of takes by split and label, of clips by camera, and what was left
    out and why."""
    left_out = sorted([*found.problems, *found.unmapped])
    return {
        "clips": _by_split_and_label(clips),
        "takes": _by_split_and_label({clip.take: clip for clip in clips}.values()),
        "cameras": dict(Counter(clip.camera or "unnamed" for clip in clips)),
        "hours": sum(clip.duration_s for clip in clips) / 3600,
        "left_out": len(left_out),
        "left_out_for_faults": len(found.problems),
        "problems": [asdict(problem) for problem in left_out],
    }


def summary(found: Found, clips: Sequence[Clip]) -> str:
    """One line for a person."""
    counts = Counter(clip.split or "unlabelled" for clip in clips)
    splits = ", ".join(
        f"{counts[split]} {split}" for split in (*SPLITS, "unlabelled") if counts[split]
    )
    takes = len({clip.take for clip in clips})
    left_out = len(found.problems) + len(found.unmapped)
    return f"{len(clips)} clips of {takes} takes ({splits}); {left_out} left out"


# --- checks ---


def _check_found(found: Found, max_left_out: float) -> None:
    if not found.clips:
        problem = f"no clip was found{_examples([*found.problems, *found.unmapped])}"
        raise EmptyError(_PLACE, problem, "Check data.kind and data.root, and unzip what is zipped")
    n_faults, n = len(found.problems), len(found.clips) + len(found.problems)
    if n_faults / n > max_left_out:
        problem = (
            f"{n_faults} of {n} have faults ({n_faults / n:.0%}), more than data.max_left_out"
            f" ({max_left_out:.0%}){_examples(found.problems)}"
        )
        raise DataError(_PLACE, problem, "Mend them, or raise data.max_left_out")


def _examples(problems: Sequence[Problem]) -> str:
    shown = "; ".join(f"{problem.place}: {problem.problem}" for problem in problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f" ({shown}{more})" if problems else ""


def _check_labels(clips: Sequence[Clip], labels: Sequence[str]) -> None:
    borne = {span.label for clip in clips for span in clip.spans}
    if unknown := sorted(borne - {*labels, NORMAL}):
        problem = f"clips are labelled {', '.join(unknown)}, which labels does not name"
        raise DataError(_PLACE, problem, "Add it to labels in params.yaml")


def _check_takes(clips: Sequence[Clip]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for clip in clips:
        splits[clip.take].add(clip.split)
    torn = sorted(take for take, of_take in splits.items() if len(of_take) > 1)
    if torn:
        where = " and ".join(sorted(splits[torn[0]]))
        more = f", and {len(torn) - 1} other takes" if len(torn) > 1 else ""
        remedy = "Keep all clips of a take on one side; rename them where it is not one take"
        raise DataError(torn[0], f"clips of this take stand in {where}{more}", remedy)


# --- splits and numbers ---


def _held_back(clips: Sequence[Clip], val_share: float, test_share: float, seed: int) -> list[Clip]:
    named = {clip.split for clip in clips}
    splits = by_take(
        _labels_of_takes(clip for clip in clips if clip.split == "train"),
        val_share=0.0 if "val" in named else val_share,
        test_share=0.0 if "test" in named else test_share,
        seed=seed,
    )
    return [replace(clip, split=splits.get(clip.take, clip.split)) for clip in clips]


def _labels_of_takes(clips: Iterable[Clip]) -> dict[str, str]:
    """Each take's label: that of its longest abnormal span, over all its cameras."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for clip in clips:
        spans[clip.take].extend(clip.spans)
    return {take: main_label(of_take) for take, of_take in spans.items()}


def _shown(clip: Clip) -> set[str]:
    """Labels that a clip has time of; what no span covers is normal."""
    whole = any(s.start_s <= 0 and s.end_s >= clip.duration_s for s in clip.spans)
    return {span.label for span in clip.spans} | (set() if whole else {NORMAL})


def _by_split_and_label(clips: Iterable[Clip]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if clip.split == UNLABELLED:
            counts["unlabelled"]["unlabelled"] += 1
        else:
            counts[clip.split][clip.label] += 1
    return {split: dict(labels) for split, labels in counts.items()}
