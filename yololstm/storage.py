"""Tables and arrays on disk. Every write is atomic; every read checks what it reads."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from yololstm.clips import SPLITS, UNLABELLED, UNUSED, Box, Clip, Span
from yololstm.errors import AnnotationError, DataError, LandmarksError, YololstmError
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.skeleton import FEATURES, JOINTS, N_JOINTS
from yololstm.windows import Windows, WindowSpec

LandmarksFormat = Literal["parquet", "csv"]

UNFINISHED: Final = ".writing-"
"""Starts the name of a file that is being written, or was when its writer was killed."""

_BOX: Final = ("x0", "y0", "x1", "y1")
_CONFIDENCES: Final = tuple(f"{joint}_CONFIDENCE" for joint in JOINTS)
LANDMARKS_COLUMNS: Final = (
    *("frame", "time_s", "category", "track", "score"),
    *_BOX,
    *FEATURES,
    *_CONFIDENCES,
)
_INDEX_COLUMNS: Final = tuple(Clip.__dataclass_fields__)
_SPLITS_COLUMNS: Final = ("clip_id", "split")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that replaces it when the block ends without an error.

    It has the same suffix, because writers of video and of models go by it. Raises YololstmError
    where the disk is full, and where a folder or a device is in the place of the file.
    """
    if path.exists() and not path.is_file():
        raise YololstmError(path, "it is there and is no file", "Name another one to write")
    with _room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not the name itself, which may be as long as names can be.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED, suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o644)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        problem = f"it cannot be written ({os.strerror(error.errno)})"
        raise YololstmError(path, problem, "Make room there and run it again") from error


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- JSON and small CSV: reports and plot data ---


