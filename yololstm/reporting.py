"""What evaluation leaves on disk, and what it reads beside windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2

from yololstm import model_card, timelines
from yololstm.actors import actors
from yololstm.choosing import choose
from yololstm.clips import NORMAL, Clip, Span
from yololstm.console import progress
from yololstm.drawing import Image
from yololstm.errors import CheckpointError
from yololstm.evaluation import Evaluation
from yololstm.events import Rule
from yololstm.inference import Checkpoint
from yololstm.landmarks import Landmarks
from yololstm.model_card import Origin
from yololstm.scoring import Casts
from yololstm.storage import (
    atomic,
    landmarks_files,
    read_json,
    read_landmarks,
    read_windows,
    write_json,
    write_rows,
)
from yololstm.windows import Windows

_PANELS: Final = 48
"""More clips than that on one sheet would be too many to look at."""


def read_test(folder: Path, trained: Checkpoint, checkpoint: Path) -> Windows:
    """Raises CheckpointError where it was trained on other windows than those of the folder."""
    test, scaling = read_windows(folder / "test.npz"), read_json(folder / "scaling.json")
    if (test.spec, scaling) != (trained.spec, trained.scaling.to_dict()):
        problem = f"trained on other windows than {folder}"
        raise CheckpointError(checkpoint, problem, "Run the train stage again")
    return test


def read_seen(
    clips: Sequence[Clip], folder: Path, task: str
) -> Iterator[tuple[Clip, Landmarks | None]]:
    """Each clip with its landmarks, where there are any, as they are asked for; task: what
    progress is called."""
    files = landmarks_files(folder)
    with progress(task, total=len(clips), unit="clips") as advance:
        for clip in clips:
            yield clip, read_landmarks(files[clip.clip_id]) if clip.clip_id in files else None
            advance(1)


def read_casts(clips: Sequence[Clip], folder: Path) -> Casts:
    """Who does what, in the clips that have landmarks. Spans without a box are everybody's."""
    pointing = [clip for clip in clips if any(_points(span) for span in clip.spans)]
    return {
        (clip.clip_id, span): actors(landmarks, span)
        for clip, landmarks in read_seen(pointing, folder, "actors")
        if landmarks is not None
        for span in clip.spans
        if _points(span)
    }


def _points(span: Span) -> bool:
    return span.label != NORMAL and span.box is not None


def write(metrics: Path, plots: Path, predictions: Path, result: Evaluation, rule: Rule) -> None:
    """plots: the folder of their tables, and of the timelines as rows and as a picture."""
    write_json(metrics, result.metrics)
    write_rows(predictions, *result.predictions)
    for name, table in result.plots.items():
        write_rows(plots / f"{name}.csv", *table)
    footage = result.footage
    shown = timelines.courses(footage, choose(footage.clips, _PANELS), rule)
    header = ("clip", "time_s", "labelled", *(f"probability_{x}" for x in footage.labels))
    write_rows(plots / "timelines.csv", header, timelines.table(shown, footage.labels))
    _write_png(plots / "timelines.png", timelines.sheet(shown, footage.labels, rule))


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
