from __future__ import annotations

import pytest
import torch
from torch import nn

from yololstm import models
from yololstm.augmentation import flipped
from yololstm.models import StepDropout, both_ways, joints_bones_motion
from yololstm.skeleton import BONES

NAMES = sorted(models.MODELS)


def inputs(n: int, steps: int = 16, absent: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, steps, 26), torch.rand(n, steps, 13) >= absent


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 16, 33])
def test_logits_of_any_batch_and_length(name: str, steps: int) -> None:
    model = models.build(name, 4).eval()
    x, valid = inputs(5, steps)
    logits = model(x, valid)
    assert logits.shape == (5, 4)
    one_by_one = torch.cat([model(x[i : i + 1], valid[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(one_by_one, logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_steps_matters(name: str) -> None:
    """A reshape that scrambled time and features would not tell one from the other."""
    model = models.build(name, 4).eval()
    x, valid = inputs(3, absent=0)
    assert not torch.allclose(model(x, valid), model(x.flip(1), valid), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name: str) -> None:
    model = models.build(name, 4)
    model(*inputs(8)).logsumexp(1).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_the_callers_to_choose(name: str) -> None:
    model = models.build(name, 4, dropout=0.0).train()
    x, valid = inputs(4)
    assert torch.equal(model(x, valid), model(x, valid))
    model = models.build(name, 4, dropout=0.9).train()
    assert not torch.equal(model(x, valid), model(x, valid))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_step_dropout_drops_its_share_and_keeps_the_mean(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(101, 33, 31, dtype=dtype, requires_grad=True)
    y = StepDropout(0.3)(x)  # 77 of 256
    y.sum().backward()
    assert y.dtype == dtype
    assert float((y == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert y[y != 0].float().tolist() == pytest.approx([256 / 179] * int((y != 0).sum()), rel=4e-3)
    assert x.grad is not None and torch.equal(x.grad, y.detach())


def test_step_dropout_draws_anew_and_follows_the_seed() -> None:
    x, dropout = torch.ones(4, 5, 6), StepDropout(0.5)
    torch.manual_seed(3)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x)) and not torch.equal(first, second)


def test_step_dropout_of_nothing_and_everything_and_in_use() -> None:
    x = torch.randn(3, 5, 7)
    assert torch.equal(StepDropout(0.0)(x), x)
    assert not StepDropout(1.0)(x).any()
    assert torch.equal(StepDropout(0.5).eval()(x), x)


def test_lstm_knows_nothing_of_what_is_to_come() -> None:
    model = models.build("lstm", 4).eval()
    known: list[torch.Tensor] = []
    model.get_submodule("lstm").register_forward_hook(lambda _, __, found: known.append(found[0]))
    x, valid = inputs(3)
    model(x, valid)
    x[:, 9:] += 1
    valid[:, 9:] = ~valid[:, 9:]
    model(x, valid)
    torch.testing.assert_close(known[1][:, :9], known[0][:, :9])
    assert not torch.allclose(known[1][:, 9:], known[0][:, 9:], atol=1e-3)


@pytest.mark.parametrize("centre", [0.0, 0.5])
def test_both_ways_a_mirror_image_is_the_same(centre: float) -> None:
    model = models.build("bilstm", 4).eval()
    x, valid = inputs(6)
    mirrored = flipped(x, valid, torch.ones(6, dtype=torch.bool), centre)
    logits = both_ways(model, x, valid, centre)
    torch.testing.assert_close(both_ways(model, *mirrored, centre), logits, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(model(x, valid), model(*mirrored), atol=1e-3)


def test_ensemble_says_the_mean_of_its_members() -> None:
    members = [models.build(name, 4).eval() for name in NAMES]
    x, valid = inputs(5)
    said = torch.stack([member(x, valid) for member in members])
    torch.testing.assert_close(models.Ensemble(members)(x, valid), said.mean(0))
    assert torch.equal(models.Ensemble(members[:1])(x, valid), said[0])


def test_ensemble_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="no members"):
        models.Ensemble([])


def test_stacked_lstm_is_the_old_one() -> None:
    model = models.build("stacked_lstm", 4)
    layers = [m for m in model.modules() if isinstance(m, nn.LSTM)]
    assert [(layer.input_size, layer.hidden_size) for layer in layers] == [
        (26, 128),
        (128, 256),
        (256, 128),
    ]
    assert [m.p for m in model.modules() if isinstance(m, StepDropout)] == [0.1]


def test_features_are_joints_bones_and_their_change() -> None:
    x, _ = inputs(2, steps=3)
    features = joints_bones_motion(x, torch.ones(2, 3, 13, dtype=torch.bool))
    assert features.shape == (2, 3, 108)
    parent, child = BONES[5]
    bone = x[..., 2 * child : 2 * child + 2] - x[..., 2 * parent : 2 * parent + 2]
    torch.testing.assert_close(features[..., :26], x)
    torch.testing.assert_close(features[..., 36:38], bone)
    assert not features[:, 0, 54:].any()
    torch.testing.assert_close(features[:, 1:, 54:80], x[:, 1:] - x[:, :-1])
    torch.testing.assert_close(features[:, 1:, 90:92], bone[:, 1:] - bone[:, :-1])


def test_absent_joint_counts_for_nothing_wherever_it_is_said_to_be() -> None:
    x, valid = inputs(2)
    valid[:, 5, 0] = False
    elsewhere = x.clone()
    elsewhere[:, 5, :2] = 1e3
    torch.testing.assert_close(joints_bones_motion(elsewhere, valid), joints_bones_motion(x, valid))
