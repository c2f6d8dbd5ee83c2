"""What a frame of the sample costs, step by step, and how much of it is not the models."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from yololstm import video, weights
from yololstm.detector import Detector
from yololstm.extractor import Extractor
from yololstm.landmarks import Category
from yololstm.params import load
from yololstm.pose import open_backend
from yololstm.settings import ExtractionSettings
from yololstm.storage import read_clips

N_CLIPS = 4
Value = TypeVar("Value")


def measure() -> dict[str, float]:
    """Milliseconds a frame on one core, of the same frames for every row; and a ratio."""
    params = load(Path("params.yaml"))
    indexed = read_clips(Path("data/index.csv"), Path("data/splits.csv"))
    clips = [clip for clip in indexed if clip.split == "test"][:N_CLIPS]
    paths = [Path(params.data.root, clip.path) for clip in clips]
    settings = settings_of(Path.cwd())
    with Extractor(settings) as extractor:
        # The extractor opens torch and MediaPipe as the stage does; models alone must not be
        # measured in another state.
        detector = Detector(settings.weights, settings.imgsz, settings.min_confidence)
        pose = open_backend(settings.backend, settings.pose_model)
        torch.set_num_threads(1)
        extractor.extract(paths[0])
        decode_s, frames = _timed(lambda: list(itertools.chain(*map(video.read, paths))))
        detect_s, found = _timed(lambda: [detector(frame.image) for frame in frames])
        boxes = [detections.only(Category.PERSON).box for detections in found]
        pose_s, _ = _timed(
            lambda: [pose(f.image, box) for f, box in zip(frames, boxes, strict=True)]
        )
        extract_s, _ = _timed(lambda: [extractor.extract(path) for path in paths])
        pose.close()
    per_frame = 1e3 / len(frames)
    return {
        "decode, ms a frame": decode_s * per_frame,
        "detect, ms a frame": detect_s * per_frame,
        "pose, ms a frame": pose_s * per_frame,
        "persons a frame": sum(map(len, boxes)) / len(frames),
        "extract, ms a frame": extract_s * per_frame,
        "models alone / extract": (decode_s + detect_s + pose_s) / extract_s,
    }


def settings_of(root: Path) -> ExtractionSettings:
    """The pipeline's own."""
    return ExtractionSettings(
        weights=weights.detector_weights(root / "data/detector"),
        pose_model=weights.pose_landmarker(root / ".cache/models"),
        **load(root / "params.yaml").extract.looking(),
    )


def _timed(call: Callable[[], Value]) -> tuple[float, Value]:
    start = time.process_time()
    value = call()
    return time.process_time() - start, value
