"""What options, params.yaml in the working directory and defaults come to: models and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from yololstm.params import Extract

Backend = Literal["mediapipe", "yolo-pose"]

MODELS: Final = Path(".cache/models")
DETECTOR: Final = "data/detector"
CHECKPOINT: Final = Path("data/checkpoint.safetensors")


def detector_weights(choice: str) -> Path:
    from yololstm import weights
    from yololstm.detector import OPENVINO_SUFFIX

    path = Path(choice)
    if path.suffix == ".pt" or path.name.endswith(OPENVINO_SUFFIX):
        return weights.resolve(choice, "", MODELS)
    return weights.detector_weights(path)


def pose_model(extract: Extract, *, fetching: bool = False) -> Path:
    from yololstm import weights

    get = weights.fetch_pose_model if fetching else weights.pose_model
    return get(extract.backend, extract.pose_weights, extract.pose_sha256, MODELS)


def extract_and_crf(**options: object) -> tuple[Extract, int]:
    """extract and render.crf of the params.yaml in the working directory, where there is one.

    options: what goes before the values of extract, where it is not None.
    """
    from yololstm.params import Extract, load

    path = Path("params.yaml")
    if path.exists():
        params = load(path)
        extract, crf = params.extract, params.render.crf
    else:
        extract, crf = Extract.model_validate(_EXTRACT), 23
    given = {key: value for key, value in options.items() if value is not None}
    return extract.model_copy(update=given), crf


_EXTRACT: Final[Mapping[str, object]] = {
    **{"source": "video", "backend": "mediapipe", "format": "parquet"},
    **{"pose_weights": "yolo11n-pose.pt", "pose_sha256": ""},
    **{"fps": None, "max_persons": 6, "imgsz": 640, "min_confidence": 0.4},
    **{"detect_every": 1, "rejoin_s": 0, "still_s": 0, "smoothing": "none"},
    **{"workers": 1, "timeout_s": 300, "cluster": "", "store_gb": 1},
}


def data_params() -> tuple[str, Mapping[str, str], Sequence[str]]:
    """Kind, label map and labels: of the params.yaml in the working directory, if there is one."""
    from yololstm.clips import NORMAL
    from yololstm.params import load

    path = Path("params.yaml")
    if path.exists():
        params = load(path)
        return params.data.kind, params.data.label_map, params.labels
    label_map = {"theft": "theft", "fight": "assault", "broken": "damage"}
    return "aihub", label_map, (*label_map.values(), NORMAL)
