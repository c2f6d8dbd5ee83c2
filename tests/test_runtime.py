from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from yololstm import runtime
from yololstm.detector import fitting, ultralytics
from yololstm.errors import CheckpointError, WeightsError, YololstmError
from yololstm.inference import Classifier
from yololstm.landmarks import Category
from yololstm.runtime import KEY, OnnxDetector, letterboxed, load_behaviour
from yololstm.scaling import BodyScaling
from yololstm.windows import WindowSpec

SPEC = WindowSpec(fps=3, length=16, hop=4, max_gap_s=1.0, min_valid=0.5)
LABELS = ("theft", "normal")
BEHAVIOUR = {
    **Classifier(lambda x, valid: x, BodyScaling(), SPEC, LABELS).to_dict(),
    **{"what": "behaviour", "format": 1, "checkpoint_sha256": "0" * 64},
}
DETECTOR = {"what": "detector", "format": 1, "names": {"0": "person", "1": "apple", "2": "bag"}}
FLOAT, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.BOOL


def model(
    path: Path, said: Mapping[str, Any] | None, inputs: dict[str, Any], output: str, value: Any
) -> Path:
    """A network that says the same of everything."""
    array = np.asarray(value, dtype=np.float32)
    constant = onnx.helper.make_node(
        "Constant", [], [output], value=onnx.numpy_helper.from_array(array)
    )
    graph = onnx.helper.make_graph(
        [constant],
        "constant",
        [onnx.helper.make_tensor_value_info(name, *told) for name, told in inputs.items()],
        [onnx.helper.make_tensor_value_info(output, FLOAT, array.shape)],
    )
    opset = onnx.helper.make_opsetid("", 18)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    if said is not None:
        onnx.helper.set_model_props(made, {KEY: json.dumps(said)})
    onnx.save(made, path)
    return path


def classifier(path: Path, said: Mapping[str, Any] | None, value: Any = ((1, 2),)) -> Path:
    inputs = {"x": (FLOAT, ["n", 16, 26]), "valid": (BOOL, ["n", 16, 13])}
    return model(path, said, inputs, "logits", value)


def detector(path: Path, said: Mapping[str, Any] | None, value: Any) -> Path:
    return model(path, said, {"images": (FLOAT, [1, 3, "h", "w"])}, "output0", value)


# --- files ---


def test_classifier_is_loaded(tmp_path: Path) -> None:
    loaded = load_behaviour(classifier(tmp_path / "a.onnx", BEHAVIOUR))
    assert loaded.classifier.labels == LABELS
    assert loaded.checkpoint_sha256 == "0" * 64
    x, valid = np.zeros((1, 16, 26), np.float32), np.zeros((1, 16, 13), np.bool_)
    np.testing.assert_array_equal(loaded.classifier.logits(x, valid), [[1, 2]])


def test_what_fails_in_the_middle_is_an_error_of_ours(tmp_path: Path) -> None:
    loaded = load_behaviour(classifier(tmp_path / "a.onnx", BEHAVIOUR))
    x, valid = np.zeros((1, 5, 26), np.float32), np.zeros((1, 5, 13), np.bool_)
    with pytest.raises(CheckpointError, match="ONNX Runtime cannot run it"):
        loaded.classifier.logits(x, valid)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (None, "none that yololstm exported"),
        ({}, "none that yololstm exported"),
        (DETECTOR, "a detector, not a behaviour. Name the other file"),
        (BEHAVIOUR | {"format": 9}, "format 9; this program reads format 1"),
        (BEHAVIOUR | {"joints": ["HEAD"]}, "other joints"),
        (BEHAVIOUR | {"labels": ["theft"]}, "as many values as labels"),
        (BEHAVIOUR | {"spec": {**BEHAVIOUR["spec"], "length": 9}}, "do not fit"),
        (BEHAVIOUR | {"rule": {"leave": 2}}, "do not fit"),
        ({"what": "behaviour", "format": 1}, "do not fit"),
    ],
)
def test_classifier_that_does_not_fit_is_refused(
    tmp_path: Path, said: Mapping[str, Any] | None, problem: str
) -> None:
    path = classifier(tmp_path / "a.onnx", said)
    with pytest.raises(CheckpointError, match=problem) as caught:
        load_behaviour(path)
    assert caught.value.problem.place == str(path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("gone.onnx", None, "no such file. Run yololstm export, or check the path"),
        ("checkpoint.safetensors", b"", "not an .onnx file"),
        ("empty.onnx", b"", "damaged, or no ONNX model"),
        ("torn.onnx", b"\x08\x0a\x12\x07pytorch" * 9, "damaged, or no ONNX model"),
    ],
)
def test_files_that_are_none_are_refused(
    tmp_path: Path,
    name: str,
    content: bytes | None,
    problem: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for load, error in ((load_behaviour, CheckpointError), (detect, WeightsError)):
        with pytest.raises(YololstmError, match=problem) as caught:
            load(path)
        assert caught.type is error
    assert capfd.readouterr() == ("", "")


def test_torn_file_is_refused(tmp_path: Path) -> None:
    path = classifier(tmp_path / "a.onnx", BEHAVIOUR)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError):
        load_behaviour(path)


