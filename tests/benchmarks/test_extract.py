"""What is made of the times and the persons of a run; the run itself takes minutes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import ways
from benchmarks.extract import _by_the_clock, _met, _most_at_once, _union
from benchmarks.ways import Boxes, Looked
from yololstm import video


def looked(begin_s: float, end_s: float, worker: int, frames: int = 60) -> Looked:
    return Looked("clip", frames, 1.0, begin_s, end_s, worker, 0, np.empty((0, 5), np.float32))


def boxes(*rows: tuple[float, ...]) -> Boxes:
    return np.array(rows, dtype=np.float32).reshape(-1, 5)


def test_two_workers_are_twice_as_fast() -> None:
    one = _by_the_clock([looked(0, 6, 1), looked(6, 12, 1)])
    two = _by_the_clock([looked(0, 6, 1), looked(0, 6, 2)])
    assert two == pytest.approx(2 * one)


def test_last_clip_counts_as_long_as_all_work() -> None:
    alone_at_last = [looked(0, 6, 1), looked(0, 6, 2), looked(6, 12, 1)]
    assert _by_the_clock(alone_at_last) == pytest.approx(20)
    halfway = [looked(0, 6, 1), looked(0, 9, 2, frames=90), looked(6, 12, 1)]
    assert _by_the_clock(halfway) == pytest.approx(20)


def test_same_person_is_met_once() -> None:
    there = boxes((0, 0, 0, 10, 20), (0, 50, 0, 60, 20))
    found = boxes((0, 2, 2, 8, 18), (0, 1, 2, 7, 18))
    is_there, is_found = _met(there, found)
    assert is_there.tolist() == [True, False]
    assert is_found.sum() == 1


def test_persons_of_another_frame_are_others() -> None:
    assert not _met(boxes((0, 0, 0, 10, 20)), boxes((1, 0, 0, 10, 20)))[0].any()


def test_two_who_overlap_are_told_apart() -> None:
    """One could be either, the other only the first."""
    there = boxes((0, 0, 0, 20, 20), (0, 10, 0, 30, 20))
    found = boxes((0, 12, 5, 19, 15), (0, 2, 5, 6, 15))
    assert _met(there, found)[0].all()


def test_touching_is_not_meeting() -> None:
    assert not _met(boxes((0, 0, 0, 10, 20)), boxes((0, 9, 0, 20, 20)))[0].any()


def test_guessed_legs_do_not_hide_who_it_is() -> None:
    behind_a_counter = boxes((0, 0, 0, 80, 100))
    assert _met(behind_a_counter, boxes((0, 10, 40, 70, 200)))[0].all()


def test_nobody_is_met() -> None:
    nobody = boxes()
    assert not _met(boxes((0, 0, 0, 1, 1)), nobody)[0].any()
    assert not len(_met(nobody, nobody)[0])


def test_union_has_everybody_once() -> None:
    one, other = (0, 0, 0, 10, 20), (0, 50, 0, 60, 20)
    assert len(_union(boxes(one), boxes(one, other))) == 2


def test_most_at_once() -> None:
    assert _most_at_once(boxes((0, 0, 0, 1, 1), (1, 0, 0, 1, 1))) == 1
    assert _most_at_once(boxes((0, 0, 0, 1, 1), (0, 5, 0, 6, 1))) == 2
    assert _most_at_once(boxes()) == 0


def test_around_goes_by_the_joints_there_are() -> None:
    xy = np.full((1, 13, 2), np.nan, dtype=np.float32)
    xy[0, 2], xy[0, 5] = (3, 9), (7, 4)
    assert ways.around(np.array([8]), xy).tolist() == [[8, 3, 4, 7, 9]]
    assert ways.around(np.array([], dtype=int), xy[:0]).shape == (0, 5)


def test_ways_see_the_same_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with video.writing(path, Fraction(3), 64, 48) as writer:
        for shade in range(0, 250, 50):
            writer.write(np.full((48, 64, 3), shade, dtype=np.uint8))
    ours = [frame.image for frame in video.read(path)]
    for theirs in (ways._decoded(path), ways._read_at_once(path)):
        assert len(theirs) == len(ours) == 5
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.astype(int), other, atol=6)


def test_benchmark_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main("extract", "extrakt")
    assert "extrakt: no such benchmark. There are index, extract" in capsys.readouterr().err
