"""Model files: found, fetched once, and checked. Only load weights from somebody you trust."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from yololstm.detector import OPENVINO_SUFFIX, checksum, download
from yololstm.errors import WeightsError
from yololstm.settings import FIND_PERSONS
from yololstm.storage import atomic, sha256

POSE_LANDMARKER: Final = "pose_landmarker_full.task"
POSE_LANDMARKER_SHA256: Final = "ce0cd48f484bc3df1e5be66523d89c8ee22162cdb9e21b6d0926dac3db0444b2"
_WHEEL: Final = "mediapipe==0.10.21"
"""The last release whose wheel holds the pose models. Nothing of it is installed or run."""
_WHEEL_PLATFORM: Final = (
    *("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
    *("--only-binary=:all:", "--no-deps"),
)
"""Fixed, so that the bytes do not depend on the machine that fetches them."""


def pose_landmarker(cache: Path) -> Path:
    """The PoseLandmarker bundle in ``cache``. Raises WeightsError where it is absent or damaged."""
    path = cache / POSE_LANDMARKER
    if not path.is_file():
        raise WeightsError(path, "the pose model has not been fetched", "Run yololstm models fetch")
    _check(path, POSE_LANDMARKER_SHA256, "Run yololstm models fetch")
    return path


def fetch_pose_landmarker(cache: Path) -> Path:
    """Make the PoseLandmarker bundle in ``cache``, unless it is there and right.

    Its models come out of a wheel of the package index that pip is set to. Raises WeightsError
    where pip cannot fetch it.
    """
    from yololstm.pose.mediapipe import build_bundle

    path = cache / POSE_LANDMARKER
    if path.is_file() and sha256(path) == POSE_LANDMARKER_SHA256:
        return path
    print(f"fetching {_WHEEL} (35 MB) for the pose models inside it, once", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="yololstm-wheel-") as folder, atomic(path) as temporary:
        build_bundle(_fetch_wheel(Path(folder)), temporary)
        _check(temporary, POSE_LANDMARKER_SHA256, f"pip gave another {_WHEEL}: use PyPI's own")
    return path


def pose_model(backend: str, weights: str, expected_sha256: str, cache: Path) -> Path:
    """What a pose backend runs. Nothing is fetched here: this is asked in the middle of a run.

    weights and expected_sha256: of yolo-pose, as in resolve; no part of mediapipe, which has its
    bundle. Raises WeightsError where it is absent, or another one.
    """
    if backend == "mediapipe":
        return pose_landmarker(cache)
    path = _place(weights, cache)
    if _is_published(weights) and not path.is_file():
        remedy = "Run yololstm models fetch --backend yolo-pose"
        raise WeightsError(path, "the pose model has not been fetched", remedy)
    return _checked(path, expected_sha256, "extract.pose_weights", "extract.pose_sha256")


def needed(
    backend: str, pose_weights: str, pose_sha256: str, detector: Path, cache: Path
) -> tuple[Path | None, Path]:
    """What it takes to look at video with a backend: the weights in the detector stage's folder,
    unless it needs none, and what pose_model gives. Raises WeightsError."""
    found = None if backend in FIND_PERSONS else detector_weights(detector)
    return found, pose_model(backend, pose_weights, pose_sha256, cache).absolute()


def fetch_pose_model(backend: str, weights: str, expected_sha256: str, cache: Path) -> Path:
    """Fetch what pose_model gives, unless it is there and right. Raises WeightsError."""
    if backend == "mediapipe":
        return fetch_pose_landmarker(cache)
    path = _place(weights, cache)
    if _is_published(weights) and not (path.is_file() and _is(path, expected_sha256)):
        _download(weights, cache)
    return pose_model(backend, weights, expected_sha256, cache)


def resolve(weights: str, expected_sha256: str, cache: Path) -> Path:
    """A detector's weights: a .pt file or an OpenVINO folder, or the name of published weights.

    A bare name such as yolo11n.pt that is no file here is downloaded once into ``cache``.
    expected_sha256: of the file, or of the folder as detector.checksum; "" to take any. Raises
    WeightsError where there are no such weights, or other ones.
    """
    path = _place(weights, cache)
    if _is_published(weights) and not path.exists():
        _download(weights, cache)
    return _checked(path, expected_sha256, "detector.weights", "detector.sha256")


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


def _is_published(weights: str) -> bool:
    """The name of published weights, and no file here."""
    path = Path(weights)
    return path.name == weights and path.suffix == ".pt" and not path.exists()


def _place(weights: str, cache: Path) -> Path:
    return cache / weights if _is_published(weights) else Path(weights)


def _download(name: str, cache: Path) -> None:
    print(f"fetching {name} from the releases of ultralytics, once", file=sys.stderr)
    download(name, cache)


def _checked(path: Path, expected_sha256: str, key: str, sha256_key: str) -> Path:
    """key and sha256_key: of params.yaml, which say what is expected."""
    if not path.exists():
        raise WeightsError(path, "no such file", f"Check {key} in params.yaml")
    if expected_sha256:
        _check(path, expected_sha256, f"Fetch it again, or correct {sha256_key}")
    return path


def _is(path: Path, expected_sha256: str) -> bool:
    return not expected_sha256 or checksum(path) == expected_sha256.lower()


def _fetch_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", *_WHEEL_PLATFORM, _WHEEL]
    done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1].removeprefix("ERROR: ")
        raise WeightsError(
            _WHEEL, f"pip cannot fetch it ({reason})", "Check the network and pip's settings"
        )
    return wheels[0]


def _check(path: Path, expected: str, remedy: str) -> None:
    if (actual := checksum(path)) != expected.lower():
        raise WeightsError(path, f"its sha256 is {actual}, not {expected.lower()}", remedy)
