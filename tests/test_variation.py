from __future__ import annotations

import pytest

from yololstm.errors import EmptyError
from yololstm.variation import over_runs


def test_spread_of_runs_has_the_shape_of_one() -> None:
    runs = [{"clip": {"f1": f1, "theft": {"n": 2}}, "n": 3, "who": "x"} for f1 in (0.5, 0.7, 0.9)]
    assert over_runs(runs) == {
        "clip": {
            "f1": {
                "mean": pytest.approx(0.7),
                "std": pytest.approx(0.2),
                "values": [0.5, 0.7, 0.9],
            },
            "theft": {"n": {"mean": 2, "std": 0, "values": [2, 2, 2]}},
        },
        "n": {"mean": 3, "std": 0, "values": [3, 3, 3]},
    }
    assert over_runs(runs[:1])["n"]["std"] == 0


def test_spread_leaves_out_what_a_run_lacks() -> None:
    assert over_runs([{"a": 1, "b": {"c": 1}, "d": {"e": 1}}, {"b": {"c": 3}}]) == {
        "b": {"c": {"mean": 2, "std": pytest.approx(2**0.5), "values": [1, 3]}}
    }


def test_spread_of_nothing_is_an_error() -> None:
    with pytest.raises(EmptyError, match="no metrics to gather"):
        over_runs([])
