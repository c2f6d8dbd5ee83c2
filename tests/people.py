"""Synthetic people: landmarks with four behaviours that a small network can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from yololstm import storage
from yololstm.clips import NORMAL, Box, Clip, Span
from yololstm.landmarks import Landmarks, Source
from yololstm.skeleton import JOINTS

ROOT = Path(__file__).parents[1]
LABELS = ("theft", "assault", "damage", NORMAL)
SOURCE = Source(1280, 720, Fraction(3), 60, "synthetic")

# Somebody upright, facing the camera: hips at the origin, the torso 1 long, y down.
FIGURE = np.array(
    [
        *([0.35, -1], [0.45, -0.5], [0.5, 0]),
        *([-0.35, -1], [-0.45, -0.5], [-0.5, 0]),
        *([0.2, 0], [0.2, 0.8], [0.2, 1.6]),
        *([-0.2, 0], [-0.2, 0.8], [-0.2, 1.6]),
        [0, -1.5],
    ],
    dtype=np.float64,
)
_WRISTS = [JOINTS.index("WRIST_LEFT"), JOINTS.index("WRIST_RIGHT")]


def acting(label: str, time_s: NDArray[np.float64], rng: np.random.Generator) -> NDArray[Any]:
    """(n, 13, 2) pixels of one person who does what the label says."""
    xy = np.tile(FIGURE, (len(time_s), 1, 1))
    phase = np.sin(2 * np.pi * time_s * rng.uniform(0.4, 0.6) + rng.uniform(0, 6))
    wrist = rng.choice(_WRISTS)
    match label:
        case "theft":
            xy[:, wrist, 1] += 0.4 * phase
            xy[:, wrist, 0] *= 0.3
        case "assault":
            xy[:, _WRISTS, 0] += 0.9 * phase[:, None]
            xy[:, _WRISTS, 1] -= 0.9
        case "damage":
            xy[:, _WRISTS, 1] -= 1.2 + 0.8 * phase[:, None]
        case _:
            xy[..., 0] += 0.3 * time_s[:, None]
    torso = rng.uniform(60, 120)
    moved = xy * torso + rng.uniform([300, 250], [900, 350])
    return moved + rng.normal(0, 0.02 * torso, xy.shape)


def landmarks(
    people: Mapping[int, tuple[NDArray[np.float64], NDArray[Any]]], source: Source = SOURCE
) -> Landmarks:
    """people: by track, times (n,) and joints (n, 13, 2); NaN where absent."""
    rows = [
        (time, track, joints)
        for track, (times, xy) in people.items()
        for time, joints in zip(times, xy, strict=True)
    ]
    rows.sort(key=lambda row: row[:2])
    n = len(rows)
    time_s = np.array([row[0] for row in rows], dtype=np.float64)
    xy = np.array([row[2] for row in rows], dtype=np.float32).reshape(n, 13, 2)
    return Landmarks(
        frame=np.round(time_s * float(source.fps)).astype(np.int32),
        time_s=time_s,
        category=np.zeros(n, dtype=np.uint8),
        track=np.array([row[1] for row in rows], dtype=np.int32),
        score=np.ones(n, dtype=np.float32),
        box=boxes(xy),
        xy=xy,
        confidence=np.isfinite(xy[..., 0]).astype(np.float32),
        source=source,
    )


def boxes(xy: NDArray[Any]) -> NDArray[np.float32]:
    """(n, 4) around (n, 13, 2)."""
    known = np.isfinite(xy)
    low = np.where(known, xy, 1e6).min(axis=1)
    high = np.where(known, xy, -1e6).max(axis=1)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def clip(name: str, label: str, split: str, spans: Sequence[Span] = ()) -> Clip:
    return Clip(
        clip_id=name,
        path=f"{name}.mp4",
        sha256="0" * 64,
        bytes=1,
        fps=SOURCE.fps,
        n_frames=SOURCE.n_frames,
        width=SOURCE.width,
        height=SOURCE.height,
        take=name.rsplit("-", 1)[0],
        store="",
        camera="CA",
        actors="",
        split=split,
        annotation="",
        annotation_sha256="",
        spans=tuple(spans) or (() if label == NORMAL else (Span(0, 99, label),)),
    )


def project(
    folder: Path,
    splits: Mapping[str, int],
    labels: Sequence[str] = LABELS,
    **changes: Mapping[str, Any],
) -> Path:
    """A folder as the stages before segment leave it: so many clips of each label in each split."""
    rng = np.random.default_rng(0)
    time_s = np.arange(45) / 3
    clips = []
    for split, count in splits.items():
        for label in labels:
            for i in range(count):
                name = f"{split}_{label}_{i}-CA"
                clips.append(clip(name, label, split))
                seen = landmarks({1: (time_s, acting(label, time_s, rng))})
                storage.write_landmarks(folder / f"data/landmarks/{name}.parquet", seen)
    storage.write_index(folder / "data/index.csv", clips)
    storage.write_splits(folder / "data/splits.csv", clips)
    set_params(folder, **changes)
    return folder


def set_params(folder: Path, **changes: Any) -> None:
    """params.yaml as it is, but for the keys given, section by section."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, values in changes.items():
        if isinstance(values, Mapping):
            params[section].update(values)
        else:
            params[section] = values
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def around(xy: NDArray[Any], margin: float = 0) -> Box:
    x0, y0, x1, y1 = boxes(xy[None])[0].tolist()
    return Box(x0 - margin, y0 - margin, x1 + margin, y1 + margin)