def write_json(path: Path, value: Any) -> None:
    """Sorted, indented, floats rounded to 6 digits. ValueError where a number is NaN or infinite,
    which JSON cannot say."""
    text = json.dumps(
        _rounded(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    with atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Raises DataError where there is no such file, or it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(path, f"cannot be read ({error})", "Run the stage that makes it") from error


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _rounded(value.tolist())
    if isinstance(value, float):
        return round(value, 6)
    return value


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


# --- the clip index ---


def write_index(path: Path, clips: Sequence[Clip]) -> None:
    write_rows(path, _INDEX_COLUMNS, (_clip_to_row(clip) for clip in clips))


def _clip_to_row(clip: Clip) -> list[object]:
    row = {name: getattr(clip, name) for name in _INDEX_COLUMNS}
    row["fps"] = f"{clip.fps.numerator}/{clip.fps.denominator}"
    spans = [_span_to_json(span) for span in clip.spans]
    row["spans"] = json.dumps(spans, ensure_ascii=False)
    return list(row.values())


def _span_to_json(span: Span) -> dict[str, object]:
    value: dict[str, object] = {
        "start_s": round(span.start_s, 4),
        "end_s": round(span.end_s, 4),
        "label": span.label,
    }
    if span.box is not None:
        value["box"] = [round(side, 2) for side in span.box]
    return value


def read_index(path: Path) -> list[Clip]:
    """Raises AnnotationError, naming the line, where the file is not such an index."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _INDEX_COLUMNS:
                raise AnnotationError(
                    f"{path}:1", "not a clip index of this version", "Run the index stage again"
                )
            return [_clip_from_row(row, f"{path}:{reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, f"cannot be read ({error})", "Run the index stage") from error


def _clip_from_row(row: Mapping[str, str], place: str) -> Clip:
    try:
        spans = tuple(_span_from_json(value) for value in json.loads(row["spans"]))
        return Clip(
            clip_id=row["clip_id"],
            path=row["path"],
            sha256=row["sha256"],
            bytes=int(row["bytes"]),
            fps=Fraction(row["fps"]),
            n_frames=int(row["n_frames"]),
            width=int(row["width"]),
            height=int(row["height"]),
            take=row["take"],
            store=row["store"],
            camera=row["camera"],
            actors=row["actors"],
            split=row["split"],
            annotation=row["annotation"],
            annotation_sha256=row["annotation_sha256"],
            spans=spans,
        )
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise AnnotationError(
            place, f"unreadable clip ({error})", "Run the index stage again"
        ) from error


def _span_from_json(value: Mapping[str, Any]) -> Span:
    box = Box(*map(float, value["box"])) if "box" in value else None
    return Span(float(value["start_s"]), float(value["end_s"]), str(value["label"]), box)


def write_splits(path: Path, clips: Iterable[Clip]) -> None:
    write_rows(path, _SPLITS_COLUMNS, ((clip.clip_id, clip.split) for clip in clips))


def read_clips(index: Path, splits: Path) -> list[Clip]:
    """The clips of an index, each in the split that ``splits`` gives it.

    Raises DataError where the two do not name the same clips.
    """
    clips = read_index(index)
    split_of = _read_splits(splits)
    if set(split_of) != {clip.clip_id for clip in clips}:
        raise DataError(splits, f"names other clips than {index}", "Run the split stage again")
    return [replace(clip, split=split_of[clip.clip_id]) for clip in clips]


def _read_splits(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        if tuple(header) != _SPLITS_COLUMNS or any(len(row) != 2 for row in rows):
            raise ValueError(f"columns {header}")
        if unknown := {split for _, split in rows} - {*SPLITS, UNUSED, UNLABELLED}:
            raise ValueError(f"split {min(unknown)!r}")
        if len(split_of := dict(rows)) < len(rows):
            raise ValueError("a clip stands twice")
        return split_of
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(path, f"cannot be read ({error})", "Run the split stage") from error


# --- landmarks ---


def write_landmarks(path: Path, landmarks: Landmarks) -> None:
    """Parquet or CSV by the suffix of ``path``. In CSV the source stands in no column and is kept
    in ``#`` lines above the header, which pandas skips with ``comment="#"``."""
    with atomic(path) as temporary:
        if path.suffix == ".csv":
            with temporary.open("w", newline="", encoding="utf-8") as file:
                file.write(f"# {_source_to_json(landmarks.source)}\n")
                table = _landmarks_to_table(landmarks)
                table.to_csv(file, index=False, lineterminator="\n")
        else:
            temporary.write_bytes(landmarks_to_parquet(landmarks))


def landmarks_to_parquet(landmarks: Landmarks) -> bytes:
    """What write_landmarks writes."""
    table = pa.Table.from_pandas(_landmarks_to_table(landmarks), preserve_index=False)
    source = {"source": _source_to_json(landmarks.source)}
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(source), buffer)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def read_landmarks(path: Path) -> Landmarks:
    """Raises LandmarksError where the file is damaged or its columns are not ours."""
    with _reading_landmarks(path):
        if path.suffix != ".csv":
            return landmarks_from_parquet(path.read_bytes(), path)
        return _landmarks_from_table(pd.read_csv(path, comment="#"), read_source(path))


def read_source(path: Path) -> Source:
    """Of a landmarks file, without reading the rest of it. Raises LandmarksError as read_landmarks
    does."""
    with _reading_landmarks(path):
        if path.suffix != ".csv":
            return _source_of(pq.read_schema(path))
        with path.open(encoding="utf-8") as file:
            return _source_from_json(file.readline().removeprefix("# "))


def landmarks_from_parquet(content: bytes, path: Path) -> Landmarks:
    """What read_landmarks reads. path: for the LandmarksError."""
    with _reading_landmarks(path):
        table = pq.read_table(pa.BufferReader(content))
        return _landmarks_from_table(table.to_pandas(), _source_of(table.schema))


@contextmanager
def _reading_landmarks(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError, pa.ArrowException) as error:
        raise LandmarksError(
            path, f"unreadable landmarks ({error})", "Delete it and run the extract stage again"
        ) from error


def landmarks_files(folder: Path) -> dict[str, Path]:
    """The landmarks file of each clip that has one, by clip_id."""
    return {path.stem: path for path in sorted(folder.iterdir())}


def _landmarks_to_table(landmarks: Landmarks) -> pd.DataFrame:
    n = len(landmarks)
    return pd.DataFrame(
        {
            "frame": landmarks.frame,
            "time_s": landmarks.time_s.round(6),
            "category": [Category(value).name.lower() for value in landmarks.category],
            "track": landmarks.track,
            "score": landmarks.score,
            **dict(zip(_BOX, landmarks.box.T, strict=True)),
            **dict(zip(FEATURES, landmarks.xy.reshape(n, len(FEATURES)).T, strict=True)),
            **dict(zip(_CONFIDENCES, landmarks.confidence.T, strict=True)),
        },
        columns=list(LANDMARKS_COLUMNS),
    )


def _landmarks_from_table(table: pd.DataFrame, source: Source) -> Landmarks:
    if tuple(table.columns) != LANDMARKS_COLUMNS:
        raise ValueError(f"columns {list(table.columns)[:6]}...")

    def array(*columns: str) -> np.ndarray:
        return table[list(columns)].to_numpy(dtype=np.float32)

    return Landmarks(
        frame=table["frame"].to_numpy(dtype=np.int32),
        time_s=table["time_s"].to_numpy(dtype=np.float64),
        category=np.array([Category[name.upper()] for name in table["category"]], dtype=np.uint8),
        track=table["track"].to_numpy(dtype=np.int32),
        score=table["score"].to_numpy(dtype=np.float32),
        box=array(*_BOX),
        xy=array(*FEATURES).reshape(-1, N_JOINTS, 2),
        confidence=array(*_CONFIDENCES),
        source=source,
    )


def _source_to_json(source: Source) -> str:
    return json.dumps(
        {**vars(source), "fps": f"{source.fps.numerator}/{source.fps.denominator}"},
        sort_keys=True,
        ensure_ascii=False,
    )


def _source_of(schema: pa.Schema) -> Source:
    return _source_from_json((schema.metadata or {})[b"source"].decode())


def _source_from_json(text: str) -> Source:
    value = json.loads(text)
    return Source(**{**value, "fps": Fraction(value["fps"])})


# --- windows ---


def write_windows(path: Path, windows: Windows) -> None:
    """One uncompressed npz whose bytes depend on nothing but the windows."""
    with atomic(path) as temporary:
        arrays: dict[str, Any] = {**windows.arrays(), "spec": np.array(windows.spec.to_json())}
        np.savez(temporary, **arrays)


def read_windows(path: Path) -> Windows:
    """Raises LandmarksError where the file is damaged or of another version."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        spec = WindowSpec.from_json(str(arrays.pop("spec")))
        return Windows.from_arrays(arrays, spec)
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise LandmarksError(
            path, f"unreadable windows ({error})", "Delete it and run the segment stage again"
        ) from error
