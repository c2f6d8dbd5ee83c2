"""Pictures with persons in them that a pose model finds, and data sets a detector learns from."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from yololstm import weights
from yololstm.detector import ultralytics
from yololstm.sample import boxes, making
from yololstm.sample.filming import film
from yololstm.sample.takes import Settings
from yololstm.video import Image

ROOT = Path(__file__).parents[1]
SQUARES = {0: "person", 1: "apple", 2: "backpack"}


def pose_model() -> Path:
    """The real bundle; its absence fails a test with the command that fetches it."""
    return weights.pose_landmarker(ROOT / ".cache" / "models")


def needs_openvino() -> None:
    """Skips where it is not installed, without importing it: that would tell Intel so."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("real weights are OpenVINO exports, and openvino is not installed")


def squares(folder: Path, names: dict[int, str] = SQUARES, n: int = 8) -> Path:
    """A YOLO data set of coloured squares, a colour for each class; returns its data.yaml."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            image = np.full((64, 64, 3), 90, dtype=np.uint8)
            lines = []
            for category in names:
                x, y = rng.integers(0, 40, size=2)
                image[y : y + 20, x : x + 20] = np.roll((250, 30, 30), category)
                lines.append(f"{category} {(x + 10) / 64} {(y + 10) / 64} {20 / 64} {20 / 64}\n")
            cv2.imwrite(str(folder / "images" / split / f"{number}.jpg"), image)
            (folder / "labels" / split / f"{number}.txt").write_text("".join(lines))
    data = folder / "data.yaml"
    listed = "".join(f"  {category}: {name}\n" for category, name in names.items())
    data.write_text(f"train: images/train\nval: images/val\nnames:\n{listed}")
    return data


def untaught_pose(
    folder: Path, *, person: str = "person", keypoints: tuple[int, int] = (17, 3)
) -> Path:
    """Weights of YOLO-pose that have learned nothing."""
    library = ultralytics()
    config = library.utils.ROOT / "cfg" / "models" / "11" / "yolo11-pose.yaml"
    layers = yaml.safe_load(config.read_text(encoding="utf-8"))
    (folder / "yolo11n-pose.yaml").write_text(
        yaml.safe_dump(layers | {"nc": 1, "kpt_shape": list(keypoints)}), encoding="utf-8"
    )
    yolo = library.YOLO(str(folder / "yolo11n-pose.yaml"), task="pose")
    yolo.model.names = {0: person}
    yolo.save(folder / "pose.pt")
    return folder / "pose.pt"


SETTINGS = Settings(seed=7, takes=2, seconds=8, fps=3, width=1280, height=720, detector_images=4)


@functools.cache
def still() -> tuple[Image, NDArray[np.float32]]:
    """A picture of a shop with persons, and their boxes (N, 4)."""
    image, found = boxes.take_still(boxes.stills(SETTINGS)[0])
    persons = [thing.box for thing in found if thing.category == 0]
    return image, np.array(persons, dtype=np.float32)


def film_one(tree: Path) -> None:
    """An AI-Hub tree with one clip of two dozen frames, and its annotation."""
    job = making.clips(SETTINGS, tree)[0]
    film(job.take, job.camera, job.video, job.labels)
