"""What a body wears and carries, and the solid shapes that makes of a figure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from yololstm.sample.body import Axes, Body, Figure, Vector
from yololstm.sample.rendering import Capsule, Colour, Cuboid, Ellipsoid, Paint, Shape

Bag = Literal["none", "backpack", "shoulder", "handbag"]
BAGS: Final[tuple[Bag, ...]] = get_args(Bag)

_SIDES: Final = (("LEFT", 1.0), ("RIGHT", -1.0))
_UP: Final = np.array([0.0, 0.0, 1.0])
_EYE_WHITE: Final = Paint((235, 235, 235), 0.7)
_PUPIL: Final = Paint((25, 25, 30), 0.8)
_LIPS: Final = Paint((180, 80, 90), 0.6)


@dataclass(frozen=True)
class Look:
    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    long_sleeves: bool
    stripe: float
    """Brightness of the shirt's stripes; 1 for a plain one."""
    bag: Bag
    bag_colour: Colour
    bag_side: float
    """1 where it hangs on the left, -1 on the right."""
    item: Colour


def random_body(rng: np.random.Generator) -> Body:
    return Body(height_m=float(rng.uniform(1.55, 1.88)), girth=float(rng.uniform(0.88, 1.2)))


def random_look(rng: np.random.Generator, bag: Bag, bag_side: float) -> Look:
    tan = rng.uniform(0.58, 1.08)
    return Look(
        skin=(min(255.0, 225 * tan), 175 * tan, 140 * tan),
        hair=_muted(rng, 15, 70),
        shirt=_colour(rng, 30, 225),
        trousers=_muted(rng, 30, 140),
        shoes=_muted(rng, 20, 90),
        long_sleeves=bool(rng.random() < 0.5),
        stripe=float(rng.choice([1.0, 1.0, 0.6])),
        bag=bag,
        bag_colour=_colour(rng, 20, 200),
        bag_side=bag_side,
        item=_colour(rng, 110, 255),
    )


def _muted(rng: np.random.Generator, low: int, high: int) -> Colour:
    red, green, blue = (rng.integers(low, high) * rng.uniform(0.8, 1.1, 3)).tolist()
    return red, green, blue


def _colour(rng: np.random.Generator, low: int, high: int) -> Colour:
    grey = rng.uniform(low, high)
    red, green, blue = np.clip(grey + 0.6 * (rng.uniform(low, high, 3) - grey), 0, 255).tolist()
    return red, green, blue


def dressed(figure: Figure, look: Look) -> list[Shape]:
    """The body and its clothes: what a detector calls a person. Items in the hands are apart."""
    return [*_trunk(figure, look), *_limbs(figure, look), *_head(figure, look)]


def held(figure: Figure, look: Look) -> list[Shape]:
    """What the hands hold."""
    return [
        _item(figure, side, look.item)
        for (side, _), grip in zip(_SIDES, figure.grip, strict=True)
        if grip > 0.5
    ]


def bag(figure: Figure, look: Look) -> list[Shape]:
    """The bag with its straps, without whom it hangs on."""
    if look.bag == "backpack":
        return _backpack(figure, look.bag_colour)
    if look.bag == "shoulder":
        return _shoulder_bag(figure, look.bag_colour, look.bag_side)
    if look.bag == "handbag":
        return _handbag(figure, look.bag_colour, look.bag_side)
    return []


def _trunk(figure: Figure, look: Look) -> Iterator[Shape]:
    s, girth = figure.body.scale, figure.body.scale * figure.body.girth
    trunk, points = figure.trunk, figure.points
    axes = np.stack([trunk.left, trunk.forward, trunk.up])
    shirt = Paint(look.shirt, stripe=look.stripe)
    for height, width, depth, length, paint in (
        (0.03, 0.165, 0.115, 0.125, Paint(look.trousers)),
        (0.20, 0.155, 0.11, 0.20, shirt),
        (0.36, 0.185, 0.12, 0.20, shirt),
    ):
        radii = np.array([width * girth, depth * girth, length * s])
        yield Ellipsoid(points["PELVIS"] + height * s * trunk.up, axes, radii, paint)
    inset = 0.03 * s * trunk.left
    left, right = points["SHOULDER_LEFT"] - inset, points["SHOULDER_RIGHT"] + inset
    yield Capsule(left, right, 0.07 * girth, 0.07 * girth, Paint(look.shirt))
    nape = points["SKULL"] - 0.05 * s * figure.skull.up
    yield Capsule(points["NECK"], nape, 0.056 * s, 0.05 * s, Paint(look.skin))


