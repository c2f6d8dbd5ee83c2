"""Cut the landmarks of every labelled clip into windows, scaled by what train looks like."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from yololstm import params, scaling
from yololstm.clips import Clip
from yololstm.console import exit_on_error, progress, warn
from yololstm.landmarks import Landmarks
from yololstm.quality import at_least
from yololstm.segmentation import segment_all
from yololstm.storage import landmarks_files, read_clips, read_landmarks, write_json, write_windows


@exit_on_error
def main(index: str, splits: str, landmarks: str, windows: str, report: str) -> None:
    settings = params.load(Path("params.yaml"))
    cut, good = settings.segment, at_least(settings.segment.min_quality)
    seen = _seen(read_clips(Path(index), Path(splits)), Path(landmarks))
    result = segment_all(seen, cut.spec(), settings.labels, cut.min_share, good)
    write_json(Path(report), result.report())
    for warning in result.check():
        warn(warning)
    train = result.windows["train"]
    fitted = scaling.fit(cut.scaling, train.x, train.valid)
    write_json(Path(windows, "scaling.json"), fitted.to_dict())
    for split, part in result.windows.items():
        scaled = replace(part, x=fitted.transform(part.x, part.valid))
        write_windows(Path(windows, f"{split}.npz"), scaled)


def _seen(clips: list[Clip], folder: Path) -> Iterator[tuple[Clip, Landmarks | None]]:
    found = landmarks_files(folder)
    with progress("segment", total=len(clips), unit="clips") as advance:
        for clip in clips:
            yield clip, read_landmarks(found[clip.clip_id]) if clip.clip_id in found else None
            advance(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
