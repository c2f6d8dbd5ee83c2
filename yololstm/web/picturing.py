"""A moment as a picture: the frame, who is in it, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from yololstm import drawing
from yololstm.clips import NORMAL
from yololstm.drawing import Image, Palette, Person, Status
from yololstm.landmarks import Landmarks
from yololstm.moments import Moment

WIDTH: Final = 960
SMALL: Final = 480
"""For a card on a phone, or one of many."""
_QUALITY: Final = 80


@dataclass(frozen=True)
class Known:
    """What is known of those in a picture."""

    events: Mapping[int, Status]
    """That go on, by track."""
    judged: frozenset[int]
    """Tracks of which something is said."""

    def status(self, track: int) -> Status | None:
        normal = Status(NORMAL) if track in self.judged else None
        return self.events.get(track, normal)


def drawn(moment: Moment, known: Known, colours: Palette, width: int = WIDTH) -> bytes | None:
    """A JPEG, at most so wide; None for a moment without a frame."""
    if moment.shot is None or moment.landmarks is None:
        return None
    image, scale = _scaled(moment.shot.frame.image, width)
    people = _people(moment.landmarks, scale, known)
    bags = moment.landmarks.bags().box * scale
    scene = drawing.Scene(moment.frame_s, people, bags, None)
    return _jpeg(drawing.mark(image, scene, colours))


def plain(moment: Moment, width: int = WIDTH) -> bytes | None:
    """The frame alone."""
    if moment.shot is None:
        return None
    return _jpeg(_scaled(moment.shot.frame.image, width)[0])


def _scaled(image: Image, width: int) -> tuple[Image, np.float32]:
    """A copy, at most so wide, and how much smaller it is."""
    scale = min(1.0, width / image.shape[1])
    if scale == 1.0:
        return image.copy(), np.float32(1)
    size = width, max(1, round(image.shape[0] * scale))
    smaller = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller.astype(np.uint8, copy=False), np.float32(scale)


def _people(landmarks: Landmarks, scale: np.float32, known: Known) -> list[Person]:
    seen = landmarks.persons()
    smaller = replace(seen, box=seen.box * scale, xy=seen.xy * scale)
    rows = zip(smaller.track, smaller.box, smaller.xy, smaller.confidence, strict=True)
    return [Person(int(t), box, xy, sure, known.status(int(t))) for t, box, xy, sure in rows]


def _jpeg(image: Image) -> bytes:
    _, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return encoded.tobytes()
