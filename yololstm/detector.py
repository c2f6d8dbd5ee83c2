"""Person and bag boxes from YOLO, through ultralytics: running a detector and training one.

Torch is imported where it is needed: it takes seconds, and most ask only for a checksum.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from yololstm.errors import AnnotationError, EmptyError, WeightsError
from yololstm.landmarks import Category
from yololstm.storage import atomic, sha256

CATEGORIES: Final[Mapping[str, Category]] = {
    "person": Category.PERSON,
    "bag": Category.BAG,
    "backpack": Category.BAG,
    "handbag": Category.BAG,
    "suitcase": Category.BAG,
}
"""What each class of a detector is to us, by its name in the weights; others are ignored."""

_RELEASE: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
"""Where ultralytics publishes weights."""

OPENVINO_SUFFIX: Final = "_openvino_model"
"""Ends the name of a folder that holds an OpenVINO export; ultralytics goes by it."""

_IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_LOAD_ERRORS: Final = (
    *(AttributeError, EOFError, ImportError, KeyError, OSError),
    *(RuntimeError, StopIteration, TypeError, ValueError),
)
"""What ultralytics and torch have been seen to raise for files that are not weights."""


@dataclass(frozen=True)
class Detections:
    """What is seen in one image, in pixels of the full frame."""

    box: NDArray[np.float32]
    """(N, 4) x0, y0, x1, y1 within the frame."""
    score: NDArray[np.float32]
    """(N,) confidence in 0..1"""
    category: NDArray[np.uint8]
    """(N,) a Category."""

    def __len__(self) -> int:
        return len(self.score)

    def only(self, category: Category) -> Detections:
        rows = self.category == category
        return Detections(self.box[rows], self.score[rows], self.category[rows])


class Detector:
    """A YOLO with a class ``person``: a .pt file, or the folder of an OpenVINO export.

    It runs on CUDA where there is one. On a CPU it leaves torch's threads as ultralytics sets them.
    """

    def __init__(self, weights: Path, imgsz: int, min_confidence: float) -> None:
        """imgsz: longer side of the image that the network sees, pixels.

        Raises WeightsError where the weights cannot be loaded or know no persons.
        """
        _check_loadable(weights)
        self._settings: dict[str, Any] = {
            **{"imgsz": imgsz, "conf": min_confidence, "verbose": False, "save": False},
            # One bag may be found as a backpack and as a handbag.
            "agnostic_nms": True,
            # The library's 0.7 leaves two boxes on one of nine persons of the sample, with and
            # without an outstretched arm; people who hug overlap less.
            "iou": 0.5,
        }
        with _loading(weights):
            self._yolo = ultralytics().YOLO(str(weights), task="detect")
            # The network is built at the first image, and only then its faults show.
            self._yolo.predict(np.zeros((32, 32, 3), dtype=np.uint8), **self._settings)
        known = {
            index: CATEGORIES[name]
            for index, name in self._yolo.names.items()
            if name in CATEGORIES
        }
        if Category.PERSON not in known.values():
            raise WeightsError(weights, "it has no class person", "Use weights that detect persons")
        self._known = known
        self._settings["classes"] = sorted(known)
        self.name = f"{_library(weights)} {weights.name} {checksum(weights)[:8]}"

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """image: (H, W, 3) RGB."""
        bgr = np.ascontiguousarray(image[..., ::-1])
        found = self._yolo.predict(bgr, **self._settings)[0].boxes
        box = found.xyxy.cpu().numpy().astype(np.float32)
        category = [self._known[int(index)] for index in found.cls.cpu().numpy()]
        return _sane(
            Detections(
                box=box.reshape(-1, 4),
                score=found.conf.cpu().numpy().astype(np.float32),
                category=np.array(category, dtype=np.uint8),
            ),
            *image.shape[:2],
        )


def train(
    model: Path,
    data: Path,
    out: Path,
    *,
    epochs: int,
    patience: int,
    batch: int,
    imgsz: int,
    seed: int,
    on_epoch: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Train a YOLO and write its best weights to ``out`` (.pt).

    model: a config (.yaml) to start from nothing, or weights (.pt) to start from. data: the
    data.yaml of a YOLO data set; nothing is written into it. on_epoch is called after each.
    Returns the average precision on ``val`` by category, a bag's being the mean over the kinds of
    bags: {"map50": {"person", "bag", "mean"}, "map50_95": {...}}; None where there is no such box.

    The same call on the same machine writes the same bytes: they hold no date and no path.
    Raises WeightsError for the model, AnnotationError and EmptyError for the data.
    """
    import torch

    if model.suffix != ".yaml" or not model.is_file():
        _check_loadable(model)
    with tempfile.TemporaryDirectory(prefix="yololstm-train-") as folder:
        copy = _copy_of_data(data, Path(folder, "data"))
        with _loading(model):
            yolo = ultralytics().YOLO(str(model), task="detect")
        yolo.add_callback("on_pretrain_routine_start", lambda _: torch.set_num_threads(_THREADS))
        # Once an epoch, without the final validation.
        yolo.add_callback("on_train_epoch_end", lambda _: on_epoch() if on_epoch else None)
        with contextlib.redirect_stdout(io.StringIO()):
            results = yolo.train(
                data=str(copy),
                project=folder,
                name="run",
                exist_ok=True,
                **{"epochs": epochs, "patience": patience, "imgsz": imgsz, "seed": seed},
                **{"batch": batch, "nbs": batch},
                **_RECIPE,
            )
        best = ultralytics().YOLO(str(Path(folder, "run", "weights", "best.pt")))
        with atomic(out) as temporary:
            temporary.write_bytes(_without_history(best, imgsz))
    return _average_precision(results)


