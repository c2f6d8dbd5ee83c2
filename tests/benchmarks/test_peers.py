from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks.peers import TCN, BonelessBiLSTM
from yololstm.models import joints_bones_motion

PEERS = [TCN, BonelessBiLSTM]


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


def test_boneless_features_are_those_of_bilstm_but_for_the_bones() -> None:
    x, valid = inputs(3)
    all_of_them = joints_bones_motion(x, valid)
    expected = torch.cat([all_of_them[..., :26], all_of_them[..., 54:80]], dim=2)
    torch.testing.assert_close(BonelessBiLSTM(4).features(x, valid), expected)
