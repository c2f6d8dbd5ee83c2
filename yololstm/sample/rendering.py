"""Solid shapes drawn with a depth buffer, in numpy: every shape touches only its own window.

Colours are RGB in 0..255. Camera frame: x right, y down, z into the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm.clips import Box
from yololstm.sample.body import Vector

Image = NDArray[np.uint8]
Colour = tuple[float, float, float]
_Plane = NDArray[np.float32]

BACKGROUND: Final = 0
_NEAR: Final = 0.3
_FAR: Final = 1e9


@dataclass(frozen=True)
class Camera:
    width: int
    height: int
    focal: float
    """Pixels."""
    position: Vector
    """(3,) in the world."""
    rotation: Vector
    """(3, 3) rows: the camera's x, y, z in the world."""

    @classmethod
    def towards(
        cls, target: Vector, position: Vector, width: int, height: int, focal: float
    ) -> Camera:
        """Looks at ``target`` with the horizon level."""
        into = (target - position) / np.linalg.norm(target - position)
        right = np.cross(into, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        return cls(width, height, focal, position, np.stack([right, np.cross(into, right), into]))

    @property
    def pitch(self) -> float:
        """Radians below the horizon."""
        return float(np.arcsin(-self.rotation[2, 2]))

    def local(self, points: Vector) -> Vector:
        """(..., 3) world to (..., 3) camera frame, metres."""
        turned: Vector = (points - self.position) @ self.rotation.T
        return turned

    def project(self, points: Vector) -> Vector:
        """(..., 3) world to (..., 3): x and y in pixels, depth in metres."""
        return self._to_pixels(self.local(points))

    def _to_pixels(self, local: Vector) -> Vector:
        depth = local[..., 2]
        x = self.width / 2 + self.focal * local[..., 0] / depth
        y = self.height / 2 + self.focal * local[..., 1] / depth
        return np.stack([x, y, depth], axis=-1)


@dataclass(frozen=True)
class Paint:
    colour: Colour
    ambient: float = 0.45
    """Share of the light that comes from everywhere."""
    stripe: float = 1.0
    """Brightness of every other stripe; 1 is plain."""


@dataclass(frozen=True)
class Capsule:
    """A rod with round ends from a to b, of radius ra to rb."""

    a: Vector
    b: Vector
    ra: float
    rb: float
    paint: Paint


@dataclass(frozen=True)
class Ellipsoid:
    centre: Vector
    axes: Vector
    """(3, 3) rows: unit vectors in the world."""
    radii: Vector
    """(3,)"""
    paint: Paint


@dataclass(frozen=True)
class Quad:
    """A flat convex face."""

    corners: Vector
    """(N, 3) in order around."""
    colour: Colour


@dataclass(frozen=True)
class Cuboid:
    centre: Vector
    axes: Vector
    """(3, 3) rows: unit vectors in the world."""
    radii: Vector
    """(3,) half the sides."""
    colour: Colour


Shape = Capsule | Ellipsoid | Quad | Cuboid


@dataclass(frozen=True)
class Lamp:
    direction: Vector
    """(3,) unit vector to the lamp in the camera frame."""
    gain: Vector
    """(3,) brightness of each colour."""


@dataclass(frozen=True)
class Canvas:
    """A picture being drawn; copies share nothing."""

    image: Image
    depth: _Plane
    owner: NDArray[np.uint8]
    """(H, W) number of whoever is seen at the pixel; BACKGROUND is nobody."""

    @classmethod
    def blank(cls, width: int, height: int, colour: Colour) -> Canvas:
        image = np.empty((height, width, 3), dtype=np.uint8)
        image[:] = colour
        depth = np.full((height, width), _FAR, dtype=np.float32)
        return cls(image, depth, np.zeros((height, width), dtype=np.uint8))

    def copy(self) -> Canvas:
        return Canvas(self.image.copy(), self.depth.copy(), self.owner.copy())

    def seen(self, owner: int) -> tuple[Box, int] | None:
        """Box around the pixels of ``owner``, edges included, and their number; None without."""
        mask = self.owner == owner
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        if not columns.size:
            return None
        box = Box(float(columns[0]), float(rows[0]), columns[-1] + 1.0, rows[-1] + 1.0)
        return box, int(mask.sum())


def draw(canvas: Canvas, camera: Camera, lamp: Lamp, shapes: Iterable[Shape], owner: int) -> None:
    for shape in shapes:
        if isinstance(shape, Capsule):
            _draw_capsule(canvas, camera, lamp, shape, owner)
        elif isinstance(shape, Ellipsoid):
            _draw_ellipsoid(canvas, camera, lamp, shape, owner)
        elif isinstance(shape, Quad):
            _draw_quad(canvas, camera, lamp, shape, owner)
        else:
            for face in _faces(shape, camera):
                _draw_quad(canvas, camera, lamp, face, owner)


def shade_floor(canvas: Canvas, camera: Camera, place: Vector, radius: float) -> None:
    """Darken the floor around ``place`` (2,), softly. Before anybody is drawn."""
    x, y, depth = camera.project(np.array([place[0], place[1], 0.0]))
    reach = radius * camera.focal / depth
    window = _window(canvas, x - 1.5 * reach, y - reach, x + 1.5 * reach, y + reach)
    if window is None:
        return
    rows, columns = window
    across = (np.arange(columns.start, columns.stop, dtype=np.float32) - x) / reach
    along = (np.arange(rows.start, rows.stop, dtype=np.float32) - y)[:, None] / (0.4 * reach)
    shade = 1 - 0.5 * np.exp(-1.5 * (across**2 + along**2)).astype(np.float32)
    part = canvas.image[rows, columns]
    part[:] = part * shade[..., None]


def add_grain(canvas: Canvas, rng: np.random.Generator, amplitude: float) -> None:
    """Roughen the surfaces that are drawn so far.

    It stays as it is from frame to frame: noise that flickers would make the files tenfold."""
    grain = amplitude * rng.standard_normal(canvas.depth.shape, dtype=np.float32)
    canvas.image[:] = cv2.add(canvas.image, cv2.merge([grain] * 3), dtype=cv2.CV_8U)


def expose(canvas: Canvas) -> Image:
    """What the sensor makes of it: (H, W, 3), a little soft."""
    return np.asarray(cv2.GaussianBlur(canvas.image, (3, 3), 0.7), dtype=np.uint8)


def _draw_capsule(canvas: Canvas, camera: Camera, lamp: Lamp, shape: Capsule, owner: int) -> None:
    (ax, ay, az), (bx, by, bz) = camera.project(np.stack([shape.a, shape.b]))
    if min(az, bz) < _NEAR:
        return
    ra, rb = shape.ra * camera.focal / az, shape.rb * camera.focal / bz
    low_x, low_y = min(ax - ra, bx - rb), min(ay - ra, by - rb)
    window = _window(canvas, low_x, low_y, max(ax + ra, bx + rb), max(ay + ra, by + rb))
    if window is None:
        return
    rows, columns = window
    x = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(ax)
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(ay))[:, None]
    dx, dy = np.float32(bx - ax), np.float32(by - ay)
    square = max(dx * dx + dy * dy, np.float32(1e-3))
    t = np.clip(x * (dx / square) + y * (dy / square), 0, 1)
    radius = np.float32(ra) + t * np.float32(rb - ra)
    nx, ny = (x - t * dx) / radius, (y - t * dy) / radius
    rest = 1 - nx * nx - ny * ny
    nz = np.sqrt(np.maximum(rest, 0))
    thickness = np.float32(shape.ra) + t * np.float32(shape.rb - shape.ra)
    depth = np.float32(az) + t * np.float32(bz - az) - nz * thickness
    stripes = _stripes(t * np.float32(5), shape.paint)
    light = _light(nx, ny, nz, lamp, shape.paint, stripes)
    _put(canvas, window, rest > 0, depth, light, lamp.gain * shape.paint.colour, owner)