def _limbs(figure: Figure, look: Look) -> Iterator[Shape]:
    for side, _ in _SIDES:
        yield from _arm(figure, look, side)
        yield from _leg(figure, look, side)


def _arm(figure: Figure, look: Look, side: str) -> Iterator[Shape]:
    s, girth = figure.body.scale, figure.body.scale * figure.body.girth
    names = ("SHOULDER", "ELBOW", "WRIST", "FINGERS")
    shoulder, elbow, wrist, fingers = (figure.points[f"{name}_{side}"] for name in names)
    skin = Paint(look.skin)
    yield Capsule(
        shoulder, elbow, 0.06 * girth, 0.045 * girth, Paint(look.shirt, 0.45, look.stripe)
    )
    if not look.long_sleeves:
        hem = 0.35 * shoulder + 0.65 * elbow
        yield Capsule(hem, elbow, 0.046 * girth, 0.044 * girth, skin)
    sleeve = Paint(look.shirt) if look.long_sleeves else skin
    yield Capsule(elbow, wrist, 0.044 * girth, 0.031 * girth, sleeve)
    yield Capsule(wrist, fingers, 0.036 * s, 0.03 * s, skin)
    thumb = wrist + 0.55 * (fingers - wrist) + 0.04 * s * figure.trunk.forward
    yield Capsule(wrist, thumb, 0.016 * s, 0.012 * s, skin)


def _leg(figure: Figure, look: Look, side: str) -> Iterator[Shape]:
    s, girth = figure.body.scale, figure.body.scale * figure.body.girth
    names = ("HIP", "KNEE", "ANKLE", "HEEL", "TOE")
    hip, knee, ankle, heel, toe = (figure.points[f"{name}_{side}"] for name in names)
    cloth = Paint(look.trousers)
    yield Capsule(hip, knee, 0.088 * girth, 0.062 * girth, cloth)
    yield Capsule(knee, ankle, 0.06 * girth, 0.045 * girth, cloth)
    yield Capsule(heel, toe, 0.042 * s, 0.036 * s, Paint(look.shoes))


def _head(figure: Figure, look: Look) -> Iterator[Shape]:
    s, skull, centre = figure.body.scale, figure.skull, figure.points["SKULL"]
    axes = np.stack([skull.left, skull.forward, skull.up])

    def at(forward: float, left: float, up: float) -> Vector:
        return centre + s * skull.to_world(np.array([forward, left, up]))

    def ball(place: Vector, left: float, forward: float, up: float, paint: Paint) -> Ellipsoid:
        return Ellipsoid(place, axes, s * np.array([left, forward, up]), paint)

    skin, hair = Paint(look.skin), Paint(look.hair, 0.6)
    yield ball(centre, 0.078, 0.098, 0.118, skin)
    yield ball(at(0.02, 0, -0.06), 0.06, 0.075, 0.075, skin)
    yield ball(at(-0.025, 0, 0.03), 0.088, 0.1, 0.105, hair)
    for _, sign in _SIDES:
        yield ball(at(-0.005, 0.08 * sign, -0.005), 0.014, 0.022, 0.034, skin)
        yield ball(at(0.086, 0.032 * sign, 0.012), 0.016, 0.01, 0.0085, _EYE_WHITE)
        yield ball(at(0.092, 0.032 * sign, 0.012), 0.0075, 0.007, 0.0085, _PUPIL)
        inner, outer = at(0.086, 0.014 * sign, 0.036), at(0.086, 0.05 * sign, 0.036)
        yield Capsule(inner, outer, 0.006 * s, 0.005 * s, Paint(look.hair, 0.8))
    yield Capsule(at(0.094, 0, 0.008), at(0.108, 0, -0.024), 0.009 * s, 0.015 * s, skin)
    yield ball(at(0.086, 0, -0.062), 0.026, 0.012, 0.009, _LIPS)


