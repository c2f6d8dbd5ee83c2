"""A body in three dimensions: bones of fixed length, posed by where its hands and feet are.

Lengths are those of a person of 1.75 m and scale with the height. A heading of 0 faces the cameras
(-y) and grows towards +x. Body frame: forward, left, up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from yololstm.skeleton import JOINTS

Vector = NDArray[np.float64]

REFERENCE_HEIGHT: Final = 1.75
THIGH: Final = 0.43
SHANK: Final = 0.42
ANKLE: Final = 0.08
TORSO: Final = 0.50
UPPER_ARM: Final = 0.28
FOREARM: Final = 0.25
HALF_HIPS: Final = 0.095
HALF_SHOULDERS: Final = 0.19
_SKULL_UP: Final = 0.215
_NOSE_FORWARD: Final = 0.105
_CLEARANCE: Final = 0.3

_UP: Final = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Body:
    height_m: float
    girth: float
    """Thickness of trunk and limbs, 1 for the average."""

    @property
    def scale(self) -> float:
        return self.height_m / REFERENCE_HEIGHT


@dataclass(frozen=True)
class Pose:
    """Where the ends of a body are, at reference height. Rows of hands and feet: left, right."""

    hands: Vector
    """(2, 3) wrist from its own shoulder, in the torso's forward, left, up; metres."""
    feet: Vector
    """(2, 3) ankle from the floor under the pelvis, in the body's forward, left, up; metres."""
    trunk: Vector
    """(4,) lean forward, roll to the left, twist to the left, radians; crouch, metres."""
    gaze: Vector
    """(2,) head to the left and down, radians."""
    grip: Vector
    """(2,) 1 where the hand holds an item, 0 where it is empty."""

    def mirrored(self) -> Self:
        flip = np.array([1.0, -1.0, 1.0])
        return type(self)(
            hands=self.hands[::-1] * flip,
            feet=self.feet[::-1] * flip,
            trunk=self.trunk * (1, -1, -1, 1),
            gaze=self.gaze * (-1, 1),
            grip=self.grip[::-1],
        )


def blend(a: Pose, b: Pose, share: float) -> Pose:
    """``a`` at share 0, ``b`` at share 1, a straight line between."""
    values = ((1 - share) * getattr(a, f.name) + share * getattr(b, f.name) for f in fields(Pose))
    return Pose(*values)


@dataclass(frozen=True)
class Axes:
    """A right-handed set of unit vectors in the world."""

    forward: Vector
    left: Vector
    up: Vector

    def to_world(self, vector: Vector) -> Vector:
        """(3,) forward, left, up to (3,) x, y, z."""
        turned: Vector = vector @ np.stack([self.forward, self.left, self.up])
        return turned


@dataclass(frozen=True)
class Figure:
    """A posed body. points: (3,) world positions by name: our 13 joints (HEAD is the nose) and the
    others that are drawn or annotated."""

    points: Mapping[str, Vector]
    body: Body
    trunk: Axes
    skull: Axes
    grip: Vector

    def joints(self) -> Vector:
        """(13, 3)"""
        return np.stack([self.points[name] for name in JOINTS])

    def outline(self) -> Vector:
        """(N, 3) every point, the crown and the soles among them: its box is the person's."""
        return np.stack(list(self.points.values()))


def stand(body: Body, place: Vector, heading: float, pose: Pose) -> Figure:
    """place: (2,) x, y under the pelvis."""
    s = body.scale
    axes = _heading_axes(heading)
    lean, roll, twist, crouch = pose.trunk
    floor = np.array([place[0], place[1], 0.0])
    pelvis = floor + s * ((THIGH + SHANK + ANKLE) * 0.985 - crouch) * _UP
    trunk = _trunk_axes(axes, lean, roll, twist)
    chest = pelvis + s * TORSO * trunk.up
    skull = _skull_axes(trunk, *pose.gaze)
    centre = chest + s * (_SKULL_UP * skull.up + 0.025 * skull.forward)
    points = {
        "PELVIS": pelvis,
        "NAVEL": pelvis + 0.4 * (chest - pelvis),
        "CHEST": pelvis + 0.75 * (chest - pelvis),
        "NECK": chest + s * 0.03 * trunk.up,
        "SKULL": centre,
        "CROWN": centre + s * 0.125 * skull.up,
        "HEAD": centre + s * (_NOSE_FORWARD * skull.forward - 0.015 * skull.up),
    }
    for index, (side, sign) in enumerate((("LEFT", 1.0), ("RIGHT", -1.0))):
        hip = pelvis + sign * s * HALF_HIPS * axes.left
        foot = floor + s * axes.to_world(pose.feet[index])
        points |= _leg(side, hip, foot, axes, sign, s)
        shoulder = chest + sign * s * HALF_SHOULDERS * trunk.left
        hand = shoulder + s * trunk.to_world(_round_shoulder(pose.hands[index]))
        points |= _arm(side, shoulder, hand, trunk, sign, s)
    return Figure(points, body, trunk, skull, pose.grip)


