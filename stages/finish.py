"""Fit what the weights need before they are used, on val: a temperature and thresholds."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import casting, params, training
from yololstm.checkpoint import load, read_split, save
from yololstm.console import exit_on_error, warn
from yololstm.finishing import finish
from yololstm.storage import read_clips


@exit_on_error
def main(*paths: str) -> None:
    index, splits, landmarks, windows, trained, checkpoint = map(Path, paths)
    asked = params.load(Path("params.yaml")).events.model_dump()
    training.make_repeatable(seed=0)
    kept = load(trained)
    val = read_split("val", windows, kept, trained)
    clips = [clip for clip in read_clips(index, splits) if clip.split == "val"]
    casts, unseen = casting.read_casts(clips, landmarks), casting.unseen(clips, landmarks)
    ready, warnings = finish(kept, val, clips, casts, unseen, **asked)
    for warning in warnings:
        warn(warning)
    save(checkpoint, ready)


if __name__ == "__main__":
    main(*sys.argv[1:])
