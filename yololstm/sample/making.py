"""Everything at once: the takes filmed and annotated, and the detector's stills."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from yololstm.cluster import Workers, spread
from yololstm.errors import YololstmError
from yololstm.sample.boxes import Still, save_index, save_still, stills
from yololstm.sample.filming import film
from yololstm.sample.takes import CAMERAS, TRAINING, Settings, Take, all_takes


@dataclass(frozen=True)
class _Clip:
    take: Take
    camera: str
    video: Path
    labels: Path


@dataclass(frozen=True)
class _Picture:
    still: Still
    root: Path


def make(
    settings: Settings,
    tree: Path,
    boxes: Path,
    workers: int = 0,
    on_frames: Callable[[int], None] = lambda _: None,
) -> None:
    """Fill the folders ``tree`` (as AI-Hub's) and ``boxes`` (as YOLO's); what was there goes.

    on_frames is told how many frames and stills are newly done. The same settings give the same
    bytes, however many workers there are. Raises ParamsError where nothing can be filmed so.
    """
    for folder in (tree, boxes):
        if folder.exists():
            shutil.rmtree(folder)
    save_index(boxes)
    pictures = [_Picture(still, boxes) for still in stills(settings)]
    jobs: list[_Clip | _Picture] = [*clips(settings, tree), *pictures]
    for _, outcome in spread(_make_one, jobs, Workers(workers)):
        if isinstance(outcome, YololstmError):
            raise outcome
        on_frames(outcome)


def total_frames(settings: Settings) -> int:
    """What on_frames will have been told in all."""
    n_clips = len(all_takes(settings)) * len(CAMERAS)
    return n_clips * len(settings.times_s) + settings.detector_images


def clips(settings: Settings, tree: Path) -> list[_Clip]:
    """In AI-Hub's layout: sources (원천데이터) and labels (라벨링데이터) of each class apart."""
    found = []
    for take in all_takes(settings):
        initial = "T" if take.split == TRAINING else "V"
        sources = tree / take.split / "01.원천데이터" / f"{initial}S_{take.kind.folder}"
        labels = tree / take.split / "02.라벨링데이터" / f"{initial}L_{take.kind.folder}"
        for camera in CAMERAS:
            name = take.name(camera)
            found.append(_Clip(take, camera, sources / f"{name}.mp4", labels / f"{name}.xml"))
    return found


def _make_one(job: _Clip | _Picture) -> int:
    if isinstance(job, _Clip):
        return film(job.take, job.camera, job.video, job.labels)
    save_still(job.still, job.root)
    return 1
