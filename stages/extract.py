"""Video to landmarks, one file a clip, spread over processes; or the data set's own keypoints."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from yololstm import extraction, storage, weights
from yololstm.console import exit_on_error
from yololstm.datasets import WITH_KEYPOINTS, WITHOUT_VIDEO
from yololstm.errors import ParamsError
from yololstm.material import Material
from yololstm.params import load


@exit_on_error
def main(root: str, index: str, detector: str, out: str, report: str) -> None:
    params = load(Path("params.yaml"))
    options, kind = params.extract, params.data.kind
    settings = None
    if options.source == "annotations" and kind not in WITH_KEYPOINTS:
        problem = f"a data set of kind {kind} brings no keypoints"
        raise ParamsError("extract.source", problem, "Set it to video")
    if options.source == "video" and kind not in WITHOUT_VIDEO:
        settings = extraction.ExtractionSettings(
            weights=weights.detector_weights(Path(detector)),
            pose_model=weights.pose_landmarker(Path(".cache/models")),
            **options.model_dump(exclude={"source", "format", "workers"}),
        )
    shutil.rmtree(out, ignore_errors=True)
    material = Material(Path(root), Path(".cache/material"))
    jobs = [
        extraction.Job(
            clip, material, Path(out, f"{clip.clip_id}.{options.format}"), kind, settings
        )
        for clip in storage.read_index(Path(index))
    ]
    outcomes, left_out = extraction.extract_all(jobs, options.workers)
    storage.write_json(Path(report), extraction.report(outcomes, left_out))
    extraction.check(outcomes, left_out, params.data.max_left_out)


if __name__ == "__main__":
    main(*sys.argv[1:])
