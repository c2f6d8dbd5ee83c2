from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import drawn
from tests.detecting import TINY, train
from yololstm import detector, video
from yololstm.detector import Detections, Detector, checksum
from yololstm.errors import WeightsError
from yololstm.landmarks import Category

GREY = np.full((120, 160, 3), 90, dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has seen a person, an apple and a backpack, and learned nothing of it."""
    folder = tmp_path_factory.mktemp("weights")
    train(drawn.squares(folder / "data"), folder / "weights.pt")
    return folder / "weights.pt"


def everything(weights: Path) -> Detections:
    """All that an unsure detector may mean in a picture."""
    return Detector(weights, 64, min_confidence=1e-6)([GREY])[0]


# --- running ---


def test_detections_are_sane(weights: Path) -> None:
    found = everything(weights)
    assert len(found) > 0
    assert (found.box.dtype, found.score.dtype, found.category.dtype) == ("f4", "f4", "u1")
    x0, y0, x1, y1 = found.box.T
    assert (x0 >= 0).all()
    assert (y0 >= 0).all()
    assert (x1 <= 160).all()
    assert (y1 <= 120).all()
    assert (x1 > x0).all()
    assert (y1 > y0).all()
    assert np.isfinite(found.score).all()


def test_classes_go_by_name(tmp_path: Path, weights: Path) -> None:
    """The class numbers of a data set mean nothing; its apples are ignored."""
    assert set(everything(weights).category) <= {Category.PERSON, Category.BAG}
    names = {0: "suitcase", 1: "handbag", 2: "person"}
    train(drawn.squares(tmp_path / "data", names), tmp_path / "out.pt")
    known = Detector(tmp_path / "out.pt", 64, 0.5)._known
    assert known == {0: Category.BAG, 1: Category.BAG, 2: Category.PERSON}


def test_same_image_gives_the_same_boxes(weights: Path) -> None:
    first, second = everything(weights), everything(weights)
    np.testing.assert_array_equal(first.box, second.box)


def test_only() -> None:
    box = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = Detections(box, np.ones(3, np.float32), np.array([0, 1, 0], np.uint8))
    assert found.only(Category.BAG).box.tolist() == [[4, 5, 6, 7]]
    assert len(found.only(Category.PERSON)) == 2


def test_boxes_that_are_nowhere_or_hold_nothing_are_dropped() -> None:
    box = [
        [-5, -5, 20, 20],
        [10, 10, 10, 30],
        [200, 10, 220, 30],
        [np.nan, 0, 9, 9],
        [5, 5, 500, 9],
    ]
    found = Detections(
        np.array(box, np.float32), np.ones(5, np.float32), np.zeros(5, dtype=np.uint8)
    )
    kept, rows = detector.sane(found, height=120, width=160)
    assert rows.tolist() == [True, False, False, False, True]
    assert kept.box.tolist() == [[0, 0, 20, 20], [5, 5, 160, 9]]


def test_name_says_what_ran(weights: Path) -> None:
    name = Detector(weights, 64, 0.5).name
    assert name.startswith("ultralytics 8.")
    assert name.endswith(f"weights.pt {checksum(weights)[:8]}")


# --- weights that are none ---


def test_absent_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights"):
        Detector(tmp_path / "absent.pt", 64, 0.5)


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_file_that_is_no_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.pt: no YOLO weights"):
        Detector(tmp_path / "bad.pt", 64, 0.5)


def test_weights_cut_short(tmp_path: Path, weights: Path) -> None:
    content = weights.read_bytes()
    (tmp_path / "half.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match="no YOLO weights"):
        Detector(tmp_path / "half.pt", 64, 0.5)


def test_code_in_weights_is_not_run(tmp_path: Path) -> None:
    import torch

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "harmed",)

    torch.save({"model": Harm()}, tmp_path / "harm.pt")
    with pytest.raises(WeightsError, match="no YOLO weights"):
        Detector(tmp_path / "harm.pt", 64, 0.5)
    assert not (tmp_path / "harmed").exists()


def test_weights_that_know_no_persons(tmp_path: Path) -> None:
    train(drawn.squares(tmp_path / "data", {0: "apple"}), tmp_path / "out.pt")
    with pytest.raises(WeightsError, match="no class person"):
        Detector(tmp_path / "out.pt", 64, 0.5)


@pytest.mark.parametrize("name", ["folder", "some_openvino_model"])
def test_folder_that_is_no_openvino_export(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(WeightsError, match="not an OpenVINO export"):
        Detector(tmp_path / name, 64, 0.5)


def test_openvino_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "some_openvino_model"
    folder.mkdir()
    (folder / "some.xml").touch()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(WeightsError, match=r"OpenVINO is not installed.*pip install"):
        Detector(folder, 64, 0.5)


# --- privacy ---

OFFLINE = """
import json, socket, sys
from pathlib import Path
calls = []
def refuse(*args, **kwargs):
    calls.append(repr(args))
    raise OSError("no network in this test")
socket.getaddrinfo = socket.create_connection = refuse
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
import numpy as np
from yololstm.detector import Detector
from yololstm.detector_training import train
data, model, out = map(Path, sys.argv[1:4])
train(model, data, out, epochs=1, patience=1, batch=4, imgsz=64, seed=0)
Detector(out, 64, 0.5)([np.zeros((64, 64, 3), np.uint8)])
print(json.dumps(calls))
"""


def test_nobody_is_called_and_the_home_is_left_alone(tmp_path: Path) -> None:
    data = drawn.squares(tmp_path / "data")
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    python = [sys.executable, "-c", OFFLINE, str(data), str(TINY), str(tmp_path / "out.pt")]
    done = subprocess.run(
        python,
        cwd=home,
        env={
            **os.environ,
            "HOME": str(home),
            "TMPDIR": str(temporary),
            "PYTHONPATH": str(drawn.ROOT),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []
    assert list(home.rglob("*")) == []
    assert list(temporary.glob("yololstm-*")) == []


def test_openvino_tells_nobody(tmp_path: Path) -> None:
    """Its telemetry forks, so that no trap of ours sees it, and leaves a folder in the home."""
    drawn.needs_openvino()
    load = (
        "from yololstm.detector import ultralytics; ultralytics(); import openvino; openvino.Core()"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(drawn.ROOT)}
    subprocess.run([sys.executable, "-c", load], cwd=tmp_path, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


# --- real material ---


def test_persons_of_a_real_shop(real_data: Path) -> None:
    drawn.needs_openvino()
    real = Detector(real_data / "models" / "yolo11n_int8_openvino_model", 640, 0.4)
    clip = real_data / "data" / "aihub_clips" / "b_002_bag_30.mp4"
    frames = [frame.image for frame in video.read(clip) if frame.index % 10 == 0]
    for image in frames:
        (found,) = real([image])
        assert (found.category == Category.PERSON).sum() == 2
        assert (found.box[:, 3] - found.box[:, 1]).max() > 500


def test_two_processes_have_two_cores(real_data: Path) -> None:
    """OpenVINO would pin its threads to the first cores there are, in each process to the same."""
    drawn.needs_openvino()
    real = Detector(real_data / "models" / "yolo11n_int8_openvino_model", 640, 0.4)
    compiled = real._network._yolo.predictor.model.backend.ov_compiled_model
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")
