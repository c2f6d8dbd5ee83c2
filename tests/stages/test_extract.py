"""The extract stage as DVC runs it: a process in the project's root, told its paths."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests import drawn
from tests.datasets import trees
from yololstm import datasets, storage
from yololstm.clips import Clip
from yololstm.detector import train

INDEX, DETECTOR = Path("data/index.csv"), Path("data/detector")
OUT, REPORT = Path("data/landmarks"), Path("data/reports/extract.json")


def run(
    project: Path, root: str, *, data: dict[str, Any], **extract: Any
) -> subprocess.CompletedProcess[str]:
    params = yaml.safe_load((drawn.ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"] |= data
    params["extract"] |= extract
    (project / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    command = [sys.executable, str(drawn.ROOT / "stages" / "extract.py"), root]
    return subprocess.run(
        [*command, str(INDEX), str(DETECTOR), str(OUT), str(REPORT)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has learned nothing: it sees nobody anywhere."""
    folder = tmp_path_factory.mktemp("weights")
    train(
        drawn.ROOT / "detectors" / "tiny.yaml",
        drawn.squares(folder / "data"),
        folder / "weights.pt",
        **{"epochs": 1, "patience": 1, "batch": 4, "imgsz": 64, "seed": 0},
    )
    return folder / "weights.pt"


@pytest.fixture
def project(tmp_path: Path, weights: Path) -> Path:
    """A project's root with a detector, and with the pose model where it is looked for."""
    (tmp_path / DETECTOR).mkdir(parents=True)
    (tmp_path / DETECTOR / "weights.pt").write_bytes(weights.read_bytes())
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "models").symlink_to(drawn.pose_model().parent)
    return tmp_path


def index(project: Path, kind: str, root: Path) -> list[Clip]:
    clips = datasets.reader(kind, {"theft": "theft"}).read(root).clips
    storage.write_index(project / INDEX, clips)
    return clips


def shop(root: Path, n: int = 4) -> Path:
    for number in range(n):
        trees.put_video(root / "theft" / f"{number}.mp4")
    return root


def test_clips_of_nobody(project: Path) -> None:
    """Over two processes: nobody appears, which is no fault."""
    clips = index(project, "folder", shop(project / "raw"))
    (project / OUT).mkdir()
    (project / OUT / "stale.parquet").touch()
    done = run(project, "raw", data={"kind": "folder"}, workers=2)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    report = storage.read_json(project / REPORT)
    assert (report["clips"], report["nobody"], report["frames"]) == (4, 4, 4 * trees.N_FRAMES)
    assert report["left_out"] == []
    assert report["pose"] == {"split": {}, "label": {}}
    assert {path.stem for path in (project / OUT).iterdir()} == {clip.clip_id for clip in clips}
    for path in (project / OUT).iterdir():
        landmarks = storage.read_landmarks(path)
        assert len(landmarks) == 0
        assert landmarks.source.n_frames == trees.N_FRAMES


def test_landmarks_that_the_data_set_brings(project: Path) -> None:
    tree = trees.landmarks_csv(project / "raw")
    clips = index(project, tree.kind, tree.root)
    done = run(project, "raw", data={"kind": tree.kind}, workers=2, format="csv")
    assert (done.returncode, done.stderr) == (0, "")
    reader = tree.reader()
    for clip in clips:
        written = storage.read_landmarks(project / OUT / f"{clip.clip_id}.csv")
        own = reader.landmarks(tree.root, clip)
        assert own is not None
        np.testing.assert_array_equal(written.xy, own.xy)
    assert storage.read_json(project / REPORT)["clips"] == len(clips)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(trees.mp4_bytes()[:-200], "it has", id="changed"),
        pytest.param(None, "no such file", id="gone"),
    ],
)
def test_faulty_clip_is_left_out(project: Path, content: bytes | None, problem: str) -> None:
    index(project, "folder", shop(project / "raw"))
    victim = project / "raw" / "theft" / "1.mp4"
    if content is None:
        victim.unlink()
    else:
        victim.write_bytes(content)
    data = {"kind": "folder", "max_left_out": 0.25}
    done = run(project, "raw", data=data, workers=1)
    assert done.returncode == 0
    assert done.stderr.startswith(f"warning: theft/1.mp4: {problem}")
    report = storage.read_json(project / REPORT)
    assert [problem["place"] for problem in report["left_out"]] == ["theft/1.mp4"]
    assert report["clips"] == 3
    assert len(list((project / OUT).iterdir())) == 3
    done = run(project, "raw", data=data | {"max_left_out": 0.2}, workers=1)
    assert done.returncode == 1
    assert "1 of 4 clips are left out, more than data.max_left_out" in done.stderr
    assert len(storage.read_json(project / REPORT)["left_out"]) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("zero", b""), ("text", b"not a video"), ("cut", trees.mp4_bytes()[:-300])],
)
def test_file_that_is_no_video(project: Path, name: str, content: bytes) -> None:
    """Even where the index holds it, as it stands."""
    (clip,) = index(project, "folder", shop(project / "raw", n=1))
    (project / "raw" / clip.path).write_bytes(content)
    storage.write_index(project / INDEX, [replace(clip, bytes=len(content))])
    done = run(project, "raw", data={"kind": "folder"}, workers=1)
    assert done.returncode == 1
    assert "error: extract: none of 1 clips is left, for example theft/0.mp4: " in done.stderr
    assert "Traceback" not in done.stderr


def test_no_detector_or_pose_model(project: Path) -> None:
    index(project, "folder", shop(project / "raw", n=1))
    (project / ".cache" / "models").unlink()
    done = run(project, "raw", data={"kind": "folder"})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Run yololstm models fetch" in done.stderr
    (project / DETECTOR / "weights.pt").unlink()
    done = run(project, "raw", data={"kind": "folder"})
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Run the detector stage" in done.stderr


def test_detector_that_is_damaged_stops_the_stage(project: Path) -> None:
    index(project, "folder", shop(project / "raw"))
    (project / DETECTOR / "weights.pt").write_bytes(b"damaged")
    done = run(project, "raw", data={"kind": "folder", "max_left_out": 1.0}, workers=1)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no YOLO weights" in done.stderr
