"""YOLO-pose beyond what every backend promises. Weights that find nobody tell how it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import drawn, told
from yololstm import video
from yololstm.detector import checksum, ultralytics
from yololstm.errors import WeightsError
from yololstm.landmarks import Category
from yololstm.pose.yolo import YoloPose, _matches
from yololstm.skeleton import JOINTS, torso_length

ANKLES = [JOINTS.index("ANKLE_LEFT"), JOINTS.index("ANKLE_RIGHT")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn.untaught_pose(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def unsure(weights: Path) -> YoloPose:
    """It takes anything for a person."""
    return YoloPose(weights, imgsz=64, min_confidence=1e-6)


@pytest.fixture(scope="module")
def real(real_data: Path) -> YoloPose:
    drawn.needs_openvino()
    return YoloPose(real_data / "models" / "yolov8n-pose_int8_openvino_model", 640, 0.3)


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (120, 160, 3), dtype=np.uint8)


def test_images_are_seen_in_one_call_as_each_alone(
    unsure: YoloPose, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = unsure._network._yolo.predictor
    infer, batches = predictor.inference, []

    def counted(batch: Any, *others: Any, **more: Any) -> Any:
        batches.append(len(batch))
        return infer(batch, *others, **more)

    monkeypatch.setattr(predictor, "inference", counted)
    images = [noise(seed) for seed in range(3)]
    together = unsure.detect(images)
    alone = [unsure.detect([image])[0] for image in images]
    assert batches == [3, 1, 1, 1]
    for one, other in zip(together, alone, strict=True):
        assert len(one.found) == len(other.found) > 0
        np.testing.assert_allclose(one.found.box, other.found.box, atol=0.01)
        np.testing.assert_allclose(one.xy, other.xy, atol=0.01)
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-4)


def test_what_is_seen_is_sane(unsure: YoloPose) -> None:
    (seen,) = unsure.detect([noise(0)])
    n = len(seen.found)
    assert (seen.xy.shape, seen.confidence.shape) == ((n, 13, 2), (n, 13))
    assert (seen.xy.dtype, seen.confidence.dtype) == (np.float32, np.float32)
    assert set(seen.found.category) == {Category.PERSON}
    x0, y0, x1, y1 = seen.found.box.T
    assert (x0 >= 0).all()
    assert (y0 >= 0).all()
    assert (x1 <= 160).all()
    assert (y1 <= 120).all()
    assert ((x1 > x0) & (y1 > y0)).all()


def test_nobody_and_no_image(weights: Path) -> None:
    pose = YoloPose(weights, imgsz=64, min_confidence=0.5)
    (seen,) = pose.detect([noise(0)])
    assert (len(seen.found), seen.xy.shape, seen.confidence.shape) == (0, (0, 13, 2), (0, 13))
    assert pose.detect([]) == []


def test_name_says_what_ran(unsure: YoloPose, weights: Path) -> None:
    assert unsure.name.startswith("ultralytics 8.")
    assert unsure.name.endswith(f"pose.pt {checksum(weights)[:8]}")


# --- which person is in which box ---


@pytest.mark.parametrize(
    ("box", "found", "pairs"),
    [
        pytest.param([[0, 0, 10, 20]], [[40, 0, 50, 20], [1, 1, 10, 20]], {0: 1}, id="nearest"),
        pytest.param([[0, 0, 10, 20]], [[7, 0, 17, 20]], {}, id="another"),
        pytest.param(
            [[0, 0, 10, 20], [4, 0, 14, 20]], [[3, 0, 13, 20], [6, 0, 16, 20]], {0: 0, 1: 1},
            id="not each the best, but best all in all",
        ),
        pytest.param([[0, 0, 9, 9], [0, 0, 9, 9]], [[0, 0, 9, 9]], {0: 0}, id="to one box only"),
        pytest.param([[0, 0, 9, 9]], [], {}, id="nobody"),
    ],
)  # fmt: skip
def test_one_to_one(box: list[Any], found: list[Any], pairs: dict[int, int]) -> None:
    rows, whose = _matches(*(np.array(b, np.float32).reshape(-1, 4) for b in (box, found)))
    assert dict(zip(rows.tolist(), whose.tolist(), strict=True)) == pairs


# --- weights that are of no use ---


def test_weights_of_a_detector(tmp_path: Path) -> None:
    yolo = ultralytics().YOLO(str(drawn.ROOT / "detectors" / "tiny.yaml"), task="detect")
    yolo.model.names = {0: "person", 1: "backpack", 2: "handbag"}
    yolo.save(tmp_path / "detector.pt")
    with pytest.raises(WeightsError, match=r"detector\.pt: a model for the task 'detect', which"):
        YoloPose(tmp_path / "detector.pt", 64, 0.5)


def test_export_of_a_detector(real_data: Path) -> None:
    drawn.needs_openvino()
    with pytest.raises(WeightsError, match=r"a model for the task 'detect', which finds no joints"):
        YoloPose(real_data / "models" / "yolo11n_int8_openvino_model", 640, 0.5)


@pytest.mark.parametrize("other", [{"person": "tiger"}, {"keypoints": (12, 3)}])
def test_pose_of_something_else(tmp_path: Path, other: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="does not find COCO's 17 keypoints of persons"):
        YoloPose(drawn.untaught_pose(tmp_path, **other), 64, 0.5)


# --- weights that have learned ---


def test_joints_are_where_they_are_and_on_their_side(real: YoloPose, tmp_path: Path) -> None:
    clip, truth = told.filmed(tmp_path)
    images = [frame.image for frame in video.read(tmp_path / clip.path)]
    seen = real.detect(images)
    (there,) = np.nonzero([len(one.found) == 1 for one in seen])
    xy = np.concatenate([seen[row].xy for row in there])
    error = np.linalg.norm(xy - truth.xy[there], axis=-1) / torso_length(truth.xy[there])[:, None]
    assert len(there) > 0.8 * len(images)
    assert np.mean(error[np.isfinite(error)] < 0.2) > 0.8
    assert np.isfinite(error).mean() > 0.8


def test_joints_that_are_out_of_sight_are_absent(real: YoloPose) -> None:
    image, box = drawn.still()
    y0, y1 = box[0, 1], box[0, 3]
    (seen,) = real.detect([image[: int((y0 + y1) / 2)]])
    assert len(seen.found) == 1
    assert not seen.confidence[0, ANKLES].any()
    assert np.isnan(seen.xy[0, ANKLES]).all()
    assert seen.confidence[0, JOINTS.index("HEAD")] > 0.5


def test_persons_of_a_real_video(real: YoloPose, real_data: Path) -> None:
    path = real_data / "data" / "video" / "two-people.mp4"
    images = [frame.image for frame in video.read(path, 1)]
    for seen in real.detect(images):
        found, xy = seen.found, seen.xy
        assert len(found) == 2
        assert (np.isfinite(xy[..., 0]).sum(axis=1) >= 8).all()
        for joints, box in zip(xy, found.box, strict=True):
            known = joints[np.isfinite(joints[:, 0])]
            assert ((known >= box[:2] - 20) & (known <= box[2:] + 20)).all()
