"""What is said of each clip over time, beside what happens in it: as a picture and as rows.

The picture is a sheet of panels, a panel a clip. Bands are what was labelled; lines are how
probable each abnormal label is, of the likeliest person, by the windows that have ended so far;
dashes are the thresholds; triangles are alarms, where they are raised, hollow where false.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from yololstm.clips import NORMAL, Clip
from yololstm.drawing import UNKNOWN, Colour, Image, Palette, filled, palette, text, text_width
from yololstm.events import Event, Rule
from yololstm.scoring import Footage, score

_PARTS: Final = 120
_COLUMNS: Final = 4
_PANEL: Final = (460, 190)
_PLOT: Final = (34, 30, 448, 164)
"""x0, y0, x1, y1 within a panel."""
_LEGEND: Final = 34
_PAPER: Final[Colour] = (16, 19, 24)
_FIELD: Final[Colour] = (30, 34, 41)
_INK: Final[Colour] = (226, 230, 235)
_FAINT: Final[Colour] = (84, 91, 102)
_BAND: Final = 0.35
_LATE_S: Final = 1e-3
_TEXT: Final = 12


@dataclass(frozen=True)
class Course:
    """One clip over time."""

    clip: Clip
    time_s: NDArray[np.float64]
    """(M,) equally far apart."""
    probability: NDArray[np.float64]
    """(M, C) of the likeliest person, label by label, as a live camera would know it then: a
    window counts from its end to that of the next. NaN where there is none."""
    alarms: Sequence[Event]
    false_alarms: Sequence[Event]
    """Those of the alarms that are false."""


def courses(footage: Footage, clips: Sequence[Clip], rule: Rule) -> list[Course]:
    """Of some clips of the footage."""
    alarms = footage.alarms(rule)
    false = score(footage, alarms).false_alarms
    people: dict[str, list[int]] = {}
    for person, (clip_id, _) in enumerate(footage.people):
        people.setdefault(clip_id, []).append(person)
    order = np.argsort(footage.person, kind="stable")
    bounds = np.searchsorted(footage.person[order], np.arange(len(footage.people) + 1))
    rows = [order[a:b] for a, b in pairwise(bounds.tolist())]
    return [
        _course(
            clip,
            footage,
            [rows[person] for person in people.get(clip.clip_id, ())],
            [event for clip_id, event in alarms if clip_id == clip.clip_id],
            [event for clip_id, event in false if clip_id == clip.clip_id],
        )
        for clip in clips
    ]


def table(courses: Sequence[Course], labels: Sequence[str]) -> Iterator[tuple[object, ...]]:
    """Rows of clip, time_s, what is labelled then, and the probability of each label; empty where
    there is nobody."""
    for course in courses:
        for time_s, values in zip(course.time_s, course.probability, strict=True):
            spans = [s.label for s in course.clip.spans if s.start_s <= time_s < s.end_s]
            told = ["" if math.isnan(value) else round(value, 4) for value in values.tolist()]
            yield course.clip.clip_id, round(float(time_s), 3), (spans or [NORMAL])[-1], *told


def sheet(courses: Sequence[Course], labels: Sequence[str], rule: Rule) -> Image:
    """(H, W, 3) RGB; at least one course."""
    colours = palette(labels)
    columns = min(_COLUMNS, len(courses))
    width, height = _PANEL
    image = filled(columns * width, _LEGEND + math.ceil(len(courses) / columns) * height, _PAPER)
    _legend(image, labels, colours)
    for i, course in enumerate(courses):
        y, x = _LEGEND + i // columns * height, i % columns * width
        image[y : y + height, x : x + width] = _panel(course, labels, rule, colours)
    return image


def _course(
    clip: Clip,
    footage: Footage,
    people: Sequence[NDArray[np.intp]],
    alarms: Sequence[Event],
    false_alarms: Sequence[Event],
) -> Course:
    time_s = (np.arange(_PARTS, dtype=np.float64) + 0.5) * (clip.duration_s / _PARTS)
    each = [_latest(time_s, footage, rows) for rows in people]
    nobody = np.full((_PARTS, len(footage.labels)), np.nan)
    likeliest: NDArray[np.float64] = np.fmax.reduce([nobody, *each], dtype=np.float64)
    return Course(clip, time_s, likeliest, alarms, false_alarms)


def _latest(
    time_s: NDArray[np.float64], footage: Footage, rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(M, C) what the last of one person's windows to end by each moment says; NaN where that is
    longer ago than the next should take. rows: at least one."""
    rows = rows[np.argsort(footage.start_s[rows], kind="stable")]
    end_s = footage.start_s[rows] + footage.window_s
    last = np.searchsorted(end_s, time_s, side="right") - 1
    known = (last >= 0) & (time_s - end_s[last] <= footage.hop_s + _LATE_S)
    latest = footage.probability[rows[last]].astype(np.float64)
    return np.where(known[:, None], latest, np.nan)


