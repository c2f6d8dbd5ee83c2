"""CVAT 1.1 annotations of video, as AI-Hub's shop data sets come with.

    <annotations>
      <meta> <task> <original_size> <width>1920</width> <height>1080</height> ...
      <track label="theft_start"> <box frame="57" outside="0" xtl= ytl= xbr= ybr= /> ...
      <track label="Left hand"> <points frame="57" outside="0" points="812.4,301.0" /> ...

Source: docs.cvat.ai, "CVAT for video". Coordinates are pixels of the original size, frames count
from 0. The file is not trusted: no entity, DTD or address in it is followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from lxml import etree

from yololstm.clips import Box
from yololstm.errors import AnnotationError

Point: TypeAlias = tuple[float, float]

_MAX_FRAME: Final = 10_000_000
_MAX_PIXEL: Final = 1e6
_GET_AGAIN: Final = "Mend that line, or fetch the file again"


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a track is in one frame. One that CVAT calls "outside" is not there: no shape."""

    frame: int
    line: int
    """Of the file, to complain about."""
    at: Box | Point


@dataclass(frozen=True)
class Track:
    """One thing over time.

    label: in lower case, with single spaces. appearances: runs of shapes, in order of time; a track
    that goes outside and comes back has several.
    """

    label: str
    line: int
    appearances: tuple[tuple[Shape, ...], ...]


@dataclass(frozen=True)
class Annotation:
    path: Path
    size: tuple[int, int] | None
    """Width and height of the frames that were annotated, where the file says."""
    boxes: tuple[Track, ...]
    points: tuple[Track, ...]


def read(path: Path) -> Annotation:
    """Raises AnnotationError, with the line, where the file is not such an annotation."""
    root = _root(path)
    tracks = root.findall("track")
    return Annotation(
        path,
        _original_size(root, path),
        tuple(_track(track, "box", _box, path) for track in tracks if _holds(track, "box")),
        tuple(_track(track, "points", _point, path) for track in tracks if _holds(track, "points")),
    )


def _root(path: Path) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(path.read_bytes(), parser)
    except OSError as error:
        raise AnnotationError(path, f"cannot be read ({error.strerror})", _GET_AGAIN) from error
    except etree.XMLSyntaxError as error:
        raise AnnotationError(
            f"{path}:{error.lineno or 1}", f"not XML ({error.msg})", "Fetch the file again"
        ) from error
    if root.getroottree().docinfo.internalDTD is not None:
        _refuse(path, 1, "it declares a document type, which no annotation needs")
    if root.tag != "annotations":
        problem = f"its root is <{root.tag!s}>, not <annotations> of CVAT 1.1 video"
        remedy = "Only AI-Hub 71550 and 71549 are read; the outdoor set 171 is of another format"
        raise AnnotationError(f"{path}:{root.sourceline}", problem, remedy)
    return root


def _original_size(root: etree._Element, path: Path) -> tuple[int, int] | None:
    element = root.find("meta/task/original_size")
    if element is None:
        return None
    width, height = (element.findtext(name, "").strip() for name in ("width", "height"))
    if not (_is_natural(width) and _is_natural(height)) or "0" in (width, height):
        _refuse(path, element.sourceline, f"original_size is {width!r} x {height!r}")
    return int(width), int(height)


def _is_natural(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 6


def _holds(track: etree._Element, tag: str) -> bool:
    return track.find(tag) is not None


def _track(
    track: etree._Element,
    tag: str,
    read_at: Callable[[etree._Element, Path], Box | Point],
    path: Path,
) -> Track:
    label = track.get("label")
    if label is None:
        _refuse(path, track.sourceline, "a track has no label")
    shapes = sorted(
        ((_frame(e, path), e.get("outside") == "1", e) for e in track.iterfind(tag)),
        key=lambda shape: shape[0],
    )
    appearances: list[list[Shape]] = [[]]
    for frame, outside, element in shapes:
        if outside:
            appearances.append([])
        else:
            shape = Shape(frame, element.sourceline or 0, read_at(element, path))
            appearances[-1].append(shape)
    runs = tuple(tuple(run) for run in appearances if run)
    return Track(" ".join(label.lower().split()), track.sourceline or 0, runs)


def _frame(element: etree._Element, path: Path) -> int:
    text = element.get("frame", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 8 and int(text) <= _MAX_FRAME):
        _refuse(path, element.sourceline, f"frame is {text[:20]!r}, not 0 to {_MAX_FRAME}")
    return int(text)


def _box(element: etree._Element, path: Path) -> Box:
    sides = [element.get(name, "") for name in ("xtl", "ytl", "xbr", "ybr")]
    return Box(*_numbers(sides, element, path))


def _point(element: etree._Element, path: Path) -> Point:
    parts = element.get("points", "").split(",")
    if len(parts) != 2:
        _refuse(path, element.sourceline, f"points is {','.join(parts)[:40]!r}, not one x,y")
    x, y = _numbers(parts, element, path)
    return x, y


def _numbers(texts: Sequence[str], element: etree._Element, path: Path) -> list[float]:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = [math.nan]
    for number in numbers:
        if not -_MAX_PIXEL < number < _MAX_PIXEL:  # nor is NaN
            shown = ", ".join(repr(text[:20]) for text in texts)
            _refuse(path, element.sourceline, f"coordinates {shown} are no place in an image")
    return numbers


def _refuse(path: Path, line: int | None, problem: str) -> NoReturn:
    raise AnnotationError(f"{path}:{line or 1}", problem, _GET_AGAIN)
