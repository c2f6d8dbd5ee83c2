"""What an annotated frame looks like.

Images are (H, W, 3) uint8, RGB; ``draw`` returns a new one and leaves the frame as it was. Sizes
follow the image, so that 480p and 1080p read alike. Text is in OpenCV's own font, which has Latin
and Hangul; it draws what it lacks as a question mark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm.clips import NORMAL, Span
from yololstm.skeleton import BONES

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]
Palette = Mapping[str, Colour]

# Told apart by colour-blind eyes too: the hues of Okabe and Ito (jfly.uni-koeln.de/color), lighter
# for dark video. What is wrong is warm, all else cool or grey.
_NORMAL: Final[Colour] = (40, 190, 150)
_ABNORMAL: Final[tuple[Colour, ...]] = (
    (255, 96, 40),
    (255, 196, 40),
    (240, 130, 200),
    (250, 240, 120),
    (205, 110, 80),
)
_BAG: Final[Colour] = (110, 190, 245)
UNKNOWN: Final[Colour] = (176, 182, 190)
_INK: Final[Colour] = (16, 19, 24)
_PAPER: Final[Colour] = (240, 243, 246)

_SOCKET: Final[Colour] = (44, 49, 58)

_WEIGHT: Final = 500
_FLAT: Final = 0.15
"""Height in the timeline of what has no probability."""
_SURE: Final = 0.5
"""Joints below this confidence are drawn faintly,"""
_SEEN: Final = 0.1
"""and below this one not at all."""


@dataclass(frozen=True)
class Status:
    """What somebody does at one moment."""

    label: str
    probability: float | None = None
    """Of an abnormal label."""


@dataclass(frozen=True)
class Person:
    """One row of landmarks, and what its track does; None where nobody can tell yet."""

    track: int
    box: NDArray[np.float32]
    """(4,) x0, y0, x1, y1 in pixels of the image"""
    xy: NDArray[np.float32]
    """(13, 2) likewise; NaN where a joint is absent"""
    confidence: NDArray[np.float32]
    """(13,) in 0..1"""
    status: Status | None


@dataclass(frozen=True)
class Scene:
    """What is drawn over one frame. status is the clip's as a whole at this moment."""

    time_s: float
    persons: Sequence[Person]
    bags: NDArray[np.float32]
    """(N, 4) boxes"""
    status: Status | None


@dataclass(frozen=True)
class Timeline:
    """A clip from 0 to duration_s at a glance."""

    duration_s: float
    statuses: Sequence[Status | None]
    """The clip's, over equal parts of its duration; at least one."""
    truth: Sequence[Span] | None
    """None where nobody has labelled the clip."""


@dataclass(frozen=True)
class Strip:
    """A timeline drawn for one size of frame; its time axis runs from left to right, in pixels."""

    image: Image
    left: int
    right: int
    duration_s: float


class _Rectangle(NamedTuple):
    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True)
class _Look:
    """Sizes in pixels, as the size of the image asks for."""

    text: int
    small: int
    line: int
    dot: int
    pad: int
    row: int

    @classmethod
    def of(cls, width: int, height: int) -> _Look:
        scale = math.sqrt(width * height / (1280 * 720))
        text = max(13, round(19 * scale))
        return cls(
            text=text,
            small=max(12, round(16 * scale)),
            line=max(1, round(2 * scale)),
            dot=max(3, round(3 * scale)),
            pad=max(4, round(7 * scale)),
            row=round(text * 1.5),
        )


def palette(labels: Sequence[str]) -> dict[str, Colour]:
    """normal is green, the others warm, in the order of ``labels``."""
    abnormal = [label for label in labels if label != NORMAL]
    warm = {label: _ABNORMAL[i % len(_ABNORMAL)] for i, label in enumerate(abnormal)}
    return {**warm, NORMAL: _NORMAL}