_THREADS: Final = 1
"""On a CPU; fixed, because it decides about the last bits of the weights. A second one saves 40 %
of the time on an idle machine, and spins away many times as much on a busy one."""

_RECIPE: Final[Mapping[str, Any]] = {
    "optimizer": "AdamW",
    "lr0": 0.002,
    "warmup_epochs": 1,
    # The default of 0.1 is meant for SGD; it throws AdamW's biases far off.
    "warmup_bias_lr": 0.0,
    # A camera that hangs still sees persons of one size, whole.
    "mosaic": 0.0,
    "scale": 0.2,
    # No grey above and below a wide picture: 40 % less to compute.
    "rect": True,
    "cache": "ram",
    "workers": 0,
    "plots": False,
    # Mixed precision makes ultralytics download a model to check it with.
    "amp": False,
    "verbose": False,
}


def checksum(weights: Path) -> str:
    """sha256 of a file; of a folder, over the names and bytes of its files in order of name."""
    if weights.is_file():
        return sha256(weights)
    digest = hashlib.sha256()
    for file in sorted(path for path in weights.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(weights).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def download(name: str, folder: Path) -> Path:
    """Fetch weights that ultralytics publishes, such as yolo11n.pt, into ``folder``.

    Raises WeightsError where there are none of that name, or no network.
    """
    import torch

    path = folder / name
    try:
        with atomic(path) as temporary:
            torch.hub.download_url_to_file(f"{_RELEASE}/{name}", str(temporary))
    except OSError as error:
        raise WeightsError(
            name,
            f"cannot be fetched from {_RELEASE} ({_first_line(error)})",
            f"Check the name, or put the file into {folder} by hand",
        ) from error
    return path


@functools.cache
def ultralytics() -> ModuleType:
    """The library, kept from the network and from the user's home, as is OpenVINO below it.

    It reads its environment once, when it is imported: hence here and not at the top.
    """
    private = _private_folder().name
    os.environ.setdefault("MPLCONFIGDIR", private)
    os.environ.update(
        YOLO_OFFLINE="1",
        YOLO_AUTOINSTALL="0",
        YOLO_VERBOSE="0",
        YOLO_CONFIG_DIR=private,
        # Weights are unpickled by torch's restricted loader: known classes, no code.
        ULTRALYTICS_SAFE_LOAD="1",
    )
    # OpenVINO tells Google Analytics that it is imported. It does without what tells it, where
    # that cannot be imported.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import ultralytics as library

    library.settings.update(
        sync=False, clearml=False, comet=False, dvc=False, mlflow=False, raytune=False
    )
    for font in ("Arial.ttf", "Arial.Unicode.ttf"):
        # Of the fonts for its plots, which are off, it only asks whether they must be fetched.
        Path(library.utils.USER_CONFIG_DIR, font).touch()
    return library


@functools.cache
def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """Of this process, for the settings that ultralytics writes; gone when the process ends."""
    return tempfile.TemporaryDirectory(prefix="yololstm-ultralytics-")


def _check_loadable(weights: Path) -> None:
    if not weights.exists():
        raise WeightsError(weights, "no such weights", "Check detector.weights and detector.model")
    if weights.is_file():
        if weights.suffix != ".pt":
            raise WeightsError(weights, "not a .pt file", "Use .pt weights or an OpenVINO folder")
        return
    if not weights.name.endswith(OPENVINO_SUFFIX) or not any(weights.glob("*.xml")):
        raise WeightsError(
            weights,
            f"not an OpenVINO export (a folder *{OPENVINO_SUFFIX} with an .xml)",
            "Use .pt weights or such a folder",
        )
    if importlib.util.find_spec("openvino") is None:
        raise WeightsError(
            weights,
            "OpenVINO is not installed",
            "pip install -e '.[openvino]', or use the .pt weights",
        )


@contextlib.contextmanager
def _loading(weights: Path) -> Iterator[None]:
    try:
        yield
    except _LOAD_ERRORS as error:
        raise WeightsError(
            weights, f"no YOLO weights ({_first_line(error)})", "Fetch or train them again"
        ) from error


def _library(weights: Path) -> str:
    names = ["ultralytics", "openvino"] if weights.is_dir() else ["ultralytics"]
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _sane(found: Detections, height: int, width: int) -> Detections:
    """Within the frame, and without boxes that are nowhere or hold nothing."""
    box = found.box.clip(0, np.array([width, height, width, height], dtype=np.float32))
    with np.errstate(invalid="ignore"):
        good = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1]) & np.isfinite(found.score)
    return Detections(box[good], found.score[good], found.category[good])


