"""Clips that benchmarks make longer and shorter."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import remux
from yololstm import video


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Five frames."""
    path = tmp_path / "clip.mp4"
    with video.writing(path, Fraction(3), 64, 48) as writer:
        for shade in range(0, 250, 50):
            writer.write(np.full((48, 64, 3), shade, dtype=np.uint8))
    return path


def test_clip_goes_on_and_on(clip: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.mp4"
    remux.repeat(clip, longer, 4)
    np.testing.assert_allclose(video.frame_times(longer), np.arange(20) / 3, atol=1e-3)
    once = [frame.image for frame in video.read(clip)]
    for number, frame in enumerate(video.read(longer)):
        np.testing.assert_array_equal(frame.image, once[number % 5])


def test_clip_ends_early(clip: Path, tmp_path: Path) -> None:
    shorter = tmp_path / "shorter.mp4"
    remux.cut(clip, shorter, 0.5)
    once = [frame.image for frame in video.read(clip)]
    beginning = [frame.image for frame in video.read(shorter)]
    assert 2 <= len(beginning) < len(once)
    np.testing.assert_array_equal(beginning, once[: len(beginning)])