def canvas(width: int, height: int) -> Image:
    """A dark frame with a faint grid, for landmarks without their video."""
    image = filled(width, height, (22, 25, 31))
    step = max(16, round(math.hypot(width, height) / 24))
    image[step::step] = image[:, step::step] = (32, 36, 43)
    return image


def draw(frame: Image, scene: Scene, timeline: Strip, colours: Palette) -> Image:
    """The frame with bags and persons; status, clock and legend above; the timeline below."""
    image = frame.copy()
    look = _Look.of(frame.shape[1], frame.shape[0])
    _outline(image, scene, colours, look)
    _footer(image, scene.time_s, timeline, look)
    header = _header(image, scene, colours, look)
    _tags(image, scene, colours, look, header, image.shape[0] - len(timeline.image))
    return image


def mark(frame: Image, scene: Scene, colours: Palette) -> Image:
    """The frame with bags and persons, and what they are said to do; no more, for video that goes
    on."""
    image = frame.copy()
    look = _Look.of(frame.shape[1], frame.shape[0])
    _outline(image, scene, colours, look)
    _tags(image, scene, colours, look, (), image.shape[0])
    return image


# --- for other pictures, too ---


def filled(width: int, height: int, colour: Colour) -> Image:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def text(image: Image, words: str, x: int, base: int, size: int, colour: Colour) -> None:
    """One line on the image itself, from x on; base: the row on which letters stand."""
    cv2.putText(image, words, (x, base), colour, _font(), size, _WEIGHT)


def text_width(words: str, size: int) -> int:
    """In pixels."""
    _, _, width, _ = cv2.getTextSize((0, 0), words, (0, 0), _font(), size, _WEIGHT)
    return int(width)


# --- persons and bags ---


def _outline(image: Image, scene: Scene, colours: Palette, look: _Look) -> None:
    for box in scene.bags:
        _brackets(image, box, _BAG, look)
    for person in scene.persons:
        _brackets(image, person.box, _colour(person.status, colours), look)
        _skeleton(image, person, _colour(person.status, colours), look)


def _brackets(image: Image, box: NDArray[np.float32], colour: Colour, look: _Look) -> None:
    """The corners of a box: they show how far it reaches and leave the picture free."""
    if not np.isfinite(box).all():
        return
    x0, y0, x1, y1 = (_pixel(side) for side in box)
    arm = max(look.pad, round(0.2 * min(x1 - x0, y1 - y0)))
    for x, y, dx, dy in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x0, y1, 1, -1), (x1, y1, -1, -1)):
        corner = np.array([(x + dx * arm, y), (x, y), (x, y + dy * arm)], dtype=np.int32)
        cv2.polylines(image, [corner], False, _INK, look.line + 2, cv2.LINE_AA)
        cv2.polylines(image, [corner], False, colour, look.line, cv2.LINE_AA)


