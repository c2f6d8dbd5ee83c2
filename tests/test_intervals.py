from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, poisson
from sklearn.metrics import f1_score

from yololstm.intervals import RESAMPLES, Bootstrap, poisson_rate


def drawn(takes: np.ndarray, seed: int = 0) -> Bootstrap:
    return Bootstrap.of(takes, np.random.default_rng(seed))


def case(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    takes = np.array([f"take{i}" for i in rng.integers(0, 8, n)])
    y = rng.integers(0, 3, n)
    return takes, y, np.where(rng.random(n) < 0.8, y, rng.integers(-1, 3, n))


def test_macro_f1_of_resamples_is_that_of_the_rows_of_their_takes() -> None:
    takes, y, named = case(60)
    names = np.unique(takes)
    draws = np.random.default_rng(1).multinomial(len(names), np.ones(len(names)) / len(names), 1)
    rows = np.concatenate(
        [np.tile(np.flatnonzero(takes == t), n) for t, n in zip(names, draws[0], strict=True)]
    )
    present = np.union1d(y[rows], named[rows][named[rows] >= 0])
    expected = f1_score(y[rows], named[rows], labels=present, average="macro", zero_division=0)
    low, high = Bootstrap(names, draws).macro_f1(takes, y, named, 3) or (0, 0)
    assert low == high == pytest.approx(expected)


def test_intervals_hold_the_figure_and_narrow_with_takes() -> None:
    widths = []
    for n_takes in (5, 200):
        rng = np.random.default_rng(0)
        takes = np.repeat([f"{i:03d}" for i in range(n_takes)], 10)
        hits = rng.random(len(takes)) < np.repeat(rng.uniform(0.3, 1, n_takes), 10)
        low, high = drawn(takes).share(takes, hits) or (1, 0)
        assert low <= hits.mean() <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_takes_are_drawn_and_not_windows() -> None:
    """Ten windows of a take that are right together tell no more than one."""
    takes = np.array([f"{i}" for i in range(9)])
    hits = np.arange(9) % 3 > 0
    many = drawn(takes).share(np.repeat(takes, 10), np.repeat(hits, 10))
    assert many == drawn(takes).share(takes, hits)


def test_the_same_seed_gives_the_same_interval() -> None:
    takes, y, named = case(80)
    assert drawn(takes).macro_f1(takes, y, named, 3) == drawn(takes).macro_f1(takes, y, named, 3)


def test_a_single_take_has_no_interval_and_neither_has_nothing() -> None:
    takes = np.array(["a", "a"])
    assert drawn(takes).macro_f1(takes, np.array([0, 1]), np.array([0, 0]), 2) is None
    two = drawn(np.array(["a", "b"]))
    assert two.share(np.empty(0, dtype=str), np.empty(0, dtype=bool)) is None


def test_what_has_always_gone_well_may_still_go_wrong() -> None:
    takes = np.repeat([f"{i}" for i in range(12)], 2)
    low, high = drawn(takes).share(takes, np.ones(24, dtype=bool)) or (0, 0)
    assert high == 1
    assert beta(12, 1).cdf(low) == pytest.approx(0.025)  # of 12 in 12
    none = drawn(takes).share(takes, np.zeros(24, dtype=bool))
    assert none == pytest.approx((0, 1 - low))
    y = np.arange(24) % 3
    assert drawn(takes).macro_f1(takes, y, y, 3) is None


def test_a_thousand_resamples() -> None:
    assert RESAMPLES == 1000
    assert drawn(np.array(["a", "b", "c"]))._draws.shape == (1000, 3)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_rate_is_within_what_such_a_count_allows(count: int) -> None:
    low, high = poisson_rate(count, 0.5)
    assert poisson.cdf(count, high * 0.5) == pytest.approx(0.025)
    if count:
        assert poisson.sf(count - 1, low * 0.5) == pytest.approx(0.025)
    else:
        assert low == 0
