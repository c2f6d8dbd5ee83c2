"""What a box gives, and what is searched for."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import drawn
from yololstm.errors import WeightsError
from yololstm.pose.mediapipe import MediaPipePose
from yololstm.skeleton import JOINTS, torso_length


@pytest.fixture(scope="module")
def pose() -> Iterator[MediaPipePose]:
    opened = MediaPipePose(drawn.pose_model())
    yield opened
    opened.close()


def joints(pose: MediaPipePose, box: tuple[float, ...]) -> NDArray[np.float32]:
    """(13, 2)"""
    xy, _ = pose(drawn.still()[0], np.array([box], dtype=np.float32))
    return xy[0]


def without_search(monkeypatch: pytest.MonkeyPatch, pose: MediaPipePose) -> None:
    monkeypatch.setattr(pose, "_landmarkers", pose._landmarkers[:1])


def only_search(monkeypatch: pytest.MonkeyPatch, pose: MediaPipePose) -> None:
    monkeypatch.setattr(pose, "_landmarkers", pose._landmarkers[1:])


def test_a_box_says_where_a_whole_person_is_as_well_as_a_search_does(
    monkeypatch: pytest.MonkeyPatch, pose: MediaPipePose
) -> None:
    box = tuple(drawn.still()[1][0])
    here = joints(pose, box)
    only_search(monkeypatch, pose)
    searched = joints(pose, box)
    apart = np.linalg.norm(here - searched, axis=1) / torso_length(searched)
    assert np.median(apart) < 0.15
    assert not np.array_equal(here, searched)


def test_of_whom_only_head_and_shoulders_show_is_searched(
    monkeypatch: pytest.MonkeyPatch, pose: MediaPipePose
) -> None:
    x0, y0, x1, y1 = drawn.still()[1][0]
    bust = (x0, y0, x1, y0 + 0.3 * (y1 - y0))
    head = joints(pose, bust)[JOINTS.index("HEAD")]
    whole = joints(pose, (x0, y0, x1, y1))
    np.testing.assert_allclose(head, whole[JOINTS.index("HEAD")], atol=0.1 * torso_length(whole))
    without_search(monkeypatch, pose)
    assert np.isnan(joints(pose, bust)).all()


def test_the_region_lies_where_the_box_is(
    monkeypatch: pytest.MonkeyPatch, pose: MediaPipePose
) -> None:
    """Of a box that is a little off, the joints stay where the person is."""
    without_search(monkeypatch, pose)
    box = drawn.still()[1][0]
    off = 0.05 * (box[3] - box[1])
    here = joints(pose, tuple(box))
    for shift in ([off, 0, off, 0], [0, -off, 0, -off]):
        there = joints(pose, tuple(box + np.array(shift)))
        apart = np.linalg.norm(there - here, axis=1) / torso_length(here)
        assert np.median(apart) < 0.1


@pytest.mark.parametrize("content", [b"", b"junk" * 99])
def test_a_bundle_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.task"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("pose_detector.tflite", "pose_landmarks_detector.tflite"):
            archive.writestr(name, content)
    with pytest.raises(WeightsError, match="no PoseLandmarker bundle"):
        MediaPipePose(path)
