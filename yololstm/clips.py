"""Clips, the spans that label them, and their order in the world: takes, cameras, splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

NORMAL: Final = "normal"
IGNORED: Final = "ignored"
"""The label of an event that is neither learned nor taken for normal."""
SPLITS: Final = ("train", "val", "test")
UNLABELLED: Final = ""
"""The split of a clip that nobody has labelled: its landmarks are made, and no more."""
UNUSED: Final = "unused"
"""The split of a labelled clip that is set aside, so that train and test stay apart."""


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

    path: POSIX, relative to the data root; a file in a zip is named as if the zip were a folder,
    ``TS_12.zip/a.mp4``, and rows of a CSV by an RFC 7111 fragment, ``walk.csv#row=2-89`` (row 1 is
    the header). n_frames is counted from the file's packets.
    store, camera, actors: as the data set names them, empty where it does not.
    split: in the index where the data set puts the clip; storage.read_clips has the one in use.
    annotation: the file that labels the clip, relative to the root; empty where there is none.
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
    store: str
    camera: str
    actors: str
    split: str
    annotation: str
    annotation_sha256: str
    spans: tuple[Span, ...]

    @property
    def duration_s(self) -> float:
        return float(self.n_frames / self.fps)

    @property
    def label(self) -> str:
        """What the clip as a whole is; see main_label."""
        return main_label(self.spans)

    @property
    def is_covered(self) -> bool:
        """Whether one span leaves no time of the clip that would be normal."""
        return any(span.start_s <= 0 and span.end_s >= self.duration_s for span in self.spans)


def main_label(spans: Sequence[Span]) -> str:
    """The label of the longest abnormal span; without one ignored, if anything is, else normal."""
    abnormal = [span for span in spans if span.label not in (NORMAL, IGNORED)]
    if abnormal:
        return max(abnormal, key=lambda span: span.end_s - span.start_s).label
    return IGNORED if any(span.label == IGNORED for span in spans) else NORMAL
