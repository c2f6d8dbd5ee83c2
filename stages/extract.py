"""Video to landmarks, one file a clip, spread over processes; or the data set's own keypoints."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import extraction, outcomes, storage, weights
from yololstm.cluster import Workers, usual_scheduler
from yololstm.console import exit_on_error
from yololstm.landmark_store import LandmarkStore
from yololstm.material import Material
from yololstm.params import load
from yololstm.settings import ExtractionSettings


@exit_on_error
def main(root: str, index: str, detector: str, out: str, report: str) -> None:
    params = load(Path("params.yaml"))
    options, kind, here = params.extract, params.data.kind, Path.cwd()
    settings = None
    if extraction.looks_at_video(kind, options.source):
        cache = here / ".cache/models"
        found, pose_model = weights.needed(
            options.backend, options.pose_weights, options.pose_sha256, here / detector, cache
        )
        settings = ExtractionSettings(found, pose_model, **options.looking())
    batch = extraction.Extraction(
        recipe=extraction.Recipe(kind, settings),
        material=Material(here / root, here / ".cache/material"),
        store=LandmarkStore(here / ".cache/landmarks", limit=int(options.store_gb * 1e9)),
        out=Path(out),
        index=Path(index),
        format=options.format,
    )
    workers = Workers(options.workers, options.timeout_s, options.cluster or usual_scheduler())
    done, left_out = batch.run(storage.read_index(Path(index)), workers)
    storage.write_json(Path(report), outcomes.report(done, left_out))
    by_detector = settings is not None and settings.weights is not None
    print(outcomes.summary(done, left_out, by_detector))
    outcomes.check(done, left_out, params.data.max_left_out)


if __name__ == "__main__":
    main(*sys.argv[1:])
