"""CVAT 1.1 annotations of video, as AI-Hub's shop data sets come with.

    <annotations>
      <meta> <task> <size>180</size> <original_size> <width>1920</width> <height>1080</height> ...
      <track label="theft_start"> <box frame="57" outside="0" xtl= ytl= xbr= ybr= /> ...
      <track label="Left hand"> <points frame="57" outside="0" points="812.4,301.0" /> ...

Source: docs.cvat.ai, "CVAT for video". Coordinates are pixels of the original size, frames count
from 0.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from yololstm import safexml
from yololstm.errors import AnnotationError
from yololstm.safexml import Element, XPath

_MAX_DIGITS: Final = 7
_MAX_PIXEL: Final = 1e6
_MAX_TRACKS: Final = 5000
_N_SHAPES: Final = XPath("count(track/*)")
_FRAMES: Final = XPath("track/*/@frame", smart_strings=False)
_N_POINTS: Final = XPath("count(track/points)")
_POINTS: Final = XPath("track/points/@points", smart_strings=False)
#: Points as they mostly are, a line each; whatever else is a place too is looked at one by one.
_PLAIN_POINTS: Final = re.compile(
    r"(?:-?[0-9]{1,5}+(?:\.[0-9]{1,17}+)?+,-?[0-9]{1,5}+(?:\.[0-9]{1,17}+)?+\n)*+"
)
_SIDES: Final = ("xtl", "ytl", "xbr", "ybr")
_GET_AGAIN: Final = "Mend that line, or fetch the file again"


@dataclass(frozen=True, eq=False)
class Shapes:
    """Where a thing is, in order of time. What CVAT calls "outside" is not there: no shape."""

    frame: NDArray[np.int64]
    """(N,)"""
    line: NDArray[np.int64]
    """(N,) of the file, to complain about."""
    at: NDArray[np.float64]
    """(N, 4) sides x0, y0, x1, y1 of boxes, or (N, 2) points."""
    appearance: NDArray[np.int64]
    """(N,) grows whenever the thing comes back from outside."""

    def __len__(self) -> int:
        return len(self.frame)

    def first(self) -> NDArray[np.intp]:
        """Places of the first shape of each appearance."""
        return np.flatnonzero(np.diff(self.appearance, prepend=-1))


@dataclass(frozen=True, eq=False)
class Track:
    """One thing over time."""

    label: str
    """In lower case, with single spaces."""
    line: int
    _element: Element
    _tag: str
    _path: str

    def shapes(self) -> Shapes:
        """Read when asked for, because keypoints have thousands.

        Raises AnnotationError, with the line, where one is impossible.
        """
        return _shapes(self._element.findall(self._tag), self._path)


@dataclass(frozen=True)
class Stated:
    """What a file says of the video that it is about."""

    value: tuple[int, ...]
    line: int


@dataclass(frozen=True, eq=False)
class Annotation:
    path: str
    """For errors to name."""
    n_frames: Stated | None
    size: Stated | None
    """Width and height of the frames that were annotated."""
    boxes: tuple[Track, ...]
    points: tuple[Track, ...]
    _root: Element

    def scale(self, width: int, height: int) -> tuple[float, float]:
        """From pixels of the annotation to pixels of a video of this size."""
        own = self.size.value if self.size else (width, height)
        return width / own[0], height / own[1]

    def may_reach(self, frame: int) -> bool:
        """False where every shape says its frame, and none is at that one or later. Costs a fifth
        of reading all shapes, the first time."""
        return self._last_frame is None or self._last_frame >= frame

    def may_misplace(self) -> bool:
        """False where all points are places in an image. Costs a fourth of reading them."""
        texts = _POINTS(self._root)
        lines = "\n".join([*texts, ""])
        are_all = len(texts) == _N_POINTS(self._root) == lines.count("\n")
        return not (are_all and _PLAIN_POINTS.fullmatch(lines))

    @cached_property
    def _last_frame(self) -> int | None:
        """-1 without shapes; None where one does not say its frame."""
        texts = _FRAMES(self._root)
        if len(texts) != _N_SHAPES(self._root):
            return None
        different = set(texts)
        if not different:
            return -1
        return max(map(int, different)) if _are_naturals(different) else None


def read(content: bytes, path: str) -> Annotation:
    """path: of the file, for errors to name.

    Raises AnnotationError, with the line, where it is not such an annotation.
    """
    root = safexml.parse(content, path)
    if root.tag != "annotations":
        problem = f"its root is <{str(root.tag)[:40]}>, not <annotations> of CVAT 1.1 video"
        remedy = "Is it of another data set? AI-Hub 171, outdoors, is data.kind aihub_outdoor"
        raise AnnotationError(f"{path}:{root.sourceline}", problem, remedy)
    if len(root) > _MAX_TRACKS:
        _refuse(path, root.sourceline, f"{len(root)} tracks, more than {_MAX_TRACKS}")
    return Annotation(
        path,
        _n_frames(root, path),
        _size(root, path),
        boxes=tuple(_tracks(root, "box", path)),
        points=tuple(_tracks(root, "points", path)),
        _root=root,
    )


# --- what is stated of the video ---


def _n_frames(root: Element, path: str) -> Stated | None:
    """Of a task its size, or else what its first and last frame say, both included."""
    if size := _number(root, "size", path):
        return size
    start, stop = (_number(root, name, path) for name in ("start_frame", "stop_frame"))
    if start is None or stop is None:
        return None
    if stop.value < start.value:
        _refuse(path, stop.line, f"stop_frame {stop.value[0]} is before start_frame")
    return Stated((stop.value[0] - start.value[0] + 1,), stop.line)


def _size(root: Element, path: str) -> Stated | None:
    width, height = (_number(root, f"original_size/{name}", path) for name in ("width", "height"))
    if width is None or height is None:
        return None
    if not (width.value[0] and height.value[0]):
        _refuse(path, width.line, "original_size is 0")
    return Stated(width.value + height.value, width.line)


def _number(root: Element, name: str, path: str) -> Stated | None:
    """The first element of that name in what describes the task, or the job; if there is one."""
    element = root.find(f"meta/*/{name}")
    if element is None:
        return None
    text = (element.text or "").strip()
    if not _are_naturals({text}):
        _refuse(path, element.sourceline, f"{name} is {text[:20]!r}, not a whole number")
    return Stated((int(text),), element.sourceline or 0)


# --- tracks ---


def _tracks(root: Element, tag: str, path: str) -> Iterator[Track]:
    """Those that have shapes of that tag."""
    for element in root.iterfind("track"):
        if element.find(tag) is not None:
            label = element.get("label")
            line = element.sourceline or 0
            if label is None:
                _refuse(path, line, "a track has no label")
            yield Track(" ".join(label.lower().split()), line, element, tag, path)


def _shapes(elements: Sequence[Element], path: str) -> Shapes:
    frame = _frames(elements, path)
    order = np.argsort(frame, kind="stable")
    outside = np.array([element.get("outside") == "1" for element in elements])[order]
    rows = order[~outside]
    return Shapes(
        frame[rows],
        np.array([element.sourceline or 0 for element in elements])[rows],
        _places(elements, path)[rows],
        np.cumsum(outside)[~outside],
    )


def _frames(elements: Sequence[Element], path: str) -> NDArray[np.int64]:
    texts = [element.get("frame", "") for element in elements]
    if not _are_naturals(set(texts)):
        bad = next(i for i, text in enumerate(texts) if not _are_naturals({text}))
        problem = (
            f"frame is {texts[bad][:20]!r}, not a whole number of at most {_MAX_DIGITS} digits"
        )
        _refuse(path, elements[bad].sourceline, problem)
    return np.array(list(map(int, texts)), dtype=np.int64)


def _are_naturals(texts: Collection[str]) -> bool:
    together = "".join(texts)
    return (
        together.isascii()
        and together.isdigit()
        and all(texts)
        and max(map(len, texts)) <= _MAX_DIGITS
    )


def _places(elements: Sequence[Element], path: str) -> NDArray[np.float64]:
    """(N, 4) of boxes, (N, 2) of points."""
    if elements[0].tag == "box":
        width = 4
        texts = [",".join([element.get(side, "") for side in _SIDES]) for element in elements]
    else:
        width = 2
        texts = [element.get("points", "") for element in elements]
    places = _coordinates(texts, width)
    if places is None:
        bad = next(i for i, text in enumerate(texts) if _coordinates([text], width) is None)
        problem = f"{elements[bad].tag!s} {texts[bad][:40]!r} is no place in an image"
        _refuse(path, elements[bad].sourceline, problem)
    return places


def _coordinates(texts: Sequence[str], width: int) -> NDArray[np.float64] | None:
    """(N, width), or None where one of the texts is no such row of numbers."""
    if {text.count(",") for text in texts} != {width - 1}:
        return None
    try:
        numbers = np.array(list(map(float, ",".join(texts).split(","))))
    except ValueError:
        return None
    is_sound = (np.abs(numbers) < _MAX_PIXEL).all()  # nor is NaN
    return numbers.reshape(-1, width) if is_sound else None


def _refuse(path: str, line: int | None, problem: str) -> NoReturn:
    raise AnnotationError(f"{path}:{line or 1}", problem, _GET_AGAIN)
