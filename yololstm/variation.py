"""What several runs, such as folds or seeds, have in common, and how far they spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yololstm.errors import EmptyError


def over_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of every number its mean, its standard deviation (n - 1; 0 for a single run) and its values,
    in the shape of one run's metrics.

    Numbers that are not in every run are left out. Raises EmptyError without any run.
    """
    if not runs:
        raise EmptyError("metrics", "no metrics to gather", "Run the stages that make them")
    shared: dict[str, Any] = {}
    for name in runs[0]:
        values = [run.get(name) for run in runs]
        mappings = [v for v in values if isinstance(v, Mapping)]
        if len(mappings) == len(runs):
            shared[name] = over_runs(mappings)
        numbers = [v for v in values if isinstance(v, int | float)]
        if len(numbers) == len(runs):
            deviation = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else 0.0
            shared[name] = {"mean": float(np.mean(numbers)), "std": deviation, "values": numbers}
    return shared
