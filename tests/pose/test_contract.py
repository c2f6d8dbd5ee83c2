"""What every pose backend promises, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import drawn
from yololstm.errors import ParamsError, WeightsError
from yololstm.pose import PoseBackend, open_backend
from yololstm.skeleton import JOINTS, torso_length


def _yolo(request: pytest.FixtureRequest) -> Path:
    drawn.needs_openvino()
    folder: Path = request.getfixturevalue("real_data")
    return folder / "models" / "yolov8n-pose_int8_openvino_model"


#: The model of each backend.
MODELS: dict[str, Callable[[pytest.FixtureRequest], Path]] = {
    "mediapipe": lambda _: drawn.pose_model(),
    "yolo-pose": _yolo,
}
#: Of its own pixels, how far a joint may move when the person is moved in the frame: as a share of
#: the torso. One that sees the whole frame sees it at another size then.
SHIFTS = {"yolo-pose": 0.2}


@pytest.fixture(scope="module", params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backend(name: str, request: pytest.FixtureRequest) -> Iterator[PoseBackend]:
    opened = open_backend(name, MODELS[name](request))
    yield opened
    opened.close()


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def check(xy: NDArray[np.float32], confidence: NDArray[np.float32], n: int) -> None:
    assert (xy.shape, xy.dtype) == ((n, 13, 2), np.float32)
    assert (confidence.shape, confidence.dtype) == ((n, 13), np.float32)
    assert ((confidence >= 0) & (confidence <= 1)).all()
    np.testing.assert_array_equal(np.isnan(xy).all(axis=-1), confidence == 0)
    np.testing.assert_array_equal(np.isnan(xy).any(axis=-1), confidence == 0)


def test_person_is_found_where_the_box_is(backend: PoseBackend) -> None:
    image, box = drawn.still()
    xy, confidence = backend(image, box)
    check(xy, confidence, len(box))
    for joints, (x0, y0, x1, y1) in zip(xy, box, strict=True):
        inside = (joints > (x0 - 20, y0 - 20)) & (joints < (x1 + 20, y1 + 20))
        assert inside.all()
        assert 0.15 < torso_length(joints) / (y1 - y0) < 0.5
        head, ankles = JOINTS.index("HEAD"), [JOINTS.index(f"ANKLE_{s}") for s in ("LEFT", "RIGHT")]
        assert (joints[ankles, 1] > joints[head, 1] + 0.5 * (y1 - y0)).all()


def test_pixels_are_those_of_the_full_frame(backend: PoseBackend, name: str) -> None:
    image, box = drawn.still()
    moved = np.full((500, 800, 3), 90, dtype=np.uint8)
    moved[100 : 100 + image.shape[0], 60 : 60 + image.shape[1]] = image
    shift = np.array([60, 100], dtype=np.float32)
    here, _ = backend(image, box[:1])
    there, _ = backend(moved, box[:1] + np.tile(shift, 2))
    moves = SHIFTS.get(name, 1e-4) * torso_length(here[0])
    np.testing.assert_allclose(there, here + shift, atol=moves)


def test_each_box_on_its_own(backend: PoseBackend) -> None:
    image, box = drawn.still()
    empty = boxes((0, 0, 30, 60))
    alone = backend(image, box[:1])
    together = backend(image, np.concatenate([empty, box[:1], empty]))
    np.testing.assert_array_equal(together[0][1], alone[0][0])
    np.testing.assert_array_equal(together[1][1], alone[1][0])


def test_deterministic(backend: PoseBackend) -> None:
    image, box = drawn.still()
    for first, second in zip(backend(image, box), backend(image, box), strict=True):
        np.testing.assert_array_equal(first, second)


def test_no_box_gives_no_rows(backend: PoseBackend) -> None:
    image, _ = drawn.still()
    check(*backend(image, boxes()), 0)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((100, 100, 100.4, 100.4), id="less than a pixel"),
        pytest.param((100, 100, 103, 108), id="a few pixels"),
        pytest.param((5000, 5000, 5100, 5200), id="outside"),
        pytest.param((-300, -300, -10, -10), id="outside, above"),
    ],
)
def test_box_that_holds_nothing(backend: PoseBackend, box: tuple[float, ...]) -> None:
    image, _ = drawn.still()
    xy, confidence = backend(image, boxes(box))  # type: ignore[arg-type]
    check(xy, confidence, 1)
    assert not confidence.any()


def test_nobody_in_the_box(backend: PoseBackend) -> None:
    flat = np.full((300, 300, 3), 120, dtype=np.uint8)
    xy, confidence = backend(flat, boxes((20, 20, 200, 280)))
    check(xy, confidence, 1)
    assert not confidence.any()


def test_person_cut_by_the_edge_of_the_frame(backend: PoseBackend) -> None:
    image, box = drawn.still()
    x0, y0, x1, y1 = box[0]
    middle = int((y0 + y1) / 2)
    cut = np.ascontiguousarray(image[:middle])
    xy, confidence = backend(cut, boxes((x0, y0, x1, y1)))
    check(xy, confidence, 1)
    height, width = cut.shape[:2]
    known = confidence[0] > 0
    assert known.any()
    assert (np.abs(xy[0, known]) < 3 * max(height, width)).all()


def test_name_says_which_model(backend: PoseBackend) -> None:
    assert len(backend.name.split()) >= 4
    assert "/" not in backend.name


def test_unknown_backend() -> None:
    with pytest.raises(ParamsError, match="unknown backend 'openpose'"):
        open_backend("openpose", drawn.pose_model())


@pytest.mark.parametrize("content", [None, b"", b"not a model"])
@pytest.mark.parametrize(
    ("name", "file", "told"),
    [
        ("mediapipe", "model.task", "Run yololstm models fetch"),
        ("yolo-pose", "model.pt", "no such weights|no YOLO weights"),
        ("yolo-pose", "model.task", "no such weights|not a .pt file"),
    ],
)
def test_model_that_cannot_be_loaded(
    tmp_path: Path, name: str, file: str, told: str, content: bytes | None
) -> None:
    model = tmp_path / file
    if content is not None:
        model.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{file}: .*({told})"):
        open_backend(name, model)
