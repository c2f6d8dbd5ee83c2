"""Which takes a model learns from, and which are kept to measure it."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping


def by_take(
    labels: Mapping[str, str], *, val_share: float, test_share: float, seed: int
) -> dict[str, str]:
    """A split for every take: "train", "val" or "test".

    labels: take -> its label. Each label is divided alike: at least one of its takes stays in
    train, and from three takes on it is in every split whose share is above 0. Takes are drawn in
    the order of a hash of seed and name.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for take, label in labels.items():
        groups[label].append(take)
    splits = dict.fromkeys(labels, "train")
    for takes in groups.values():
        n_val, n_test = _held_out(len(takes), val_share, test_share)
        drawn = sorted(takes, key=lambda take: _draw(seed, take))
        # From both ends of the order, so that a take that is added moves at most one other over
        # either border.
        splits |= dict.fromkeys(drawn[:n_test], "test")
        splits |= dict.fromkeys(drawn[len(drawn) - n_val :], "val")
    return splits


def _draw(seed: int, take: str) -> bytes:
    return hashlib.sha256(f"{seed}:{take}".encode()).digest()


def _held_out(n: int, val_share: float, test_share: float) -> tuple[int, int]:
    """Numbers of takes for val and test out of ``n``; what is scarce goes to train, then test."""
    kept_for_val = 1 if val_share > 0 and n >= 3 else 0
    n_test = min(_ceil(test_share * n), n - 1 - kept_for_val)
    n_val = min(_ceil(val_share * n), n - 1 - n_test)
    return n_val, n_test


def _ceil(value: float) -> int:
    # 0.1 * 30 is 3.0000000000000004, which means 3.
    return math.ceil(round(value, 9))
