"""What weights need before they are used: a temperature and thresholds, both fitted on val."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from yololstm.calibration import TEMPERATURES, fit_temperature, softmax
from yololstm.clips import Clip
from yololstm.events import FALLBACK, Rule
from yololstm.operating import Sweep, at_rate, balance, budget, sweep
from yololstm.scoring import Casts, Footage
from yololstm.trained import Checkpoint
from yololstm.windows import Windows


def finish(
    trained: Checkpoint,
    val: Windows,
    clips: Sequence[Clip],
    casts: Casts,
    unseen: Collection[str],
    false_alarms_per_hour: float,
    **rest: float,
) -> tuple[Checkpoint, list[str]]:
    """``trained`` with its temperature and thresholds, and what there is to warn of.

    val: scaled windows, those without a label among them; clips: all of val; casts: who does what
    in them; unseen: the clip_id of those that nobody looked at; false_alarms_per_hour: what is
    asked for; rest: of the rule, all but the thresholds.
    """
    rule = Rule(enter={}, **rest)
    if not len(val):
        return replace(trained, rule=rule), [
            f"no windows in val: temperature 1, and every threshold {FALLBACK:g}"
        ]
    logits = trained.classifier().logits(val.x, val.valid)
    named = val.y >= 0
    ready = replace(
        trained,
        temperature=fit_temperature(logits[named], val.y[named]),
        temperature_fitted=len(np.unique(val.y[named])) > 1,
    )
    probability = softmax(logits, ready.temperature)
    footage = Footage.of(clips, val, probability, trained.labels, casts, unseen)
    swept = sweep(footage, rule)
    warnings = [
        *_of_temperature(ready),
        *_of_thresholds(footage, swept, false_alarms_per_hour),
    ]
    return _with_thresholds(ready, rule, footage, swept, false_alarms_per_hour), warnings


def _with_thresholds(
    ready: Checkpoint, rule: Rule, footage: Footage, swept: Sweep, rate: float
) -> Checkpoint:
    if budget(rate, footage.normal_hours):
        chosen = at_rate(swept, rule, rate, footage.normal_hours)
        return replace(ready, rule=chosen, thresholds="rate")
    enter = {label: balance(points).threshold for label, points in swept.items()}
    return replace(ready, rule=replace(rule, enter=enter), thresholds="f1")


def _of_temperature(ready: Checkpoint) -> list[str]:
    if not ready.temperature_fitted:
        return ["fewer than two labels in val: temperature 1"]
    if not 1.01 * TEMPERATURES[0] < ready.temperature < 0.99 * TEMPERATURES[1]:
        bound = f"temperature {ready.temperature:.2g} is at its bound"
        return [f"{bound}: val is too small to tell it"]
    return []


def _of_thresholds(footage: Footage, swept: Sweep, rate: float) -> list[str]:
    told = []
    if not budget(rate, footage.normal_hours):
        told.append(
            f"{60 * footage.normal_hours:.1f} minutes of normal footage in val are too few to see"
            f" {rate:g} false alarms an hour: thresholds are those of the best F1 of events"
        )
    return told + [
        f"no event of {label} in val: its threshold knows of false alarms only"
        for label, points in swept.items()
        if not points[0].events
    ]
