"""A shop to act in: floor, back wall, racks full of goods behind and along both sides.

Everything stands behind the actors or beside them, so that nothing hides a joint.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from yololstm.sample.body import Vector
from yololstm.sample.rendering import Camera, Canvas, Colour, Cuboid, Lamp, Quad, Shape, draw

HALF_AISLE: Final = 2.0
"""Metres from the middle of the floor to the racks on either side."""
_RACK_FRONT: Final = -0.6
_BACK: Final = 2.4
_FLOOR_FRONT: Final = -6
_X: Final = np.array([1.0, 0.0, 0.0])
_Y: Final = np.array([0.0, 1.0, 0.0])
_Z: Final = np.array([0.0, 0.0, 1.0])
_BOARDS: Final = (0.12, 0.52, 0.92, 1.32)


def background(shop: list[Shape], camera: Camera, lamp: Lamp) -> Canvas:
    """The empty shop, as this camera sees it."""
    canvas = Canvas.blank(camera.width, camera.height, (205, 207, 204))
    draw(canvas, camera, lamp, shop, owner=0)
    return canvas


def furnish(rng: np.random.Generator) -> list[Shape]:
    """A shop of its own colours and goods for every state of ``rng``."""
    wall = _grey(rng, 150, 225)
    metal = _grey(rng, 120, 215)
    walls = _quad(np.array([-9.0, _BACK + 0.5, 0.0]), 18 * _X, 3.4 * _Z, wall)
    racks = [
        *_rack(rng, np.array([-HALF_AISLE, _BACK, 0.0]), 2 * HALF_AISLE * _X, -_Y, metal),
        *_rack(rng, np.array([-HALF_AISLE, _RACK_FRONT, 0.0]), 2.8 * _Y, _X, metal),
        *_rack(rng, np.array([HALF_AISLE, _RACK_FRONT, 0.0]), 2.8 * _Y, -_X, metal),
        *_ends(rng, metal),
    ]
    return [*_floor(rng), walls, *racks]


def in_sight(position: Vector, points: Vector) -> bool:
    """Whether a camera at ``position`` (3,) sees ``points`` (..., 3) past the ends of the racks."""
    ahead = np.where(points[..., 1] > _RACK_FRONT, points[..., 1] - position[1], np.inf)
    share = (_RACK_FRONT - position[1]) / ahead
    crossing = position[0] + share * (points[..., 0] - position[0])
    return bool(np.all((np.abs(crossing) < HALF_AISLE) | np.isinf(ahead)))


def kiosk(place: tuple[float, float], colour: Colour) -> list[Shape]:
    """A stand with a sloping top, for takes in which something is smashed."""
    axes = np.eye(3)
    foot = np.array([*place, 0.45])
    top = np.array([*place, 0.93])
    lid: Colour = (min(255.0, colour[0] * 0.6), colour[1] * 0.6, colour[2] * 0.6)
    return [
        Cuboid(foot, axes, np.array([0.2, 0.22, 0.45]), colour),
        Cuboid(top, axes, np.array([0.23, 0.25, 0.04]), lid),
    ]


def _floor(rng: np.random.Generator) -> Iterator[Quad]:
    base = np.array(_grey(rng, 120, 185))
    for x in range(-7, 7):
        for y in range(_FLOOR_FRONT, 3):
            shade = 1 + 0.05 * (((x + y) % 2) - 0.5) + rng.uniform(-0.015, 0.015)
            yield _quad(np.array([x, y, 0.0]), _X, _Y, _clipped(base * shade))


def _rack(
    rng: np.random.Generator, corner: Vector, along: Vector, outward: Vector, metal: Colour
) -> Iterator[Quad]:
    """corner: (3,) one foot of its front; along: (3,) from there to the other; goods stand on
    boards within 0.35 m behind the front."""
    length = float(np.linalg.norm(along))
    way = along / length
    back = corner - 0.3 * outward
    yield _quad(back, along, 1.8 * _Z, _clipped(np.array(metal) * 0.85))
    for board in _BOARDS:
        at = 0.02
        while at < length - 0.24:
            width, height = rng.uniform(0.08, 0.2), rng.uniform(0.14, 0.32)
            goods = rng.uniform(50, 215) + rng.uniform(-60, 60, 3)
            place = corner - 0.08 * outward + at * way + board * _Z
            yield _quad(place, width * way, height * _Z, _clipped(goods))
            label = place + 0.003 * outward + 0.2 * width * way + 0.3 * height * _Z
            tone = _clipped(goods + rng.uniform(-70, 70, 3))
            yield _quad(label, 0.6 * width * way, 0.35 * height * _Z, tone)
            at += width + 0.015
        edge = corner + (board - 0.03) * _Z
        yield _quad(edge, along, 0.03 * _Z, _clipped(np.array(metal) * 1.15))
        yield _quad(edge + 0.03 * _Z, along, -0.3 * outward, metal)


def _ends(rng: np.random.Generator, metal: Colour) -> Iterator[Shape]:
    """The side racks' ends that face the cameras."""
    colour = _clipped(np.array(metal) * rng.uniform(0.8, 1.05))
    for sign in (-1, 1):
        centre = np.array([sign * (HALF_AISLE + 0.34), _RACK_FRONT - 0.02, 0.9])
        yield Cuboid(centre, np.eye(3), np.array([0.33, 0.02, 0.9]), colour)


def _quad(corner: Vector, along: Vector, up: Vector, colour: Colour) -> Quad:
    return Quad(np.stack([corner, corner + along, corner + along + up, corner + up]), colour)


def _grey(rng: np.random.Generator, low: float, high: float) -> Colour:
    return _clipped(rng.uniform(low, high) + rng.uniform(-12, 12, 3))


def _clipped(colour: Vector) -> Colour:
    red, green, blue = np.clip(colour, 0, 255).tolist()
    return red, green, blue
