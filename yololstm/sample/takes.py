"""Which takes there are: their names, stores, split, scenes, cameras and light.

Every take draws from a generator of its own, and so does every camera of it: asking for more takes
leaves the others as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

import numpy as np

from yololstm.errors import ParamsError
from yololstm.sample.body import Figure, Vector
from yololstm.sample.rendering import Camera, Lamp, Shape
from yololstm.sample.scenes import SCENES, Scene
from yololstm.sample.shop import furnish, in_sight

CAMERAS: Final = ("CA", "CB")
STORES: Final = ("DYA", "DYB", "SYA", "SYB", "SMA")
TRAINING: Final = "Training"
VALIDATION: Final = "Validation"

MIN_HEIGHT: Final = 0.33
"""Smallest height of a person as a share of the frame's: 238 of 720 pixels, from which on pose
models find every drawn person."""
_MARGIN: Final = 0.015
_TRIES: Final = 500


@dataclass(frozen=True)
class Settings:
    seed: int
    takes: int
    """Of each kind."""
    seconds: float
    fps: int
    width: int
    height: int
    detector_images: int

    @property
    def times_s(self) -> Vector:
        """(F,) presentation times of a clip's frames."""
        return np.arange(round(self.seconds * self.fps)) / self.fps

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def generator(self, purpose: Purpose, *key: int) -> np.random.Generator:
        """Of one thing among those that the seed decides: independent of all others."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(purpose, *key))
        return np.random.default_rng(sequence)


@dataclass(frozen=True)
class Kind:
    """A class of AI-Hub 71550, or of 71549, which holds normal shopping."""

    event: str
    """Prefix of its tracks in the annotations."""
    category: int
    number: int
    folder: str
    colour_token: str
    """Clips of 71549 bear no RGB in their names."""


KINDS: Final = (
    Kind("theft", 3, 12, "03.이상행동_12.절도", "_RGB"),
    Kind("fight", 3, 13, "03.이상행동_13.폭행", "_RGB"),
    Kind("broken", 3, 8, "03.이상행동_08.파손", "_RGB"),
    Kind("normal", 1, 1, "01.정상행동_01.구매행동", ""),
)


class Purpose(IntEnum):
    """What a generator is for: the first number of its spawn key."""

    SCENE = 0
    NAME = 1
    LIGHT = 2
    VIEW = 3
    SHOP = 4
    GRAIN = 5
    STILL = 6


@dataclass(frozen=True)
class Take:
    """One acted scene with all that is needed to film it. number counts from 0 within its kind."""

    settings: Settings
    kind: Kind
    number: int

    @property
    def split(self) -> str:
        """The last takes of a kind are for validation: three in ten, at least three, not all."""
        takes = self.settings.takes
        held_out = min(max(3, round(0.3 * takes)), takes - 1)
        return VALIDATION if self.number >= takes - held_out else TRAINING

    @property
    def store(self) -> str:
        return STORES[self._store]

    @property
    def _store(self) -> int:
        return (self.number + KINDS.index(self.kind)) % len(STORES)

    @property
    def key(self) -> tuple[int, int]:
        """Tells its generators from those of other takes."""
        return KINDS.index(self.kind), self.number

    @cached_property
    def scene(self) -> Scene:
        rng = self.settings.generator(Purpose.SCENE, *self.key)
        return SCENES[self.kind.event](rng, self.settings.seconds, self.number)

    def name(self, camera: str) -> str:
        """The clip's name without suffix, C_3_12_1_BU_DYA_07-31_16-15-01_CA_RGB_DF2_M1: category,
        class, scenario, region, store, date, time, camera, actors."""
        rng = self.settings.generator(Purpose.NAME, *self.key)
        month, day = rng.integers(6, 11), rng.integers(1, 29)
        hour, minute, second = rng.integers(9, 22), rng.integers(60), rng.integers(60)
        actors = "_".join(f"{rng.choice(['M', 'F'])}{i + 1}" for i in range(len(self.scene.cast)))
        return (
            f"C_{self.kind.category}_{self.kind.number}_{self.number + 1}_BU_{self.store}"
            f"_{month:02}-{day:02}_{hour:02}-{minute:02}-{second:02}_{camera}"
            f"{self.kind.colour_token}_DF{rng.integers(1, 4)}_{actors}"
        )

    def figures(self, times_s: Vector) -> list[list[Figure]]:
        """For each time, the cast as it stands then."""
        return [[role.figure(float(time_s)) for role in self.scene.cast] for time_s in times_s]

    def shop(self) -> list[Shape]:
        return [*furnish(self.settings.generator(Purpose.SHOP, self._store)), *self.scene.props]

    def lamp(self, camera: str) -> Lamp:
        """The shop's light falls alike on all cameras; each has its own exposure."""
        rng = self.settings.generator(Purpose.LIGHT, *self.key)
        direction = np.array([rng.uniform(-0.6, 0.6), -0.75, -rng.uniform(0.4, 0.7)])
        brightness = rng.uniform(0.8, 1.1)
        own = self.settings.generator(Purpose.LIGHT, *self.key, 1 + CAMERAS.index(camera))
        gain = brightness * own.uniform(0.92, 1.06) * own.uniform(0.97, 1.03, 3)
        return Lamp(direction / np.linalg.norm(direction), gain)

    def view(self, camera: str, figures: list[list[Figure]]) -> Camera:
        """CA stands to the left and CB to the right; both see everybody whole at all times."""
        rng = self.settings.generator(Purpose.VIEW, *self.key, CAMERAS.index(camera))
        widest = 12.0 if self.kind.event == "fight" else 20.0
        azimuth = (-widest, -3.0) if camera == CAMERAS[0] else (3.0, widest)
        return find_view(rng, figures, self.settings, azimuth)


