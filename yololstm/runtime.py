"""Exported models, run by ONNX Runtime alone: nothing here needs torch.

A file says in its metadata what it takes to use it, as JSON under one key; exporting writes it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from yololstm.boxes import iou
from yololstm.detector import CATEGORIES, Detections, first_line, fitting, sane
from yololstm.errors import CheckpointError, WeightsError, YololstmError
from yololstm.inference import Classifier
from yololstm.skeleton import N_FEATURES, N_JOINTS
from yololstm.storage import sha256
from yololstm.video import Image

KEY: Final = "yololstm"
"""Of the metadata."""
FORMAT: Final = 1
What = Literal["behaviour", "detector"]
"""Is in a file: a classifier, or what finds persons and bags."""

_FAILURES: Final[tuple[type[Exception], ...]] = (
    *(ValueError, RuntimeError),
    *(
        error
        for error in vars(onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
)
"""onnxruntime's own have no common base."""
_MISFITS: Final[tuple[type[Exception], ...]] = (
    *(AttributeError, IndexError, KeyError, TypeError),
    *_FAILURES,
)
_OVERLAP: Final = 0.5
"""See Network in detector: of two boxes that share more, the surer one stays."""
_MOST: Final = 300
"""Boxes of an image, as ultralytics has it."""
_GREY: Final = (114, 114, 114)
"""Around an image that does not fill the network's input, as in training."""


@dataclass(frozen=True)
class Behaviour:
    """What a behaviour.onnx holds."""

    classifier: Classifier
    checkpoint_sha256: str
    """Of the checkpoint that it was made of."""


