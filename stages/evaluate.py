"""Measure the checkpoint on the test split: by window, by clip and by event; write its card."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from yololstm import casting, params, reporting, robustness, training
from yololstm.checkpoint import load, read_split
from yololstm.choosing import choose
from yololstm.console import exit_on_error
from yololstm.evaluation import Decision, evaluate, over_seeds
from yololstm.model_card import Origin
from yololstm.storage import read_clips


@exit_on_error
def main(sample: str, *paths: str) -> None:
    index, splits, landmarks, windows, checkpoint, *reports = map(Path, paths)
    metrics, plots, predictions, card = reports
    settings, rng = params.load(Path("params.yaml")), np.random.default_rng(0)
    training.make_repeatable(seed=0)
    kept, clips = load(checkpoint), read_clips(index, splits)
    test = read_split("test", windows, kept, checkpoint)
    held_out = [clip for clip in clips if clip.split == "test"]
    decision = Decision.of(kept, settings.evaluate.clip_share)
    casts, unseen = casting.read_casts(held_out, landmarks), casting.unseen(held_out, landmarks)
    logits = (classifier := kept.classifier()).logits(test.x, test.valid)
    result = evaluate(test, logits, held_out, casts, decision, rng, unseen)
    result = result.joined("seeds", over_seeds(kept, test, held_out, decision))
    known = [clip for clip in held_out if clip.label in kept.labels]
    shown = choose(known, settings.evaluate.robustness_clips)
    seen = casting.read_seen(shown, landmarks, "robustness")
    rows = robustness.measure(seen, test, logits, classifier, decision, rng)
    result = result.joined("robustness", robustness.summary(rows), robustness.table(rows))
    reporting.write(metrics, plots, predictions, result, kept.rule)
    origin = Origin(settings.data.kind, settings.data.root == sample)
    reporting.write_card(card, kept, result, clips, origin, settings.events.false_alarms_per_hour)


if __name__ == "__main__":
    main(*sys.argv[1:])
