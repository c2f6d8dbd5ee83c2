"""Video to landmarks, one file a clip, spread over processes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from yololstm import extraction, storage, weights
from yololstm.console import exit_on_error
from yololstm.params import load


@exit_on_error
def main(root: str, index: str, detector: str, out: str, report: str) -> None:
    params = load(Path("params.yaml"))
    settings = extraction.ExtractionSettings(
        weights=weights.detector_weights(Path(detector)),
        pose_model=weights.pose_landmarker(Path(".cache/models")),
        **params.extract.model_dump(exclude={"format", "workers"}),
    )
    shutil.rmtree(out, ignore_errors=True)
    jobs = [
        extraction.Job(
            clip,
            Path(root),
            Path(out, f"{clip.clip_id}.{params.extract.format}"),
            params.data.kind,
            settings,
        )
        for clip in storage.read_index(Path(index))
    ]
    outcomes, left_out = extraction.extract_all(jobs, params.extract.workers)
    storage.write_json(Path(report), extraction.report(outcomes, left_out))
    extraction.check(outcomes, left_out, params.data.max_left_out)


if __name__ == "__main__":
    main(*sys.argv[1:])
