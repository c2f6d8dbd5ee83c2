"""The detector stage as DVC runs it: a process in the project's root, told its paths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import drawn
from tests.detecting import train
from yololstm import detector, storage, weights

OUT, REPORT = Path("data/detector"), Path("data/reports/detector.json")


def run(project: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    params = yaml.safe_load((drawn.ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["detector"] |= settings
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(drawn.ROOT / "stages" / "detector.py"), str(OUT), str(REPORT)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def test_training(tmp_path: Path) -> None:
    drawn.squares(tmp_path / "raw")
    model = str(drawn.ROOT / "detectors" / "tiny.yaml")
    done = run(tmp_path, model=model, data="raw", epochs=1, batch=4, imgsz=64)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    trained = weights.detector_weights(tmp_path / OUT)
    assert detector.Detector(trained, 64, 0.5).name.endswith(detector.checksum(trained)[:8])
    report = storage.read_json(tmp_path / REPORT)
    assert report["trained"] is True
    assert set(report["map50"]) == {"person", "bag", "mean"}
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "data", "params.yaml"}


def test_weights_that_are_named(tmp_path: Path) -> None:
    own = tmp_path / "own.pt"
    own.write_bytes(b"weights")
    stale = tmp_path / OUT / "stale.pt"
    stale.parent.mkdir(parents=True)
    stale.touch()
    done = run(tmp_path, weights="own.pt", sha256=detector.checksum(own))
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in (tmp_path / OUT).iterdir()] == ["weights.pt"]
    assert storage.read_json(tmp_path / REPORT) == {
        "trained": False,
        "weights": "own.pt",
        "sha256": detector.checksum(own),
    }


def test_export(tmp_path: Path) -> None:
    """Of weights that are named; extract is then given nothing else."""
    drawn.needs_openvino()
    train(drawn.squares(tmp_path / "raw"), tmp_path / "own.pt")
    done = run(tmp_path, weights="own.pt", data="raw", imgsz=64, export="openvino-int8")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in (tmp_path / OUT).iterdir()] == ["own_int8_openvino_model"]
    exported = weights.detector_weights(tmp_path / OUT)
    assert detector.Detector(exported, 64, 0.5).name.endswith(detector.checksum(exported)[:8])
    report = storage.read_json(tmp_path / REPORT)
    assert report["trained"] is False
    assert set(report["exported"]) == {"pt", "openvino-int8"}
    for found in report["exported"].values():
        assert set(found["map50"]) == {"person", "bag", "mean"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"weights": "own.pt", "sha256": "0" * 64}, "own.pt: its sha256 is"),
        ({"model": "absent.yaml"}, "absent.yaml: no such file"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, settings: dict[str, str], told: str) -> None:
    (tmp_path / "own.pt").write_bytes(b"weights")
    done = run(tmp_path, **settings)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {told}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / REPORT).exists()


def test_weights_that_have_not_been_fetched_are_not(tmp_path: Path) -> None:
    """The stage says how, and reaches for no network."""
    for settings in ({"weights": "yolo11n.pt"}, {"model": "yolo11n.pt"}):
        done = run(tmp_path, **settings)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            "error: .cache/models/yolo11n.pt: it has not been fetched."
            " Run yololstm models fetch --detector yolo11n.pt.\n"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
