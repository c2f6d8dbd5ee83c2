from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import drawn
from tests.detecting import train
from yololstm.boxes import iou
from yololstm.detector import Detections, Detector
from yololstm.detector_export import KINDS, Kind, _Found, average_precision, export
from yololstm.errors import EmptyError, ParamsError, WeightsError
from yololstm.landmarks import Category


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, weights that have learned nothing of it, and every export of them."""
    drawn.needs_openvino()
    folder = tmp_path_factory.mktemp("exported")
    data = drawn.squares(folder / "data", n=4)
    train(data, folder / "weights.pt")
    for kind in KINDS:
        export(folder / "weights.pt", folder, kind, 64, data)
    return folder


def exported(folder: Path, kind: Kind) -> Path:
    return (
        folder
        / {
            "openvino": "weights_openvino_model",
            "openvino-int8": "weights_int8_openvino_model",
        }[kind]
    )


OFFLINE = """
import socket, sys
from pathlib import Path
def refuse(*args, **kwargs):
    raise SystemExit(f"called {args}")
socket.getaddrinfo = socket.create_connection = refuse
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
from yololstm.detector_export import export
weights, data, out, *kinds = sys.argv[1:]
for kind in kinds:
    export(Path(weights), Path(out), kind, 64, Path(data))
"""


SIGNALLED = """
import gc, os, signal, sys, threading
from pathlib import Path
from yololstm.detector import Detector
held = [Detector(Path(sys.argv[2]), 64, 0.4) for _ in "12"]
def let_go():
    while held:
        held.pop(0)
        gc.collect()
if sys.argv[1] == "elsewhere":
    thread = threading.Thread(target=let_go)
    thread.start()
    thread.join()
else:
    let_go()
signal.signal(signal.SIGTERM, lambda number, frame: print(number))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_signals_still_come_when_networks_are_let_go(folder: Path, where: str) -> None:
    command = [sys.executable, "-c", SIGNALLED, where, str(exported(folder, "openvino"))]
    environment = {**os.environ, "PYTHONPATH": str(drawn.ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "15\n"), done.stderr


def test_export_says_nothing_calls_nobody_and_is_the_same_each_time(
    folder: Path, tmp_path: Path
) -> None:
    home, temporary, once, twice = (tmp_path / name for name in ("home", "tmp", "once", "twice"))
    for path in (home, temporary, once, twice):
        path.mkdir()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    for out in (once, twice):
        paths = (folder / "weights.pt", folder / "data/data.yaml", out)
        done = subprocess.run(
            [sys.executable, "-c", OFFLINE, *map(str, paths), *KINDS],
            cwd=home,
            env={
                **os.environ,
                **{"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(drawn.ROOT)},
            },
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(home.rglob("*")) == []
    assert list(temporary.glob("yololstm-*")) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    for kind in KINDS:
        names = {path.name for path in exported(once, kind).iterdir()}
        assert names == {"weights.xml", "weights.bin", "metadata.yaml"}
        for path in exported(once, kind).iterdir():
            # Not with the fixture's: OpenVINO numbers what a process makes, in the .xml.
            assert path.read_bytes() == (exported(twice, kind) / path.name).read_bytes()
            assert str(tmp_path).encode() not in path.read_bytes()
            assert b"date" not in path.read_bytes() or path.suffix != ".yaml"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(64, 64), (36, 64), (64, 36), (90, 160)])
def test_export_finds_what_the_weights_find(
    folder: Path, kind: Kind, shape: tuple[int, int]
) -> None:
    """In pictures of any shape, however unsure they are."""
    image = np.full((*shape, 3), 90, dtype=np.uint8)
    image[4:24, 8:28] = (250, 30, 30)
    ((one,), (other,)) = (
        Detector(weights, 64, 1e-6)([image])
        for weights in (folder / "weights.pt", exported(folder, kind))
    )
    best = one.score.argmax()
    overlap = iou(one.box[best], other.box)
    assert overlap.max() > 0.8
    assert other.score[overlap.argmax()] == pytest.approx(one.score[best], rel=0.25)


# --- how right it is ---


def precise(found: list[tuple[list[int], float]], truth: list[list[int]]) -> float:
    """Average precision at half an overlap, of persons in one image."""
    seen = _Found()
    boxes = np.array([box for box, _ in found], dtype=np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in found], dtype=np.float32)
    things = np.array(truth, dtype=np.float32).reshape(-1, 4)
    seen.add(
        Detections(boxes, scores, np.zeros(len(found), np.uint8)),
        things,
        np.zeros(len(truth), np.uint8),
    )
    return float(seen.average_precision()[Category.PERSON][0])


ONE, OTHER, NOBODY = [0, 0, 10, 20], [50, 0, 60, 20], [80, 0, 90, 20]


def test_everybody_found_is_one() -> None:
    assert precise([(OTHER, 0.3), (ONE, 0.9)], [ONE, OTHER]) == pytest.approx(1, abs=0.01)


def test_half_found_is_half() -> None:
    assert precise([(ONE, 0.9)], [ONE, OTHER]) == pytest.approx(0.5, abs=0.01)


def test_second_box_on_a_person_is_wrong() -> None:
    twice = [(ONE, 0.9), (ONE, 0.8), (OTHER, 0.7)]
    assert precise(twice, [ONE, OTHER]) == pytest.approx(0.5 + 0.5 * 2 / 3, abs=0.02)


def test_more_sure_mistake_costs_more() -> None:
    late = precise([(ONE, 0.9), (NOBODY, 0.1)], [ONE])
    early = precise([(NOBODY, 0.9), (ONE, 0.1)], [ONE])
    assert late == pytest.approx(1, abs=0.01)
    assert early == pytest.approx(0.5, abs=0.01)


def test_nothing_found_is_zero() -> None:
    assert precise([], [ONE]) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_precision_is_by_category(folder: Path, kind: Kind) -> None:
    found = average_precision(exported(folder, kind), folder / "data/data.yaml", 64)
    assert set(found) == {"map50", "map50_95"}
    for shares in found.values():
        assert set(shares) == {"person", "bag", "mean"}
        assert all(0 <= share <= 1 for share in shares.values())


def test_precision_of_what_val_does_not_show_is_none(folder: Path, tmp_path: Path) -> None:
    data = drawn.squares(tmp_path, {0: "person", 1: "apple"})
    found = average_precision(folder / "weights.pt", data, 64)
    assert found["map50"]["bag"] is None
    assert found["map50"]["person"] == found["map50"]["mean"]


# --- what cannot be exported ---


def test_export_of_an_export(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"detector\.export.*is an export already"):
        export(exported(folder, "openvino"), tmp_path, "openvino", 64, folder / "data/data.yaml")


def test_export_of_what_is_no_weights(tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match=r"bad\.pt: no YOLO weights"):
        export(tmp_path / "bad.pt", tmp_path, "openvino", 64, tmp_path)


def test_eight_bits_need_images(folder: Path, tmp_path: Path) -> None:
    data = drawn.squares(tmp_path / "data")
    for image in tmp_path.glob("data/images/train/*"):
        image.unlink()
    with pytest.raises(EmptyError, match="no image"):
        export(folder / "weights.pt", tmp_path, "openvino-int8", 64, data)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(("kind", "absent"), [("openvino", "openvino"), ("openvino-int8", "nncf")])
def test_packages_that_are_not_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, absent: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == absent else find_spec(name)
    )
    with pytest.raises(WeightsError, match=rf"{absent} is not installed.*\[openvino\]"):
        export(folder / "weights.pt", tmp_path, kind, 64, folder / "data/data.yaml")
