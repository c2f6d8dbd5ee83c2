"""Tables of landmarks in the old format, and which of their clips are to be measured on."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from yololstm import splits
from yololstm.clips import NORMAL, Clip
from yololstm.datasets import reader
from yololstm.errors import AnnotationError, DataError, EmptyError
from yololstm.landmarks import Landmarks
from yololstm.material import Material
from yololstm.skeleton import HIPS, torso_length

ROOT: Final = Path(__file__).parents[1]
ABNORMAL: Final = ("theft", "assault", "damage")

Seen = Sequence[tuple[Clip, Landmarks]]


@dataclass(frozen=True)
class Source:
    """Where the clips are, and which of them are test: those of test/, or one part of a file's."""

    path: Path
    """A folder, or with parts one file."""
    parts: int = 0
    by: str = "clip"
    """How a file is divided, a name in DIVISIONS."""


@lru_cache(maxsize=1)
def clips(source: Source) -> Seen:
    """Every clip with its landmarks, in the order of the tables.

    Raises DataError where the path is not there, AnnotationError where a table is of another
    format, EmptyError where nothing is to be learned from or measured on.
    """
    if source.parts:
        return _of_file(source.path)
    seen = _of_folder(source.path)
    for split in ("train", "test"):
        if not any(clip.split == split for clip, _ in seen):
            problem = f"no labelled clip in {split}/"
            raise EmptyError(source.path, problem, "Put tables into train/ and into test/")
    # A val/ that somebody has put there is more to learn from.
    return [(replace(c, split="train") if c.split == "val" else c, marks) for c, marks in seen]


def labels_of(seen: Seen, source: Source) -> list[tuple[str, ...]]:
    """The three abnormal labels, and all four where normal can be learned and measured.
    Raises EmptyError where one of the three cannot."""
    parts = ("",) if source.parts else ("train", "test")
    lacking = {
        label: part
        for label in (*ABNORMAL, NORMAL)
        for part in parts
        if sum(c.label == label and part in ("", c.split) for c, _ in seen) < max(source.parts, 1)
    }
    for label in ABNORMAL:
        if label in lacking:
            where = lacking[label] or f"{source.parts} parts"
            raise EmptyError(source.path, f"too few clips of {label} for {where}", "Add some")
    return [ABNORMAL] if NORMAL in lacking else [ABNORMAL, (*ABNORMAL, NORMAL)]


# --- one part to test on ---


def divided(seen: Seen, source: Source, part: int) -> Seen:
    """Clips with their split; seen: those to divide."""
    if not source.parts:
        return seen
    test = DIVISIONS[source.by](seen, source.parts, part)
    return [
        (replace(clip, split="test" if clip.clip_id in test else "train"), marks)
        for clip, marks in seen
    ]


def by_clip(seen: Seen, parts: int, part: int) -> set[str]:
    """Drawn at random, label by label, always the same."""
    placed = splits.fold([clip for clip, _ in seen], part, parts, val_share=0.0, seed=0)
    return {clip.clip_id for clip in placed if clip.split == "test"}


def by_order(seen: Seen, parts: int, part: int) -> set[str]:
    """Each label's clips as they follow one another in the table: the first ones, the next ..."""
    of_label = defaultdict(list)
    for clip, _ in seen:
        of_label[clip.label].append(clip.clip_id)
    return {ids[i] for ids in of_label.values() for i in _part(len(ids), parts, part)}


def by_place(seen: Seen, parts: int, part: int) -> set[str]:
    """By where in the picture and how large the person is, from one end of what varies most to the
    other: as near as one table comes to a camera that was never seen. Labels fall as they do."""
    where = np.array([_place(marks) for _, marks in seen])
    apart = (where - where.mean(axis=0)) / where.std(axis=0)
    axis = np.linalg.eigh(np.cov(apart.T))[1][:, -1]
    order = np.argsort(apart @ axis, kind="stable")
    return {seen[order[i]][0].clip_id for i in _part(len(seen), parts, part)}


DIVISIONS: Final[dict[str, Callable[[Seen, int, int], set[str]]]] = {
    "clip": by_clip,
    "order": by_order,
    "place": by_place,
}


def _part(n: int, parts: int, part: int) -> range:
    return range(n * part // parts, n * (part + 1) // parts)


def _place(marks: Landmarks) -> tuple[float, float, float]:
    """The hips' middle and the torso's length, over a clip."""
    xy = marks.xy.astype(np.float64)
    x, y = np.nanmean(xy[:, HIPS], axis=(0, 1))
    return x, y, np.log(np.nanmedian(torso_length(xy)))


# --- files ---


def _of_file(path: Path) -> Seen:
    if not path.is_file():
        raise DataError(path, "no such file", "Name one table of landmarks (.csv)")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, path.name).symlink_to(path.resolve())
        return _of_folder(Path(folder))


def _of_folder(root: Path) -> Seen:
    if not root.is_dir():
        raise DataError(root, "no such folder", "Name one that holds train/*.csv and test/*.csv")
    csv, material = reader("landmarks_csv", {}), Material(root, ROOT / ".cache" / "material")
    found = csv.read(material)
    if found.problems:
        first = found.problems[0]
        raise AnnotationError(root / first.place, first.problem, first.remedy)
    labelled = [clip for clip in found.clips if clip.split]
    if not labelled:
        raise EmptyError(root, "no labelled clip in any .csv", "Give the tables a column 'label'")
    known = ((clip, csv.landmarks(material, clip)) for clip in sorted(labelled, key=_row))
    return [(clip, marks) for clip, marks in known if marks is not None]


def _row(clip: Clip) -> tuple[str, int]:
    path, _, rows = clip.path.rpartition("#row=")
    return path, int(rows.partition("-")[0])