def _copy_of_data(data: Path, to: Path) -> Path:
    """The data set copied for one training, and the path of its data.yaml.

    ultralytics writes caches beside the labels, and mends JPEGs where they lie.
    """
    try:
        content = yaml.safe_load(data.read_text(encoding="utf-8"))
        names = content["names"]
        source = data.parent / content.get("path", "")
        folders = {split: Path(source, content[split]) for split in ("train", "val")}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(
            data,
            f"not the data.yaml of a YOLO data set ({_first_line(error)})",
            "It needs names, and train and val: folders of images",
        ) from error
    for split, images in folders.items():
        labels = Path(*("labels" if part == "images" else part for part in images.parts))
        if not any(path.suffix.lower() in _IMAGES for path in images.glob("*")):
            raise EmptyError(data, f"no image in {images}", "Check the folder in data.yaml")
        if not any(labels.glob("*.txt")):
            raise EmptyError(data, f"no label file in {labels}", "Labels lie beside images/")
        shutil.copytree(images, to / "images" / split)
        shutil.copytree(labels, to / "labels" / split)
    copy = to / "data.yaml"
    splits = {split: f"images/{split}" for split in folders}
    copy.write_text(yaml.safe_dump({"path": str(to), **splits, "names": names}), encoding="utf-8")
    return copy


def _without_history(yolo: Any, imgsz: int) -> bytes:
    """The weights as ultralytics loads them, without dates, paths, the user's git or arguments."""
    import torch

    network = yolo.model.half()
    del network.pt_path
    network.args = {"imgsz": imgsz, "task": "detect"}
    network.yaml["yaml_file"] = Path(network.yaml["yaml_file"]).name
    buffer = io.BytesIO()
    torch.save(
        {
            "model": network,
            "train_args": network.args,
            "version": ultralytics().__version__,
            "license": "AGPL-3.0 (https://ultralytics.com/license)",
        },
        buffer,
    )
    return buffer.getvalue()


def _average_precision(results: Any) -> dict[str, Any]:
    names = [results.names[int(index)] for index in results.box.ap_class_index]
    return {
        "map50": _by_category(names, results.box.ap50),
        "map50_95": _by_category(names, results.box.ap),
    }


def _by_category(names: list[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    """names and values: of each class that has a box in val."""

    def mean(category: Category | None) -> float | None:
        of = [
            float(value)
            for name, value in zip(names, values, strict=True)
            if name in CATEGORIES and category in (None, CATEGORIES[name])
        ]
        return sum(of) / len(of) if of else None

    return {"person": mean(Category.PERSON), "bag": mean(Category.BAG), "mean": mean(None)}


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