def load_behaviour(path: Path) -> Behaviour:
    """Raises CheckpointError where it is damaged, of another format, or no classifier."""
    session, said = opened(path, "behaviour", CheckpointError)

    def run(x: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = session.run(["logits"], {"x": x, "valid": valid})[0]
        return logits

    def network(x: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        with _running(path, CheckpointError):
            return run(x, valid)

    try:
        classifier = Classifier.from_dict(network, said)
        loaded = Behaviour(classifier, str(said["checkpoint_sha256"]))
        steps, n_labels = classifier.spec.length, len(classifier.labels)
        x = np.zeros((1, steps, N_FEATURES), dtype=np.float32)
        if run(x, np.zeros((1, steps, N_JOINTS), dtype=np.bool_)).shape != (1, n_labels):
            raise ValueError("as many values as labels")
    except _MISFITS as error:
        problem = f"the network and what is said of it do not fit ({first_line(error)})"
        raise CheckpointError(path, problem, _EXPORT_AGAIN) from error
    return loaded


class OnnxDetector:
    """A detector.onnx; does what detector.Detector does, on one core."""

    def __init__(self, path: Path, imgsz: int | None, min_confidence: float) -> None:
        """imgsz: longer side of the image that the network sees, pixels; None: what it was exported
        at.

        Raises WeightsError where the file is damaged, of another format, or no detector.
        """
        self._session, said = opened(path, "detector", WeightsError)
        self._path = path
        self.batch = 1
        self._min_confidence = min_confidence
        try:
            self._imgsz = int(imgsz or said["imgsz"])
            names = {int(index): name for index, name in said["names"].items()}
            self._known = {i: CATEGORIES[name] for i, name in names.items() if name in CATEGORIES}
            self._seen(np.zeros((32, 32, 3), dtype=np.uint8))
        except _MISFITS as error:
            problem = f"the network and what is said of it do not fit ({first_line(error)})"
            raise WeightsError(path, problem, _EXPORT_AGAIN) from error
        version = importlib.metadata.version("onnxruntime")
        self.name = f"onnxruntime {version} {path.name} {sha256(path)[:8]}"

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        """What is in each of the images (H, W, 3) RGB. Raises WeightsError where it cannot say."""
        with _running(self._path, WeightsError):
            return [self._seen(image) for image in images]

    def _seen(self, image: Image) -> Detections:
        inner = letterboxed(image, self._imgsz)
        (output,) = self._session.run(None, {"images": inner.blob})
        box, score, category = self._sure(output[0])
        seen = Detections(inner.in_frame(box), score, category)
        return sane(seen, *image.shape[:2])[0]

    def _sure(
        self, output: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
        """Box (N, 4) in pixels of the input, score and category, the surest first.

        output: (4 + classes, M) of every place that the network looks at: many are of one thing.
        """
        centre, size, scores = output[:2].T, output[2:4].T, output[4:].T
        box = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        score, number = scores.max(axis=1), scores.argmax(axis=1)
        rows = np.flatnonzero((score > self._min_confidence) & np.isin(number, list(self._known)))
        rows = rows[np.argsort(-score[rows], kind="stable")]
        rows = rows[_apart(box[rows])[:_MOST]]
        category = np.array([self._known[int(one)] for one in number[rows]], dtype=np.uint8)
        return box[rows], score[rows], category


class Letterboxed(NamedTuple):
    """An image as the network sees it."""

    blob: NDArray[np.float32]
    """(1, 3, h, w) RGB in 0..1"""
    scale: NDArray[np.float32]
    """(4,) pixels of the input for one of the frame, along x, y, x and y"""
    origin: NDArray[np.float32]
    """(4,) x, y, x, y of the frame's corner in the input"""

    def in_frame(self, box: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 4) pixels of the frame, of boxes in pixels of the input."""
        placed: NDArray[np.float32] = (box - self.origin) / self.scale
        return placed


def letterboxed(image: Image, imgsz: int) -> Letterboxed:
    """Resized to fit, grey around it: to the pixel as ultralytics' LetterBox does it."""
    height, width = image.shape[:2]
    outer_height, outer_width = fitting(imgsz, [image])
    scale = min(outer_height / height, outer_width / width)
    inner_width, inner_height = (max(round(side * scale), 1) for side in (width, height))
    left = round((outer_width - inner_width) / 2 - 0.1)
    top = round((outer_height - inner_height) / 2 - 0.1)
    outer = np.full((outer_height, outer_width, 3), _GREY, dtype=np.uint8)
    inner = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
    outer[top : top + inner_height, left : left + inner_width] = inner
    blob = np.ascontiguousarray(outer.transpose(2, 0, 1)[None], dtype=np.float32)
    blob /= 255
    return Letterboxed(
        blob=blob,
        scale=np.array([inner_width / width, inner_height / height] * 2, dtype=np.float32),
        origin=np.array([left, top] * 2, dtype=np.float32),
    )


def _apart(box: NDArray[np.float32]) -> list[int]:
    """Rows of boxes, the surest first, that no surer one overlaps too much."""
    chosen: list[int] = []
    left = np.arange(len(box))
    while len(left):
        first, rest = int(left[0]), left[1:]
        chosen.append(first)
        left = rest[iou(box[first], box[rest]) <= _OVERLAP]
    return chosen


_EXPORT_AGAIN: Final = "Run yololstm export again"


@contextlib.contextmanager
def _running(path: Path, error: type[YololstmError]) -> Iterator[None]:
    try:
        yield
    except _FAILURES as reason:
        problem = f"ONNX Runtime cannot run it ({first_line(reason):.120})"
        raise error(path, problem, _EXPORT_AGAIN) from reason


def opened(path: Path, what: What, error: type[YololstmError]) -> tuple[Any, Mapping[str, Any]]:
    """A session, and what the file says of itself. Raises ``error``."""
    if not path.is_file():
        raise error(path, "no such file", "Run yololstm export, or check the path")
    if path.suffix != ".onnx":
        problem = "not an .onnx file, which is all that ONNX Runtime takes"
        raise error(path, problem, "Run yololstm export, or leave out --runtime onnx")
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # The other cores are other processes'.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        text = session.get_modelmeta().custom_metadata_map.get(KEY)
        said = json.loads(text or "{}")
    except _FAILURES as reason:
        problem = f"damaged, or no ONNX model ({first_line(reason):.120})"
        raise error(path, problem, _EXPORT_AGAIN) from reason
    if not isinstance(said, dict) or "what" not in said:
        raise error(path, "an ONNX model, but none that yololstm exported", _EXPORT_AGAIN)
    if said["what"] != what:
        raise error(path, f"a {said['what']}, not a {what}", "Name the other file")
    if (found := said.get("format")) != FORMAT:
        problem = f"format {found}; this program reads format {FORMAT}"
        raise error(path, problem, f"{_EXPORT_AGAIN}, or use the program's version that wrote it")
    return session, said
