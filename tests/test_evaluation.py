from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, roc_auc_score

from tests.people import LABELS, clip
from yololstm import evaluation, models
from yololstm.clips import NORMAL, Clip
from yololstm.errors import EmptyError
from yololstm.evaluation import (
    Decision,
    Evaluation,
    name_clip,
    over_seeds,
    pr_curves,
    roc_curves,
    scores,
)
from yololstm.events import Rule
from yololstm.scaling import BodyScaling
from yololstm.trained import Checkpoint
from yololstm.windows import Windows, WindowSpec

SPEC = WindowSpec(fps=3, length=4, hop=2, max_gap_s=1.0, min_valid=0.5)
THREE = LABELS[:3]
seeds = st.integers(0, 2**32 - 1)


def windows(clips: list[str], y: list[int]) -> Windows:
    n = len(y)
    return replace(
        Windows.empty(SPEC),
        x=np.zeros((n, 4, 26), np.float32),
        valid=np.ones((n, 4, 13), bool),
        y=np.array(y, dtype=np.int64),
        clip=np.array(clips, dtype=np.str_),
        take=np.array([name.rsplit("-", 1)[0] for name in clips], dtype=np.str_),
        track=np.ones(n, np.int32),
        start_s=np.arange(n) / 3,
    )


def one_hot(y: list[int]) -> np.ndarray:
    return np.eye(4)[y] * 0.6 + 0.1


def evaluate(
    test: Windows,
    probability: np.ndarray,
    clips: list[Clip],
    labels: Sequence[str] = LABELS,
    temperature: float = 1.0,
) -> Evaluation:
    decision = Decision(labels, temperature, Rule(), clip_share=0.25)
    rng = np.random.default_rng(0)
    return evaluation.evaluate(test, np.log(probability + 1e-9), clips, {}, decision, rng)


# --- scores ---


def test_scores_of_a_known_case() -> None:
    told = scores(np.array([0, 0, 1, 1, 3]), np.array([0, 1, 1, 1, -1]), LABELS)
    assert told["accuracy"] == pytest.approx(0.6)
    theft, damage = told["per_class"]["theft"], told["per_class"]["damage"]
    assert theft == pytest.approx({"precision": 1, "recall": 0.5, "f1": 2 / 3, "support": 2})
    assert damage == {"precision": 0, "recall": 0, "f1": 0, "support": 0}
    assert told["macro_f1"] == pytest.approx((2 / 3 + 0.8 + 0) / 3)


@given(seeds, st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_macro_f1_is_sklearns(seed: int, n: int) -> None:
    y, named = np.random.default_rng(seed).integers(0, 4, (2, n))
    expected = f1_score(y, named, average="macro", zero_division=0)
    assert scores(y, named, LABELS)["macro_f1"] == pytest.approx(expected)


# --- clips ---


def test_one_window_of_theft_among_many_names_the_clip() -> None:
    probability = np.array([[0.0, 0, 0.1, 0.9]] * 7 + [[0.9, 0, 0, 0.1]])
    assert name_clip(probability, LABELS, share=0.1, min_probability=0.5) == 0
    assert name_clip(probability, LABELS, share=1.0, min_probability=0.5) == 3


def test_share_is_of_the_likeliest_windows_of_each_label() -> None:
    probability = np.array([[0.8, 0.2, 0, 0], [0.6, 0.4, 0, 0], [0, 0.3, 0, 0.7], [0, 0, 0, 1]])
    assert name_clip(probability, LABELS, share=0.5, min_probability=0.7) == 0
    assert name_clip(probability, LABELS, share=0.5, min_probability=0.71) == 3


@given(seeds, st.integers(1, 30), st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_order_of_windows_does_not_matter(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(4), n)
    shuffled = rng.permutation(probability)
    assert name_clip(probability, LABELS, share, 0.5) == name_clip(shuffled, LABELS, share, 0.5)


def test_without_normal_the_mean_decides() -> None:
    probability = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.3, 0.7, 0]])
    assert name_clip(probability, THREE, share=0.1, min_probability=0.99) == 1


