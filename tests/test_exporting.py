from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from tests import drawn, spotted
from tests.detecting import train
from tests.people import LABELS, acting, landmarks
from yololstm import checkpoint, exporting, models, storage, video
from yololstm.cli import app
from yololstm.detector import Detector
from yololstm.errors import CheckpointError, EmptyError, WeightsError, YololstmError
from yololstm.events import Rule
from yololstm.exporting import TOLERANCE, export_behaviour, export_detector, random_windows
from yololstm.runtime import KEY, OnnxDetector, load_behaviour
from yololstm.scaling import BodyScaling, MinMaxScaling, Scaling
from yololstm.segmentation import segment
from yololstm.trained import Checkpoint
from yololstm.windows import WindowSpec

SPEC = WindowSpec(fps=3, length=16, hop=4, max_gap_s=1.0, min_valid=0.5)
SCALINGS = [BodyScaling(), MinMaxScaling((0.0,) * 26, (1280.0,) * 26)]
RULE = Rule({"theft": 0.9}, min_s=1.0, cool_down_s=10.0)


def trained(model: str, scaling: Scaling = SCALINGS[0], n: int = 2) -> Checkpoint:
    torch.manual_seed(0)
    members = tuple(dict(models.build(model, 4).state_dict()) for _ in range(n))
    args: dict[str, Any] = {"temperature": 1.5, "rule": RULE, "mirrored": True}
    return Checkpoint(model, {}, members, scaling, SPEC, LABELS, **args)


def saved(folder: Path, kept: Checkpoint) -> Path:
    checkpoint.save(folder / "checkpoint.safetensors", kept)
    return folder / "checkpoint.safetensors"


def exported(folder: Path, kept: Checkpoint) -> Path:
    path = folder / "behaviour.onnx"
    export_behaviour(path, kept, saved(folder, kept), random_windows(kept))
    return path


# --- classifiers ---


@pytest.mark.parametrize(
    ("model", "scaling"),
    [("bilstm", SCALINGS[1]), *((model, SCALINGS[0]) for model in sorted(models.MODELS))],
)
def test_onnx_says_what_torch_says(tmp_path: Path, model: str, scaling: Scaling) -> None:
    kept = trained(model, scaling, n=2 if model == "bilstm" else 1)
    ours, theirs = kept.classifier(), load_behaviour(exported(tmp_path, kept)).classifier
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (40, 16, 26)).astype(np.float32)
    valid = rng.random((40, 16, 13)) > 0.2
    for n in (0, 1, 7, 40):
        logits = theirs.logits(x[:n], valid[:n])
        assert (logits.shape, logits.dtype) == ((n, 4), np.float32)
        np.testing.assert_allclose(logits, ours.logits(x[:n], valid[:n]), atol=TOLERANCE / 10)
    times = np.arange(40) / 3
    seen = landmarks({1: (times, acting("theft", times, rng))})
    said, expected = theirs.classify(seen), ours.classify(seen)
    assert len(said) > 2
    np.testing.assert_array_equal(said.start_s, expected.start_s)
    np.testing.assert_allclose(said.probability, expected.probability, atol=TOLERANCE / 10)


def test_file_says_all_that_it_takes_to_use_it(tmp_path: Path) -> None:
    kept = trained("bilstm")
    path = exported(tmp_path, kept)
    loaded = load_behaviour(path)
    assert loaded.classifier.to_dict() == kept.classifier().to_dict()
    assert loaded.checkpoint_sha256 == storage.sha256(tmp_path / "checkpoint.safetensors")
    model = onnx.load(path)
    (entry,) = model.metadata_props
    said = json.loads(entry.value)
    assert entry.key == KEY
    assert said["labels"] == list(LABELS)
    assert said["rule"]["enter"] == {"theft": 0.9}
    assert said["spec"] == {
        **{"fps": 3, "length": 16, "hop": 4},
        **{"max_gap_s": 1.0, "min_valid": 0.5},
    }
    assert (said["members"], said["mirrored"], said["temperature"]) == (2, True, 1.5)
    assert sorted(said["versions"]) == ["torch", "yololstm"]
    assert [one.name for one in model.graph.input] == ["x", "valid"]
    first = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in first] == ["windows", 16, 26]


