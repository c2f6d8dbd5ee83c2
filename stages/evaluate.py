"""Measure the checkpoint on the test split: by window, by clip, and as curves."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import evaluation, params, training
from yololstm.checkpoint import load
from yololstm.console import exit_on_error
from yololstm.errors import CheckpointError
from yololstm.inference import Classifier
from yololstm.storage import read_clips, read_json, read_windows, write_json, write_rows


@exit_on_error
def main(*arguments: str) -> None:
    index, splits, windows, checkpoint, metrics, plots, predictions = map(Path, arguments)
    rule = params.load(Path("params.yaml")).evaluate
    training.make_repeatable(seed=0)
    classifier = Classifier.from_checkpoint(load(checkpoint))
    test = read_windows(windows / "test.npz")
    scaled_by = read_json(windows / "scaling.json")
    if (test.spec, scaled_by) != (classifier.spec, classifier.scaling.to_dict()):
        raise CheckpointError(
            checkpoint, f"trained on other windows than {windows}", "Run the train stage again"
        )

    result = evaluation.evaluate(
        test,
        classifier.scaled(test.x, test.valid),
        [clip for clip in read_clips(index, splits) if clip.split == "test"],
        classifier.labels,
        rule.clip_share,
        rule.min_probability,
    )
    write_json(metrics, result.metrics)
    for name, table in result.plots.items():
        write_rows(plots / f"{name}.csv", *table)
    write_rows(predictions, *result.predictions)


if __name__ == "__main__":
    main(*sys.argv[1:])
