"""Make the embedded data set: acted takes in AI-Hub's shape, and a data set for the detector."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import params
from yololstm.console import exit_on_error, progress
from yololstm.sample.making import make, total_frames
from yololstm.sample.takes import Settings


@exit_on_error
def main(tree: str, boxes: str) -> None:
    settings = Settings(**params.load(Path("params.yaml")).sample.model_dump())
    with progress("sample", total_frames(settings), "frames") as advance:
        make(settings, Path(tree), Path(boxes), on_frames=advance)


if __name__ == "__main__":
    main(*sys.argv[1:])