def _draw_ellipsoid(
    canvas: Canvas, camera: Camera, lamp: Lamp, shape: Ellipsoid, owner: int
) -> None:
    """Under weak perspective: the depth of the centre scales the whole."""
    cx, cy, cz = camera.project(shape.centre)
    if cz < _NEAR:
        return
    turned = camera.rotation @ shape.axes.T
    inverse = turned @ np.diag(shape.radii**2) @ turned.T
    scale = np.float32(camera.focal / cz)
    half_x, half_y = np.sqrt(inverse[0, 0]) * scale, np.sqrt(inverse[1, 1]) * scale
    window = _window(canvas, cx - half_x, cy - half_y, cx + half_x, cy + half_y)
    if window is None:
        return
    rows, columns = window
    x = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(cx)) / scale
    y = ((np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(cy)) / scale)[:, None]
    # Points p of the surface obey p m p = 1: a quadratic in z for each pixel.
    m = (turned @ np.diag(1 / shape.radii**2) @ turned.T).astype(np.float32)
    b = m[0, 2] * x + m[1, 2] * y
    c = m[0, 0] * x * x + m[1, 1] * y * y + 2 * m[0, 1] * x * y - 1
    discriminant = b * b - m[2, 2] * c
    z = (-b - np.sqrt(np.maximum(discriminant, 0))) / m[2, 2]
    nx = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
    ny = m[0, 1] * x + m[1, 1] * y + m[1, 2] * z
    nz = m[0, 2] * x + m[1, 2] * y + m[2, 2] * z
    length = np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-9))
    along = turned[:, 2].astype(np.float32)
    stripes = _stripes((along[0] * x + along[1] * y + along[2] * z) / np.float32(0.05), shape.paint)
    light = _light(nx / length, ny / length, -nz / length, lamp, shape.paint, stripes)
    depth = np.float32(cz) + z
    _put(canvas, window, discriminant > 0, depth, light, lamp.gain * shape.paint.colour, owner)


