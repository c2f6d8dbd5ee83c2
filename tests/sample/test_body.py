from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yololstm.sample import body
from yololstm.sample.acting import posed
from yololstm.sample.body import Body, Pose, blend, solve_limb, stand
from yololstm.skeleton import FLIP, JOINTS

coordinate = st.floats(-2, 2)
points = st.tuples(coordinate, coordinate, coordinate).map(np.array)
lengths = st.floats(0.1, 0.6)
angles = st.floats(-0.6, 0.6)


@st.composite
def poses(draw: st.DrawFn) -> Pose:
    hand = st.tuples(st.floats(-0.6, 0.6), st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
    return posed(
        draw(hand), draw(hand), lean=draw(angles), roll=draw(angles), twist=draw(angles),
        crouch=draw(st.floats(0, 0.3)), look=draw(angles), nod=draw(angles),
    )  # fmt: skip


@given(points, points, lengths, lengths, points)
def test_a_limb_keeps_the_lengths_of_its_bones(
    root: np.ndarray, target: np.ndarray, upper: float, lower: float, pole: np.ndarray
) -> None:
    middle, end = solve_limb(root, target, upper, lower, pole)
    assert np.linalg.norm(middle - root) == pytest.approx(upper, abs=1e-6)
    assert np.linalg.norm(end - middle) == pytest.approx(lower, abs=1e-6)


@given(points, points, lengths, lengths)
def test_a_limb_reaches_its_target_or_stretches_towards_it(
    root: np.ndarray, target: np.ndarray, upper: float, lower: float
) -> None:
    _, end = solve_limb(root, target, upper, lower, np.array([0.3, 0.5, 0.8]))
    distance = np.linalg.norm(target - root)
    if abs(upper - lower) + 1e-3 <= distance <= 0.9995 * (upper + lower):
        np.testing.assert_allclose(end, target, atol=1e-6)
    elif distance > upper + lower:
        way = (target - root) / distance
        np.testing.assert_allclose((end - root) / np.linalg.norm(end - root), way, atol=1e-6)


@given(poses(), st.floats(1.4, 2.0), st.floats(-np.pi, np.pi))
def test_every_pose_keeps_the_bones_of_a_body(pose: Pose, height: float, heading: float) -> None:
    points = stand(Body(height, 1.0), np.zeros(2), heading, pose).points
    scale = height / body.REFERENCE_HEIGHT
    for a, b, length in (
        ("SHOULDER", "ELBOW", body.UPPER_ARM),
        ("ELBOW", "WRIST", body.FOREARM),
        ("HIP", "KNEE", body.THIGH),
        ("KNEE", "ANKLE", body.SHANK),
    ):
        for side in ("LEFT", "RIGHT"):
            bone = points[f"{a}_{side}"] - points[f"{b}_{side}"]
            assert np.linalg.norm(bone) == pytest.approx(scale * length, abs=1e-6)


@given(poses())
def test_a_mirrored_pose_is_the_mirror_image(pose: Pose) -> None:
    tall = Body(1.75, 1.0)
    joints = stand(tall, np.zeros(2), 0.0, pose).joints()
    mirrored = stand(tall, np.zeros(2), 0.0, pose.mirrored()).joints()
    np.testing.assert_allclose(mirrored[FLIP] * (-1, 1, 1), joints, atol=1e-9)


def test_heading_0_faces_the_cameras_and_grows_towards_x() -> None:
    def nose(heading: float) -> np.ndarray:
        figure = stand(Body(1.75, 1.0), np.zeros(2), heading, posed())
        return figure.points["HEAD"] - figure.points["SKULL"]

    assert nose(0.0)[1] < -0.05
    assert nose(np.pi / 2)[0] > 0.05


def test_left_is_the_persons_own() -> None:
    joints = stand(Body(1.75, 1.0), np.zeros(2), 0.0, posed()).joints()
    left, right = JOINTS.index("SHOULDER_LEFT"), JOINTS.index("SHOULDER_RIGHT")
    assert joints[left, 0] > joints[right, 0]


def test_blend_ends_at_both_poses() -> None:
    a, b = posed(lean=0.1), posed(lean=0.5)
    assert blend(a, b, 0.0).trunk[0] == pytest.approx(0.1)
    assert blend(a, b, 1.0).trunk[0] == pytest.approx(0.5)
    assert blend(a, b, 0.25).trunk[0] == pytest.approx(0.2)
