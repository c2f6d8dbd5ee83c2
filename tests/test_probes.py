from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.people import clip
from yololstm import probes
from yololstm.clips import Clip
from yololstm.errors import DataError
from yololstm.windows import Windows, WindowSpec

SPEC = WindowSpec(fps=3, length=16, hop=4, max_gap_s=1.0, min_valid=0.5)
PROBES = ["position", "missing_landmarks", "place"]

Rng = np.random.Generator


def fair(rng: Rng, one: Clip, y: int, n: int) -> tuple[Clip, Any, Any]:
    """The clip, its labels (n,) and the chance of each joint to be seen (n,): nothing tells."""
    placed = replace(one, store=f"S{rng.integers(3)}", camera=f"C{rng.integers(2)}")
    return placed, np.full(n, y), np.full(n, rng.uniform(0.6, 1))


def by_place(rng: Rng, one: Clip, y: int, n: int) -> tuple[Clip, Any, Any]:
    placed, labels, seen = fair(rng, one, y, n)
    return replace(placed, camera=f"C{y}"), labels, seen


def by_position(rng: Rng, one: Clip, y: int, n: int) -> tuple[Clip, Any, Any]:
    """Normal for the first half of the clip, then what it is."""
    placed, labels, seen = fair(rng, one, y, n)
    return placed, np.where(np.arange(n) < n // 2, 3, labels), seen


def by_missing(rng: Rng, one: Clip, y: int, n: int) -> tuple[Clip, Any, Any]:
    placed, labels, _ = fair(rng, one, y, n)
    return placed, labels, 0.6 + 0.1 * labels


World = Callable[[Rng, Clip, int, int], tuple[Clip, Any, Any]]


def world(kind: World, takes: int, split: str, seed: int = 0) -> tuple[Windows, list[Clip]]:
    """A clip a take, 12 windows a clip, each label as often as the others."""
    rng = np.random.default_rng([seed, takes, len(split)])
    made = [kind(rng, clip(f"{split}{i}-CA", "theft", split), i % 4, 12) for i in range(takes)]
    clips = [replace(one, n_frames=64) for one, _, _ in made]
    seen = np.concatenate([seen for _, _, seen in made])
    return (
        Windows(
            x=np.zeros((len(seen), 16, 26), dtype=np.float32),
            valid=rng.random((len(seen), 16, 13)) < seen[:, None, None],
            y=np.concatenate([y for _, y, _ in made]).astype(np.int64),
            clip=np.repeat([one.clip_id for one in clips], 12),
            take=np.repeat([one.take for one in clips], 12),
            track=np.ones(len(seen), dtype=np.int32),
            start_s=np.tile(np.arange(12) * 4 / 3, takes),
            spec=SPEC,
        ),
        clips,
    )


def measure(kind: World, takes: int = 24, seed: int = 0) -> dict[str, Any]:
    (train, a), (test, b) = world(kind, 2 * takes, "train", seed), world(kind, takes, "test", seed)
    return probes.measure(train, test, [*a, *b])


@pytest.mark.parametrize(
    ("kind", "name"),
    [(by_position, "position"), (by_missing, "missing_landmarks"), (by_place, "place")],
)
def test_probe_tells_what_gives_the_label_away(kind: World, name: str) -> None:
    result = measure(kind)
    assert list(result) == PROBES
    assert result[name]["chance"] == 0.25
    assert result[name]["balanced_accuracy"] > (0.4 if name == "position" else 0.8)
    assert result[name]["p"] == 0.001
    (warning,) = probes.warnings(result)
    assert warning.place == f"probe {name}"
    assert "by chance 0.25" in warning.problem
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_where_nothing_tells_probes_are_at_chance() -> None:
    results = [measure(fair, seed=seed) for seed in range(3)]
    for name in PROBES:
        accuracies = [result[name]["balanced_accuracy"] for result in results]
        assert np.mean(accuracies) == pytest.approx(0.25, abs=0.08)
    assert sum(len(probes.warnings(result)) for result in results) == 0


def test_windows_of_one_take_are_one_fact() -> None:
    """One take of each label, all told right: that happens by luck once in 24 times."""
    (train, a), (test, b) = world(by_place, 16, "train"), world(by_place, 4, "test")
    result = probes.measure(train, test, [*a, *b])
    assert result["place"] is not None
    assert result["place"]["balanced_accuracy"] == 1
    assert result["place"]["p"] == pytest.approx(1 / 24, abs=0.02)
    assert not probes.warnings(result)
    as_if = replace(test, take=np.arange(len(test)).astype(np.str_))
    place = probes.measure(train, as_if, [*a, *b])["place"]
    assert place is not None
    assert place["p"] == 0.001


def test_same_windows_same_result() -> None:
    assert measure(fair) == measure(fair)


def test_windows_without_label_do_not_count() -> None:
    (train, a), (test, b) = world(by_place, 16, "train"), world(by_place, 8, "test")
    unnamed = replace(test, y=np.full(len(test), -1), start_s=test.start_s + 1)
    both = Windows.concatenate([test, unnamed], SPEC)
    clips = [*a, *b]
    assert probes.measure(train, both, clips) == probes.measure(train, test, clips)


def test_place_is_null_where_there_is_one_or_none_is_known() -> None:
    (train, a), (test, b) = world(fair, 16, "train"), world(fair, 8, "test")
    for store, camera in (("", ""), ("S1", "C1"), ("S1", "")):
        clips = [replace(one, store=store, camera=camera) for one in (*a, *b)]
        result = probes.measure(train, test, clips)
        assert result["place"] is None
        assert result["position"] is not None
    two = [replace(one, store="", camera=f"C{i % 2}") for i, one in enumerate([*a, *b])]
    assert probes.measure(train, test, two)["place"] is not None


def test_place_that_train_has_not_seen_tells_nothing() -> None:
    (train, a), (test, b) = world(by_place, 16, "train"), world(by_place, 8, "test")
    elsewhere = [replace(one, store="new", camera="new") for one in b]
    place = probes.measure(train, test, [*a, *elsewhere])["place"]
    assert place is not None
    assert place["balanced_accuracy"] == pytest.approx(0.25)


def test_one_label_is_no_question() -> None:
    (train, a), (test, b) = world(fair, 16, "train"), world(fair, 8, "test")
    for one, other in ((train, test[test.y == 1]), (train[train.y == 1], test), (train, test[:0])):
        assert probes.measure(one, other, [*a, *b]) == dict.fromkeys(PROBES)
    assert probes.warnings(dict.fromkeys(PROBES)) == []


def test_windows_of_an_unknown_clip_are_an_error() -> None:
    (train, a), (test, _) = world(fair, 8, "train"), world(fair, 4, "test")
    with pytest.raises(DataError, match="test0-CA"):
        probes.measure(train, test, a)


def test_clip_of_no_length_is_no_error() -> None:
    (train, a), (test, b) = world(fair, 8, "train"), world(fair, 4, "test")
    clips = [replace(one, n_frames=0) for one in (*a, *b)]
    assert probes.measure(train, test, clips)["position"] is not None


def test_too_good() -> None:
    result: dict[str, Any] = {
        "position": {"balanced_accuracy": 0.6, "chance": 0.25, "p": 0.5},
        "place": None,
    }
    assert [problem.place for problem in probes.too_good(result, 0.5)] == ["probe position"]
    assert not probes.too_good(result, 0.6)
    assert not probes.warnings(result)  # it may be luck


def test_a_warning_needs_more_than_a_trace() -> None:
    traces: dict[str, Any] = {"position": {"balanced_accuracy": 0.28, "chance": 0.25, "p": 0.001}}
    assert not probes.warnings(traces)


def test_a_thousand_windows_take_a_moment() -> None:
    start = time.process_time()
    measure(fair, takes=83)
    assert time.process_time() - start < 30  # about 0.3
