"""Measure the checkpoint on the test split: by window, by clip, and as curves."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import evaluation, params, training
from yololstm.checkpoint import load
from yololstm.console import exit_on_error
from yololstm.errors import CheckpointError
from yololstm.inference import Classifier
from yololstm.storage import read_index, read_json, read_windows, write_json, write_rows


@exit_on_error
def main(
    index: str, windows: str, checkpoint: str, metrics: str, plots: str, predictions: str
) -> None:
    rule = params.load(Path("params.yaml")).evaluate
    training.make_repeatable(seed=0)
    classifier = Classifier.from_checkpoint(load(Path(checkpoint)))
    test = read_windows(Path(windows, "test.npz"))
    scaled_by = read_json(Path(windows, "scaling.json"))
    if (test.spec, scaled_by) != (classifier.spec, classifier.scaling.to_dict()):
        raise CheckpointError(
            checkpoint, f"trained on other windows than {windows}", "Run the train stage again"
        )

    result = evaluation.evaluate(
        test,
        classifier.scaled(test.x, test.valid),
        [clip for clip in read_index(Path(index)) if clip.split == "test"],
        classifier.labels,
        rule.clip_share,
        rule.min_probability,
    )
    write_json(Path(metrics), result.metrics)
    for name, table in result.plots.items():
        write_rows(Path(plots, f"{name}.csv"), *table)
    write_rows(Path(predictions), *result.predictions)


if __name__ == "__main__":
    main(*sys.argv[1:])
