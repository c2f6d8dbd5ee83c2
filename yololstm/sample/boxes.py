"""The detector's data set: stills of training takes with boxes of persons and bags, for YOLO.

Every still has a view of its own, and the cast wears other clothes than in the clips. Stills to
train on and stills to validate on come from different takes; takes of Validation give none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from yololstm.clips import Box
from yololstm.sample import looks
from yololstm.sample.filming import Cast, Viewpoint, bag, person
from yololstm.sample.rendering import Canvas, expose
from yololstm.sample.takes import CAMERAS, TRAINING, Purpose, Settings, Take, all_takes, find_view
from yololstm.storage import atomic
from yololstm.video import Image

CLASSES: Final = ("person", "bag")
LONGER_SIDE: Final = 640
_VAL_EVERY: Final = 5
"""One training take in so many gives stills to validate on."""
_EMPTY_SHARE: Final = 0.06
_MIN_PERSON: Final = 0.004
_MIN_BAG: Final = 0.0012
"""Smallest shares of the frame that must be seen of a thing: 33 pixels square of a bag at 720p."""
_BAGS: Final[tuple[looks.Bag, ...]] = ("none", "backpack", "shoulder", "handbag", "handbag")


@dataclass(frozen=True)
class Labelled:
    """A still's box: class number, and pixels."""

    category: int
    box: Box


@dataclass(frozen=True)
class Still:
    """One image to make: which of how many, and of which take."""

    number: int
    take: Take
    split: str


def stills(settings: Settings) -> list[Still]:
    """Round robin over the training takes; a fifth of those, and at least one, to validate on."""
    takes = [take for take in all_takes(settings) if take.split == TRAINING]
    order = settings.generator(Purpose.STILL).permutation(len(takes))
    n_val = max(1, len(takes) // _VAL_EVERY)
    places = [number % len(takes) for number in range(settings.detector_images)]
    return [
        Still(number, takes[order[place]], "val" if place < n_val else "train")
        for number, place in enumerate(places)
    ]


def take_still(still: Still) -> tuple[Image, list[Labelled]]:
    """An RGB image of LONGER_SIDE or less, and what is to be seen on it."""
    take, settings = still.take, still.take.settings
    rng = settings.generator(Purpose.STILL, still.number)
    time_s = float(rng.choice(settings.times_s))
    (figures,) = take.figures(np.array([time_s]))
    camera = find_view(rng, [figures], settings, (-25, 25), (4.2, 8.0))
    lamp = take.lamp(CAMERAS[still.number % len(CAMERAS)])
    viewpoint = Viewpoint.of(take, camera, lamp, rng)
    cast = [] if rng.random() < _EMPTY_SHARE else [(f, _other_look(rng)) for f in figures]
    canvas = viewpoint.paint(cast)
    scale = min(1.0, LONGER_SIDE / max(settings.size))
    size = tuple(round(side * scale) for side in settings.size)
    image = cv2.resize(expose(canvas), size, interpolation=cv2.INTER_AREA)
    found = _seen(canvas, cast)
    return np.asarray(image, dtype=np.uint8), [
        Labelled(item.category, Box(*(scale * side for side in item.box))) for item in found
    ]


def _other_look(rng: np.random.Generator) -> looks.Look:
    kind = _BAGS[int(rng.integers(len(_BAGS)))]
    return looks.random_look(rng, kind, float(rng.choice([-1.0, 1.0])))


def _seen(canvas: Canvas, cast: Cast) -> list[Labelled]:
    found = []
    for index in range(len(cast)):
        for category, owner, least in (
            (0, person(index), _MIN_PERSON),
            (1, bag(index), _MIN_BAG),
        ):
            seen = canvas.seen(owner)
            if seen and seen[1] >= least * canvas.owner.size:
                found.append(Labelled(category, seen[0]))
    return found


def save_still(still: Still, root: Path) -> None:
    """<root>/images/<split>/<name>.jpg and <root>/labels/<split>/<name>.txt"""
    image, found = take_still(still)
    height, width = image.shape[:2]
    name = f"{still.number:05}"
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    with atomic(root / "images" / still.split / f"{name}.jpg") as temporary:
        temporary.write_bytes(encoded.tobytes())
    with atomic(root / "labels" / still.split / f"{name}.txt") as temporary:
        temporary.write_text(to_yolo(found, width, height), encoding="utf-8")


def to_yolo(found: Sequence[Labelled], width: int, height: int) -> str:
    """A line a box: class, centre and size as shares of the image."""
    lines = []
    for item in found:
        x0, y0, x1, y1 = item.box
        shares = (
            (x0 + x1) / 2 / width,
            (y0 + y1) / 2 / height,
            (x1 - x0) / width,
            (y1 - y0) / height,
        )
        lines.append(" ".join((str(item.category), *(f"{share:.6f}" for share in shares))))
    return "".join(f"{line}\n" for line in lines)


def save_index(root: Path) -> None:
    """data.yaml. Without a ``path`` in it, ultralytics takes the folder it lies in."""
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    with atomic(root / "data.yaml") as temporary:
        text = f"train: images/train\nval: images/val\nnames:\n{names}"
        temporary.write_text(text, encoding="utf-8")
