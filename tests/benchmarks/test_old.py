"""The old recipe is worth measuring against only as long as it has the faults it had."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks import old
from tests.people import acting, clip, landmarks
from yololstm import models
from yololstm.clips import Clip
from yololstm.landmarks import Landmarks

LABELS = ("theft", "assault")


def seen() -> list[tuple[Clip, Landmarks]]:
    rng = np.random.default_rng(0)
    times = np.arange(30) / 3
    return [
        (clip(f"{label}-CA", label, "train"), landmarks({1: (times, acting(label, times, rng))}))
        for label in LABELS
    ]


def test_windows_reach_over_clips() -> None:
    found = old.sequences(seen(), LABELS)
    # 60 rows in one sequence; clip by clip they would be 2 x 4.
    assert found.y.tolist() == [0] * 6 + [1] * 5
    assert found.clip.tolist() == ["theft-CA"] * 6 + ["assault-CA"] * 5


def test_numbers_of_a_window_are_scaled_by_the_table_and_scrambled() -> None:
    clips = seen()
    found = old.sequences(clips, LABELS)
    rows = np.concatenate([marks.xy.reshape(-1, 26) for _, marks in clips])
    scaled = (rows - rows.min(axis=0)) / (rows.max(axis=0) - rows.min(axis=0))
    window = scaled[4:20]
    np.testing.assert_allclose(np.sort(found.x[1].ravel()), np.sort(window.ravel()), atol=1e-6)
    np.testing.assert_allclose(found.x[1].ravel(), window.T.ravel(), atol=1e-6)
    assert not np.allclose(found.x[1], window, atol=1e-3)


def test_model_comes_to_know_its_windows_by_heart() -> None:
    torch.manual_seed(0)
    found = old.sequences(seen(), LABELS)
    model = models.build("stacked_lstm", 2)
    old.train(model, found.x, found.y, epochs=40)
    probability = old.probability(model, found.x)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert (probability.argmax(axis=1) == found.y).mean() > 0.9
