"""Clips, the spans that label them, and their order in the world: takes, cameras, splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

NORMAL: Final = "normal"
SPLITS: Final = ("train", "val", "test")
UNLABELLED: Final = ""
"""The split of a clip that nobody has labelled: its landmarks are made, and no more."""


class Box(NamedTuple):
    """Pixels of the full frame, x to the right, y down; (x0, y0) is the top left corner."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Span:
    """A labelled interval of a clip, in seconds of presentation time; the first frame is 0.

    box: who does it, as seen at start_s. It holds one person, or all that take part. Without it
    everybody in the clip takes part.
    """

    start_s: float
    end_s: float
    label: str
    box: Box | None = None


@dataclass(frozen=True)
class Clip:
    """One labelled video file, or one clip's rows of a landmarks CSV.

    path: POSIX, relative to the data root; rows of a CSV are named by an RFC 7111 fragment,
    ``train/walk.csv#row=2-89`` (row 1 is the header). n_frames comes from the header of the file.
    """

    clip_id: str
    path: str
    sha256: str
    bytes: int
    fps: Fraction
    n_frames: int
    width: int
    height: int
    take: str
    camera: str
    split: str
    spans: tuple[Span, ...]

    @property
    def duration_s(self) -> float:
        return float(self.n_frames / self.fps)

    @property
    def label(self) -> str:
        """What the clip as a whole is: the label of its longest abnormal span, else normal."""
        return main_label(self.spans)


def main_label(spans: Sequence[Span]) -> str:
    abnormal = [span for span in spans if span.label != NORMAL]
    if not abnormal:
        return NORMAL
    return max(abnormal, key=lambda span: span.end_s - span.start_s).label
