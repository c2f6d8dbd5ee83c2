"""What options, params.yaml in the working directory and defaults come to: models and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yololstm.errors import ParamsError

if TYPE_CHECKING:
    from yololstm.params import Extract

MODELS: Final = Path(".cache/models")
DETECTOR: Final = "data/detector"
CHECKPOINT: Final = Path("data/checkpoint.safetensors")
EXPORT: Final = Path("data/export")
BEHAVIOUR: Final = "behaviour.onnx"
DETECTED: Final = "detector.onnx"
SAMPLE: Final = "data/raw/sample"


def detector_weights(choice: str) -> Path:
    from yololstm import weights
    from yololstm.detector import OPENVINO_SUFFIX

    path = Path(choice)
    if path.suffix == ".pt" or path.name.endswith(OPENVINO_SUFFIX):
        return weights.resolve(choice, "", MODELS)
    return weights.detector_weights(path)


def pose_model(extract: Extract) -> Path:
    from yololstm import weights

    return weights.pose_model(extract.backend, extract.pose_weights, extract.pose_sha256, MODELS)


def extract_and_crf(*, pose_weights: str | None = None, **options: object) -> tuple[Extract, int]:
    """extract and render.crf of the params.yaml in the working directory, where there is one.

    pose_weights, options: what goes before the values of extract, where it is not None. Raises
    ParamsError for pose_weights where the backend has none.
    """
    from yololstm.params import Extract, load

    path = Path("params.yaml")
    if path.exists():
        params = load(path)
        extract, crf = params.extract, params.render.crf
    else:
        extract, crf = Extract.model_validate(_EXTRACT), 23
    if pose_weights is not None:
        # The checksum is that of the weights that params.yaml names.
        options |= {"pose_weights": pose_weights, "pose_sha256": ""}
    given = {key: value for key, value in options.items() if value is not None}
    extract = extract.model_copy(update=given)
    if pose_weights is not None and extract.backend != "yolo-pose":
        problem = f"{extract.backend} does not use them"
        raise ParamsError("--pose-weights", problem, "Add --backend yolo-pose")
    return extract, crf


_EXTRACT: Final[Mapping[str, object]] = {
    **{"source": "video", "backend": "mediapipe", "format": "parquet"},
    **{"pose_weights": "yolo11n-pose.pt", "pose_sha256": ""},
    **{"fps": None, "max_persons": 6, "imgsz": None, "min_confidence": 0.4},
    **{"detect_every": 1, "rejoin_s": 0, "still_s": 0, "smoothing": "none"},
    **{"workers": 1, "timeout_s": 300, "cluster": "", "store_gb": 1},
}


def detector_params() -> tuple[str, str]:
    """The weights that the params.yaml in the working directory names for the detector, or those
    that it is trained from, and their sha256 or "". ("", "") where there is no params.yaml."""
    from yololstm.params import load

    path = Path("params.yaml")
    if not path.exists():
        return "", ""
    params = load(path).detector
    return (params.weights, params.sha256) if params.weights else (params.model, "")


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


def shareable() -> Sequence[str]:
    """Roots of which pictures may be shared: of the params.yaml in the working directory, if there
    is one."""
    from yololstm.params import load

    path = Path("params.yaml")
    return load(path).data.shareable if path.exists() else [SAMPLE]