# --- detectors ---


def detect(path: Path) -> OnnxDetector:
    return OnnxDetector(path, 320, 0.3)


def test_what_a_detector_sees(tmp_path: Path) -> None:
    """Of boxes that are one thing the surest; of things that we know; in pixels of the frame."""
    rows = [
        # centre x, y, width, height; person, apple, bag
        (80, 96, 40, 80, 0.8, 0.1, 0.2),
        (82, 96, 40, 80, 0.9, 0.1, 0.2),
        (200, 96, 20, 20, 0.1, 0.7, 0.6),
        (300, 20, 60, 60, 0.1, 0.1, 0.5),
        (10, 10, 10, 10, 0.3, 0.1, 0.1),
        (250, 400, 10, 10, 0.9, 0.1, 0.1),
    ]
    path = detector(tmp_path / "detector.onnx", DETECTOR, [np.array(rows, np.float32).T])
    look = detect(path)
    assert look.name.startswith("onnxruntime ")
    assert " detector.onnx " in look.name
    (found,) = look([np.zeros((720, 1280, 3), np.uint8)])
    assert look([]) == []
    # 1280 x 720 is 320 x 180 within 320 x 192: 6 rows of grey above, and 4 pixels to one.
    expected = [[(82 - 20) * 4, 50 * 4, 102 * 4, 130 * 4], [270 * 4, 0, 1280, 44 * 4]]
    np.testing.assert_allclose(found.box, expected, atol=1e-3)
    np.testing.assert_allclose(found.score, [0.9, 0.5])
    assert found.category.tolist() == [Category.PERSON, Category.BAG]
    assert (found.box.dtype, found.score.dtype, found.category.dtype) == ("f4", "f4", "u1")


@pytest.mark.parametrize(
    ("said", "value", "problem"),
    [
        (BEHAVIOUR, np.zeros((1, 7, 3)), "a behaviour, not a detector"),
        (DETECTOR | {"names": ["person"]}, np.zeros((1, 7, 3)), "do not fit"),
        (DETECTOR, np.zeros(3), "do not fit"),
        (DETECTOR, np.zeros((1, 4, 3)), "do not fit"),
    ],
)
def test_detector_that_does_not_fit_is_refused(
    tmp_path: Path, said: Mapping[str, Any], value: Any, problem: str
) -> None:
    path = detector(tmp_path / "detector.onnx", said, value)
    with pytest.raises(WeightsError, match=problem):
        detect(path)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([64, 100, 320]), st.randoms())
def test_letterbox_is_that_of_ultralytics(height: int, width: int, imgsz: int, seed: Any) -> None:
    library = ultralytics()
    rng = np.random.default_rng(seed.getrandbits(32))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    augment = importlib.import_module("ultralytics.data.augment")
    theirs = augment.LetterBox(fitting(imgsz, [image]), auto=True, stride=32)
    expected = theirs(image=cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[..., ::-1]
    ours = letterboxed(image, imgsz)
    np.testing.assert_array_equal((ours.blob[0] * 255).round().transpose(1, 2, 0), expected)
    box = rng.uniform(0, imgsz, (5, 4)).astype(np.float32)
    back = library.utils.ops.scale_boxes(expected.shape[:2], torch.tensor(box), image.shape)
    inside = ours.in_frame(box).clip(0, np.array([width, height] * 2))
    np.testing.assert_allclose(inside, back.numpy(), rtol=1e-4, atol=1e-3)


@given(st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_boxes_of_one_thing_are_told_as_torchvision_does(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (n, 2))
    box = np.concatenate([corner, corner + rng.uniform(1, 40, (n, 2))], axis=1).astype(np.float32)
    scores = torch.linspace(1, 0.1, n)
    expected = torchvision.ops.nms(torch.tensor(box), scores, 0.5)
    assert runtime._apart(box) == expected.tolist()
