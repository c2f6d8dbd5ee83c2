"""Model files: found, and checked. Only load weights from somebody you trust.

Nothing is fetched here, where stages and runs look for their models; see fetching.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from yololstm.detector import OPENVINO_SUFFIX, checksum
from yololstm.errors import WeightsError
from yololstm.settings import FIND_PERSONS
from yololstm.storage import atomic

POSE_LANDMARKER: Final = "pose_landmarker_full.task"
POSE_LANDMARKER_SHA256: Final = "ce0cd48f484bc3df1e5be66523d89c8ee22162cdb9e21b6d0926dac3db0444b2"
PUBLISHED: Final[Mapping[str, str]] = {
    "yolo11n.pt": "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
    "yolo11s.pt": "85a76fe86dd8afe384648546b56a7a78580c7cb7b404fc595f97969322d502d5",
    "yolo11m.pt": "d5ffc1a674953a08e11a8d21e022781b1b23a19b730afc309290bd9fb5305b95",
    "yolo11n-pose.pt": "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0",
    "yolo26n.pt": "9b09cc8bf347f0fc8a5f7657480587f25db09b34bf33b0652110fb03a8ad4fef",
    "yolo26s.pt": "646f8bc3fe0a656803d95c294f7852321748cb29d13466a1af8862e2db384a1b",
    "yolo26m.pt": "401cea9ab23ad19246ff7744859816bc599f350e93c9dd30367b6f0a0745d0b7",
}
"""sha256 of weights that ultralytics publishes. Of others it is recorded when they are fetched."""


def pose_landmarker(cache: Path) -> Path:
    """The PoseLandmarker bundle in ``cache``. Raises WeightsError where it is absent or damaged."""
    path = cache / POSE_LANDMARKER
    if not path.is_file():
        raise WeightsError(path, "the pose model has not been fetched", "Run yololstm models fetch")
    check(path, POSE_LANDMARKER_SHA256, "Run yololstm models fetch")
    return path


def pose_model(backend: str, weights: str, expected_sha256: str, cache: Path) -> Path:
    """What a pose backend runs.

    weights and expected_sha256: of yolo-pose, as in resolve; no part of mediapipe, which has its
    bundle. Raises WeightsError where it is absent, or another one.
    """
    if backend == "mediapipe":
        return pose_landmarker(cache)
    remedy = f"Run yololstm models fetch --backend {backend} --pose-weights {weights}"
    return _found(weights, expected_sha256, cache, "extract.pose_weights", remedy)


def needed(
    backend: str, pose_weights: str, pose_sha256: str, detector: Path, cache: Path
) -> tuple[Path | None, Path]:
    """What it takes to look at video with a backend: the weights in the detector stage's folder,
    unless it needs none, and what pose_model gives. Raises WeightsError."""
    found = None if backend in FIND_PERSONS else detector_weights(detector)
    return found, pose_model(backend, pose_weights, pose_sha256, cache).absolute()


def resolve(weights: str, expected_sha256: str, cache: Path) -> Path:
    """A detector's weights: a .pt file or an OpenVINO folder, or the name of published weights.

    A bare name such as yolo11n.pt that is no file here stands for what was fetched into ``cache``.
    expected_sha256: of the file, or of the folder as detector.checksum; "" to take any, but of
    published weights the published. Raises WeightsError where there are no such weights, or others.
    """
    remedy = f"Run yololstm models fetch --detector {weights}"
    return _found(weights, expected_sha256, cache, "detector.weights", remedy)


def install(weights: Path, folder: Path) -> Path:
    """Make ``folder`` hold a copy of these weights and nothing else; returns the copy's path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if weights.is_dir():
        return Path(shutil.copytree(weights, folder / weights.resolve().name))
    return Path(shutil.copyfile(weights, folder / "weights.pt"))


def detector_weights(folder: Path) -> Path:
    """The weights that the detector stage left in ``folder``. Raises WeightsError."""
    for path in (folder / "weights.pt", *sorted(folder.glob(f"*{OPENVINO_SUFFIX}"))):
        if path.exists():
            return path
    raise WeightsError(folder, "no detector weights", "Run the detector stage: dvc repro detector")


def is_published(weights: str) -> bool:
    """The name of published weights, and no file here."""
    path = Path(weights)
    return path.name == weights and path.suffix == ".pt" and not path.exists()


# --- checksums ---


def known(name: str, path: Path) -> str:
    """The sha256 that published weights have: published, or recorded beside ``path``; or ""."""
    return PUBLISHED.get(name) or recorded(path)


def check(path: Path, expected_sha256: str, remedy: str) -> None:
    """Raises WeightsError with the remedy where a file or folder is another one."""
    if (actual := checksum(path)) != expected_sha256.lower():
        problem = f"its sha256 is {actual}, not {expected_sha256.lower()}"
        raise WeightsError(path, problem, remedy)


def record(path: Path) -> None:
    """Write a checksum beside a file or folder, as sha256sum does for a file."""
    with atomic(_beside(path)) as temporary:
        temporary.write_text(f"{checksum(path)}  {path.name}\n", encoding="utf-8")


def recorded(path: Path) -> str:
    """The checksum that is written beside a file or folder; "" where none is."""
    beside = _beside(path)
    if not beside.is_file():
        return ""
    digest = (beside.read_text(encoding="utf-8", errors="replace").split() or [""])[0].lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise WeightsError(beside, "it does not begin with a sha256", "Write it with sha256sum")
    return digest


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _found(weights: str, expected_sha256: str, cache: Path, key: str, remedy: str) -> Path:
    """key: of params.yaml, that names the weights. remedy: where published ones are absent."""
    sha256_key = f"{key.removesuffix('weights')}sha256"
    if is_published(weights):
        path = cache / weights
        expected = expected_sha256 or known(weights, path)
        absent, other = ("it has not been fetched", remedy), f"{remedy}, or correct {sha256_key}"
    else:
        path, expected = Path(weights), expected_sha256
        absent = ("no such file", f"Check {key} in params.yaml")
        other = f"Fetch it again, or correct {sha256_key}"
    if not path.exists():
        raise WeightsError(path, *absent)
    if expected:
        check(path, expected, other)
    return path
