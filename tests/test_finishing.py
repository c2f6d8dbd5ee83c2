from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.footage import LABELS, SPEC, clip, windows
from yololstm import models
from yololstm.calibration import nll, softmax
from yololstm.clips import NORMAL, Clip, Span
from yololstm.events import FALLBACK, Rule
from yololstm.finishing import finish
from yololstm.scaling import BodyScaling
from yololstm.scoring import Casts
from yololstm.trained import Checkpoint
from yololstm.windows import Windows

REST = {"leave": 0.6, "min_s": 0.0, "merge_gap_s": 1.0, "cool_down_s": 5.0}
THEFT = Span(6.0, 10.0, "theft")


class Reader(nn.Module):
    """Its logits stand in the windows themselves."""

    def __init__(self, n_labels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_labels))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        return x[:, 0, : len(self.scale)] * self.scale


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.MODELS, "reader", Reader)


def trained() -> Checkpoint:
    state = dict(Reader(len(LABELS)).state_dict())
    return Checkpoint("reader", {}, (state,), BodyScaling(), SPEC, LABELS)


def val(n_normal: int = 3, seconds: int = 20, seed: int = 0) -> tuple[Windows, list[Clip]]:
    """Three thefts and normal clips; one window in ten is said wrongly, and surely."""
    rng = np.random.default_rng(seed)
    clips = [clip(f"t{i}-CA", THEFT) for i in range(3)]
    clips += [clip(f"n{i}-CA", seconds=seconds) for i in range(n_normal)]
    clips = [replace(c, split="val") for c in clips]
    made, _ = windows({(c.clip_id, 1): [0.0] * 18 for c in clips})
    theft = np.char.startswith(made.clip, "t") & (made.start_s >= 6) & (made.start_s <= 8)
    y = np.where(theft, 0, LABELS.index(NORMAL))
    logits = 6.0 * np.eye(3)[np.where(rng.random(len(y)) < 0.1, rng.integers(0, 3, len(y)), y)]
    x = made.x.copy()
    x[:, 0, :3] = logits
    return replace(made, x=x, y=y), clips


def finished(
    windows_: Windows,
    clips: Sequence[Clip],
    rate: float = 60.0,
    casts: Casts | None = None,
    unseen: Collection[str] = (),
) -> tuple[Checkpoint, list[str]]:
    return finish(trained(), windows_, clips, casts or {}, unseen, rate, **REST)


def test_what_is_fitted_is_kept_and_the_rest_of_the_rule_is_as_asked() -> None:
    windows_, clips = val()
    ready, warnings = finished(windows_, clips)
    assert warnings == ["no event of assault in val: its threshold knows of false alarms only"]
    logits = ready.classifier().logits(windows_.x, windows_.valid)
    assert ready.temperature > 1.2
    assert ready.temperature_fitted
    assert nll(logits, windows_.y, ready.temperature) < nll(logits, windows_.y)
    assert replace(ready.rule, enter={}) == Rule({}, **REST)
    assert set(ready.rule.enter) == {"theft", "assault"}
    assert ready.thresholds == "rate"


def test_windows_without_a_label_do_not_matter_to_the_temperature() -> None:
    windows_, clips = val()
    unnamed = replace(windows_, y=np.where(windows_.clip == "n0-CA", -1, windows_.y))
    named = windows_[windows_.clip != "n0-CA"]
    ready = [finished(part, clips)[0] for part in (unnamed, named)]
    assert ready[0].temperature == ready[1].temperature


def test_thresholds_know_who_does_it() -> None:
    """Somebody else is taken for the thief, and surely; the thief himself only just."""
    clips = [replace(clip(f"t{i}-CA", THEFT), split="val") for i in range(3)]
    said = {(c.clip_id, track): [0.0] * 18 for c in clips for track in (1, 2)}
    made, _ = windows(said)
    x, doing = made.x.copy(), (made.start_s >= 6) & (made.start_s <= 8)
    x[:, 0, :3] = [0, 0, 4]
    x[doing & (made.track == 1), 0, :3] = [1, 0, 0]
    x[doing & (made.track == 2), 0, :3] = [6, 0, 0]
    windows_ = replace(made, x=x)
    casts = {(c.clip_id, THEFT): frozenset({1}) for c in clips}
    known, unknown = (finished(windows_, clips, 1.0, who)[0].rule for who in (casts, {}))
    just = float(softmax(np.array([[1.0, 0, 0]]))[0, 0])
    assert known.threshold("theft") < just < unknown.threshold("theft")


def test_a_rate_that_val_cannot_show_is_told() -> None:
    windows_, clips = val()
    ready, warnings = finished(windows_, clips, 1.0)
    assert any("1.5 minutes of normal footage in val are too few" in line for line in warnings)
    assert ready.thresholds == "f1"


def test_clips_that_nobody_looked_at_show_no_rate() -> None:
    windows_, clips = val()
    long = replace(clip("long-CA", seconds=7200), split="val")
    for unseen, came_about in (((), "rate"), (("long-CA",), "f1")):
        assert finished(windows_, [*clips, long], 1.0, None, unseen)[0].thresholds == came_about


def test_without_val_windows_all_is_as_it_was() -> None:
    windows_, clips = val()
    ready, (warning,) = finished(windows_[:0], clips, 1.0)
    assert "no windows in val" in warning
    assert (ready.temperature, ready.temperature_fitted) == (1, False)
    assert {ready.rule.threshold(label) for label in LABELS} == {FALLBACK}
    assert ready.thresholds == "default"
    assert ready.rule == Rule({}, **REST)


@pytest.mark.parametrize("y", [-1, LABELS.index(NORMAL)])
def test_with_fewer_than_two_labels_in_val_only_the_temperature_is_as_it_was(y: int) -> None:
    windows_, clips = val()
    ready, warnings = finished(replace(windows_, y=np.full(len(windows_), y)), clips)
    assert (ready.temperature, ready.temperature_fitted) == (1, False)
    assert set(ready.rule.enter) == {"theft", "assault"}
    assert warnings[0].startswith("fewer than two labels in val")