def test_clip_without_windows_is_normal_or_wrong() -> None:
    assert name_clip(np.empty((0, 4)), LABELS, 0.25, 0.5) == LABELS.index(NORMAL)
    assert name_clip(np.empty((0, 3)), THREE, 0.25, 0.5) == -1


def test_nothing_vanishes() -> None:
    test = windows(["a-CA", "a-CA", "b-CA"], [0, 0, 3])
    clips = [
        clip("a-CA", "theft", "test"),
        clip("a-CB", "theft", "test"),  # has no windows
        clip("b-CA", NORMAL, "test"),
        clip("c-CA", "arson", "test"),  # not a label of ours
    ]
    result = evaluate(test, one_hot([0, 0, 3]), clips)
    told = result.metrics
    assert told["window"]["accuracy"] == 1
    assert told["clip"]["accuracy"] == pytest.approx(2 / 3)
    assert (told["windows"], told["clips"], told["takes"]) == (3, 3, 2)
    assert (told["clips_without_windows"], told["clips_of_other_labels"]) == (1, 1)
    json.dumps(told, allow_nan=False)
    assert result.plots["confusion"].rows == [
        ("theft", "theft"),
        ("theft", "normal"),
        ("normal", "normal"),
    ]
    assert len(result.plots["confusion_windows"].rows) == 3


def test_clip_without_windows_is_wrong_where_normal_is_no_label() -> None:
    test = windows(["a-CA"], [0])
    clips = [clip("a-CA", "theft", "test"), clip("a-CB", "theft", "test")]
    result = evaluate(test, np.array([[0.9, 0.1, 0]]), clips, THREE)
    assert result.metrics["clip"]["accuracy"] == 0.5
    assert result.plots["confusion"].rows[1] == ("theft", "none")


def test_clips_that_nobody_looked_at_add_no_hours() -> None:
    test = windows(["a-CA"], [0])
    clips = [clip("a-CA", "theft", "test"), *(clip(f"n{i}-CA", NORMAL, "test") for i in range(2))]
    decision = Decision(LABELS, 1.0, Rule(), clip_share=0.25)
    rng = np.random.default_rng(0)
    event = evaluation.evaluate(
        test, np.log(one_hot([0])), clips, {}, decision, rng, {"n1-CA"}
    ).metrics["event"]
    assert event["footage_hours"] == pytest.approx(2 * 20 / 3600)
    assert event["normal_hours"] == pytest.approx((20 - 4 / 3) / 3600)


def test_predictions_name_each_window() -> None:
    test = windows(["a-CA", "b-CA"], [0, 3])
    clips = [clip("a-CA", "theft", "test"), clip("b-CA", NORMAL, "test")]
    header, rows = evaluate(test, one_hot([1, 3]), clips).predictions
    assert list(header) == [
        *("clip", "track", "start_s", "y", "label"),
        *(f"probability_{label}" for label in LABELS),
    ]
    assert rows[0] == ("a-CA", 1, 0.0, "theft", "assault", 0.1, 0.7, 0.1, 0.1)


def test_nothing_to_evaluate_is_an_error() -> None:
    clips = [clip("a-CA", "theft", "test")]
    with pytest.raises(EmptyError, match="0 test windows"):
        evaluate(Windows.empty(SPEC), np.empty((0, 4)), clips)
    with pytest.raises(EmptyError, match="0 test clips"):
        evaluate(windows(["a"], [0]), one_hot([0]), [])


