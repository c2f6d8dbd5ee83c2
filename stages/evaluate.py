"""Measure the checkpoint on the test split: by window, by clip and by event; write its card."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from yololstm import params, reporting, training
from yololstm.checkpoint import load
from yololstm.console import exit_on_error
from yololstm.errors import CheckpointError
from yololstm.evaluation import Decision, evaluate
from yololstm.inference import Classifier
from yololstm.model_card import Origin
from yololstm.storage import read_clips, read_json, read_windows, write_json, write_rows


@exit_on_error
def main(sample: str, *paths: str) -> None:
    index, splits, landmarks, windows, checkpoint, metrics, plots, predictions, card = map(
        Path, paths
    )
    settings = params.load(Path("params.yaml"))
    training.make_repeatable(seed=0)
    kept, test = load(checkpoint), read_windows(windows / "test.npz")
    if (test.spec, read_json(windows / "scaling.json")) != (kept.spec, kept.scaling.to_dict()):
        problem = f"trained on other windows than {windows}"
        raise CheckpointError(checkpoint, problem, "Run the train stage again")
    clips, data, asked = read_clips(index, splits), settings.data, settings.events
    held_out = [clip for clip in clips if clip.split == "test"]
    casts = reporting.read_casts(held_out, landmarks)
    logits = Classifier.from_checkpoint(kept).logits(test.x, test.valid)
    decision = Decision(kept.labels, kept.temperature, kept.rule, settings.evaluate.clip_share)
    result = evaluate(test, logits, held_out, casts, decision, np.random.default_rng(0))
    write_json(metrics, result.metrics)
    write_rows(predictions, *result.predictions)
    reporting.write_plots(plots, result, kept.rule)
    origin = Origin(data.kind, data.split, synthetic=data.root == sample)
    reporting.write_card(card, kept, result, clips, origin, asked.false_alarms_per_hour)


if __name__ == "__main__":
    main(*sys.argv[1:])