def _item(figure: Figure, side: str, colour: Colour) -> Cuboid:
    wrist, fingers = figure.points[f"WRIST_{side}"], figure.points[f"FINGERS_{side}"]
    centre = fingers + 0.3 * (fingers - wrist) + 0.02 * figure.trunk.forward
    return Cuboid(centre, _stacked(figure.trunk), np.array([0.045, 0.045, 0.085]), colour)


def _backpack(figure: Figure, colour: Colour) -> list[Shape]:
    s, trunk, points = figure.body.scale, figure.trunk, figure.points
    depth = 0.12 * figure.body.girth
    middle = points["PELVIS"] + s * (0.30 * trunk.up - (depth + 0.07) * trunk.forward)
    axes = np.stack([trunk.left, trunk.forward, trunk.up])
    shapes: list[Shape] = [
        Ellipsoid(middle, axes, s * np.array([0.20, 0.13, 0.27]), Paint(colour)),
        Cuboid(middle, _stacked(trunk), s * np.array([0.09, 0.17, 0.22]), colour),
    ]
    for side, sign in _SIDES:
        shoulder = points[f"SHOULDER_{side}"] - sign * 0.06 * s * trunk.left
        top = shoulder + s * 0.075 * trunk.up
        front = shoulder + s * (0.125 * figure.body.girth * trunk.forward - 0.05 * trunk.up)
        low = front - s * 0.22 * trunk.up
        shapes += [_strap(top, front, colour), _strap(front, low, colour)]
    return shapes


def _shoulder_bag(figure: Figure, colour: Colour, sign: float) -> list[Shape]:
    """Across the trunk: it hangs at one hip from the other shoulder."""
    s, trunk, points = figure.body.scale, figure.trunk, figure.points
    girth = figure.body.girth
    other = "RIGHT" if sign > 0 else "LEFT"
    middle = points["PELVIS"] + s * (0.19 * girth * sign * trunk.left + 0.09 * trunk.forward)
    shoulder = points[f"SHOULDER_{other}"] + s * (0.06 * sign * trunk.left + 0.07 * trunk.up)
    breast = points["CHEST"] + s * 0.14 * girth * trunk.forward
    return [
        Cuboid(middle, _stacked(trunk), s * np.array([0.15, 0.075, 0.13]), colour),
        _strap(shoulder, breast, colour),
        _strap(breast, middle + s * 0.13 * trunk.up, colour),
    ]


def _handbag(figure: Figure, colour: Colour, sign: float) -> list[Shape]:
    s, trunk = figure.body.scale, figure.trunk
    hand = figure.points["FINGERS_LEFT" if sign > 0 else "FINGERS_RIGHT"]
    axes = _upright(trunk)
    middle = hand - 0.25 * s * _UP
    handles = [
        _strap(hand, middle + s * (0.12 * _UP + end * 0.12 * axes[0]), colour) for end in (1, -1)
    ]
    return [Cuboid(middle, axes, s * np.array([0.17, 0.07, 0.13]), colour), *handles]


def _strap(a: Vector, b: Vector, colour: Colour) -> Capsule:
    return Capsule(a, b, 0.016, 0.016, Paint(colour))


def _stacked(axes: Axes) -> Vector:
    return np.stack([axes.forward, axes.left, axes.up])


def _upright(axes: Axes) -> Vector:
    """What hangs: forward as the trunk, but plumb."""
    left = np.cross(_UP, axes.forward)
    left /= np.linalg.norm(left)
    return np.stack([np.cross(left, _UP), left, _UP])
