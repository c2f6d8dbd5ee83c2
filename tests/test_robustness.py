from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from tests.people import LABELS, SOURCE, acting, clip, landmarks
from yololstm import evaluation, models, robustness
from yololstm.clips import NORMAL, Clip
from yololstm.evaluation import Decision
from yololstm.events import Rule
from yololstm.inference import Classifier
from yololstm.landmarks import Landmarks
from yololstm.robustness import ERROR, Case, Row, measure, summary
from yololstm.scaling import BodyScaling
from yololstm.segmentation import segment_all
from yololstm.skeleton import torso_length
from yololstm.trained import TorchNetwork
from yololstm.windows import Windows, WindowSpec

SPEC = WindowSpec(fps=3, length=8, hop=4, max_gap_s=1.0, min_valid=0.5)
DECISION = Decision(LABELS, 1.0, Rule(), clip_share=0.25)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def two_people(fps: float = 3, seconds: int = 60) -> Landmarks:
    times = np.arange(int(seconds * fps)) / fps
    people = {1: (times, acting(NORMAL, times, rng())), 2: (times, acting("theft", times, rng()))}
    return landmarks(people, replace(SOURCE, fps=Fraction(fps)))


def known(seen: Landmarks) -> np.ndarray:
    return np.isfinite(seen.xy[..., 0])


def torsos(seen: Landmarks) -> np.ndarray:
    """(N,) the median of each row's person."""
    length = torso_length(seen.xy)
    medians = {t: np.median(length[seen.track == t]) for t in (1, 2)}
    return np.array([medians[t] for t in seen.track.tolist()])


# --- disturbances ---


def test_noise_is_a_share_of_the_torso() -> None:
    seen = two_people()
    error = (robustness.noise(seen, 0.1, rng()).xy - seen.xy) / torsos(seen)[:, None, None]
    assert error.std() == pytest.approx(0.1, rel=0.05)
    assert abs(error.mean()) < 0.01


def test_noise_knows_the_size_of_those_whose_torso_is_never_seen() -> None:
    seen = two_people()
    headless = seen.xy.copy()
    headless[:, [0, 3]] = np.nan  # shoulders
    blind = replace(seen, xy=headless)
    error = (robustness.noise(blind, 0.1, rng()).xy - blind.xy) / torsos(seen)[:, None, None]
    np.testing.assert_array_equal(np.isnan(error[..., 0]), ~known(blind))
    assert 0.05 < np.nanstd(error) < 0.2


@pytest.mark.parametrize("name", ["dropped_joints", "dropped_frames"])
def test_dropped_is_as_much_as_was_asked_and_a_worse_level_holds_a_better_one(name: str) -> None:
    seen = two_people()
    left = [known(getattr(robustness, name)(seen, level, rng())) for level in (0.1, 0.4)]
    for level, there in zip((0.1, 0.4), left, strict=True):
        assert 1 - there.mean() == pytest.approx(level, abs=0.06)
    assert (left[0] | ~left[1]).all()
    whole = (left[1].all(axis=1) | ~left[1].any(axis=1)).all()
    assert whole == (name == "dropped_frames")


def test_what_is_absent_has_no_confidence_and_all_else_stays() -> None:
    seen = two_people()
    worse = robustness.dropped_joints(seen, 0.3, rng())
    np.testing.assert_array_equal(worse.confidence > 0, known(worse))
    np.testing.assert_array_equal(worse.xy[known(worse)], seen.xy[known(worse)])
    for name in ("frame", "time_s", "track", "box"):
        np.testing.assert_array_equal(getattr(worse, name), getattr(seen, name))


@pytest.mark.parametrize(("fps", "rate"), [(30, 10), (30, 5), (25, 10), (10, 3), (3, 2)])
def test_a_lower_rate_keeps_so_many_frames_evenly(fps: int, rate: int) -> None:
    seen = two_people(fps, seconds=20)
    rounded = replace(seen, time_s=seen.time_s.round(3))  # as many containers have it
    worse = robustness.fps(rounded, rate, rng())
    people = [known(worse)[worse.track == track].all(axis=1) for track in (1, 2)]
    np.testing.assert_array_equal(*people)
    times = np.unique(worse.time_s[known(worse).all(axis=1)])
    assert len(times) == 20 * rate
    assert np.abs(np.diff(times) - 1 / rate).max() < 1 / fps


def test_a_rate_that_is_not_exceeded_changes_nothing() -> None:
    seen = two_people(5)
    assert robustness.fps(seen, 5, rng()) is robustness.fps(seen, 10, rng()) is seen


def test_smaller_people_are_as_wrong_in_pixels_as_larger_ones() -> None:
    seen = two_people()
    worse = robustness.size(seen, 0.5, rng())
    middle = np.array([SOURCE.width, SOURCE.height]) / 2
    added = worse.xy - ((seen.xy - middle) / 2 + middle)
    pixels = ERROR * torsos(seen)
    total = np.sqrt((added / pixels[:, None, None]).var() + 0.5**2)  # of what was wrong before
    assert total == pytest.approx(1, rel=0.05)


# --- what becomes of the metrics ---


@cache
def network() -> nn.Module:
    """That knows the people of ``shop``."""
    torch.manual_seed(0)
    model = models.build("bilstm", 4)
    test = windows_of(people((3, 3, 3, 3)), SPEC)
    x, valid, y = map(torch.from_numpy, (test.x, test.valid, test.y))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x, valid), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def classifier(spec: WindowSpec = SPEC) -> Classifier:
    return Classifier(TorchNetwork(network()), BodyScaling(), spec, LABELS)


