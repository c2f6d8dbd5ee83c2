from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.peers import (
    TCN,
    AttentionBiLSTM,
    BonelessBiLSTM,
    JointsBiLSTM,
    LastStepBiLSTM,
    MotionlessBiLSTM,
)
from yololstm.models import BiLSTM

PEERS = [
    *(TCN, AttentionBiLSTM, BonelessBiLSTM, JointsBiLSTM, LastStepBiLSTM, MotionlessBiLSTM),
]


def inputs(n: int, steps: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(n, steps, 26), torch.rand(n, steps, 13) >= 0.2


@pytest.mark.parametrize("peer", PEERS)
def test_logits_of_any_length_depend_on_the_order_of_steps(peer: type[nn.Module]) -> None:
    model = peer(4).eval()
    for steps in (1, 16, 33):
        assert model(*inputs(5, steps)).shape == (5, 4)
    x, valid = inputs(3)
    assert not torch.allclose(model(x, valid), model(x.flip(1), valid.flip(1)), atol=1e-4)


@pytest.mark.parametrize("peer", PEERS)
def test_every_weight_learns(peer: type[nn.Module]) -> None:
    model = peer(4)
    model(*inputs(8)).logsumexp(1).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_features_that_are_left_out_are_bones_motion_or_both() -> None:
    x, valid = inputs(3)
    whole = BiLSTM(4).features(x, valid)
    joints, bones, motion = whole[..., :26], whole[..., 26:54], whole[..., 54:80]
    for peer, parts in (
        (BonelessBiLSTM, [joints, motion]),
        (MotionlessBiLSTM, [joints, bones]),
        (JointsBiLSTM, [joints]),
    ):
        torch.testing.assert_close(peer(4).features(x, valid), torch.cat(parts, dim=2))


def test_attention_starts_near_the_mean_and_can_leave_it() -> None:
    x, valid = inputs(3)
    model = AttentionBiLSTM(4).eval()
    torch.nn.init.zeros_(model.attention.weight)
    torch.testing.assert_close(model(x, valid), BiLSTM.forward(model, x, valid))
    torch.nn.init.normal_(model.attention.weight)
    assert not torch.allclose(model(x, valid), BiLSTM.forward(model, x, valid), atol=1e-4)
