"""Small data sets on disk, of real videos, with what each reader should find in them."""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

from yololstm import datasets, video
from yololstm.material import Material
from yololstm.skeleton import FEATURES

LABELS = ("theft", "assault", "damage", "normal")
LABEL_MAP = {"theft": "theft", "fight": "assault", "broken": "damage"}
SIZE = (64, 48)
N_FRAMES = 12
FPS = Fraction(3)

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tree:
    """A data set without fault, and a file that may be written over to put one in."""

    kind: str
    root: Path
    n_clips: int
    victim: str

    def reader(self) -> datasets.DatasetReader:
        return datasets.reader(self.kind, LABEL_MAP, LABELS)

    @property
    def material(self) -> Material:
        return material(self.root)


def material(root: Path) -> Material:
    return Material(root, root.parent / "cache")


@cache
def mp4_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mp4"
        with video.writing(path, FPS, *SIZE) as writer:
            for i in range(N_FRAMES):
                writer.write(np.full((SIZE[1], SIZE[0], 3), 20 * i, dtype=np.uint8))
        return path.read_bytes()


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_video(path: Path, content: bytes = b"") -> Path:
    """Each name has bytes of its own in each folder."""
    own = os.fsencode("/".join(path.parts[-2:]))
    return put(path, content or mp4_bytes() + _free_box(own))