def _draw_quad(canvas: Canvas, camera: Camera, lamp: Lamp, shape: Quad, owner: int) -> None:
    corners = _cut_near(camera.local(shape.corners))
    if len(corners) < 3:
        return
    pixels = camera._to_pixels(corners)[:, :2]
    window = _window(canvas, *pixels.min(0), *pixels.max(0))
    if window is None:
        return
    rows, columns = window
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
    outline = np.round(pixels - (columns.start, rows.start)).astype(np.int32)
    cv2.fillConvexPoly(mask, outline, 1)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    distance = normal @ corners[0]
    if abs(distance) < 1e-9:
        return  # seen from its edge
    # On the face, 1 / depth is linear in the picture.
    x = (np.arange(columns.start, columns.stop) - camera.width / 2) / camera.focal
    y = ((np.arange(rows.start, rows.stop) - camera.height / 2) / camera.focal)[:, None]
    slope = (normal[:2] / distance).astype(np.float32)
    inverse = slope[0] * x.astype(np.float32) + (slope[1] * y + normal[2] / distance).astype(
        np.float32
    )
    depth = 1 / np.maximum(inverse, np.float32(1e-6))
    light = np.ones((1, 1), dtype=np.float32)
    _put(canvas, window, mask > 0, depth, light, lamp.gain * shape.colour, owner)


def _faces(shape: Cuboid, camera: Camera) -> Iterable[Quad]:
    """The faces turned to the camera, top lightest."""
    for axis in range(3):
        u, v = (shape.axes[k] * shape.radii[k] for k in range(3) if k != axis)
        for sign in (1, -1):
            outward = sign * shape.axes[axis]
            middle = shape.centre + shape.radii[axis] * outward
            if (camera.position - middle) @ outward <= 0:
                continue
            light = 0.82 + 0.18 * outward[2] + 0.06 * outward[0]
            red, green, blue = (min(255.0, c * light) for c in shape.colour)
            corners = np.stack([middle + u + v, middle + u - v, middle - u - v, middle - u + v])
            yield Quad(corners, (red, green, blue))


def _cut_near(corners: Vector) -> Vector:
    """The part of a polygon (N, 3), in the camera frame, that lies before the camera."""
    if (corners[:, 2] >= _NEAR).all():
        return corners
    kept = []
    for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if here[2] >= _NEAR:
            kept.append(here)
        if (here[2] >= _NEAR) != (there[2] >= _NEAR):
            kept.append(here + (there - here) * (_NEAR - here[2]) / (there[2] - here[2]))
    return np.array(kept).reshape(-1, 3)


def _window(
    canvas: Canvas, x0: float, y0: float, x1: float, y1: float
) -> tuple[slice, slice] | None:
    """Rows and columns of the picture that a shape with these bounds can touch."""
    height, width = canvas.depth.shape
    left, right = max(0, int(np.floor(x0))), min(width, int(np.ceil(x1)) + 1)
    top, bottom = max(0, int(np.floor(y0))), min(height, int(np.ceil(y1)) + 1)
    return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def _stripes(height: _Plane, paint: Paint) -> _Plane | None:
    if paint.stripe == 1.0:
        return None
    odd = np.floor(height).astype(np.int32) % 2
    return np.where(odd, np.float32(1), np.float32(paint.stripe))


def _light(
    nx: _Plane, ny: _Plane, nz: _Plane, lamp: Lamp, paint: Paint, stripes: _Plane | None
) -> _Plane:
    """Brightness for the outward normal (nx, ny, -nz): the lamp, and a little from the camera."""
    lx, ly, lz = lamp.direction.astype(np.float32)
    lit = np.maximum(nx * lx + ny * ly - nz * lz, 0)
    ambient = np.float32(paint.ambient)
    light: _Plane = ambient + (1 - ambient) * np.float32(1.15) * lit
    light *= np.float32(0.72) + np.float32(0.28) * nz
    return light if stripes is None else light * stripes


def _put(
    canvas: Canvas,
    window: tuple[slice, slice],
    mask: NDArray[np.bool_],
    depth: _Plane,
    light: _Plane,
    colour: Vector,
    owner: int,
) -> None:
    mask &= depth < canvas.depth[window]
    tinted = np.minimum(light[..., None] * colour.astype(np.float32), 255)
    np.copyto(canvas.image[window], tinted.astype(np.uint8), where=mask[..., None])
    np.copyto(canvas.depth[window], depth, where=mask)
    np.copyto(canvas.owner[window], np.uint8(owner), where=mask)
