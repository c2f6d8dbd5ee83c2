"""What a command needs of models, loaded for the runtime that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from yololstm.cli.choices import (
    BEHAVIOUR,
    CHECKPOINT,
    DETECTED,
    DETECTOR,
    EXPORT,
    detector_weights,
    pose_model,
)
from yololstm.cli.options import Runtime
from yololstm.errors import ParamsError

if TYPE_CHECKING:
    from yololstm.extractor import Extractor
    from yololstm.inference import Classifier
    from yololstm.params import Extract


class Model(NamedTuple):
    classifier: Classifier
    checkpoint_sha256: str
    """Of the checkpoint, also where it was exported."""


def load_model(runtime: Runtime, path: Path | None) -> Model:
    if runtime == "onnx":
        from yololstm.runtime import load_behaviour

        exported = load_behaviour(path or EXPORT / BEHAVIOUR)
        return Model(exported.classifier, exported.checkpoint_sha256)
    from yololstm import checkpoint as checkpoints
    from yololstm.storage import sha256

    path = path or CHECKPOINT
    _refuse_exported("--checkpoint", path)
    return Model(checkpoints.load(path).classifier(), sha256(path))


def load_extractor(
    runtime: Runtime, extract: Extract, fps: float, detector: str | None
) -> Extractor:
    from yololstm.extractor import Extractor
    from yololstm.pose import open_backend
    from yololstm.settings import FIND_PERSONS, ExtractionSettings
    from yololstm.sight import TopDown

    finds_persons = extract.backend in FIND_PERSONS
    looking = extract.looking() | {"fps": fps}
    if runtime == "torch":
        _refuse_exported("--detector", Path(detector or DETECTOR))
        weights = None if finds_persons else detector_weights(detector or DETECTOR)
        return Extractor(ExtractionSettings(weights, pose_model(extract), **looking))
    if finds_persons:
        problem = f"{extract.backend} runs by torch alone"
        raise ParamsError("--runtime", problem, "Add --backend mediapipe, or --runtime torch")
    from yololstm.runtime import OnnxDetector

    settings = ExtractionSettings(None, pose_model(extract), **looking)
    path = Path(detector) if detector else EXPORT / DETECTED
    finder = OnnxDetector(path, settings.imgsz, settings.min_confidence)
    return Extractor(settings, TopDown(finder, open_backend(settings.backend, settings.pose_model)))


def _refuse_exported(option: str, path: Path) -> None:
    if path.suffix == ".onnx":
        raise ParamsError(option, f"{path} is exported", "Add --runtime onnx")