def put_zip(path: Path, members: Mapping[str, Path]) -> Path:
    """members: by name, the files that are their content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as zipped:
        for name, file in members.items():
            zipped.write(file, name)
    return path


def _free_box(content: bytes) -> bytes:
    """A part of an MP4 file that players pass over: ISO/IEC 14496-12, 8.1.2."""
    return struct.pack(">I4s", 8 + len(content), b"free") + content


# --- AI-Hub ---


def track(label: str, frames: Sequence[int], box: Corners = (10, 10, 30, 40)) -> str:
    """Boxes at ``frames``; each but those in a row is followed by one that is outside."""
    x0, y0, x1, y1 = box
    shape = f'xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}"/>'
    shapes = [
        f'<box frame="{frame + i}" outside="{i}" occluded="0" {shape}'
        for frame in frames
        for i in (0, 1)
    ]
    return f'<track label="{label}">\n' + "\n".join(shapes) + "\n</track>"


def keypoint(label: str, at: Mapping[int, tuple[float, float]]) -> str:
    points = [f'<points frame="{f}" outside="0" points="{x},{y}"/>' for f, (x, y) in at.items()]
    return f'<track label="{label}">\n' + "\n".join(points) + "\n</track>"


def event(name: str, start: int = 3, end: int = 9, box: Corners = (10, 10, 30, 40)) -> str:
    return track(f"{name}_start", [start], box) + track(f"{name}_end", [end], box)


def annotation(*tracks: str, size: tuple[int, int] = SIZE, n_frames: object = N_FRAMES) -> str:
    width, height = size
    frames = f"<original_size><width>{width}</width><height>{height}</height></original_size>"
    meta = f"<annotations>{task(f'<size>{n_frames}</size>', frames)}"
    head = '<?xml version="1.0" encoding="utf-8"?>'
    return "\n".join([head, meta, *tracks, "</annotations>", ""])


def task(*elements: str) -> str:
    """It declares labels that no track bears, as CVAT does."""
    labels = "<labels><label><name>theft_start</name></label></labels>"
    return f"<meta><task><name>x</name>{labels}{''.join(elements)}</task></meta>"


def aihub_name(number: int = 12, scene: int = 1, camera: str = "CA", time: str = "16-15-01") -> str:
    return f"C_3_{number}_{scene}_BU_DYA_07-31_{time}_{camera}_RGB_DF2_M1"


def put_pair(root: Path, name: str, xml: str, part: str = "Training") -> None:
    put_video(root / part / "01.원천데이터" / f"{name}.mp4")
    put(root / part / "02.라벨링데이터" / f"{name}.xml", xml)


def aihub(root: Path) -> Tree:
    """5 takes of each label, of two cameras."""
    of_label = {"theft": (12,), "fight": (13,), "broken": (8,), "": (1,)}
    for prefix, (number,) in of_label.items():
        marks = [event(prefix)] if prefix else []
        for scene in range(5):
            for camera in ("CA", "CB"):
                head = keypoint("Center  head", {2: (20, 12), 4: (22, 13)})
                hand = keypoint("Left hand", {4: (25, 20)})
                put_pair(root, aihub_name(number, scene, camera), annotation(*marks, head, hand))
    victim = f"Training/02.라벨링데이터/{aihub_name(13, 0)}.xml"
    return Tree("aihub", root, 40, victim)


# --- folders ---


def folder(root: Path) -> Tree:
    for label in LABELS:
        for scene in range(5):
            for camera in ("cam1", "cam2"):
                put_video(root / label / f"{scene:03d}_{camera}.mp4")
    return Tree("folder", root, 40, "assault/000_cam1.mp4")


# --- CSV ---

_TRUNK = [
    f"{joint}_{a}" for joint in ("PELVIS", "SPINE_NAVAL", "SPINE_CHEST", "NECK") for a in "XY"
]
OLD_COLUMNS = ["NUMOFBODIES", "ID", *_TRUNK, *FEATURES, "FRAME_NUM", "label"]


def kinect_columns() -> list[str]:
    columns = ["NUMOFBODIES", "ID"]
    for x in OLD_COLUMNS[2:-2:2]:
        joint = x.removesuffix("_X")
        columns += [x, f"{joint}_Y", f"{joint}_CONFIDENCE_LEVEL"]
    columns[columns.index("SPINE_NAVAL_CONFIDENCE_LEVEL")] = "SPINE_NAVA_CONFIDENCE_LEVEL"
    return [*columns, "TIMESTAMP", "FRAME_NUM"]


def pose(x: float = 500, y: float = 300, torso: float = 100) -> dict[str, float]:
    """A person standing with the middle of the hips at (x, y)."""
    heights = {"SHOULDER": -1, "ELBOW": -0.5, "WRIST": 0, "HIP": 0, "KNEE": 0.8, "ANKLE": 1.6}
    at = {"HEAD": -1.4, "NECK": -1.1, "SPINE_CHEST": -0.7, "SPINE_NAVAL": -0.3, "PELVIS": 0.0}
    row = {}
    for joint, height in at.items():
        row |= {f"{joint}_X": x, f"{joint}_Y": y + torso * height}
    for joint, height in heights.items():
        for side, dx in (("LEFT", 0.2), ("RIGHT", -0.2)):
            row |= {f"{joint}_{side}_X": x + torso * dx, f"{joint}_{side}_Y": y + torso * height}
    return row


Row = Mapping[str, object]


def old_row(frame: object, label: object, x: float = 500, **more: object) -> Row:
    return {"NUMOFBODIES": 1, "ID": 0, **pose(x), "FRAME_NUM": frame, "label": label, **more}


def kinect_row(frame: int, body: int = 0, x: float = 500, level: object = 2, **more: object) -> Row:
    levels = {c: level for c in kinect_columns() if c.endswith("CONFIDENCE_LEVEL")}
    row = {"NUMOFBODIES": 1, "ID": body, **pose(x), **levels}
    return row | {"TIMESTAMP": "16:50:19:327", "FRAME_NUM": frame, **more}


def nobody(frame: int) -> Row:
    return dict.fromkeys(kinect_columns(), 0) | {"TIMESTAMP": "16:50:19:327", "FRAME_NUM": frame}


def csv_text(columns: Sequence[str], rows: Sequence[Row]) -> str:
    lines = [",".join(str(row.get(column, "")) for column in columns) for row in rows]
    return "\n".join([",".join(columns), *lines]) + "\n"


def landmarks_csv(root: Path) -> Tree:
    """10 clips of each label in two files, and an unlabelled one."""
    for number, name in enumerate(("first", "second")):
        rows = [
            old_row(
                "" if label == 3 else 400 + 10 * i,
                label,
                x=500 + 10 * number + clip + (label == 3) * 400 * clip,
            )
            for label in range(4)
            for clip in range(5)
            for i in range(6)
        ]
        put(root / f"{name}.csv", csv_text(OLD_COLUMNS, rows))
    kinect = [nobody(0), *(kinect_row(10 * i) for i in range(1, 8))]
    put(root / "kinect.csv", csv_text(kinect_columns(), kinect))
    return Tree("landmarks_csv", root, 41, "kinect.csv")


MAKERS = {"aihub": aihub, "folder": folder, "landmarks_csv": landmarks_csv}
