from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests import drawn
from yololstm import detector, weights
from yololstm.errors import WeightsError
from yololstm.pose.mediapipe import build_bundle


def openvino_folder(parent: Path, name: str = "some_openvino_model") -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "some.xml").write_text("<net/>")
    (folder / "some.bin").write_bytes(b"\0\1")
    return folder


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


# --- the pose model ---


def test_pose_model_is_the_known_one() -> None:
    path = drawn.pose_model()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.POSE_LANDMARKER_SHA256
    with zipfile.ZipFile(path) as bundle:
        assert bundle.namelist() == ["pose_detector.tflite", "pose_landmarks_detector.tflite"]
        assert bundle.testzip() is None


def test_absent_pose_model(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Run yololstm models fetch"):
        weights.pose_landmarker(tmp_path)


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_damaged_pose_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / weights.POSE_LANDMARKER).write_bytes(content)
    with pytest.raises(WeightsError, match=f"not {weights.POSE_LANDMARKER_SHA256}.*models fetch"):
        weights.pose_landmarker(tmp_path)


def test_pose_model_that_is_there_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stub_pip(monkeypatch, None)
    assert weights.fetch_pose_landmarker(drawn.pose_model().parent) == drawn.pose_model()
    assert calls == []


def test_fetch_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stub_pip(monkeypatch, None, stderr="retrying\nERROR: No matching distribution found\n")
    with pytest.raises(WeightsError, match=r"No matching distribution found.*Check the network"):
        weights.fetch_pose_landmarker(tmp_path / "cache")
    assert "35 MB" in capsys.readouterr().err
    assert list((tmp_path / "cache").iterdir()) == []


def test_fetch_runs_pip_for_one_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever machine asks: the bytes must not depend on it."""
    calls = stub_pip(monkeypatch, b"not a wheel")
    with pytest.raises(WeightsError, match="not a wheel with the pose models"):
        weights.fetch_pose_landmarker(tmp_path)
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
    path = weights.fetch_pose_landmarker(tmp_path / "cache")
    assert path == weights.pose_landmarker(tmp_path / "cache")


# --- detector weights ---


def test_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    assert weights.resolve(str(tmp_path / "own.pt"), "", tmp_path) == tmp_path / "own.pt"
    folder = openvino_folder(tmp_path)
    assert weights.resolve(str(folder), "", tmp_path) == folder


def test_checksum_of_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    assert weights.resolve(str(tmp_path / "own.pt"), digest.upper(), tmp_path).is_file()
    folder = openvino_folder(tmp_path)
    assert weights.resolve(str(folder), detector.checksum(folder), tmp_path) == folder


def test_wrong_checksum_names_both(tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    actual = hashlib.sha256(b"weights").hexdigest()
    with pytest.raises(WeightsError, match=rf"own\.pt: its sha256 is {actual}, not {'0' * 64}"):
        weights.resolve(str(tmp_path / "own.pt"), "0" * 64, tmp_path)


def test_checksum_of_a_folder_sees_names_and_bytes(tmp_path: Path) -> None:
    sums = [
        detector.checksum(openvino_folder(tmp_path / "a")),
        detector.checksum(openvino_folder(tmp_path / "b", "renamed_openvino_model")),
    ]
    assert sums[0] == sums[1], "the folder's own name does not matter"
    folder = tmp_path / "a" / "some_openvino_model"
    (folder / "some.bin").write_bytes(b"\0\2")
    sums.append(detector.checksum(folder))
    (folder / "some.bin").rename(folder / "other.bin")
    sums.append(detector.checksum(folder))
    assert len(set(sums)) == 3


@pytest.mark.parametrize("name", ["absent/own.pt", "absent_openvino_model"])
def test_absent_weights(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        weights.resolve(name, "", tmp_path)


def test_published_weights_are_fetched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def download(name: str, folder: Path) -> Path:
        folder.mkdir()
        (folder / name).write_bytes(b"published")
        return folder / name

    monkeypatch.setattr(weights, "download", download)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert weights.resolve("yolo11n.pt", "", Path("cache")) == Path("cache", "yolo11n.pt")
    assert capsys.readouterr().err.count("fetching yolo11n.pt") == 1


def test_published_weights_are_downloaded_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "release"
    release.mkdir()
    (release / "yolo11n.pt").write_bytes(b"published")
    monkeypatch.setattr(detector, "_RELEASE", release.as_uri())
    cache = tmp_path / "cache"
    assert weights.resolve("yolo11n.pt", "", cache).read_bytes() == b"published"
    with pytest.raises(WeightsError, match=r"mine\.pt: cannot be fetched .*by hand"):
        weights.resolve("mine.pt", "", cache)
    assert [path.name for path in cache.iterdir()] == ["yolo11n.pt"]


# --- weights of YOLO-pose ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a working directory without weights, where one may download what is called pub.pt."""
    release = tmp_path / "release"
    release.mkdir()
    (release / "pub.pt").write_bytes(b"published")
    monkeypatch.setattr(detector, "_RELEASE", release.as_uri())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