def _skeleton(image: Image, person: Person, colour: Colour, look: _Look) -> None:
    """Sure bones have a dark rim, so that they stand out from any picture; others are thin.

    Both are finer on small persons, who would vanish below them.
    """
    seen = np.isfinite(person.xy).all(axis=1) & (person.confidence >= _SEEN)
    at = {int(j): (_pixel(person.xy[j, 0]), _pixel(person.xy[j, 1])) for j in np.flatnonzero(seen)}
    sure = {joint for joint in at if person.confidence[joint] >= _SURE}
    bones = [bone for bone in BONES if at.keys() >= set(bone)]
    solid = [bone for bone in bones if sure.issuperset(bone)]
    height = _pixel(np.ptp(person.xy[seen, 1])) if at else 0
    thick = min(look.line + (look.line + 1) // 2, max(2, height // 40))
    dot = min(look.dot, max(2, height // 50))
    for a, b in bones:
        cv2.line(image, at[a], at[b], _dimmed(colour), max(1, thick // 2), cv2.LINE_AA)
    for a, b in solid:
        cv2.line(image, at[a], at[b], _INK, thick + 2, cv2.LINE_AA)
    for a, b in solid:
        cv2.line(image, at[a], at[b], colour, thick, cv2.LINE_AA)
    for joint, centre in at.items():
        if joint in sure:
            cv2.circle(image, centre, dot + 1, _INK, -1, cv2.LINE_AA)
            cv2.circle(image, centre, dot, _PAPER, -1, cv2.LINE_AA)
        else:
            cv2.circle(image, centre, dot, _dimmed(colour), 1, cv2.LINE_AA)


def _tags(
    image: Image,
    scene: Scene,
    colours: Palette,
    look: _Look,
    taken: Sequence[_Rectangle],
    bottom: int,
) -> None:
    """Who it is and what they do, at each box, clear of what is taken and of each other."""
    tags = [
        (p.box, f"{p.track}  {_words(p.status)}".rstrip(), _colour(p.status, colours))
        for p in scene.persons
    ]
    tags += [(box, "bag", _BAG) for box in scene.bags]
    for box, words, colour in tags:
        if np.isfinite(box).all():
            size = text_width(words, look.small) + 2 * look.pad, look.row
            place = _free_place(box, size, (image.shape[1], bottom), taken)
            taken = [*taken, place]
            _chip(image, words, place, colour, look, look.small)


def _free_place(
    box: NDArray[np.float32],
    size: tuple[int, int],
    area: tuple[int, int],
    taken: Sequence[_Rectangle],
) -> _Rectangle:
    """Above the box, or else within it from the top down; inside (width, height) of the area."""
    (width, height), left = size, min(max(_pixel(box[0]), 0), max(area[0] - size[0], 0))
    top, lowest = _pixel(box[1]) - height, max(area[1] - height, 0)
    tops = (min(max(top + i * (height + 1), 0), lowest) for i in range(2 * len(taken) + 2))
    places = [_Rectangle(left, y, left + width, y + height) for y in tops]
    return next((p for p in places if not any(_overlap(p, other) for other in taken)), places[0])


def _overlap(a: _Rectangle, b: _Rectangle) -> bool:
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


# --- header: status at the left; legend and clock at the right ---


def _header(
    image: Image, scene: Scene, colours: Palette, look: _Look
) -> tuple[_Rectangle, _Rectangle]:
    """Returns what it covers."""
    width, height = image.shape[1], round(1.2 * look.row)
    top, gap = look.pad, 2 * look.pad
    words = _words(scene.status) or "undecided"
    end = top + text_width(words, look.text) + gap
    status = _Rectangle(top, top, end, top + height)
    _chip(image, words, status, _colour(scene.status, colours), look, look.text)

    clock = _clock(scene.time_s)
    entries = [(label, colour) for label, colour in colours.items()]
    widths = [text_width(label, look.small) + look.small + gap for label, _ in entries]
    left = width - look.pad - gap - text_width(clock, look.small) - sum(widths)
    if left < end + gap:
        left, entries = max(left + sum(widths), 0), []
    panel = _Rectangle(left, top, width - look.pad, top + height)
    _shade(image, panel)
    x = left + look.pad
    for (label, colour), advance in zip(entries, widths, strict=False):
        middle = (x + look.small // 3, top + height // 2)
        cv2.circle(image, middle, look.small // 3, colour, -1, cv2.LINE_AA)
        _text(image, label, x + look.small, top, height, look.small, _PAPER)
        x += advance
    _text(image, clock, x, top, height, look.small, _PAPER)
    return status, panel


# --- footer: the timeline ---


def strip(timeline: Timeline, width: int, height: int, colours: Palette) -> Strip:
    """The timeline for frames of (height, width).

    Its lower row is what is predicted: events, the higher, the more probable; normal lies flat.
    The row above, where the truth is known, is what was labelled.
    """
    look = _Look.of(width, height)
    rows = [("predicted", _predicted_row(timeline, colours, look.row))]
    if timeline.truth is not None:
        rows.insert(0, ("labelled", _truth_row(timeline, timeline.truth, colours, look.row // 2)))
    left = 2 * look.pad + max(text_width(caption, look.small) for caption, _ in rows)
    if left > width // 3:
        left, rows = look.pad, [("", row) for _, row in rows]
    right = max(width - look.pad, left + 1)
    image = filled(width, sum(len(row) + look.pad for _, row in rows) + look.pad, _INK)
    top = look.pad
    for caption, row in rows:
        size = (right - left, len(row))
        image[top : top + len(row), left:right] = cv2.resize(
            row, size, interpolation=cv2.INTER_NEAREST
        )
        _text(image, caption, look.pad, top, len(row), look.small, UNKNOWN)
        top += len(row) + look.pad
    return Strip(image, left, right, timeline.duration_s)


def _predicted_row(timeline: Timeline, colours: Palette, height: int) -> Image:
    """(height, parts, 3)"""
    row = filled(len(timeline.statuses), height, _SOCKET)
    for part, status in enumerate(timeline.statuses):
        if status is not None:
            share = _FLAT if status.probability is None else status.probability
            row[height - max(1, round(share * height)) :, part] = _colour(status, colours)
    return row


def _truth_row(timeline: Timeline, truth: Sequence[Span], colours: Palette, height: int) -> Image:
    """(height, parts, 3)"""
    parts = len(timeline.statuses)
    row = filled(parts, height, _dimmed(colours[NORMAL]))
    for span in truth:
        begin, end = (round(t / timeline.duration_s * parts) for t in (span.start_s, span.end_s))
        row[:, max(0, begin) : max(begin + 1, end)] = colours.get(span.label, UNKNOWN)
    return row


def _footer(image: Image, time_s: float, timeline: Strip, look: _Look) -> None:
    area = image[-len(timeline.image) :]
    area[:] = cv2.addWeighted(timeline.image[-len(area) :], 0.88, area, 0.12, 0)
    share = min(max(time_s / timeline.duration_s, 0.0), 1.0)
    x = timeline.left + round(share * (timeline.right - timeline.left))
    area[:, max(x - look.dot // 2, 0) : x + look.dot // 2 + 1] = _PAPER


# --- the small parts ---


def _colour(status: Status | None, colours: Palette) -> Colour:
    return UNKNOWN if status is None else colours.get(status.label, UNKNOWN)


def _words(status: Status | None) -> str:
    if status is None or status.probability is None:
        return "" if status is None else status.label
    return f"{status.label} {status.probability:.2f}"


def _clock(time_s: float) -> str:
    minutes, seconds = divmod(time_s, 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _chip(
    image: Image, words: str, place: _Rectangle, fill: Colour, look: _Look, size: int
) -> None:
    """Words on a plate of colour, in ink: every colour here is light enough for it."""
    cv2.rectangle(image, place[:2], (place.x1 - 1, place.y1 - 1), fill, -1)
    _text(image, words, place.x0 + look.pad, place.y0, place.y1 - place.y0, size, _INK)


def _shade(image: Image, place: _Rectangle) -> None:
    area = image[place.y0 : place.y1, place.x0 : place.x1]
    area[:] = cv2.addWeighted(area, 0.25, np.full_like(area, _INK), 0.75, 0)


def _text(
    image: Image, words: str, x: int, top: int, height: int, size: int, colour: Colour
) -> None:
    """One line, centred between top and top + height."""
    text(image, words, x, top + round(height / 2 + 0.36 * size), size, colour)


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")


def _dimmed(colour: Colour) -> Colour:
    red, green, blue = (round(0.55 * value) for value in colour)
    return red, green, blue


def _pixel(value: float) -> int:
    """Rounded, and near enough for OpenCV, whose drawing overflows far outside of the image."""
    return round(min(max(float(value), -16000.0), 16000.0))
