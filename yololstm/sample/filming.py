"""Pictures of a take, and the clips and annotations made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from yololstm.clips import Box
from yololstm.sample import annotation, looks
from yololstm.sample.annotation import Marker
from yololstm.sample.body import Figure
from yololstm.sample.looks import Look
from yololstm.sample.rendering import Camera, Canvas, Lamp, add_grain, draw, expose, shade_floor
from yololstm.sample.shop import background
from yololstm.sample.takes import CAMERAS, Purpose, Take
from yololstm.storage import atomic
from yololstm.video import writing

_CRF: Final = 20
_GRAIN: Final = 2.5
_ITEM: Final = 255

Cast = Sequence[tuple[Figure, Look]]


@dataclass(frozen=True)
class Viewpoint:
    """A camera in its place before the empty shop."""

    camera: Camera
    lamp: Lamp
    empty: Canvas

    @classmethod
    def of(cls, take: Take, camera: Camera, lamp: Lamp, rng: np.random.Generator) -> Viewpoint:
        empty = background(take.shop(), camera, lamp)
        add_grain(empty, rng, _GRAIN)
        return cls(camera, lamp, empty)

    def paint(self, cast: Cast) -> Canvas:
        """The cast in the shop, each with what is held and carried."""
        canvas = self.empty.copy()
        for figure, _ in cast:
            place, radius = figure.points["PELVIS"][:2], 0.35 * figure.body.girth
            shade_floor(canvas, self.camera, place, radius)
        for index, (figure, look) in enumerate(cast):
            for shapes, owner in (
                (looks.dressed(figure, look), person(index)),
                (looks.held(figure, look), _ITEM),
                (looks.bag(figure, look), bag(index)),
            ):
                draw(canvas, self.camera, self.lamp, shapes, owner)
        return canvas


def person(index: int) -> int:
    """Owner of the pixels of one of the cast, without what is held and carried."""
    return 2 * index + 1


def bag(index: int) -> int:
    return 2 * index + 2


def film(take: Take, camera_name: str, video: Path, labels: Path) -> int:
    """Write the clip that one camera makes of a take, and its annotation; returns its frames."""
    figures = take.figures(take.settings.times_s)
    camera = take.view(camera_name, figures)
    rng = take.settings.generator(Purpose.GRAIN, *take.key, CAMERAS.index(camera_name))
    viewpoint = Viewpoint.of(take, camera, take.lamp(camera_name), rng)
    markers = _film_frames(take, viewpoint, figures, video)
    points = np.stack([annotation.keypoints(group, camera) for group in figures])
    content = annotation.to_xml(video.name, take.settings.size, markers, points)
    with atomic(labels) as temporary:
        temporary.write_bytes(content)
    return len(figures)


def _film_frames(
    take: Take, viewpoint: Viewpoint, figures: Sequence[Sequence[Figure]], video: Path
) -> list[Marker]:
    """The markers found on the way: where the event starts and ends, around those who do it."""
    settings, event = take.settings, take.scene.event
    edges = dict(zip(event.frames(settings.fps), ("start", "end"), strict=True)) if event else {}
    markers = []
    wardrobe = [role.look for role in take.scene.cast]
    rate = Fraction(settings.fps)
    with (
        atomic(video) as temporary,
        writing(temporary, rate, settings.width, settings.height, crf=_CRF) as writer,
    ):
        for frame, group in enumerate(figures):
            canvas = viewpoint.paint(list(zip(group, wardrobe, strict=True)))
            if event and (edge := edges.get(frame)):
                box = _around_all(canvas, event.actors)
                markers.append(Marker(f"{take.kind.event}_{edge}", frame, box))
            writer.write(expose(canvas))
    return markers


def _around_all(canvas: Canvas, actors: int) -> Box:
    boxes = [seen[0] for index in range(actors) if (seen := canvas.seen(person(index)))]
    (x0, y0), (x1, y1) = np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]
    return Box(float(x0), float(y0), float(x1), float(y1))
