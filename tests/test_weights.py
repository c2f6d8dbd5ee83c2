from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from tests import drawn
from yololstm import detector, weights
from yololstm.errors import WeightsError


def openvino_folder(parent: Path, name: str = "some_openvino_model") -> Path:
    folder = parent / name
    folder.mkdir(parents=True)
    (folder / "some.xml").write_text("<net/>")
    (folder / "some.bin").write_bytes(b"\0\1")
    return folder


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


def test_published_weights_are_what_was_fetched_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "cache"
    with pytest.raises(
        WeightsError, match=r"yolo11n\.pt: it has not been .*--detector yolo11n\.pt"
    ):
        weights.resolve("yolo11n.pt", "", cache)
    assert not cache.exists()
    cache.mkdir()
    (cache / "yolo11n.pt").write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"not 0ebbc80d.*or correct detector\.sha256"):
        weights.resolve("yolo11n.pt", "", cache)
    given = hashlib.sha256(b"other").hexdigest()
    assert weights.resolve("yolo11n.pt", given, cache) == cache / "yolo11n.pt"
    Path("yolo11n.pt").write_bytes(b"own")
    assert weights.resolve("yolo11n.pt", "", cache) == Path("yolo11n.pt")


# --- weights of YOLO-pose ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a working directory without weights."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "cache"


def test_published_pose_weights_are_what_was_fetched(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"--backend yolo-pose --pose-weights pub\.pt"):
        weights.pose_model("yolo-pose", "pub.pt", "", cache)
    cache.mkdir()
    (cache / "pub.pt").write_bytes(b"published")
    published = hashlib.sha256(b"published").hexdigest()
    for sha256 in ("", published):
        assert weights.pose_model("yolo-pose", "pub.pt", sha256, cache) == cache / "pub.pt"
    (cache / "pub.pt").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=rf"not {published}.*extract\.pose_sha256"):
        weights.pose_model("yolo-pose", "pub.pt", published, cache)


def test_own_pose_weights_are_taken_as_they_are(cache: Path) -> None:
    folder = openvino_folder(Path())
    assert weights.pose_model("yolo-pose", str(folder), "", cache) == folder
    with pytest.raises(WeightsError, match=r"no such file\. Check extract\.pose_weights"):
        weights.pose_model("yolo-pose", "absent_openvino_model", "", cache)
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


# --- checksums beside ---


def test_checksum_is_recorded_beside_and_read_again(tmp_path: Path) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    assert weights.recorded(tmp_path / "own.pt") == ""
    weights.record(tmp_path / "own.pt")
    assert weights.recorded(tmp_path / "own.pt") == hashlib.sha256(b"weights").hexdigest()
    folder = openvino_folder(tmp_path)
    weights.record(folder)
    assert weights.recorded(folder) == detector.checksum(folder)


@pytest.mark.parametrize("content", ["", "\n", "abc  own.pt\n", f"{'x' * 64}  own.pt\n"])
def test_what_is_no_checksum(tmp_path: Path, content: str) -> None:
    (tmp_path / "own.pt.sha256").write_text(content)
    with pytest.raises(WeightsError, match="does not begin with a sha256"):
        weights.recorded(tmp_path / "own.pt")
