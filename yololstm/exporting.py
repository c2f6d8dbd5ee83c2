"""Trained models as ONNX files, which ONNX Runtime runs without torch.

A file is put in its place only after ONNX Runtime has been seen to say what torch says. The same
model gives the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from yololstm import checkpoint as checkpoints
from yololstm import detector
from yololstm.clips import SPLITS
from yololstm.detector_export import silence
from yololstm.errors import EmptyError, WeightsError, YololstmError
from yololstm.runtime import FORMAT, KEY, OnnxDetector, What, letterboxed, load_behaviour, opened
from yololstm.segmentation import segment
from yololstm.skeleton import N_FEATURES, N_JOINTS
from yololstm.storage import atomic, read_landmarks, sha256
from yololstm.trained import Checkpoint
from yololstm.video import Image

TOLERANCE: Final = 1e-4
"""Of logits, probabilities and the confidence of a detection."""
_PIXELS: Final = 0.05
"""Of the sides of a box, in pixels of the network's input."""
_OPSET: Final = 18
_WINDOWS: Final = 1024
_IMAGES: Final = 8


@dataclass(frozen=True)
class Sample:
    """What an export is tried on."""

    arrays: tuple[NDArray[Any], ...]
    told: str
    """What it is, for people to read."""


def windows_of(source: Path, trained: Checkpoint, path: Path) -> Sample:
    """Scaled windows of the segment stage's folder, of all splits, or of a landmarks file.

    path: of the checkpoint. Raises DataError, CheckpointError where it was trained on others,
    EmptyError where there are none.
    """
    if source.is_dir():
        splits = [checkpoints.read_split(split, source, trained, path) for split in SPLITS]
        x, valid = (np.concatenate([getattr(w, name) for w in splits]) for name in ("x", "valid"))
    else:
        windows = segment(read_landmarks(source), trained.spec).windows
        x, valid = trained.scaling.transform(windows.x, windows.valid), windows.valid
    if not len(x):
        raise EmptyError(source, "no window to compare on", "Name other --windows")
    rows = _spread(len(x), _WINDOWS)
    return Sample((x[rows], valid[rows]), f"{len(rows)} windows of {source}")


def random_windows(trained: Checkpoint) -> Sample:
    rng, n, steps = np.random.default_rng(0), 64, trained.spec.length
    x = rng.normal(trained.scaling.centre, 1, (n, steps, N_FEATURES)).astype(np.float32)
    return Sample((x, rng.random((n, steps, N_JOINTS)) > 0.2), f"{n} random windows")