AGAIN = """
import sys
from pathlib import Path
from yololstm import checkpoint
from yololstm.exporting import export_behaviour, export_detector, random_images, random_windows
source, weights, out = map(Path, sys.argv[1:])
kept = checkpoint.load(source)
export_behaviour(out / "behaviour.onnx", kept, source, random_windows(kept))
export_detector(out / "detector.onnx", weights, 64, random_images())
"""


def test_another_process_writes_the_same_bytes(tmp_path: Path, weights: Path) -> None:
    path = exported(tmp_path, trained("bilstm"))
    export_detector(tmp_path / "detector.onnx", weights, 64, exporting.random_images())
    out = tmp_path / "again"
    command = [sys.executable, "-c", AGAIN, str(tmp_path / "checkpoint.safetensors"), str(weights)]
    done = subprocess.run([*command, str(out)], capture_output=True, text=True, cwd=drawn.ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (out / "behaviour.onnx").read_bytes() == path.read_bytes()
    assert (out / "detector.onnx").read_bytes() == (tmp_path / "detector.onnx").read_bytes()


class Fickle(nn.Module):
    """What it computes depends on the values that it sees, which a graph cannot say."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.head = nn.Linear(26, n_labels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        logits: Tensor = self.head(x.mean(dim=1))
        return logits + 0.001 if bool(x.abs().sum() > 0) else logits


class Unsayable(Fickle):
    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(x.transpose(1, 2) @ x)[:, :4]


@pytest.mark.parametrize(
    ("model", "problem"),
    [(Fickle, r"logits differ from PyTorch's by 0\.001"), (Unsayable, "cannot be said in ONNX")],
)
def test_what_is_not_the_same_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: type[nn.Module], problem: str
) -> None:
    monkeypatch.setitem(models.MODELS, "odd", model)
    with pytest.raises(YololstmError, match=problem):
        exported(tmp_path, trained("odd"))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_compared_on_windows_of_landmarks_or_of_the_segment_stage(tmp_path: Path) -> None:
    kept = trained("bilstm", SCALINGS[1])
    source = saved(tmp_path, kept)
    times, rng = np.arange(40) / 3, np.random.default_rng(0)
    seen = landmarks({1: (times, acting("theft", times, rng))})
    storage.write_landmarks(tmp_path / "seen.parquet", seen)
    sample = exporting.windows_of(tmp_path / "seen.parquet", kept, source)
    assert sample.told == f"7 windows of {tmp_path / 'seen.parquet'}"
    x, valid = sample.arrays
    expected = kept.classifier().classify(seen).probability
    np.testing.assert_array_equal(kept.classifier().scaled(x, valid), expected)

    storage.write_landmarks(tmp_path / "nobody.parquet", landmarks({}))
    with pytest.raises(EmptyError, match="no window to compare on"):
        exporting.windows_of(tmp_path / "nobody.parquet", kept, source)

    cut = segment(seen, SPEC).windows
    for split in ("train", "val", "test"):
        storage.write_windows(tmp_path / "windows" / f"{split}.npz", replace(cut, x=x))
    storage.write_json(tmp_path / "windows" / "scaling.json", kept.scaling.to_dict())
    sample = exporting.windows_of(tmp_path / "windows", kept, source)
    assert sample.told.startswith("21 windows of ")
    with pytest.raises(CheckpointError, match="trained on other windows"):
        exporting.windows_of(tmp_path / "windows", trained("bilstm"), source)


# --- detectors ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has seen a person, an apple and a backpack, and learned nothing of it."""
    folder = tmp_path_factory.mktemp("weights")
    train(drawn.squares(folder / "data"), folder / "weights.pt")
    return folder / "weights.pt"


def test_detector_is_the_same_for_images_of_any_shape(tmp_path: Path, weights: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = ((120, 160), (200, 90), (64, 64), (33, 471))
    noise = tuple(rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes)
    sample = exporting.Sample(noise, "noise")
    assert max(export_detector(tmp_path / "detector.onnx", weights, 64, sample)) < 0.01
    said = json.loads(onnx.load(tmp_path / "detector.onnx").metadata_props[0].value)
    assert said["names"] == {"0": "person", "1": "apple", "2": "backpack"}
    assert (said["imgsz"], said["weights_sha256"]) == (64, storage.sha256(weights))


def test_detections_are_those_of_torch(clip: Path, spots: Path, tmp_path: Path) -> None:
    path = tmp_path / "detector.onnx"
    export_detector(path, spots, 320, exporting.random_images())
    images = [frame.image for frame in video.read(clip)][::4]
    ours, theirs = Detector(spots, 320, 0.4)(images), OnnxDetector(path, 320, 0.4)(images)
    assert [len(found) for found in ours] == [1] * 6
    for found, expected in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(found.box, expected.box, atol=1)
        np.testing.assert_allclose(found.score, expected.score, atol=TOLERANCE)
        np.testing.assert_array_equal(found.category, expected.category)


def test_what_cannot_be_exported_is_refused(tmp_path: Path, weights: Path) -> None:
    folder = tmp_path / "weights_openvino_model"
    folder.mkdir()
    out, images = tmp_path / "detector.onnx", exporting.random_images()
    with pytest.raises(WeightsError, match="OpenVINO export, of which no other can be made"):
        export_detector(out, folder, 64, images)
    with pytest.raises(WeightsError, match="no such weights"):
        export_detector(out, tmp_path / "gone.pt", 64, images)
    train(drawn.squares(tmp_path / "data", {0: "apple"}), tmp_path / "apples.pt")
    with pytest.raises(WeightsError, match="no class person"):
        export_detector(out, tmp_path / "apples.pt", 64, images)
    with pytest.raises(EmptyError, match="no image to compare on"):
        exporting.images_of(folder)
    assert not out.exists()


# --- as programs ---

WITHOUT_TORCH = """
import sys
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "ultralytics", "safetensors"}:
            raise AssertionError(f"imports {name}")
sys.meta_path.insert(0, Refusing())
from yololstm.cli import app
app()
"""


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spotted.clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return spotted.detector(tmp_path_factory.mktemp("spots") / "weights.pt")


@pytest.fixture
def home(tmp_path: Path, spots: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the models that torch runs, and that of poses."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/models").symlink_to(drawn.pose_model().parent)
    (tmp_path / "data/detector").mkdir(parents=True)
    shutil.copy(spots, "data/detector/weights.pt")
    # It has learned nothing, and calls an event what is half as likely as by chance.
    rule = Rule(dict.fromkeys(LABELS, 0.125))
    saved(Path("data"), replace(trained("bilstm"), spec=replace(SPEC, length=6, hop=2), rule=rule))
    return tmp_path


def test_clip_shows_the_same_events_where_there_is_no_torch(home: Path, clip: Path) -> None:
    done = invoke("export", "--imgsz", 320)
    assert done.exit_code == 0, done.output
    behaviour, detector = done.stdout.splitlines()
    assert behaviour.startswith("data/export/behaviour.onnx  differs from PyTorch by at most ")
    assert behaviour.endswith("on 64 random windows")
    assert detector.startswith("data/export/detector.onnx  differs from PyTorch by at most ")
    assert detector.endswith("pixels on 2 random images")

    options = ("run", str(clip), "--imgsz", "320")
    done = invoke(*options, "--out", "torch")
    assert done.exit_code == 0, done.output
    Path("data/detector/weights.pt").unlink()
    Path("data/checkpoint.safetensors").unlink()
    command = [sys.executable, "-c", WITHOUT_TORCH, *options, "--out", "onnx", "--runtime", "onnx"]
    without = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(drawn.ROOT)}
    )
    assert (without.returncode, without.stderr) == (0, "")
    assert without.stdout.replace("onnx/", "torch/") == done.stdout

    ours, theirs = (
        storage.read_json(Path(out, "spotted/events.json")) for out in ("torch", "onnx")
    )
    assert "onnxruntime" in theirs["frames"].pop("backend")
    assert "ultralytics" in ours["frames"].pop("backend")
    assert len(ours["tracks"]) == 1
    assert len(ours["events"]) >= 1
    assert theirs == ours
    seen, expected = (
        storage.read_landmarks(Path(out, "spotted/landmarks.parquet")) for out in ("onnx", "torch")
    )
    np.testing.assert_allclose(seen.box, expected.box, atol=1)
    np.testing.assert_allclose(seen.xy, expected.xy, atol=1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--backend", "yolo-pose"), "--runtime: yolo-pose runs by torch alone. "),
        ((), "data/export/behaviour.onnx: no such file. Run yololstm export"),
        (("--checkpoint", "data/checkpoint.safetensors"), "not an .onnx file"),
    ],
)
def test_what_onnx_cannot_run_is_named(home: Path, options: tuple[str, ...], problem: str) -> None:
    if "--backend" in options:
        exported(home, trained("lstm"))
        options = (*options, "--checkpoint", "behaviour.onnx")
    done = invoke("run", "a.mp4", "--out", "out", "--runtime", "onnx", *options)
    assert done.exit_code == 1
    assert problem in done.stderr


