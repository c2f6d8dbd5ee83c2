from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yololstm.calibration import BINS, TEMPERATURES, ece, fit_temperature, nll, reliability, softmax

seeds = st.integers(0, 2**32 - 1)


def said(rng: np.random.Generator, n: int, overconfidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from what logits mean, and those logits, too large by a factor."""
    logits = rng.normal(0, 1.5, (n, 4))
    probability = softmax(logits).astype(float)
    y = np.array([rng.choice(4, p=row / row.sum()) for row in probability])
    return logits * overconfidence, y


@given(seeds, st.sampled_from([0.4, 1.0, 2.5]))
@settings(max_examples=8, deadline=None)
def test_the_temperature_undoes_overconfidence(seed: int, factor: float) -> None:
    logits, y = said(np.random.default_rng(seed), 1500, factor)
    found = fit_temperature(logits, y)
    assert found == pytest.approx(factor, rel=0.25)
    assert nll(logits, y, found) <= nll(logits, y, factor) + 1e-6


def test_calibration_brings_confidence_to_accuracy() -> None:
    logits, y = said(np.random.default_rng(0), 4000, 3.0)
    before, after = (
        ece(reliability(softmax(logits, t), y)) for t in (1.0, fit_temperature(logits, y))
    )
    assert before > 0.1
    assert after < 0.03


@given(seeds, st.floats(0.2, 8))
@settings(max_examples=30, deadline=None)
def test_temperature_keeps_what_is_named(seed: int, temperature: float) -> None:
    logits = np.random.default_rng(seed).normal(0, 2, (20, 4))
    probability = softmax(logits, temperature)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(probability.argmax(axis=1), logits.argmax(axis=1))


def test_without_two_labels_the_temperature_is_one() -> None:
    assert fit_temperature(np.empty((0, 4)), np.empty(0, int)) == 1
    assert fit_temperature(np.eye(4)[:2], np.array([2, 2])) == 1


def test_what_is_always_right_stays_within_bounds() -> None:
    y = np.array([0, 1, 2, 3])
    assert fit_temperature(np.eye(4), y) == pytest.approx(TEMPERATURES[0], rel=0.01)
    assert fit_temperature(np.eye(4)[::-1], y) == pytest.approx(TEMPERATURES[1], rel=0.01)


def test_bins_of_a_known_case() -> None:
    probability = np.array([[0.62, 0.38], [0.64, 0.36], [0.1, 0.9], [1.0, 0.0]])
    bins = reliability(probability, np.array([0, 1, 1, 0]))
    assert [tuple(part) for part in bins] == [
        pytest.approx(part) for part in [(0.63, 0.5, 2), (0.9, 1, 1), (1, 1, 1)]
    ]
    assert ece(bins) == pytest.approx((0.13 * 2 + 0.1 + 0) / 4)


@given(seeds, st.integers(1, 300))
@settings(max_examples=30, deadline=None)
def test_bins_hold_every_window_once(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    probability, y = rng.dirichlet(np.ones(4), n), rng.integers(0, 4, n)
    bins = reliability(probability, y)
    assert len(bins) <= BINS
    assert sum(part.windows for part in bins) == n
    right = (probability.argmax(axis=1) == y).mean()
    assert sum(part.accuracy * part.windows for part in bins) / n == pytest.approx(right)
    assert [part.confidence for part in bins] == sorted(part.confidence for part in bins)
    assert 0 <= ece(bins) <= 1