def solve_limb(
    root: Vector, target: Vector, upper: float, lower: float, pole: Vector
) -> tuple[Vector, Vector]:
    """Middle and end of a limb of two bones that reaches for ``target``.

    All (3,). The middle joint bends towards ``pole``. A target out of reach is met as far as the
    bones go; their lengths hold always.
    """
    way = target - root
    distance = float(np.linalg.norm(way))
    along = way / distance if distance > 1e-9 else -_UP
    reach = float(np.clip(distance, abs(upper - lower) + 1e-3, (upper + lower) * 0.9995))
    foot = (upper**2 - lower**2 + reach**2) / (2 * reach)
    height = np.sqrt(max(upper**2 - foot**2, 0.0))
    return root + along * foot + _across(pole, along) * height, root + along * reach


def _round_shoulder(hand: Vector) -> Vector:
    """A hand on its way past its shoulder goes round before it, as no elbow bends that far."""
    near = max(0.0, _CLEARANCE - float(np.linalg.norm(hand)))
    around: Vector = hand + np.array([1.5 * near, 0.0, 0.0])
    return around


def _leg(
    side: str, hip: Vector, foot: Vector, axes: Axes, sign: float, s: float
) -> dict[str, Vector]:
    pole = axes.forward + sign * 0.05 * axes.left
    knee, ankle = solve_limb(hip, foot, THIGH * s, SHANK * s, pole)
    droop = 0.05 if ankle[2] < 0.12 * s else 0.09
    return {
        f"HIP_{side}": hip,
        f"KNEE_{side}": knee,
        f"ANKLE_{side}": ankle,
        f"TOE_{side}": ankle + s * (0.16 * axes.forward - droop * _UP),
        f"HEEL_{side}": ankle + s * (-0.04 * axes.forward - 0.045 * _UP),
    }


def _arm(
    side: str, shoulder: Vector, hand: Vector, trunk: Axes, sign: float, s: float
) -> dict[str, Vector]:
    pole = -0.4 * trunk.forward + sign * 0.6 * trunk.left - 0.7 * trunk.up
    elbow, wrist = solve_limb(shoulder, hand, UPPER_ARM * s, FOREARM * s, pole)
    return {
        f"SHOULDER_{side}": shoulder,
        f"ELBOW_{side}": elbow,
        f"WRIST_{side}": wrist,
        f"FINGERS_{side}": wrist + 0.085 * s * _unit(wrist - elbow),
    }


def _heading_axes(heading: float) -> Axes:
    forward = np.array([np.sin(heading), -np.cos(heading), 0.0])
    return Axes(forward, np.cross(_UP, forward), _UP)


def _trunk_axes(axes: Axes, lean: float, roll: float, twist: float) -> Axes:
    up = _unit(np.cos(lean) * axes.up + np.sin(lean) * axes.forward + np.sin(roll) * axes.left)
    left = _across(np.cos(twist) * axes.left - np.sin(twist) * axes.forward, up)
    return Axes(np.cross(left, up), left, up)


def _skull_axes(trunk: Axes, yaw: float, down: float) -> Axes:
    up = _unit(0.6 * trunk.up + 0.4 * _UP)
    level = _across(np.cos(yaw) * trunk.forward + np.sin(yaw) * trunk.left, up)
    forward = np.cos(down) * level - np.sin(down) * up
    up = np.cos(down) * up + np.sin(down) * level
    return Axes(forward, np.cross(up, forward), up)


def _unit(vector: Vector) -> Vector:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _across(vector: Vector, axis: Vector) -> Vector:
    """Unit vector of the part of ``vector`` at right angles to the unit vector ``axis``.

    Where the two are parallel, some direction at right angles.
    """
    part = vector - axis * (vector @ axis)
    if np.linalg.norm(part) < 1e-6:
        part = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    return _unit(part)