def test_what_torch_cannot_run_is_named(home: Path) -> None:
    for option in ("--checkpoint", "--detector"):
        done = invoke("run", "a.mp4", "--out", "out", option, "data/export/a.onnx")
        assert done.exit_code == 1
        assert f"error: {option}: data/export/a.onnx is exported. Add --runtime onnx" in done.stderr


def test_why_it_is_not_compared_on_what_the_pipeline_made(home: Path) -> None:
    asked = ("export", "--only", "behaviour")
    Path("data/windows").mkdir()
    done = invoke(*asked)
    assert done.exit_code == 0, done.output
    random = "compared on 64 random windows, for "
    assert done.stderr.startswith(f"{random}data/windows/train.npz: unreadable windows (")

    kept = checkpoint.load(Path("data/checkpoint.safetensors"))
    times = np.arange(40) / 3
    seen = landmarks({1: (times, acting("theft", times, np.random.default_rng(0)))})
    cut = segment(seen, kept.spec).windows
    scaled = replace(cut, x=kept.scaling.transform(cut.x, cut.valid))
    storage.write_json(Path("data/windows/scaling.json"), kept.scaling.to_dict())
    for windows, told in ((cut[:0], f"{random}data/windows: no window"), (scaled, "")):
        for split in ("train", "val", "test"):
            storage.write_windows(Path("data/windows", f"{split}.npz"), windows)
        done = invoke(*asked)
        assert done.exit_code == 0, done.output
        assert done.stderr.startswith(told)
    assert done.stderr == ""
    assert done.stdout.endswith("windows of data/windows\n")

    storage.write_json(Path("data/windows/scaling.json"), SCALINGS[1].to_dict())
    done = invoke(*asked)
    assert f"{random}data/checkpoint.safetensors: trained on other windows than" in done.stderr
    assert invoke(*asked, "--windows", "data/windows").exit_code == 1


def test_one_of_both_is_exported(home: Path) -> None:
    done = invoke("export", "--only", "behaviour", "--out", "here")
    assert done.exit_code == 0, done.output
    assert [path.name for path in Path("here").iterdir()] == ["behaviour.onnx"]
    Path("data/checkpoint.safetensors").unlink()
    done = invoke("export", "--out", "there")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: data/checkpoint.safetensors: no such file. ")
    assert not Path("there").exists()
