"""Person and bag boxes from YOLO, through ultralytics: running a detector.

Torch is imported where it is needed: it takes seconds, and most ask only for a checksum.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from yololstm.errors import WeightsError
from yololstm.landmarks import Category
from yololstm.storage import sha256

CATEGORIES: Final[Mapping[str, Category]] = {
    "person": Category.PERSON,
    "bag": Category.BAG,
    "backpack": Category.BAG,
    "handbag": Category.BAG,
    "suitcase": Category.BAG,
}
"""What each class of a detector is to us, by its name in the weights; others are ignored."""

OPENVINO_SUFFIX: Final = "_openvino_model"
"""Ends the name of a folder that holds an OpenVINO export; ultralytics goes by it."""

_LOAD_ERRORS: Final = (
    *(AttributeError, EOFError, ImportError, KeyError, OSError),
    *(RuntimeError, StopIteration, TypeError, ValueError, yaml.YAMLError),
)
"""What ultralytics and torch have been seen to raise for files that are not weights."""


_BATCH_ON_CUDA: Final = 16

_USUAL_IMGSZ: Final = 640
"""Of published weights."""
_STRIDE: Final = 32
"""Of the networks; sides of their inputs are multiples of it."""


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

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        return Detections(self.box[rows], self.score[rows], self.category[rows])

    def only(self, category: Category) -> Detections:
        return self[self.category == category]


class Network:
    """A YOLO of any task, loaded: a .pt file, or the folder of an OpenVINO export.

    It runs on CUDA where there is one, a .pt in half precision; so far only a CPU was tried. There
    a .pt leaves torch's threads as ultralytics sets them.
    """

    def __init__(self, weights: Path, task: str, imgsz: int | None, min_confidence: float) -> None:
        """task: detect or pose, as ultralytics calls them. imgsz: longer side of the image that the
        network sees, pixels; an OpenVINO export that was made for one size keeps to that. None:
        what .pt weights were trained with; of an export, which does not say, 640.

        Raises WeightsError where the weights cannot be loaded or do not know the task.
        """
        check_loadable(weights)
        self._settings: dict[str, Any] = {
            **{"conf": min_confidence, "verbose": False, "save": False},
            # One bag may be found as a backpack and as a handbag.
            "agnostic_nms": True,
            # The library's 0.7 leaves two boxes on one of nine persons of the sample, with and
            # without an outstretched arm; people who hug overlap less.
            "iou": 0.5,
        }
        with loading(weights):
            self._yolo = ultralytics().YOLO(str(weights), task=task)
            if task == "pose" and (actual := _task(self._yolo, weights)) != task:
                problem = f"a model for the task {actual!r}, which finds no joints"
                raise WeightsError(weights, problem, "Use pose weights, such as yolo11n-pose.pt")
            self.imgsz = int(imgsz or self._yolo.overrides.get("imgsz", _USUAL_IMGSZ))
            if weights.is_file() and _has_cuda():
                self._settings["quantize"] = 16
            # The network is built at the first image, and only then its faults show.
            build = functools.partial(self, [np.zeros((32, 32, 3), dtype=np.uint8)])
            if weights.is_dir():
                _in_a_thread_that_ends(build)
                _keep_to_one_thread(self._yolo.predictor.model.backend, weights)
            else:
                build()
        self.batch = _BATCH_ON_CUDA if _has_cuda() else 1
        """Images that it is best asked about at once; a CPU gains nothing by more than one."""
        self.names: Mapping[int, str] = self._yolo.names
        """Of the classes."""
        self.name = f"{_library(weights)} {weights.name} {checksum(weights)[:8]}"

    def find_only(self, classes: Iterable[int]) -> None:
        self._settings["classes"] = sorted(classes)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Any]:
        """ultralytics' Results of each of the images (H, W, 3) RGB, in one call of the network."""
        bgr = [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in images]
        if not bgr:
            return []
        settings = self._settings | {"imgsz": fitting(self.imgsz, bgr)}
        return list(self._yolo.predict(bgr, **settings))


