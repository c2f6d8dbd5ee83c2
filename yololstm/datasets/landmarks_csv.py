"""Landmarks that were made elsewhere: ``<root>/{train,val,test}/*.csv``, or ``<root>/*.csv``.

Two formats, both of the Azure Kinect's joints in pixels, a row for each body in each frame:

- 38 columns, of the project before this one: ``NUMOFBODIES, ID``, 17 joints x ``_X, _Y``,
  ``FRAME_NUM, label``; labels are 0 theft, 1 assault, 2 damage, 3 normal. Its normal rows come from
  MediaPipe: they have 13 joints and no FRAME_NUM, and are taken to be 3 a second.
- 55 columns, of AI-Hub: the same with ``_CONFIDENCE_LEVEL`` 0 to 3 for each joint and TIMESTAMP.

Without the column ``label``, as AI-Hub has it, clips are UNLABELLED.

FRAME_NUM counts frames of a source at 30 frames a second, of which every tenth was kept. Its gaps
are gaps in time. A clip ends where FRAME_NUM falls or the label changes, and in rows without
FRAME_NUM where the middle of the hips moves by more than two torso lengths from one row to the
next: 3 m/s or more, so another person or another video. Each clip is a take of its own, unless the
file is named as AI-Hub names it: then the name says the take.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yololstm import naming
from yololstm.catalogue import Found, OnItem, collect, whole_clip
from yololstm.clips import NORMAL, SPLITS, UNLABELLED, Clip
from yololstm.errors import AnnotationError
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.material import Material
from yololstm.skeleton import HIPS, JOINTS, N_JOINTS, torso_length

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LABELS: Final = ("theft", "assault", "damage", NORMAL)
_TRUNK: Final = ("PELVIS", "SPINE_NAVAL", "SPINE_CHEST", "NECK")
_KINECT: Final = (*JOINTS, *_TRUNK)
_X: Final = tuple(f"{joint}_X" for joint in _KINECT)
_Y: Final = tuple(f"{joint}_Y" for joint in _KINECT)
_LEVELS: Final = tuple(f"{joint}_CONFIDENCE_LEVEL" for joint in _KINECT)
_ALIASES: Final = {"SPINE_NAVA_CONFIDENCE_LEVEL": "SPINE_NAVAL_CONFIDENCE_LEVEL"}
_OLD: Final = frozenset(("NUMOFBODIES", "ID", *_X, *_Y, "FRAME_NUM"))
_AIHUB: Final = _OLD | {*_LEVELS, "TIMESTAMP"}

_SOURCE_FPS: Final = 30
_KEPT_EVERY: Final = 10
_JUMP_TORSOS: Final = 2.0
_BOX_MARGIN: Final = 0.05
_MAX_FRAME: Final = 10_000_000
_MAX_PIXEL: Final = 1e6
#: Half a million rows; parsed, they take some thirty times as much memory.
_MAX_BYTES: Final = 2**26
#: A clip of rows; what is longer is a mistake in FRAME_NUM.
_MAX_HOURS: Final = 3
_KINECT_SIZE: Final = (1920, 1080)
_SIZES: Final = (_KINECT_SIZE, (2560, 1440), (3840, 2160))
_CORRECT: Final = "Correct the file, or take it out of the data"


@dataclass(frozen=True)
class _Table:
    """N rows of one file. A row in which nobody was seen has no known joint."""

    line: NDArray[np.intp]
    """(N,) line of the file; 1 is the header."""
    frame: Floats
    """(N,) FRAME_NUM; NaN where it is empty."""
    body: Floats
    """(N,) ID"""
    label: NDArray[np.intp] | None
    """(N,) index into _LABELS; None where the file has no labels."""
    xy: Floats
    """(N, 17, 2) pixels, our 13 joints first; NaN where absent."""
    confidence: Floats
    """(N, 17) in 0..1; 0 where absent."""

    def __len__(self) -> int:
        return len(self.line)

    def __getitem__(self, rows: slice) -> _Table:
        return _Table(
            self.line[rows],
            self.frame[rows],
            self.body[rows],
            None if self.label is None else self.label[rows],
            self.xy[rows],
            self.confidence[rows],
        )


@dataclass(frozen=True)
class _Timing:
    """When the rows of one clip were seen."""

    frame: NDArray[np.int32]
    """(N,) counted from 0 at ``fps``."""
    fps: Fraction

    @property
    def n_frames(self) -> int:
        return int(self.frame[-1]) + 1


@dataclass(frozen=True)
class LandmarksCsvReader:
    _last: dict[tuple[Material, str], _Table] = field(default_factory=dict, repr=False)
    """The file that was read last: its clips are asked for one after the other."""

    def read(self, material: Material, on_item: OnItem | None = None) -> Found:
        self._last.clear()
        listing = material.listing({".csv"})
        found = collect(partial(self._clips, material), listing.paths, on_item, listing=listing)
        return replace(found, clips=naming.with_takes_joined(found.clips))

    def landmarks(self, material: Material, clip: Clip) -> Landmarks | None:
        path, _, rows = clip.path.rpartition("#row=")
        table = self._table(material, path)
        try:
            first, last = map(int, rows.split("-"))
        except ValueError as error:
            raise AnnotationError(
                clip.path, "names no rows", "Run the index stage again"
            ) from error
        start, stop = np.searchsorted(table.line, [first, last + 1])
        if start == stop:
            raise AnnotationError(clip.path, "no such rows", "Run the index stage again")
        return _landmarks(table[start:stop], clip)

    def _table(self, material: Material, path: str) -> _Table:
        if (material, path) not in self._last:
            self._keep(material, path, _read(material.read_bytes(path, _MAX_BYTES), path))
        return self._last[material, path]

    def _keep(self, material: Material, path: str, table: _Table) -> _Table:
        self._last.clear()
        self._last[material, path] = table
        return table

    def _clips(self, material: Material, path: PurePosixPath) -> Iterable[Clip]:
        content = material.read_bytes(path, _MAX_BYTES)
        lines = content.splitlines(keepends=True)
        table = self._keep(material, str(path), _read(content, str(path)))
        name = naming.parse(path.stem)
        for part in _cut_into_clips(table):
            timing = _timing(part, str(path))
            first, last = int(part.line[0]), int(part.line[-1])
            rows = b"".join(lines[first - 1 : last])
            label = UNLABELLED if part.label is None else _LABELS[part.label[0]]
            duration_s = float(timing.n_frames / timing.fps)
            width, height = _size(part)
            yield Clip(
                clip_id=f"{path.stem}_{first}-{last}",
                path=f"{path}#row={first}-{last}",
                sha256=sha256(rows).hexdigest(),
                bytes=len(rows),
                fps=timing.fps,
                n_frames=timing.n_frames,
                width=width,
                height=height,
                take=name.take if name.camera else f"{path.with_suffix('')}_{first}-{last}",
                store=name.store,
                camera=name.camera,
                actors=name.actors,
                split=_split(path) if label else UNLABELLED,
                annotation="",
                annotation_sha256="",
                spans=whole_clip(label, duration_s) if label else (),
            )


def _split(path: PurePosixPath) -> str:
    folder = path.parts[0].lower()
    return folder if len(path.parts) > 1 and folder in SPLITS else "train"


# --- from text to numbers ---


def _read(content: bytes, file: str) -> _Table:
    """Raises AnnotationError, naming the line, where the file is of no known format."""
    lines: list[int] = []
    cells = array("d")  # a list of rows of text would be four times as large
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        columns = [_ALIASES.get(name.strip(), name.strip()) for name in next(reader, [])]
        _check_columns(columns, file)
        for row in reader:
            if row:
                lines.append(reader.line_num)
                cells.extend(_numbers(row, columns, f"{file}:{reader.line_num}"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(file, f"cannot be read as CSV ({error})", _CORRECT) from error
    if not lines:
        raise AnnotationError(f"{file}:2", "there is no row below the header", _CORRECT)
    return _table(columns, lines, np.array(cells).reshape(len(lines), len(columns)), file)


def _check_columns(columns: Sequence[str], file: str) -> None:
    expected = _AIHUB if set(columns) & set(_LEVELS) else _OLD
    unknown = [name for name in columns if name not in expected and name != "label"]
    missing = sorted(expected.difference(columns))
    twice = sorted({name for name in columns if columns.count(name) > 1})
    wrong = (("unknown", unknown), ("missing", missing), ("repeated", twice))
    if faults := [f"{what} {_first_of(names)}" for what, names in wrong if names]:
        remedy = "Known are the 38 columns of the old project and the 55 of AI-Hub's Kinect files"
        raise AnnotationError(f"{file}:1", f"columns are not known: {'; '.join(faults)}", remedy)


def _first_of(names: Sequence[str], n: int = 3) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(repr(name) for name in names[:n]) + more


def _table(columns: list[str], lines: list[int], cells: Floats, file: str) -> _Table:
    place = {name: i for i, name in enumerate(columns)}

    def columns_of(names: Sequence[str]) -> Floats:
        return cells[:, [place[name] for name in names]]

    line = np.array(lines)
    frame, label = cells[:, place["FRAME_NUM"]], _optional(cells, place.get("label"))
    xy = np.stack([columns_of(_X), columns_of(_Y)], axis=-1)
    level = columns_of(_LEVELS) if _LEVELS[0] in place else np.full(xy.shape[:2], 3.0)
    for column, wrong, allowed in (
        ("a coordinate", (np.abs(xy) > _MAX_PIXEL).any(axis=(1, 2)), "a place in an image"),
        ("a CONFIDENCE_LEVEL", ~((level >= 0) & (level <= 3)).all(axis=1), "0 to 3"),
        ("FRAME_NUM", ~_is_count(frame), f"empty or a whole number of 0 to {_MAX_FRAME}"),
        ("label", _is_no_label(label, len(line)), "0, 1, 2 or 3"),
    ):
        if wrong.any():
            raise AnnotationError(
                f"{file}:{line[wrong][0]}", f"{column} is not {allowed}", _CORRECT
            )
    xy[(xy == 0).all(axis=(1, 2))] = np.nan
    xy[~np.isfinite(xy).all(axis=-1) | (level == 0)] = np.nan
    return _Table(
        line,
        frame,
        body=np.nan_to_num(cells[:, place["ID"]]),
        label=None if label is None else label.astype(np.intp),
        xy=xy,
        confidence=np.where(np.isfinite(xy[..., 0]), level / 3, 0.0),
    )


def _optional(cells: Floats, column: int | None) -> Floats | None:
    return None if column is None else cells[:, column]


def _is_count(values: Floats) -> Flags:
    whole = (values >= 0) & (values <= _MAX_FRAME) & (values % 1 == 0)
    return np.asarray(whole | np.isnan(values))


def _is_no_label(label: Floats | None, n: int) -> Flags:
    return np.zeros(n, dtype=np.bool_) if label is None else ~np.isin(label, range(len(_LABELS)))


def _numbers(row: list[str], columns: list[str], place: str) -> list[float]:
    """NaN for an empty cell and for the time stamp, which nobody needs."""
    if len(row) != len(columns):
        problem = f"{len(row)} cells below {len(columns)} columns"
        raise AnnotationError(place, problem, _CORRECT)
    try:
        numbers = [
            math.nan if name == "TIMESTAMP" else float(text or "nan")
            for name, text in zip(columns, row, strict=True)
        ]
    except ValueError:
        numbers = [math.inf]
    if any(map(math.isinf, numbers)):
        column, text = next(cell for cell in zip(columns, row, strict=True) if _is_faulty(*cell))
        problem = f"{column} is {text[:20]!r}, not a finite number"
        raise AnnotationError(place, problem, _CORRECT)
    return numbers


def _is_faulty(column: str, text: str) -> bool:
    try:
        return column != "TIMESTAMP" and math.isinf(float(text or "nan"))
    except ValueError:
        return True


# --- from rows to clips ---


def _cut_into_clips(table: _Table) -> Iterator[_Table]:
    frame, label = table.frame, table.label
    timeless = np.isnan(frame)
    cut: Flags = (frame[1:] < frame[:-1]) | (timeless[1:] != timeless[:-1])
    if label is not None:
        cut |= label[1:] != label[:-1]
    cut |= timeless[1:] & _jumps(table.xy[:, :N_JOINTS])[1:]
    edges = [0, *(np.flatnonzero(cut) + 1), len(table)]
    for start, stop in itertools.pairwise(edges):
        yield table[start:stop]


def _jumps(xy: Floats) -> Flags:
    """(N,) is this another person than in the last row that shows hips and shoulders?

    Compared with the smaller of the two torsos: a person far away who is suddenly near has moved
    by many lengths of the small one.
    """
    torso = torso_length(xy)
    known = np.flatnonzero(np.isfinite(torso))
    hips, torso = xy[known][:, HIPS].mean(axis=1), torso[known]
    moved = np.linalg.norm(np.diff(hips, axis=0), axis=-1)
    jumps = np.zeros(len(xy), dtype=np.bool_)
    jumps[known[1:]] = moved > _JUMP_TORSOS * np.minimum(torso[1:], torso[:-1])
    return jumps


def _timing(part: _Table, file: str) -> _Timing:
    if np.isnan(part.frame[0]):
        counted = np.arange(len(part), dtype=np.int32)
        return _Timing(counted, Fraction(_SOURCE_FPS, _KEPT_EVERY))
    since = (part.frame - part.frame[0]).astype(np.int32)
    if len(late := np.flatnonzero(since > _MAX_HOURS * 3600 * _SOURCE_FPS)):
        problem = f"FRAME_NUM is more than {_MAX_HOURS} hours after the clip's first"
        raise AnnotationError(f"{file}:{part.line[late[0]]}", problem, _CORRECT)
    # Every tenth frame of the source, unless this clip was kept more densely.
    step = math.gcd(_KEPT_EVERY, *since.tolist())
    seen: set[tuple[int, float]] = set()
    for line, key in zip(
        part.line, zip(since.tolist(), part.body.tolist(), strict=True), strict=True
    ):
        if key in seen:
            problem = "ID and FRAME_NUM are those of an earlier row of the clip"
            raise AnnotationError(f"{file}:{line}", problem, _CORRECT)
        seen.add(key)
    return _Timing(since // step, Fraction(_SOURCE_FPS, step))


def _size(part: _Table) -> tuple[int, int]:
    """Of the frames. The Kinect's are known; of rows without FRAME_NUM nobody has noted it, and
    the smallest usual size that holds all points is taken."""
    if not np.isnan(part.frame[0]):
        return _KINECT_SIZE
    known = part.xy[np.isfinite(part.xy[..., 0])]
    far = known.max(axis=0, initial=0)
    return next((size for size in _SIZES if (far <= size).all()), _SIZES[-1])


def _landmarks(part: _Table, clip: Clip) -> Landmarks:
    timing = _timing(part, clip.path)
    _, body = np.unique(part.body, return_inverse=True)
    nobody = np.asarray(np.isnan(part.xy[:, :N_JOINTS, 0]).all(axis=1))
    order = np.lexsort((body, timing.frame))
    rows = order[~nobody[order]]
    frame = timing.frame[rows]
    return Landmarks(
        frame=frame,
        time_s=frame / float(timing.fps),
        category=np.full(len(rows), Category.PERSON, dtype=np.uint8),
        track=(body[rows] + 1).astype(np.int32),
        score=np.full(len(rows), np.nan, dtype=np.float32),
        box=_boxes(part.xy[rows]),
        xy=part.xy[rows, :N_JOINTS].astype(np.float32),
        confidence=part.confidence[rows, :N_JOINTS].astype(np.float32),
        source=Source(clip.width, clip.height, timing.fps, timing.n_frames, "landmarks CSV"),
    )


def _boxes(xy: Floats) -> NDArray[np.float32]:
    """(N, 4) around the known joints, wider by a share of the box's longer side."""
    low, high = np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)
    margin = _BOX_MARGIN * (high - low).max(axis=1, keepdims=True)
    return np.hstack([low - margin, high + margin]).astype(np.float32)
