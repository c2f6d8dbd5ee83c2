"""Training a detector of persons and bags with ultralytics.

Torch is imported where it is needed, as in yololstm.detector.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from yololstm import detector
from yololstm.detector import CATEGORIES
from yololstm.landmarks import Category
from yololstm.storage import atomic
from yololstm.yolo_data import YoloData


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
        detector.check_loadable(model)
    with tempfile.TemporaryDirectory(prefix="yololstm-train-") as folder:
        copy = YoloData.read(data).copy(Path(folder, "data"), ("train", "val"))
        with detector.loading(model):
            yolo = detector.ultralytics().YOLO(str(model), task="detect")
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
        best = detector.ultralytics().YOLO(str(Path(folder, "run", "weights", "best.pt")))
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
            "version": detector.ultralytics().__version__,
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
