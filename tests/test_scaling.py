from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.people import FIGURE
from yololstm import scaling
from yololstm.scaling import BodyScaling, MinMaxScaling
from yololstm.skeleton import HIPS, SHOULDERS

seeds = st.integers(0, 2**32 - 1)
Pair = tuple[np.ndarray, np.ndarray]


def people(seed: int, n: int = 3, absent: float = 0.2) -> Pair:
    """(n, 16, 26) pixels of people who wave about, and which joints are known."""
    rng = np.random.default_rng(seed)
    xy = FIGURE * rng.uniform(40, 200, (n, 1, 1, 1)) + rng.uniform(200, 900, (n, 1, 1, 2))
    xy = xy + rng.normal(0, 5, (n, 16, 13, 2))
    return xy.reshape(n, 16, 26).astype(np.float32), rng.random((n, 16, 13)) >= absent


def moved(x: np.ndarray, by: tuple[float, float], factor: float) -> np.ndarray:
    xy = x.reshape(*x.shape[:2], 13, 2).astype(np.float64)
    return (xy * factor + np.array(by)).reshape(x.shape).astype(np.float32)


@given(seeds, st.floats(-3000, 3000), st.floats(-3000, 3000), st.floats(0.2, 5))
@settings(max_examples=60, deadline=None)
def test_body_forgets_place_and_size(seed: int, dx: float, dy: float, factor: float) -> None:
    x, valid = people(seed)
    assume(valid.any(axis=(1, 2)).all())
    here = BodyScaling().transform(x, valid)
    there = BodyScaling().transform(moved(x, (dx, dy), factor), valid)
    np.testing.assert_allclose(there, here, atol=2e-3)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_body_puts_hips_at_the_origin_and_makes_the_torso_one(seed: int) -> None:
    x, valid = people(seed, absent=0)
    xy = BodyScaling().transform(x, valid).reshape(-1, 16, 13, 2)
    hips, shoulders = xy[:, :, HIPS].mean(axis=2), xy[:, :, SHOULDERS].mean(axis=2)
    np.testing.assert_allclose(hips.mean(axis=1), 0, atol=1e-5)
    torso = np.linalg.norm(hips - shoulders, axis=-1)
    np.testing.assert_allclose(np.median(torso, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("hidden", [[HIPS[0]], [*HIPS], [SHOULDERS[1], HIPS[1]], [*SHOULDERS]])
def test_body_does_without_hips_or_shoulders(hidden: list[int]) -> None:
    """Not exactly, but nearly: the figure stays about as large and about where it is."""
    x, valid = people(0, absent=0)
    whole = BodyScaling().transform(x, valid)
    valid[:, :, hidden] = False
    part = BodyScaling().transform(x, valid).reshape(-1, 16, 13, 2)
    seen = np.setdiff1d(np.arange(13), hidden)
    difference = part[:, :, seen] - whole.reshape(-1, 16, 13, 2)[:, :, seen]
    assert np.abs(difference).mean() < 0.35
    assert (part[:, :, hidden] == 0).all()


@given(seeds, st.floats(0, 1), st.sampled_from([0.0, 1.0, 500.0]))
@settings(max_examples=80, deadline=None)
def test_body_is_finite_whatever_is_absent(seed: int, absent: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.normal(0, 1, (4, 16, 26)) * spread + 300).astype(np.float32)
    valid = rng.random((4, 16, 13)) >= absent
    scaled = BodyScaling().transform(x, valid)
    assert np.isfinite(scaled).all()
    assert scaled.dtype == np.float32
    assert (scaled[~np.repeat(valid, 2, axis=-1)] == 0).all()


def test_torso_seen_end_on_does_not_blow_the_body_up() -> None:
    x, valid = people(0, absent=0)
    xy = x.reshape(-1, 16, 13, 2)
    xy[:, :, SHOULDERS] = xy[:, :, HIPS] + 0.01
    scaled = BodyScaling().transform(xy.reshape(x.shape), valid)
    assert np.abs(scaled).max() < 5


def test_body_does_not_care_in_whose_company_a_window_is() -> None:
    x, valid = people(0)
    alone = [BodyScaling().transform(x[i : i + 1], valid[i : i + 1])[0] for i in range(3)]
    np.testing.assert_array_equal(BodyScaling().transform(x, valid), np.stack(alone))


def test_minmax_maps_what_it_was_fitted_on_to_the_unit_interval() -> None:
    x, valid = people(1, n=20)
    known = np.repeat(valid, 2, axis=-1)
    scaled = MinMaxScaling.fit(x, valid).transform(x, valid)
    values = np.where(known, scaled, np.nan)
    np.testing.assert_allclose(np.nanmin(values, axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanmax(values, axis=(0, 1)), 1, atol=1e-5)
    assert (scaled[~known] == 0.5).all()


def test_minmax_looks_at_valid_values_alone() -> None:
    x, valid = people(1)
    elsewhere = np.where(np.repeat(valid, 2, axis=-1), x, 1e6).astype(np.float32)
    assert MinMaxScaling.fit(elsewhere, valid) == MinMaxScaling.fit(x, valid)


def test_minmax_keeps_its_range_for_other_windows() -> None:
    x, valid = people(1, absent=0)
    fitted = MinMaxScaling.fit(x, valid)
    low, high = np.array(fitted.low), np.array(fitted.high)
    beyond = fitted.transform((2 * high - low)[None, None].astype(np.float32), valid[:1, :1])
    np.testing.assert_allclose(beyond, 2, rtol=1e-4)


def test_minmax_of_a_constant_feature_is_zero() -> None:
    x, valid = people(1, absent=0)
    x[:, :, 3] = 7
    valid[:, :, 5] = False
    fitted = MinMaxScaling.fit(x, valid)
    assert (fitted.transform(x, valid)[:, :, 3] == 0).all()
    assert (fitted.transform(x, np.ones_like(valid))[:, :, 10:12] == 0).all()


@pytest.mark.parametrize("kind", ["minmax", "body"])
def test_scaling_survives_json_exactly(kind: str) -> None:
    x, valid = people(2)
    fitted = scaling.fit(kind, x, valid)
    again = scaling.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    np.testing.assert_array_equal(again.transform(x, valid), fitted.transform(x, valid))


@pytest.mark.parametrize("kind", ["minmax", "body"])
def test_no_windows_are_no_trouble(kind: str) -> None:
    x, valid = np.empty((0, 16, 26), np.float32), np.empty((0, 16, 13), bool)
    assert scaling.fit(kind, x, valid).transform(x, valid).shape == (0, 16, 26)


@pytest.mark.parametrize(
    "value", [{}, {"kind": "zscore"}, {"kind": "minmax", "low": [0], "high": [1]}, {"kind": []}]
)
def test_what_is_no_scaling_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a scaling"):
        scaling.from_dict(value)