def fitting(imgsz: int, images: Sequence[NDArray[Any]]) -> list[int]:
    """Height and width of the smallest input that holds all images, the longer side of which is
    ``imgsz``. ultralytics finds it by itself, but not for OpenVINO in 8 bits on a CPU with AMX."""
    height, width = np.max([np.array(one.shape[:2]) / max(one.shape[:2]) for one in images], axis=0)
    return [
        max(int(np.ceil(round(imgsz * side) / _STRIDE)), 1) * _STRIDE for side in (height, width)
    ]


def _in_a_thread_that_ends(build: Callable[[], object]) -> None:
    """OpenVINO gives the thread in which a Core first builds a network a stack for signals, and
    frees it with the Core. From another thread, or out of turn, it leaves the first with a stack
    that is not there: in the main thread the next Ctrl-C would be a segmentation fault."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(build).result()


def _keep_to_one_thread(openvino: Any, weights: Path) -> None:
    """ultralytics lets it have every core, and asks for no number; the other cores are other
    processes'."""
    config = openvino.compile_model.keywords["config"]
    # Pinned, the threads of all processes would be on the same core.
    config |= {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    model = openvino.compile_model.func.__self__.read_model(next(weights.glob("*.xml")))
    openvino.ov_compiled_model = openvino.compile_model(model)


class Detector:
    """A YOLO with a class ``person``; see Network."""

    def __init__(self, weights: Path, imgsz: int | None, min_confidence: float) -> None:
        """imgsz: longer side of the image that the network sees, pixels; None as in Network.

        Raises WeightsError where the weights cannot be loaded or know no persons.
        """
        self._network = Network(weights, "detect", imgsz, min_confidence)
        self.imgsz = self._network.imgsz
        self._known = {
            index: CATEGORIES[name]
            for index, name in self._network.names.items()
            if name in CATEGORIES
        }
        if Category.PERSON not in self._known.values():
            raise WeightsError(weights, "it has no class person", "Use weights that detect persons")
        self._network.find_only(self._known)
        self.names = self._network.names
        self.name = self._network.name
        self.batch = self._network.batch

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """What is in each of the images (H, W, 3) RGB, in one call of the network."""
        return [detections(found, self._known)[0] for found in self._network(images)]


def detections(
    found: Any, categories: Mapping[int, Category]
) -> tuple[Detections, NDArray[np.bool_]]:
    """What one of ultralytics' Results says; see sane. categories: of each class in it."""
    category = [categories[int(index)] for index in found.boxes.cls.cpu().numpy()]
    seen = Detections(
        box=found.boxes.xyxy.cpu().numpy().astype(np.float32).reshape(-1, 4),
        score=found.boxes.conf.cpu().numpy().astype(np.float32),
        category=np.array(category, dtype=np.uint8),
    )
    return sane(seen, *found.orig_shape)


def checksum(weights: Path) -> str:
    """sha256 of a file; of a folder, over the names and bytes of its files in order of name."""
    if weights.is_file():
        return sha256(weights)
    digest = hashlib.sha256()
    for file in sorted(path for path in weights.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(weights).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


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


def check_loadable(weights: Path) -> None:
    if not weights.exists():
        raise WeightsError(weights, "no such weights", "Check the path")
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
def loading(weights: Path) -> Iterator[None]:
    try:
        yield
    except _LOAD_ERRORS as error:
        raise WeightsError(
            weights, f"no YOLO weights ({first_line(error)})", "Fetch or train them again"
        ) from error


def _library(weights: Path) -> str:
    names = ["ultralytics", "openvino"] if weights.is_dir() else ["ultralytics"]
    return " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def sane(found: Detections, height: int, width: int) -> tuple[Detections, NDArray[np.bool_]]:
    """Within the frame, and without boxes that are nowhere or hold nothing; and which are left."""
    box = found.box.clip(0, np.array([width, height, width, height], dtype=np.float32))
    with np.errstate(invalid="ignore"):
        good = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1]) & np.isfinite(found.score)
    return Detections(box[good], found.score[good], found.category[good]), good


def _task(yolo: Any, weights: Path) -> str:
    """ultralytics believes what it is told of a folder."""
    if weights.is_file():
        return str(yolo.task)
    metadata = yaml.safe_load((weights / "metadata.yaml").read_text(encoding="utf-8"))
    return str(metadata["task"])


def use_one_thread() -> None:
    """Of this process, for networks that are loaded already: ultralytics sets torch's threads."""
    import torch

    torch.set_num_threads(1)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
