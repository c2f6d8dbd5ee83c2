"""Fetching, from a server on this machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import drawn
from tests.imports import ROOT, closure, file_of, own_imports, package_modules, stage_files
from yololstm import fetching, weights
from yololstm.errors import WeightsError
from yololstm.pose.mediapipe import build_bundle

PUBLISHED = hashlib.sha256(b"published").hexdigest()


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        if self.path.endswith("short.pt"):
            self.close_connection = True
        super().end_headers()

    def send_header(self, keyword: str, value: str) -> None:
        odd = keyword == "Content-Length" and self.path.endswith("odd.pt")
        super().send_header(keyword, "many" if odd else value)

    def copyfile(self, source: Any, outputfile: Any) -> None:
        content = source.read()
        outputfile.write(content[:4] if self.path.endswith("short.pt") else content)

    def log_message(self, format: str, *args: Any) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """Publishes pub.pt, half of short.pt, and odd.pt, whose length it gives as no number; the
    working directory holds no weights."""
    folder = tmp_path / "release"
    folder.mkdir()
    for name in ("pub.pt", "short.pt", "odd.pt", "yolo11n.pt"):
        (folder / name).write_bytes(b"published")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(fetching, "RELEASE", f"http://127.0.0.1:{server.server_port}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


CACHE = Path("cache")


def test_weights_are_fetched_once_and_their_checksum_is_recorded(
    release: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        fetching.published("pub.pt", "", CACHE)
    assert release.asked == ["/pub.pt"]
    assert capsys.readouterr().err == "fetching pub.pt from the releases of ultralytics, once\n"
    assert weights.resolve("pub.pt", "", CACHE).read_bytes() == b"published"
    assert Path("cache/pub.pt.sha256").read_text() == f"{PUBLISHED}  pub.pt\n"
    subprocess.run(["sha256sum", "--check", "pub.pt.sha256"], cwd=CACHE, check=True)


def test_what_was_recorded_is_held_against_what_is_there(release: Any) -> None:
    fetching.published("pub.pt", "", CACHE)
    (CACHE / "pub.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=rf"not {PUBLISHED}.*models fetch --detector pub\.pt"):
        weights.resolve("pub.pt", "", CACHE)
    fetching.published("pub.pt", "", CACHE)
    assert weights.resolve("pub.pt", "", CACHE).read_bytes() == b"published"


def test_weights_of_a_known_name_must_be_the_known_ones(release: Any) -> None:
    with pytest.raises(WeightsError, match=rf"its sha256 is {PUBLISHED}, not 0ebbc80d.*who chang"):
        fetching.published("yolo11n.pt", "", CACHE)
    assert list(CACHE.iterdir()) == []


def test_what_is_there_survives_a_fetch_that_fails(release: Any) -> None:
    CACHE.mkdir()
    (CACHE / "pub.pt").write_bytes(b"before")
    with pytest.raises(WeightsError, match=rf"its sha256 is {PUBLISHED}, not {'0' * 64}"):
        fetching.published("pub.pt", "0" * 64, CACHE)
    assert [path.name for path in CACHE.iterdir()] == ["pub.pt"]
    assert (CACHE / "pub.pt").read_bytes() == b"before"


def test_fetched_whole_or_not_at_all(release: Any) -> None:
    with pytest.raises(WeightsError, match=r"short\.pt: it (ended after 4 of 9 bytes|broke off)"):
        fetching.published("short.pt", "", CACHE)
    with pytest.raises(WeightsError, match=r"absent\.pt: it cannot be fetched .*404.*by hand"):
        fetching.published("absent.pt", "", CACHE)
    assert list(CACHE.iterdir()) == []


def test_length_that_is_no_number_is_none(release: Any) -> None:
    fetching.published("odd.pt", "", CACHE)
    assert (CACHE / "odd.pt").read_bytes() == b"published"


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetching, "RELEASE", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"cannot be fetched .*refused.*by hand"):
        fetching.published("pub.pt", "", tmp_path)


def test_offline_says_where_the_file_goes(release: Any) -> None:
    with pytest.raises(
        WeightsError, match=r"^cache/pub\.pt: .*offline.*Put the file of http.*/pub"
    ):
        fetching.published("pub.pt", "", CACHE, offline=True)
    with pytest.raises(WeightsError, match=rf"cache/{weights.POSE_LANDMARKER}: .*copy that file"):
        fetching.pose_landmarker(CACHE, offline=True)
    assert release.asked == []
    assert not CACHE.exists()


def test_what_is_no_name_of_published_weights_is_left_alone(release: Any) -> None:
    Path("own.pt").write_bytes(b"own")
    for name in ("own.pt", "folder/pub.pt", "some_openvino_model", "detectors/tiny.yaml", ""):
        fetching.published(name, "", CACHE)
    assert release.asked == []


# --- the pose model ---


def stub_pip(monkeypatch: pytest.MonkeyPatch, wheel: bytes | None, stderr: str = "") -> list[Any]:
    """pip download that leaves this wheel, or fails; returns its calls."""
    calls = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if wheel is not None:
            Path(command[-1], "mediapipe-0.10.21-none.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, int(wheel is None), "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_pose_model_that_is_there_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub_pip(monkeypatch, None)
    for offline in (False, True):
        found = fetching.pose_landmarker(drawn.pose_model().parent, offline=offline)
        assert found == drawn.pose_model()
    assert calls == []


def test_fetch_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub_pip(monkeypatch, None, stderr="retrying\nERROR: No matching distribution found\n")
    with pytest.raises(WeightsError, match=r"No matching distribution found.*Check the network"):
        fetching.pose_landmarker(tmp_path / "cache")
    assert "35 MB" in capsys.readouterr().err
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetch_runs_pip_for_one_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine asks: the bytes must not depend on it."""
    calls = stub_pip(monkeypatch, b"not a wheel")
    with pytest.raises(WeightsError, match="not a wheel with the pose models"):
        fetching.pose_landmarker(tmp_path)
    (command,) = calls
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "manylinux_2_28_x86_64"} < set(command)
    assert "mediapipe==0.10.21" in command
    assert not Path(command[-1]).exists(), "the wheel is not kept"


def test_wheel_without_the_models(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("mediapipe/__init__.py", "")
    with pytest.raises(WeightsError, match=r"other\.whl.*not a wheel with the pose models"):
        build_bundle(tmp_path / "other.whl", tmp_path / "out.task")


@pytest.mark.skipif(
    not os.environ.get("YOLOLSTM_NETWORK"), reason="YOLOLSTM_NETWORK is not set: no package index"
)
def test_fetch_for_real(tmp_path: Path) -> None:
    path = fetching.pose_landmarker(tmp_path / "cache")
    assert path == weights.pose_landmarker(tmp_path / "cache")


# --- nobody else ---


def test_nothing_is_fetched_but_by_the_command_that_says_so() -> None:
    users = {
        module
        for module in package_modules()
        if "yololstm.fetching" in own_imports(file_of(module))
    }
    assert users == {"yololstm.cli.models"}
    for stage in stage_files():
        assert ROOT / "yololstm" / "fetching.py" not in closure(stage)


def test_importing_reaches_for_no_network() -> None:
    """Neither does any module of the package, nor what it imports."""
    code = """
import pkgutil, sys, yololstm
def hook(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        raise SystemExit(f"{event} {arguments}")
sys.addaudithook(hook)
for module in pkgutil.walk_packages(yololstm.__path__, "yololstm."):
    __import__(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
