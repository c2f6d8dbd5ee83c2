"""Which video and which annotation are of one another: what AI-Hub's data sets have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from yololstm.catalogue import Namesakes, is_packed, without_copies
from yololstm.errors import AnnotationError, Problem
from yololstm.material import Material
from yololstm.video import VideoInfo

SUFFIXES: Final = frozenset({".mp4", ".xml"})
TOGETHER: Final = "Check that video and annotation belong together"

#: How far the length that an annotation tells may be from that of its video: either of the two.
SLACK_S: Final = 1.0
_LENGTH_SLACK: Final = 0.01
#: As much for its rate and its shape.
_SLACK: Final = 0.05


# --- files ---


def pair(material: Material, files: Namesakes) -> tuple[PurePosixPath, PurePosixPath]:
    """The video and its annotation. Of files that are the same byte for byte one is taken.

    Raises AnnotationError where one lacks, or where files of one name differ: which of them is
    right, or which two belong together, is not guessed, wherever they lie.
    """
    return without_copies(material, files).pair()


def doubles(files: Namesakes, read: tuple[PurePosixPath, PurePosixPath]) -> Iterator[Problem]:
    """Copies of what was read that are not there as the zip and what was unpacked from it."""
    for paths, kept in zip((files.videos, files.annotations), read, strict=True):
        for path in paths:
            if path != kept and is_packed(path) == is_packed(kept):
                problem = f"the same bytes stand in {kept.parent}, which was read instead"
                yield Problem(str(path), problem, "Take one of the two out")


# --- what an annotation tells of its video ---


def is_as_long(stated: float, actual: float, rate: float = 1) -> bool:
    """Lengths in seconds, or at ``rate`` a second in frames."""
    return abs(stated - actual) <= max(SLACK_S * rate, _LENGTH_SLACK * actual)


def is_as_fast(stated: float, actual: float) -> bool:
    """Frames a second."""
    return abs(stated - actual) <= _SLACK * actual


def check_shape(width: float, height: float, info: VideoInfo, place: str) -> None:
    """A video may have been scaled, but not stretched. Raises AnnotationError at ``place``."""
    if abs((info.width / info.height) / (width / height) - 1) > _SLACK:
        stated = f"frames of {width:g}x{height:g}"
        problem = f"{stated}, but the video's are {info.width}x{info.height}"
        raise AnnotationError(place, problem, TOGETHER)