def _panel(course: Course, labels: Sequence[str], rule: Rule, colours: Palette) -> Image:
    image = filled(*_PANEL, _PAPER)
    x0, y0, x1, y1 = _PLOT
    image[y0:y1, x0:x1] = _FIELD
    _bands(image, course, colours)
    _axes(image, course.clip.duration_s)
    text(image, course.clip.clip_id, _PLOT[0], 14, _TEXT, _INK)
    for column, label in enumerate(labels):
        if label != NORMAL:
            y = _height(rule.threshold(label))
            image[y, x0:x1][np.arange(x1 - x0) % 8 < 3] = colours[label]
            _line(image, course.probability[:, column], colours[label])
    for event in course.alarms:
        _flag(image, course, event, colours[event.label])
    return image


def _bands(image: Image, course: Course, colours: Palette) -> None:
    for span in course.clip.spans:
        a, b = (_place(course, time_s) for time_s in (span.start_s, span.end_s))
        area = image[_PLOT[1] : _PLOT[3], a : max(a + 1, b)]
        colour = np.array(colours.get(span.label, UNKNOWN))
        area[:] = np.round((1 - _BAND) * area + _BAND * colour)


def _axes(image: Image, duration_s: float) -> None:
    x0, _, x1, y1 = _PLOT
    for value in (0.0, 0.5, 1.0):
        y = _height(value)
        image[y, x0:x1] = _FAINT
        text(
            image, f"{value:g}", _PLOT[0] - 6 - text_width(f"{value:g}", _TEXT), y + 4, _TEXT, _INK
        )
    step = next((s for s in (1, 2, 5, 10, 30, 60, 300, 600) if duration_s / s <= 9), 3600)
    for time_s in range(0, math.floor(duration_s) + 1, step):
        x = x0 + round(time_s / duration_s * (x1 - 1 - x0))
        image[y1 : y1 + 4, x] = _INK
        text(image, f"{time_s}" if time_s else "0 s", x - 4, y1 + 18, _TEXT, _INK)


def _line(image: Image, probability: NDArray[np.float64], colour: Colour) -> None:
    x0, _, x1, _ = _PLOT
    x = x0 + np.round((np.arange(_PARTS) + 0.5) / _PARTS * (x1 - 1 - x0)).astype(int)
    known = np.flatnonzero(np.isfinite(probability))
    for part in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        points = [(x[i], _height(probability[i])) for i in part]
        cv2.polylines(image, [np.array(points, dtype=np.int32)], False, colour, 2, cv2.LINE_AA)


def _flag(image: Image, course: Course, event: Event, colour: Colour) -> None:
    x, y = _place(course, event.raised_s), _PLOT[1]
    triangle = np.array([(x - 6, y - 10), (x + 6, y - 10), (x, y)], dtype=np.int32)
    if event in course.false_alarms:
        cv2.polylines(image, [triangle], True, colour, 1, cv2.LINE_AA)
    else:
        cv2.fillPoly(image, [triangle], colour, cv2.LINE_AA)


def _legend(image: Image, labels: Sequence[str], colours: Palette) -> None:
    x = 12
    for label in (label for label in labels if label != NORMAL):
        cv2.line(image, (x, 17), (x + 18, 17), colours[label], 3, cv2.LINE_AA)
        text(image, label, x + 24, 21, _TEXT, _INK)
        x += 42 + text_width(label, _TEXT)
    words = "band: labelled   dashes: threshold   triangle: alarm (hollow: false)"
    if x + 12 + text_width(words, _TEXT) <= image.shape[1]:
        text(image, words, x + 12, 21, _TEXT, _INK)


def _place(course: Course, time_s: float) -> int:
    share = min(max(time_s / course.clip.duration_s, 0.0), 1.0)
    return _PLOT[0] + round(share * (_PLOT[2] - 1 - _PLOT[0]))


def _height(value: float) -> int:
    return _PLOT[3] - 1 - round(value * (_PLOT[3] - 1 - _PLOT[1]))
