"""A detector that is trained in seconds, and has learned nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests import drawn
from yololstm import detector_training

TINY: Final = drawn.ROOT / "detectors" / "tiny.yaml"


def train(data: Path, out: Path, **other: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        **{"epochs": 1, "patience": 5, "batch": 4, "imgsz": 64, "seed": 0},
        **other,
    }
    return detector_training.train(TINY, data, out, **settings)
