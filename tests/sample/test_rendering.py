from __future__ import annotations

import numpy as np
import pytest

from yololstm.sample.rendering import (
    Camera,
    Canvas,
    Capsule,
    Cuboid,
    Ellipsoid,
    Lamp,
    Paint,
    Quad,
    Shape,
    draw,
)

WIDTH, HEIGHT, FOCAL = 320, 240, 400.0
CAMERA = Camera.towards(np.array([0.0, 0.0, 1.0]), np.array([0.0, -4.0, 1.0]), WIDTH, HEIGHT, FOCAL)
LAMP = Lamp(np.array([0.0, -1.0, 0.0]), np.ones(3))
RED, BLUE = Paint((255, 0, 0), ambient=1.0), Paint((0, 0, 255), ambient=1.0)


def picture(*shapes: Shape) -> Canvas:
    canvas = Canvas.blank(WIDTH, HEIGHT, (90, 90, 90))
    for owner, shape in enumerate(shapes, start=1):
        draw(canvas, CAMERA, LAMP, [shape], owner)
    return canvas


def ball(y: float, paint: Paint, radius: float = 0.3) -> Ellipsoid:
    return Ellipsoid(np.array([0.0, y, 1.0]), np.eye(3), np.full(3, radius), paint)


def wall(y: float) -> Quad:
    corners = np.array([[-1, y, 0.0], [1, y, 0.0], [1, y, 2.0], [-1, y, 2.0]])
    return Quad(corners, (0, 255, 0))


def test_x_is_right_and_z_up_in_the_picture() -> None:
    x, y, depth = CAMERA.project(np.array([1.0, 0.0, 1.5]))
    assert (x, y, depth) == pytest.approx((WIDTH / 2 + 100, HEIGHT / 2 - 50, 4.0))


def test_pitch_is_measured_below_the_horizon() -> None:
    camera = Camera.towards(np.zeros(3), np.array([0.0, -1.0, 1.0]), WIDTH, HEIGHT, FOCAL)
    assert camera.pitch == pytest.approx(np.pi / 4)


@pytest.mark.parametrize(
    "shape",
    [
        ball(0.0, RED),
        Capsule(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.001]), 0.3, 0.3, RED),
    ],
)
def test_a_round_shape_covers_what_its_radius_says(shape: Shape) -> None:
    seen = picture(shape).seen(1)
    assert seen is not None
    expected = (WIDTH / 2 - 30, HEIGHT / 2 - 30, WIDTH / 2 + 30, HEIGHT / 2 + 30)
    np.testing.assert_allclose(seen[0], expected, atol=2)
    assert seen[1] == pytest.approx(np.pi * 30**2, rel=0.05)


@pytest.mark.parametrize("nearer_first", [True, False])
def test_the_nearer_hides_the_further_whatever_the_order(nearer_first: bool) -> None:
    near, far = ball(-1.0, RED, 0.2), ball(1.0, BLUE, 0.5)
    canvas = picture(near, far) if nearer_first else picture(far, near)
    red, _, blue = canvas.image[HEIGHT // 2, WIDTH // 2].tolist()
    assert red > 150 > blue


def test_shapes_pierce_each_other_where_their_depths_cross() -> None:
    canvas = picture(wall(0.0), ball(0.0, RED, 0.3))
    assert canvas.owner[HEIGHT // 2, WIDTH // 2] == 2
    assert canvas.depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(3.7, abs=0.01)


def test_a_quad_has_the_depth_of_its_plane() -> None:
    slanted = Quad(
        np.array([[-1, -0.5, 0.0], [1, 0.5, 0.0], [1, 0.5, 2.0], [-1, -0.5, 2.0]]), (0, 255, 0)
    )
    canvas = picture(slanted)
    for x in (-0.5, 0.0, 0.5):
        column, row, depth = CAMERA.project(np.array([x, x / 2, 1.0]))
        assert canvas.depth[int(row), int(column)] == pytest.approx(depth, abs=0.02)


def test_the_part_of_a_face_behind_the_camera_is_cut_off() -> None:
    floor = Quad(np.array([[-9, -9, 0.0], [9, -9, 0.0], [9, 9, 0.0], [-9, 9, 0.0]]), (0, 255, 0))
    canvas = picture(floor)
    assert canvas.owner[-1].all()
    assert not canvas.owner[0].any()


def test_a_cuboid_shows_the_faces_that_look_at_the_camera() -> None:
    cuboid = Cuboid(np.array([0.0, 0.0, 1.0]), np.eye(3), np.full(3, 0.2), (200, 200, 200))
    canvas = picture(cuboid)
    assert canvas.depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(3.8, abs=0.01)


def test_nothing_is_seen_of_what_is_behind_the_camera() -> None:
    assert picture(ball(-6.0, RED)).seen(1) is None


def test_a_copy_is_drawn_on_by_itself() -> None:
    canvas = picture()
    draw(canvas.copy(), CAMERA, LAMP, [ball(0.0, RED)], owner=1)
    assert canvas.seen(1) is None
