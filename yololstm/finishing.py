"""What weights need before they are used: a temperature and thresholds, both fitted on val."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from yololstm.calibration import TEMPERATURES, fit_temperature, softmax
from yololstm.clips import Clip
from yololstm.events import FALLBACK, Rule
from yololstm.inference import Checkpoint, Classifier
from yololstm.operating import Sweep, at_rate, balance, sweep
from yololstm.scoring import Footage
from yololstm.windows import Windows


def finish(
    trained: Checkpoint,
    val: Windows,
    clips: Sequence[Clip],
    false_alarms_per_hour: float,
    **rest: float,
) -> tuple[Checkpoint, list[str]]:
    """``trained`` with its temperature and thresholds, and what there is to warn of.

    val: scaled windows, those without a label among them; clips: of any splits;
    false_alarms_per_hour: what is asked for; rest: of the rule, all but the thresholds.
    """
    rule, rate = Rule(enter={}, **rest), false_alarms_per_hour
    logits = Classifier.from_checkpoint(trained).logits(val.x, val.valid)
    named = val.y >= 0
    temperature = fit_temperature(logits[named], val.y[named])
    held_out = [clip for clip in clips if clip.split == "val"]
    footage = Footage.of(held_out, val, softmax(logits, temperature), trained.labels)
    swept = sweep(footage, rule)
    if rate * footage.normal_hours < 1:
        chosen = replace(rule, enter={x: balance(points).threshold for x, points in swept.items()})
    else:
        chosen = at_rate(swept, rule, rate, footage.normal_hours)
    ready = replace(trained, temperature=temperature, rule=chosen)
    return ready, _warnings(val, temperature, footage, swept, rate)


def _warnings(
    val: Windows, temperature: float, footage: Footage, swept: Sweep, rate: float
) -> list[str]:
    if not len(val):
        return [
            "no windows in val: all epochs were trained, and the last is kept; temperature 1, and"
            f" every threshold {FALLBACK:g}"
        ]
    told, labels = [], np.unique(val.y[val.y >= 0])
    if not len(labels):
        told.append(
            "no window in val has a label: all epochs were trained, and the last is kept;"
            " temperature 1"
        )
    elif len(labels) < 2:
        told.append("fewer than two labels in val: temperature 1")
    elif not 1.01 * TEMPERATURES[0] < temperature < 0.99 * TEMPERATURES[1]:
        told.append(f"temperature {temperature:.2g} is at its bound: val is too small to tell it")
    if rate * footage.normal_hours < 1:
        told.append(
            f"{60 * footage.normal_hours:.1f} minutes of normal footage in val are too few to see"
            f" {rate:g} false alarms an hour: thresholds are those of the best F1 of events"
        )
    told += [
        f"no event of {label} in val: its threshold knows of false alarms only"
        for label, points in swept.items()
        if not points[0].events
    ]
    return told
