"""What evaluation leaves on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2

from yololstm import model_card, timelines
from yololstm.choosing import choose
from yololstm.clips import Clip
from yololstm.drawing import Image
from yololstm.evaluation import Evaluation
from yololstm.events import Rule
from yololstm.model_card import Origin
from yololstm.storage import atomic, write_json, write_rows
from yololstm.trained import Checkpoint

_PANELS: Final = 48
"""More clips than that on one sheet would be too many to look at."""


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