def people(fps: Sequence[int]) -> list[tuple[Clip, Landmarks | None]]:
    """A clip of each label."""
    seen: list[tuple[Clip, Landmarks | None]] = []
    for label, rate in zip(LABELS, fps, strict=True):
        times = np.arange(20 * rate) / rate
        made = {1: (times, acting(label, times, rng()))}
        source = replace(SOURCE, fps=Fraction(rate))
        seen.append((clip(f"{label}-CA", label, "test"), landmarks(made, source)))
    return seen


def windows_of(seen: Sequence[tuple[Clip, Landmarks | None]], spec: WindowSpec) -> Windows:
    test = segment_all(seen, spec, LABELS, 0.6).windows["test"]
    return replace(test, x=BodyScaling().transform(test.x, test.valid))


def shop(
    spec: WindowSpec = SPEC, fps: Sequence[int] = (3, 3, 3, 3)
) -> tuple[list[tuple[Clip, Landmarks | None]], Windows, np.ndarray]:
    """People with their windows and logits, as evaluate has them."""
    seen = people(fps)
    test = windows_of(seen, spec)
    return seen, test, classifier(spec).logits(test.x, test.valid)


def measured(
    seen: Sequence[tuple[Clip, Landmarks | None]], test: Windows, logits: np.ndarray
) -> list[Row]:
    return measure(seen, test, logits, classifier(test.spec), DECISION, rng())


def test_as_it_is_scores_as_evaluate_does() -> None:
    seen, test, logits = shop()
    clips = [clip for clip, _ in seen]
    told = evaluation.evaluate(test, logits, clips, {}, DECISION, rng()).metrics
    rows = [row for row in measured(seen, test, logits) if row.level == 0]
    assert len({row[1:] for row in rows}) == 1
    assert rows[0][1:] == (
        *(0, told["window"]["accuracy"], told["window"]["macro_f1"], told["clip"]["macro_f1"]),
        told["windows"],
    )


def test_landmarks_as_they_are_give_the_logits_of_test() -> None:
    seen, test, logits = shop()
    for made, filmed in seen:
        assert filmed is not None
        cases = {Case("noise", 0.0): robustness.noise(filmed, 0.0, rng())}
        ((_, windows, again),) = robustness._classified(cases, classifier())
        mine = test.clip == made.clip_id
        np.testing.assert_array_equal(windows.start_s, test.start_s[mine])
        np.testing.assert_allclose(again, logits[mine], atol=1e-5)


def test_rates_that_no_clip_exceeds_have_no_row() -> None:
    rows = measured(*shop())
    assert [row.level for row in rows if row.disturbance == "fps"] == [0, 2]
    rows = measured(*shop(fps=(3, 30, 8, 3)))
    assert [row.level for row in rows if row.disturbance == "fps"] == [0, 10, 5, 3, 2]
    assert [row.level for row in rows if row.disturbance == "noise"] == [0, 0.02, 0.05, 0.1, 0.2]


def test_metrics_fall_with_the_windows_and_a_clip_without_any_is_normal() -> None:
    rows = measured(*shop(replace(SPEC, max_gap_s=0.4, min_valid=0.85)))
    by_level = {row.level: row for row in rows if row.disturbance == "dropped_joints"}
    left = [row.windows for row in by_level.values()]
    assert left == sorted(left, reverse=True)
    good, worse, nothing = (by_level[level] for level in (0, 0.2, 0.4))
    assert (good.window_macro_f1, good.clip_macro_f1) == (1, 1)
    assert worse.window_macro_f1 is not None
    assert worse.window_macro_f1 < 0.9
    assert (nothing.windows, nothing.window_accuracy, nothing.window_macro_f1) == (0, None, None)
    # All four clips are taken for the normal one: F1 of 0.4, and 0 for the others.
    assert nothing.clip_macro_f1 == pytest.approx(0.4 / 4)


def test_only_the_clips_that_are_shown_count() -> None:
    seen, test, logits = shop()
    rows = measured(seen[:2], test, logits)
    assert {row.windows for row in rows if not row.level} == {
        int(np.isin(test.clip, ["theft-CA", "assault-CA"]).sum())
    }


def test_a_clip_without_landmarks_counts() -> None:
    seen, test, logits = shop()
    lost = test.clip != "theft-CA"
    rows = measured([(seen[0][0], None), *seen[1:]], test[lost], logits[lost])
    clips = [clip for clip, _ in seen]
    told = evaluation.evaluate(test[lost], logits[lost], clips, {}, DECISION, rng()).metrics
    assert rows[0].clip_macro_f1 == told["clip"]["macro_f1"]


def test_the_same_numbers_give_the_same_rows() -> None:
    shown = shop()
    assert measured(*shown) == measured(*shown)


def test_summary_is_small_and_has_no_level_0() -> None:
    rows = measured(*shop())
    told = summary(rows)
    assert list(told) == ["noise", "dropped_joints", "dropped_frames", "fps", "size"]
    assert list(told["size"]) == ["0.5", "0.25"]
    last = rows[-1]
    assert told["size"]["0.25"] == {
        "window_macro_f1": last.window_macro_f1,
        "clip_macro_f1": last.clip_macro_f1,
    }
    json.dumps(told, allow_nan=False)
    assert robustness.table(rows).rows[1][:2] == ("noise", "0.02")
