"""What evaluation leaves on disk, and what it reads beside windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2

from yololstm import model_card, timelines
from yololstm.actors import actors
from yololstm.choosing import choose
from yololstm.clips import NORMAL, Clip, Span
from yololstm.drawing import Image
from yololstm.evaluation import Evaluation
from yololstm.events import Rule
from yololstm.inference import Checkpoint
from yololstm.model_card import Origin
from yololstm.scoring import Casts
from yololstm.storage import atomic, landmarks_files, read_landmarks, write_rows

_PANELS: Final = 48
"""More clips than that on one sheet would be too many to look at."""


def read_casts(clips: Sequence[Clip], landmarks: Path) -> Casts:
    """Who does what, in the clips that have landmarks. Spans without a box are everybody's."""
    files = landmarks_files(landmarks)
    found: dict[tuple[str, Span], frozenset[int]] = {}
    for clip in clips:
        pointing = [s for s in clip.spans if s.label != NORMAL and s.box is not None]
        if pointing and clip.clip_id in files:
            seen = read_landmarks(files[clip.clip_id])
            found |= {(clip.clip_id, span): actors(seen, span) for span in pointing}
    return found


def write_plots(folder: Path, result: Evaluation, rule: Rule) -> None:
    """The tables of the plots, and the timelines as rows and as a picture."""
    for name, table in result.plots.items():
        write_rows(folder / f"{name}.csv", *table)
    footage = result.footage
    shown = timelines.courses(footage, choose(footage.clips, _PANELS), rule)
    header = ("clip", "time_s", "labelled", *(f"probability_{x}" for x in footage.labels))
    write_rows(folder / "timelines.csv", header, timelines.table(shown, footage.labels))
    _write_png(folder / "timelines.png", timelines.sheet(shown, footage.labels, rule))


def write_card(
    path: Path,
    trained: Checkpoint,
    result: Evaluation,
    clips: Sequence[Clip],
    origin: Origin,
    asked_rate: float,
) -> None:
    """See model_card.write."""
    text = model_card.write(trained, result, clips, origin, asked_rate)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _write_png(path: Path, image: Image) -> None:
    with atomic(path) as temporary:
        cv2.imwrite(str(temporary), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