PUBLISHED = hashlib.sha256(b"published").hexdigest()


def test_published_pose_weights_are_fetched_when_asked_for_and_only_then(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WeightsError, match="Run yololstm models fetch --backend yolo-pose"):
        weights.pose_model("yolo-pose", "pub.pt", PUBLISHED, cache)
    assert not cache.exists()
    for _ in range(2):
        assert weights.fetch_pose_model("yolo-pose", "pub.pt", PUBLISHED, cache) == cache / "pub.pt"
    assert capsys.readouterr().err.count("fetching pub.pt") == 1
    assert weights.pose_model("yolo-pose", "pub.pt", PUBLISHED, cache).read_bytes() == b"published"


def test_damaged_pose_weights_are_noticed_and_fetched_again(cache: Path) -> None:
    cache.mkdir()
    (cache / "pub.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=rf"not {PUBLISHED}.*extract\.pose_sha256"):
        weights.pose_model("yolo-pose", "pub.pt", PUBLISHED, cache)
    assert weights.fetch_pose_model("yolo-pose", "pub.pt", PUBLISHED, cache).is_file()
    with pytest.raises(WeightsError, match=rf"its sha256 is {PUBLISHED}, not {'0' * 64}"):
        weights.fetch_pose_model("yolo-pose", "pub.pt", "0" * 64, cache)


def test_own_pose_weights_are_taken_as_they_are(cache: Path) -> None:
    folder = openvino_folder(Path())
    for get in (weights.pose_model, weights.fetch_pose_model):
        assert get("yolo-pose", str(folder), "", cache) == folder
        with pytest.raises(WeightsError, match=r"no such file\. Check extract\.pose_weights"):
            get("yolo-pose", "absent_openvino_model", "", cache)
    assert not cache.exists()


def test_each_backend_needs_its_own_models_and_no_other(cache: Path) -> None:
    landmarker = drawn.pose_model()
    folder = openvino_folder(Path())
    found = weights.needed("yolo-pose", str(folder), "", Path("no detector"), cache)
    assert found == (None, folder.absolute())
    with pytest.raises(WeightsError, match="Run the detector stage"):
        weights.needed("mediapipe", "absent.pt", "", Path("no detector"), landmarker.parent)
    Path("weights.pt").write_bytes(b"weights")
    found = weights.needed("mediapipe", "absent.pt", "", Path(), landmarker.parent)
    assert found == (Path("weights.pt"), landmarker)


# --- what the detector stage hands on ---


def test_installed_weights_are_found(tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    out = tmp_path / "detector"
    for source in (tmp_path / "own.pt", openvino_folder(tmp_path), tmp_path / "own.pt"):
        installed = weights.install(source, out)
        assert detector.checksum(installed) == detector.checksum(source)
        assert weights.detector_weights(out) == installed
        assert list(out.iterdir()) == [installed]


def test_no_detector_yet(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Run the detector stage"):
        weights.detector_weights(tmp_path)
