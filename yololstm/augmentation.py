"""Training windows made different at random: mirrored, turned, resized.

x: (B, T, 26) scaled, valid: (B, T, 13); the same number for a whole window, so that motion stays
motion. ``centre`` is the scaling's; absent joints lie there and stay there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Self

import torch
from torch import Tensor

from yololstm.skeleton import FLIP


@dataclass(frozen=True)
class Augmentation:
    mirror: float = 0.5
    """Probability of a mirror image."""
    rotate: float = 0.15
    """Standard deviation, radians."""
    scale: float = 0.1
    """Standard deviation of the logarithm of each axis."""

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """What is named at its default, the rest off. Raises KeyError."""
        full = asdict(cls())
        return cls(**{**dict.fromkeys(full, 0.0), **{name: full[name] for name in names}})

    def __call__(
        self, x: Tensor, valid: Tensor, centre: float, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Leaves its arguments as they are. generator: on the device of x. As many numbers are
        drawn for what is off, so that the rest is what it was."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, device=x.device)

        n = len(x)
        which = torch.rand(n, generator=generator, device=x.device) < self.mirror
        x, valid = flipped(x, valid, which, centre)
        x = turned(x, self.rotate * normal(n), centre)
        return resized(x, torch.exp(self.scale * normal(n, 2)), centre), valid


def flipped(x: Tensor, valid: Tensor, which: Tensor, centre: float) -> tuple[Tensor, Tensor]:
    """Mirror the windows in ``which`` (B,); see mirrored."""
    images, valid_images = mirrored(x, valid, centre)
    return (
        torch.where(which[:, None, None], images, x),
        torch.where(which[:, None, None], valid_images, valid),
    )


def mirrored(x: Tensor, valid: Tensor, centre: float) -> tuple[Tensor, Tensor]:
    """Mirror images, from left to right; left joints become right ones."""
    swap = torch.from_numpy(FLIP).to(x.device)
    sign = torch.tensor([-1.0, 1.0], device=x.device)
    image = ((_points(x) - centre).index_select(2, swap) * sign + centre).flatten(2)
    return image, valid.index_select(2, swap)


def turned(x: Tensor, angle: Tensor, centre: float) -> Tensor:
    """Turn each window about the centre by ``angle`` (B,), in radians from x towards y."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    matrix = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
    points = (_points(x) - centre).flatten(1, 2) @ matrix
    return points.reshape(x.shape) + centre


def resized(x: Tensor, factor: Tensor, centre: float) -> Tensor:
    """Stretch each window from the centre by ``factor`` (B, 2) along x and y."""
    return ((_points(x) - centre) * factor[:, None, None, :]).flatten(2) + centre


def _points(x: Tensor) -> Tensor:
    return x.reshape(*x.shape[:2], -1, 2)
