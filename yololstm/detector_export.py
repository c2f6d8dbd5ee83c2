"""A detector exported for CPUs, and how right it then still is.

ultralytics runs OpenVINO on the CPU even where there is CUDA: whoever has a GPU keeps the .pt.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from yololstm import detector
from yololstm.boxes import iou
from yololstm.detector import CATEGORIES, OPENVINO_SUFFIX, Detections, Detector
from yololstm.errors import ParamsError, WeightsError
from yololstm.landmarks import Category
from yololstm.yolo_data import YoloData

Kind = Literal["openvino", "openvino-int8"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_IMAGES: Final = 300
"""What 8 bits are chosen on and precision is measured on, at most: more change neither much."""
_NEEDED: Final = {"openvino": ("openvino",), "openvino-int8": ("openvino", "nncf")}
_SUFFIX: Final = {"openvino": OPENVINO_SUFFIX, "openvino-int8": f"_int8{OPENVINO_SUFFIX}"}
_TOLD: Final = ("version", "license", "stride", "task", "names", "channels", "end2end")
"""What is kept of an export's metadata. Dates and paths differ each time; without a size of image
it takes the one that it is asked for."""
_OVERLAPS: Final = np.arange(0.5, 1, 0.05)
"""At which COCO takes the mean of the average precision."""


def export(weights: Path, folder: Path, kind: Kind, imgsz: int, data: Path) -> Path:
    """Write weights (.pt) into ``folder`` as OpenVINO: a folder there, whose path is returned.

    imgsz: longer side of the images that it is made on, pixels; it takes others too, of any shape.
    data: the data.yaml of a YOLO data set like the images that it will see; the 8 bits of
    openvino-int8 are chosen on its ``train``, and nothing is written into it.

    The same call on the same machine writes the same bytes. Raises WeightsError for the weights and
    for packages that are absent, ParamsError for weights that are an export, AnnotationError and
    EmptyError for the data.
    """
    if weights.is_dir():
        problem = f"{weights} is an export already"
        raise ParamsError("detector.export", problem, "Set it to none, or name .pt weights")
    detector.check_loadable(weights)
    for package in _NEEDED[kind]:
        if importlib.util.find_spec(package) is None:
            raise WeightsError(
                weights, f"{package} is not installed", "pip install -e '.[openvino]'"
            )
    options: dict[str, Any] = {"imgsz": imgsz, "dynamic": True, "device": "cpu", "verbose": False}
    out = folder / f"{weights.stem}{_SUFFIX[kind]}"
    with tempfile.TemporaryDirectory(prefix="yololstm-export-") as temporary:
        if kind == "openvino-int8":
            images = YoloData.read(data).copy(Path(temporary, "data"), ("train",), _IMAGES)
            options |= {"quantize": 8, "data": str(images), "split": "train"}
        # ultralytics writes the export beside it.
        copy = Path(shutil.copyfile(weights, Path(temporary, weights.name)))
        with detector.loading(weights), silence(), _seeded():
            yolo = detector.ultralytics().YOLO(str(copy), task="detect")
            made = Path(yolo.export(format="openvino", **options))
        _forget(made / "metadata.yaml")
        _name(next(made.glob("*.xml")))
        shutil.rmtree(out, ignore_errors=True)
        return Path(shutil.copytree(made, out))


def average_precision(weights: Path, data: Path, imgsz: int) -> dict[str, Any]:
    """What Detector finds on ``val`` of a YOLO data set, on images spread over it, by category:
    {"map50": {"person", "bag", "mean"}, "map50_95": {...}}; None where there is no such box.

    Classes go by their names, whatever their numbers. Raises as Detector does, AnnotationError and
    EmptyError.
    """
    found = _Found()
    look = Detector(weights, imgsz, min_confidence=0.001)
    for image, box, name in YoloData.read(data).labelled("val", _IMAGES):
        known = [number for number, one in enumerate(name) if one in CATEGORIES]
        category = np.array([CATEGORIES[name[number]] for number in known], dtype=np.uint8)
        found.add(look([image])[0], box[known], category)
    precision = found.average_precision()
    return {
        "map50": _by_category({one: float(ap[0]) for one, ap in precision.items()}),
        "map50_95": _by_category({one: float(ap.mean()) for one, ap in precision.items()}),
    }


class _Found:
    """Detections in images, and which of them are right."""

    def __init__(self) -> None:
        self._right: list[NDArray[np.bool_]] = []
        self._score: list[NDArray[np.float32]] = []
        self._category: list[NDArray[np.uint8]] = []
        self._truth: list[NDArray[np.uint8]] = []

    def add(self, found: Detections, box: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """box, truth: (N, 4) and (N,), of the image's things, their categories."""
        right = np.zeros((len(found), len(_OVERLAPS)), dtype=np.bool_)
        for category in Category:
            rows = np.flatnonzero(found.category == category)
            rows = rows[np.argsort(-found.score[rows], kind="stable")]
            things = box[truth == category]
            overlap = np.array([iou(one, things) for one in found.box[rows]])
            for column, least in enumerate(_OVERLAPS):
                right[rows, column] = _matched(overlap.reshape(len(rows), len(things)), least)
        self._right.append(right)
        self._score.append(found.score)
        self._category.append(found.category)
        self._truth.append(truth)

    def average_precision(self) -> dict[Category, NDArray[np.float64]]:
        """(10,) at _OVERLAPS, of the categories that there are."""
        metrics = importlib.import_module(f"{detector.ultralytics().__name__}.utils.metrics")
        results = metrics.ap_per_class(
            np.concatenate(self._right),
            np.concatenate(self._score),
            np.concatenate(self._category),
            np.concatenate(self._truth),
        )
        precision, known = results[5:7]
        return {Category(int(one)): ap for one, ap in zip(known, precision, strict=True)}


def _matched(overlap: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    """Which of N detections, best first, are the first at the thing of M they overlap most.

    overlap: (N, M). A thing that is taken is no longer there for the next.
    """
    overlap = overlap.copy()
    right = np.zeros(len(overlap), dtype=np.bool_)
    for row in range(len(overlap) if overlap.size else 0):
        thing = overlap[row].argmax()
        right[row] = overlap[row, thing] >= least
        if right[row]:
            overlap[:, thing] = -1
    return right


def _by_category(precision: dict[Category, float]) -> dict[str, float | None]:
    mean = sum(precision.values()) / len(precision) if precision else None
    return {category.name.lower(): precision.get(category) for category in Category} | {
        "mean": mean
    }


def _forget(metadata: Path) -> None:
    told = yaml.safe_load(metadata.read_text(encoding="utf-8"))
    kept = {key: told[key] for key in _TOLD} | {"batch": 1, "args": {"dynamic": True}}
    metadata.write_text(yaml.safe_dump(kept), encoding="utf-8")


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """The order in which images are looked at decides about the last of the 8 bits."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Of nncf and torch, which tell a user nothing that they could act on."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _name(network: Path) -> None:
    """OpenVINO numbers the networks that a process makes, and writes the number down."""
    text = network.read_text(encoding="utf-8")
    network.write_text(re.sub(r'<net name="[^"]*"', '<net name="detector"', text, count=1), "utf-8")
