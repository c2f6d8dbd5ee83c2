"""Calibration: probabilities that mean what they say.

A temperature divides the logits before softmax. It changes no order within a window, so that what
is named stays as it is. Source: Guo et al., arXiv:1706.04599.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

Logits = NDArray[np.floating]
Probability = NDArray[np.floating]
Labels = NDArray[np.integer]

BINS: Final = 15
"""Of equal width over 0..1."""
TEMPERATURES: Final = (0.1, 10.0)
"""Windows that are all right ask for 0, and those that are all wrong for more than any number."""


class Bin(NamedTuple):
    """Windows whose likeliest label is about as probable."""

    confidence: float
    """The mean probability of what they are taken for,"""
    accuracy: float
    """and the share of those that are."""
    windows: int


def softmax(logits: Logits, temperature: float = 1.0) -> NDArray[np.float32]:
    """(N, C) probabilities of (N, C) logits."""
    probability: NDArray[np.float32] = np.exp(_log(logits, temperature)).astype(np.float32)
    return probability


def fit_temperature(logits: Logits, y: Labels) -> float:
    """The temperature within TEMPERATURES at which ``y`` is likeliest.

    logits: (N, C); y: (N,) in 0..C-1. 1.0 where fewer than two labels occur.
    """
    if len(np.unique(y)) < 2:
        return 1.0
    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(
        lambda power: nll(logits, y, float(np.exp(power))), bounds=(low, high), method="bounded"
    )
    return float(np.exp(found.x))


def nll(logits: Logits, y: Labels, temperature: float = 1.0) -> float:
    """The mean negative log likelihood, in nats."""
    return float(-_log(logits, temperature)[np.arange(len(y)), y].mean())


def reliability(probability: Probability, y: Labels) -> list[Bin]:
    """probability: (N, C); y: (N,). The bins that have windows, by confidence."""
    confidence = probability.max(axis=1).astype(np.float64)
    right = probability.argmax(axis=1) == y
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    sums = (np.bincount(place, values, minlength=BINS) for values in (confidence, right))
    return [
        Bin(float(total / n), float(hits / n), int(n))
        for total, hits, n in zip(*sums, count, strict=True)
        if n
    ]


def ece(bins: list[Bin]) -> float:
    """The expected calibration error: how far apart confidence and accuracy are, on average."""
    n = sum(part.windows for part in bins)
    return sum(abs(part.confidence - part.accuracy) * part.windows for part in bins) / n


def _log(logits: Logits, temperature: float) -> NDArray[np.float64]:
    log: NDArray[np.float64] = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return log
