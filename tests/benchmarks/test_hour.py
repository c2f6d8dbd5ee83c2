"""How a clip is made longer; the run itself takes a quarter of an hour."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks import hour, ways
from yololstm import video


def test_clip_goes_on_and_on(tmp_path: Path) -> None:
    clip, longer = tmp_path / "clip.mp4", tmp_path / "longer.mp4"
    with video.writing(clip, Fraction(3), 64, 48) as writer:
        for shade in range(0, 250, 50):
            writer.write(np.full((48, 64, 3), shade, dtype=np.uint8))
    hour.repeat(clip, longer, 4)
    np.testing.assert_allclose(video.frame_times(longer), np.arange(20) / 3, atol=1e-3)
    once = [frame.image for frame in video.read(clip)]
    for number, frame in enumerate(video.read(longer)):
        np.testing.assert_array_equal(frame.image, once[number % 5])


def test_memory_is_of_a_process_of_its_own() -> None:
    """Not of this one, which is larger."""
    here = np.ones(300_000_000, dtype=np.uint8)
    size, peak = ways.apart(ways.resident_bytes)
    assert 0 < size <= peak < ways.resident_bytes()
    assert here.sum() == len(here)
