from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.people import FIGURE
from yololstm.augmentation import Augmentation, flipped, resized, turned
from yololstm.skeleton import JOINTS

LEFT, RIGHT = JOINTS.index("WRIST_LEFT"), JOINTS.index("WRIST_RIGHT")
seeds = st.integers(0, 2**32 - 1)
centres = st.sampled_from([0.0, 0.5])


def batch(seed: int, centre: float, n: int = 5) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    xy = FIGURE + rng.normal(0, 0.3, (n, 16, 13, 2)) + centre
    valid = rng.random((n, 16, 13)) > 0.3
    xy[~valid] = centre
    return torch.from_numpy(xy.reshape(n, 16, 26)).float(), torch.from_numpy(valid)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(seeds, centres)
@settings(max_examples=30, deadline=None)
def test_flipped_twice_is_the_same(seed: int, centre: float) -> None:
    x, valid = batch(seed, centre)
    which = torch.tensor([True, False, True, True, False])
    once = flipped(x, valid, which, centre)
    twice = flipped(*once, which, centre)
    torch.testing.assert_close(twice[0], x)
    assert torch.equal(twice[1], valid)
    assert torch.equal(once[0][~which], x[~which])
    assert not torch.equal(once[0][which], x[which])


@given(seeds, centres)
@settings(max_examples=30, deadline=None)
def test_flipped_left_hand_is_a_right_hand_on_the_other_side(seed: int, centre: float) -> None:
    x, valid = batch(seed, centre)
    mirror, known = flipped(x, valid, torch.ones(5, dtype=torch.bool), centre)
    before, after = x.reshape(5, 16, 13, 2), mirror.reshape(5, 16, 13, 2)
    torch.testing.assert_close(after[:, :, RIGHT, 0], 2 * centre - before[:, :, LEFT, 0])
    torch.testing.assert_close(after[:, :, RIGHT, 1], before[:, :, LEFT, 1])
    assert torch.equal(known[:, :, RIGHT], valid[:, :, LEFT])


def test_quarter_turn_takes_x_to_y() -> None:
    x = torch.zeros(1, 1, 26) + 0.5
    x[0, 0, 0] = 1.5
    quarter = turned(x, torch.tensor([torch.pi / 2]), 0.5)
    torch.testing.assert_close(quarter[0, 0, :2], torch.tensor([0.5, 1.5]))


@given(seeds, centres)
@settings(max_examples=30, deadline=None)
def test_turning_keeps_lengths_and_can_be_undone(seed: int, centre: float) -> None:
    x, _ = batch(seed, centre)
    angle = torch.randn(5, generator=generator(seed))
    there = turned(x, angle, centre)
    torch.testing.assert_close(turned(there, -angle, centre), x, atol=1e-5, rtol=1e-5)

    def lengths(x: Tensor) -> Tensor:
        return torch.linalg.norm((x - centre).reshape(5, 16, 13, 2), dim=-1)

    torch.testing.assert_close(lengths(there), lengths(x), atol=1e-5, rtol=1e-5)


def test_resized_stretches_each_axis_from_the_centre() -> None:
    x = torch.tensor([0.5, 0.5, 1.0, 1.0]).repeat(1, 1, 7)[:, :, :26]
    big = resized(x, torch.tensor([[2.0, 3.0]]), 0.5)
    torch.testing.assert_close(big[0, 0, :4], torch.tensor([0.5, 0.5, 1.5, 2.0]))


@given(seeds, centres)
@settings(max_examples=30, deadline=None)
def test_absent_joints_stay_at_the_centre(seed: int, centre: float) -> None:
    x, valid = batch(seed, centre)
    other, known = Augmentation(mirror=1)(x, valid, centre, generator(seed))
    assert torch.equal(known.sum(), valid.sum())
    absent = other.reshape(5, 16, 13, 2)[~known]
    torch.testing.assert_close(absent, torch.full_like(absent, centre))
    assert torch.isfinite(other).all()


def test_same_seed_same_windows_and_arguments_untouched() -> None:
    x, valid = batch(0, 0.0)
    kept = x.clone(), valid.clone()
    a = Augmentation()(x, valid, 0.0, generator(1))
    b = Augmentation()(x, valid, 0.0, generator(1))
    c = Augmentation()(x, valid, 0.0, generator(2))
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[0], c[0])
    assert torch.equal(x, kept[0])
    assert torch.equal(valid, kept[1])


@pytest.mark.parametrize("name", ["rotate", "scale"])
def test_switching_one_off_leaves_the_others_as_they_were(name: str) -> None:
    x, valid = batch(0, 0.0, n=40)

    def made(*names: str) -> Tensor:
        return Augmentation.of(names)(x, valid, 0.0, generator(1))[0]

    mirrored = (made("mirror") != x).flatten(1).any(dim=1)
    assert 10 < mirrored.sum() < 30
    with_mirrors, alone = made("mirror", name), made(name)
    assert torch.equal(with_mirrors[~mirrored], alone[~mirrored])
    assert (alone != x).flatten(1).any(dim=1).all()
    assert not torch.equal(with_mirrors[mirrored], alone[mirrored])


def test_draws_are_as_many_whatever_is_on() -> None:
    x, valid = batch(0, 0.0)
    states = set()
    for names in ((), ("mirror",), ("scale",), ("mirror", "rotate", "scale")):
        drawn = generator()
        Augmentation.of(names)(x, valid, 0.0, drawn)
        states.add(drawn.get_state().numpy().tobytes())
    assert len(states) == 1


def test_switches_are_all_there_is_and_no_more() -> None:
    assert Augmentation.of(["scale", "rotate", "mirror"]) == Augmentation()
    assert Augmentation.of([]) == Augmentation(0, 0, 0)
    with pytest.raises(KeyError, match="flip"):
        Augmentation.of(["flip"])


def test_as_strong_as_it_says() -> None:
    """Half are mirrored; what is not is turned and stretched by the deviations given."""
    n = 4000
    x = torch.from_numpy(FIGURE.reshape(1, 1, 26)).float().repeat(n, 1, 1)
    valid = torch.ones(n, 1, 13, dtype=torch.bool)
    still = Augmentation(rotate=0, scale=0)(x, valid, 0.0, generator())[0]
    mirrored = (still[:, 0, 2 * LEFT] != x[:, 0, 2 * LEFT]).float().mean()
    assert mirrored == pytest.approx(0, abs=1e-6)  # the figure is its own mirror image
    head = Augmentation(mirror=0, scale=0)(x, valid, 0.0, generator())[0][:, 0, -2:]
    assert torch.atan2(head[:, 0], -head[:, 1]).std() == pytest.approx(0.15, rel=0.05)
    tall = Augmentation(mirror=0, rotate=0)(x, valid, 0.0, generator())[0][:, 0, -1]
    assert torch.log(tall / -1.5).std() == pytest.approx(0.1, rel=0.05)
