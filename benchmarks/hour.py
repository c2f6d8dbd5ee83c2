"""Memory over an hour of video that is streamed, every frame looked at: a clip shown over and over.

Of 1080p where YOLOLSTM_REAL_DATA names real footage, else of the sample. In a process of its own,
with the environment of a worker of the extract stage and the networks that it has.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import ways
from benchmarks.extract import all_footage
from benchmarks.remux import repeat
from yololstm import video
from yololstm.extractor import Extractor
from yololstm.settings import ExtractionSettings

HOUR_S: Final = 3600
EVERY_S: Final = 600


def measure() -> dict[str, float]:
    """MB that the process holds as it goes, and frames a second by the clock."""
    with tempfile.TemporaryDirectory() as folder:
        *_, footage = all_footage(Path(folder))
        clip = footage.clips[0]
        path = Path(folder, "hour.mp4")
        repeat(footage.root / clip.path, path, math.ceil(HOUR_S * clip.fps / clip.n_frames))
        info, shown = video.survey(path)
        watch = partial(_watched, path, footage.settings, round(EVERY_S * info.fps))
        (sizes, spent_s), peak = ways.apart(watch)
        return {
            "width": info.width,
            "minutes": float(shown.time_s[-1]) / 60,
            "frames": info.n_frames,
            "frames a second": info.n_frames / spent_s,
            **{f"MB, {what}": size / 1e6 for what, size in sizes.items()},
            "MB, peak": peak / 1e6,
        }


def _watched(path: Path, settings: ExtractionSettings, every: int) -> tuple[dict[str, int], float]:
    """How large this process was before the first frame, and after so many each time; seconds."""
    with Extractor(settings) as extractor:
        sizes = {"before": ways.resident_bytes()}
        counted = itertools.count(1)

        def on_frame() -> None:
            if (number := next(counted)) % every == 0:
                sizes[f"after {number} frames"] = ways.resident_bytes()

        start = time.perf_counter()
        extractor.extract(path, on_frame)
        return sizes, time.perf_counter() - start