def images_of(folder: Path) -> Sample:
    """Raises EmptyError where there is none."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    read = [cv2.imread(str(files[i]), cv2.IMREAD_COLOR_RGB) for i in _spread(len(files), _IMAGES)]
    images = tuple(np.asarray(image, np.uint8) for image in read if image is not None)
    if not images:
        raise EmptyError(folder, "no image to compare on", "Name other --images")
    return Sample(images, f"{len(images)} images of {folder}")


def random_images() -> Sample:
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (h, 320, 3), dtype=np.uint8) for h in (180, 240))
    return Sample(images, f"{len(images)} random images")


def export_behaviour(path: Path, trained: Checkpoint, source: Path, sample: Sample) -> float:
    """Write a checkpoint's network; returns by how much logits or probabilities differ at most.

    source: the checkpoint's file; sample: of windows. Raises YololstmError where they differ by
    more than TOLERANCE, and nothing is written.
    """
    classifier = trained.classifier()
    x, valid = sample.arrays
    said = classifier.to_dict() | {
        "checkpoint_sha256": sha256(source),
        "members": len(trained.members),
        "mirrored": trained.mirrored,
        "model": trained.model,
        "temperature_fitted": trained.temperature_fitted,
        "thresholds": trained.thresholds,
    }
    with atomic(path) as temporary:
        _write(temporary, path, trained)
        _finish(temporary, "behaviour", said, "torch")
        exported = load_behaviour(temporary).classifier
        both = (classifier, exported)
        logits, probability = (
            [getattr(one, name)(x, valid) for one in both] for name in ("logits", "scaled")
        )
        worst = max(_difference(*logits), _difference(*probability))
        _check(path, {"logits": (worst, TOLERANCE)}, sample)
    return worst


def _write(temporary: Path, path: Path, trained: Checkpoint) -> None:
    steps = trained.spec.length
    example = torch.zeros(2, steps, N_FEATURES), torch.ones(2, steps, N_JOINTS, dtype=torch.bool)
    try:
        with silence():
            torch.onnx.export(
                trained.network().eval(),
                example,
                str(temporary),
                input_names=["x", "valid"],
                output_names=["logits"],
                dynamic_axes={name: {0: "windows"} for name in ("x", "valid", "logits")},
                opset_version=_OPSET,
                # The other exporter takes half a minute for the same network.
                dynamo=False,
            )
    except RuntimeError as error:
        problem = f"{trained.model} cannot be said in ONNX ({detector.first_line(error):.120})"
        raise YololstmError(path, problem, "Change what the model computes with") from error
    model = onnx.load(temporary)
    if all(one.name != "valid" for one in model.graph.input):
        # The exporter leaves out what a network does not look at; who runs it need not know.
        shape: list[str | int | None] = ["windows", steps, N_JOINTS]
        known = onnx.helper.make_tensor_value_info("valid", onnx.TensorProto.BOOL, shape)
        model.graph.input.append(known)
        onnx.save(model, temporary)


def export_detector(
    path: Path, weights: Path, imgsz: int | None, sample: Sample
) -> tuple[float, float]:
    """Write a detector (.pt); returns by how much confidence and, in pixels, boxes differ at most.

    imgsz: longer side of the images, pixels; it takes others too, of any shape; None: what the
    weights were trained with. sample: of images.
    Raises WeightsError for the weights, YololstmError where they differ by more than TOLERANCE
    or by pixels, and nothing is written.
    """
    if weights.is_dir():
        problem = "an OpenVINO export, of which no other can be made"
        raise WeightsError(weights, problem, "Name the .pt weights with --detector")
    known = detector.Detector(weights, imgsz, 0.5)
    imgsz = known.imgsz
    said = {"imgsz": imgsz, "names": dict(known.names), "weights_sha256": sha256(weights)}
    with (
        tempfile.TemporaryDirectory(prefix="yololstm-export-") as folder,
        atomic(path) as temporary,
    ):
        # ultralytics writes the export beside it.
        copy = Path(shutil.copyfile(weights, Path(folder, "weights.pt")))
        options = {"dynamic": True, "simplify": False, "opset": _OPSET, "device": "cpu"}
        with detector.loading(weights), silence():
            yolo = detector.ultralytics().YOLO(str(copy), task="detect")
            made = yolo.export(format="onnx", imgsz=imgsz, verbose=False, **options)
        shutil.copyfile(made, temporary)
        _finish(temporary, "detector", said, "torch", "ultralytics")
        OnnxDetector(temporary, imgsz, 0.5)
        differ = _output_differences(yolo.model.float().eval(), temporary, imgsz, sample.arrays)
        confidence, pixels = differ
        limits = {"confidence": (confidence, TOLERANCE), "pixels": (pixels, _PIXELS)}
        _check(path, limits, sample)
    return differ


def _output_differences(
    model: torch.nn.Module, exported: Path, imgsz: int, images: Sequence[Image]
) -> tuple[float, float]:
    """By how much confidence and boxes differ at most, at all places that the networks look at."""
    session, _ = opened(exported, "detector", WeightsError)
    confidence = pixels = 0.0
    for image in images:
        blob = letterboxed(image, imgsz).blob
        with torch.inference_mode():
            ours = model(torch.from_numpy(blob))[0].numpy()
        (theirs,) = session.run(None, {"images": blob})
        confidence = max(confidence, _difference(ours[:, 4:], theirs[:, 4:]))
        pixels = max(pixels, _difference(ours[:, :4], theirs[:, :4]))
    return confidence, pixels


def _finish(path: Path, what: What, said: Mapping[str, Any], *libraries: str) -> None:
    """Nothing but ``said`` in its metadata, where libraries write dates and paths."""
    model = onnx.load(path)
    versions = {name: importlib.metadata.version(name) for name in ("yololstm", *libraries)}
    told = {**said, "format": FORMAT, "what": what, "versions": versions}
    text = json.dumps(told, sort_keys=True, ensure_ascii=False, allow_nan=False)
    onnx.helper.set_model_props(model, {KEY: text})
    model.graph.name, model.doc_string = what, ""
    onnx.save(model, path)


def _check(path: Path, differ: Mapping[str, tuple[float, float]], sample: Sample) -> None:
    for what, (worst, limit) in differ.items():
        # What is not a number is no agreement.
        if not worst <= limit:
            problem = f"{what} differ from PyTorch's by {worst:.2g} on {sample.told}"
            remedy = f"It may be {limit:g}; nothing was written. Please report it"
            raise YololstmError(path, problem, remedy)


def _difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.abs(ours - theirs).max(initial=0)) if ours.shape == theirs.shape else np.inf


def _spread(n: int, most: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.intp))