def test_everything_is_told_with_how_sure_it_is() -> None:
    clips = [clip(f"{label}{i}-CA", label, "test") for label in LABELS for i in range(3)]
    y = [LABELS.index(c.label) for c in clips]
    test = windows([c.clip_id for c in clips], y)
    said = one_hot([*y[:-1], 0])  # a normal clip is taken for theft
    result = evaluate(replace(test, start_s=np.zeros(len(y))), said, clips)
    for level in ("window", "clip"):
        low, high = (result.metrics[level]["macro_f1_95"][end] for end in ("low", "high"))
        assert 0.5 < low < result.metrics[level]["macro_f1"] < high == 1
    event = result.metrics["event"]
    # The first window of a clip, here of 4 / 3 s, cannot have raised an alarm before its end.
    assert event["normal_hours"] == pytest.approx(3 * (20 - 4 / 3) / 3600)
    assert event["resolution_per_hour"] == pytest.approx(1 / event["normal_hours"])
    assert event["operating"]["recall"] == 1
    assert event["operating"]["recall_95"] == {"low": pytest.approx(0.025 ** (1 / 9)), "high": 1}
    assert event["operating"]["false_alarms"] == 1
    rate = event["operating"]["false_alarms_per_hour_95"]
    assert rate["low"] < event["operating"]["false_alarms_per_hour"] < rate["high"]
    assert event["at_5_per_hour"]["false_alarms"] == 0
    told = result.metrics["calibration"]
    assert told["bins"] == 15
    assert told["ece"] == told["ece_uncalibrated"] == pytest.approx(11 / 12 - 0.7)
    json.dumps(result.metrics, allow_nan=False)


def test_temperature_is_in_all_that_is_said_but_in_no_name() -> None:
    test = windows(["a-CA", "b-CA"], [0, 3])
    clips = [clip("a-CA", "theft", "test"), clip("b-CA", NORMAL, "test")]
    plain, soft = (evaluate(test, one_hot([1, 3]), clips, temperature=t) for t in (1.0, 4.0))
    assert plain.plots["confusion_windows"] == soft.plots["confusion_windows"]
    assert plain.metrics["calibration"]["ece"] == soft.metrics["calibration"]["ece_uncalibrated"]
    assert plain.predictions.rows[0][-4:] != soft.predictions.rows[0][-4:]
    rows = [
        [row for row in p.plots["reliability"].rows if row[0] == "as they come"]
        for p in (plain, soft)
    ]
    assert rows[0] == rows[1]


# --- curves ---


@given(seeds, st.integers(2, 600), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_curves_are_short_finite_and_keep_their_area(seed: int, n: int, present: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, present, n)
    probability = rng.dirichlet(np.ones(4), n) + 0.5 * np.eye(4)[y]
    probability /= probability.sum(axis=1, keepdims=True)
    pr, roc = list(pr_curves(y, probability, LABELS)), list(roc_curves(y, probability, LABELS))
    for i, label in enumerate(LABELS):
        part = np.array([row[1:] for row in roc if row[0] == label], dtype=float)
        assert (len(part) > 0) == (0 < (y == i).sum() < n)
        if len(part):
            area = np.trapezoid(part[:, 1], part[:, 0])
            assert area == pytest.approx(roc_auc_score(y == i, probability[:, i]), abs=0.02)
        part = np.array([row[1:] for row in pr if row[0] == label], dtype=float)
        assert (len(part) > 0) == (y == i).any()
        if len(part):
            assert part[-1].tolist() == [1, 0, 1]
            assert part[0, 1] == 1
    assert all(np.isfinite(row[1:]).all() for row in [*pr, *roc])
    counts = [sum(row[0] == label for row in rows) for rows in (pr, roc) for label in LABELS]
    assert max(counts) <= 200


def test_each_seed_is_measured_alone() -> None:
    torch.manual_seed(0)
    members = [dict(models.build("bilstm", 4).state_dict()) for _ in range(3)]
    trained = Checkpoint("bilstm", {}, tuple(members), BodyScaling(), SPEC, LABELS)
    clips = [clip(f"{label}-CA", label, "test") for label in LABELS]
    made = windows([c.clip_id for c in clips for _ in range(5)], [i // 5 for i in range(20)])
    x = np.random.default_rng(0).normal(size=made.x.shape).astype(np.float32)
    test = replace(made, x=x)
    decision = Decision.of(trained, clip_share=0.25)
    told = over_seeds(trained, test, clips, decision)
    for i, member in enumerate(members):
        alone = replace(trained, members=(member,)).classifier()
        logits = alone.logits(test.x, test.valid)
        rng = np.random.default_rng(0)
        expected = evaluation.evaluate(test, logits, clips, {}, decision, rng).metrics
        for level in ("window", "clip"):
            for name in ("accuracy", "macro_f1"):
                assert told[level][name]["values"][i] == expected[level][name]
    assert told["window"]["accuracy"]["std"] > 0
    assert set(told) == {"window", "clip"}
