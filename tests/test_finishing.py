from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.footage import LABELS, SPEC, clip, windows
from yololstm import models
from yololstm.calibration import nll
from yololstm.clips import NORMAL, Clip, Span
from yololstm.events import FALLBACK, Rule
from yololstm.finishing import finish
from yololstm.inference import Checkpoint, Classifier
from yololstm.scaling import BodyScaling
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


def test_what_is_fitted_is_kept_and_the_rest_of_the_rule_is_as_asked() -> None:
    windows_, clips = val()
    ready, warnings = finish(trained(), windows_, clips, 60.0, **REST)
    assert warnings == ["no event of assault in val: its threshold knows of false alarms only"]
    logits = Classifier.from_checkpoint(ready).logits(windows_.x, windows_.valid)
    assert ready.temperature > 1.2
    assert nll(logits, windows_.y, ready.temperature) < nll(logits, windows_.y)
    assert replace(ready.rule, enter={}) == Rule({}, **REST)
    assert set(ready.rule.enter) == {"theft", "assault"}


def test_clips_of_other_splits_and_windows_without_a_label_do_not_matter_to_it() -> None:
    windows_, clips = val()
    others = [replace(clip(f"x{i}-CA", THEFT, seconds=9999), split="test") for i in range(3)]
    assert finish(trained(), windows_, [*others, *clips], 60.0, **REST)[0].rule == (
        finish(trained(), windows_, clips, 60.0, **REST)[0].rule
    )
    unnamed = replace(windows_, y=np.where(windows_.clip == "n0-CA", -1, windows_.y))
    named = windows_[windows_.clip != "n0-CA"]
    ready = [finish(trained(), part, clips, 60.0, **REST)[0] for part in (unnamed, named)]
    assert ready[0].temperature == ready[1].temperature


def test_a_rate_that_val_cannot_show_is_told() -> None:
    windows_, clips = val()
    _, warnings = finish(trained(), windows_, clips, 1.0, **REST)
    assert any("1.8 minutes of normal footage in val are too few" in line for line in warnings)


def test_without_val_windows_all_is_as_it_was() -> None:
    windows_, clips = val()
    ready, (warning,) = finish(trained(), windows_[:0], clips, 1.0, **REST)
    assert "no windows in val" in warning
    assert ready.temperature == 1
    assert {ready.rule.threshold(label) for label in LABELS} == {FALLBACK}


def test_without_a_label_in_val_only_the_temperature_is_as_it_was() -> None:
    windows_, clips = val()
    unnamed = replace(windows_, y=np.full(len(windows_), -1))
    ready, warnings = finish(trained(), unnamed, clips, 60.0, **REST)
    assert ready.temperature == 1
    assert set(ready.rule.enter) == {"theft", "assault"}
    assert warnings[0].startswith("no window in val has a label")


def test_a_single_label_in_val_is_told() -> None:
    windows_, clips = val()
    normal = [c for c in clips if not c.spans]
    alone = windows_[np.isin(windows_.clip, [c.clip_id for c in normal])]
    ready, warnings = finish(trained(), alone, normal, 60.0, **REST)
    assert ready.temperature == 1
    assert any("fewer than two labels in val" in line for line in warnings)
    assert any("no event of theft in val" in line for line in warnings)