def all_takes(settings: Settings) -> list[Take]:
    return [Take(settings, kind, number) for kind in KINDS for number in range(settings.takes)]


def find_view(
    rng: np.random.Generator,
    figures: list[list[Figure]],
    settings: Settings,
    azimuth: tuple[float, float],
    distance: tuple[float, float] = (4.6, 7.5),
) -> Camera:
    """A camera that sees all the figures whole and large enough.

    azimuth: degrees to the right; distance: metres from the middle of the action.
    Raises ParamsError where the picture's shape leaves no such view.
    """
    outlines = np.stack([figure.outline() for group in figures for figure in group])
    for _ in range(_TRIES):
        camera = _random_view(rng, outlines, settings, azimuth, distance)
        if sees(camera, outlines) and in_sight(camera.position, outlines):
            return camera
    raise ParamsError(
        "sample.width",
        f"no camera of {settings.width}x{settings.height} sees all actors whole",
        "Choose a wider picture, such as 1280x720",
    )


def sees(camera: Camera, outlines: Vector) -> bool:
    """outlines: (N, points, 3), one a figure. Whether all are inside the frame and tall enough."""
    xy = camera.project(outlines)[..., :2]
    size = np.array([camera.width, camera.height])
    margin = _MARGIN * camera.height
    tall = np.ptp(xy[..., 1], axis=1) >= MIN_HEIGHT * camera.height
    return bool(tall.all() and (xy > margin).all() and (xy < size - margin).all())


def _random_view(
    rng: np.random.Generator,
    outlines: Vector,
    settings: Settings,
    azimuth: tuple[float, float],
    distance: tuple[float, float],
) -> Camera:
    angle = np.radians(rng.uniform(*azimuth))
    away, up = rng.uniform(*distance), rng.uniform(1.9, 2.9)
    middle = (outlines.min((0, 1)) + outlines.max((0, 1))) / 2
    aim = np.array([middle[0], middle[1], 0.95]) + rng.uniform(-0.25, 0.25, 3) * (1, 0, 0.6)
    position = np.array([middle[0] + away * np.sin(angle), middle[1] - away * np.cos(angle), up])
    focal = rng.uniform(1.45, 1.85) * settings.height
    return Camera.towards(aim, position, settings.width, settings.height, float(focal))
