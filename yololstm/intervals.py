"""How sure a figure is: 95 % intervals.

What is seen of one take hangs together, over its cameras and over the windows that overlap, so
that takes are drawn again and not windows. Source: Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13 (percentiles).
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

RESAMPLES: Final = 1000
_TAILS: Final = (0.025, 0.975)

Labels = NDArray[np.integer]
Floats = NDArray[np.float64]


class Interval(NamedTuple):
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"


class Bootstrap:
    """How often each take is drawn in each resample."""

    def __init__(self, takes: NDArray[np.str_], draws: NDArray[np.integer]) -> None:
        self._takes = takes
        self._draws = draws.astype(np.float64)

    @classmethod
    def of(cls, takes: NDArray[np.str_], rng: np.random.Generator) -> Self:
        """takes: (N,) of a split, any of them more than once."""
        distinct = np.unique(takes)
        n = len(distinct)
        return cls(distinct, rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES))

    def macro_f1(
        self, takes: NDArray[np.str_], y: Labels, named: Labels, n_labels: int
    ) -> Interval | None:
        """takes, y, named: (N,). named is -1 where it is none of them. None with a single take, and
        where nothing is wrong: no resample would know better."""
        if (y == named).all():
            return None
        pairs = np.zeros((len(self._takes), n_labels, n_labels + 1))
        np.add.at(pairs, (self._places(takes), y, named), 1)
        counts = np.tensordot(self._draws, pairs, axes=1)
        total = counts.sum(axis=2) + counts.sum(axis=1)[:, :n_labels]
        right = counts[:, np.arange(n_labels), np.arange(n_labels)]
        f1 = 2 * right / np.maximum(total, 1)
        return self._interval(f1.sum(axis=1) / np.maximum((total > 0).sum(axis=1), 1))

    def share(self, takes: NDArray[np.str_], hits: NDArray[np.bool_]) -> Interval | None:
        """Of the mean of ``hits`` (N,). Resamples without any of them are left out. None with a
        single take, or without any.

        Where all are hits, or none, resamples would know no better; then what as many takes allow
        that are alike. Source: Clopper & Pearson, Biometrika 26, 1934.
        """
        if not len(hits):
            return None
        place, n = self._places(takes), len(self._takes)
        if n > 1 and hits.all() == hits.any():
            surely = float(_TAILS[0] ** (1 / len(np.unique(place))))
            return Interval(surely, 1.0) if hits.all() else Interval(0.0, 1 - surely)
        count = self._draws @ np.bincount(place, minlength=n)
        caught = self._draws @ np.bincount(place, hits, minlength=n)
        return self._interval(caught[count > 0] / count[count > 0])

    def _places(self, takes: NDArray[np.str_]) -> NDArray[np.intp]:
        return np.searchsorted(self._takes, takes)

    def _interval(self, values: Floats) -> Interval | None:
        if len(self._takes) < 2:
            return None
        low, high = np.quantile(values, _TAILS)
        return Interval(float(low), float(high))


def poisson_rate(count: int, exposure: float) -> Interval:
    """Of the rate of rare things that were seen ``count`` times during ``exposure``: even what was
    never seen may happen. Source: Garwood, Biometrika 28, 1936."""
    low = gammaincinv(count, _TAILS[0]) if count else 0.0
    return Interval(float(low / exposure), float(gammaincinv(count + 1, _TAILS[1]) / exposure))
