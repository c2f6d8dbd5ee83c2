"""What a process of its own costs."""

from __future__ import annotations

import numpy as np

from benchmarks import ways


def test_memory_is_of_a_process_of_its_own() -> None:
    """Not of this one, which is larger."""
    here = np.ones(300_000_000, dtype=np.uint8)
    size, peak = ways.apart(ways.resident_bytes)
    assert 0 < size <= peak < ways.resident_bytes()
    assert here.sum() == len(here)
