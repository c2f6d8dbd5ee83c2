from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import drawn
from yololstm import video
from yololstm.detector import Detector
from yololstm.landmarks import Category
from yololstm.tracking import UNTRACKED, Tracker

WIDTH, HEIGHT = 100.0, 300.0


def person(x: float, y: float = 200.0) -> list[float]:
    return [x, y, x + WIDTH, y + HEIGHT]


def follow(
    frames: list[list[list[float]]], fps: float, score: float = 0.9
) -> list[NDArray[np.int32]]:
    """The numbers in each frame; the boxes jitter as a detector's do."""
    rng = np.random.default_rng(0)
    tracker = Tracker(fps)
    numbers = []
    for boxes in frames:
        box = np.array(boxes, dtype=np.float32).reshape(-1, 4)
        noise = rng.normal(0, 2, box.shape).astype(np.float32)
        numbers.append(tracker.update(box + noise, np.full(len(box), score, dtype=np.float32)))
    return numbers


def distinct(numbers: list[NDArray[np.int32]]) -> set[tuple[int, ...]]:
    return {tuple(row.tolist()) for row in numbers}


@pytest.mark.parametrize("fps", [3, 10, 30])
@pytest.mark.parametrize("widths_a_second", [0.0, 1.0, 2.5, 3.5])
def test_walker_keeps_the_number(fps: int, widths_a_second: float) -> None:
    step = widths_a_second * WIDTH / fps
    numbers = follow([[person(step * i)] for i in range(4 * fps)], fps)
    assert distinct(numbers) == {(1,)}


@pytest.mark.parametrize("fps", [3, 30])
def test_number_is_kept_from_standing_to_a_brisk_walk(fps: int) -> None:
    """Nothing announces it: at 3 frames a second the first step leaves the box."""
    places = [300.0] * (2 * fps) + [300.0 + 4.5 * WIDTH * i / fps for i in range(1, 2 * fps)]
    assert distinct(follow([[person(x)] for x in places], fps)) == {(1,)}


@pytest.mark.parametrize("fps", [3, 10, 30])
@pytest.mark.parametrize("widths_a_second", [0.7, 1.5, 2.5])
def test_two_who_cross_keep_their_numbers(fps: int, widths_a_second: float) -> None:
    step, n = widths_a_second * WIDTH / fps, 4 * fps
    frames = [[person(step * i), person(step * (n - 1 - i), 215.0)] for i in range(n)]
    assert distinct(follow(frames, fps)) == {(1, 2)}


@pytest.mark.parametrize("fps", [3, 30])
def test_numbers_follow_the_persons_not_the_order(fps: int) -> None:
    there, here = person(100.0), person(700.0)
    frames = [[there, here] if i % 2 else [here, there] for i in range(2 * fps)]
    assert distinct(follow(frames, fps)) == {(1, 2), (2, 1)}


@pytest.mark.parametrize("fps", [3, 30])
def test_hidden_for_a_second_and_back(fps: int) -> None:
    frames = [[person(100.0)]] * fps + [[]] * fps + [[person(100.0)]] * fps
    assert distinct(follow(frames, fps)) == {(1,), ()}


@pytest.mark.parametrize("fps", [3, 30])
def test_gone_for_long_comes_back_as_another(fps: int) -> None:
    numbers = follow([[person(100.0)], *[[]] * (5 * fps), [person(100.0)]], fps)
    assert (numbers[0].tolist(), numbers[-1].tolist()) == ([1], [2])


def test_unsure_boxes_continue_tracks_but_start_none() -> None:
    tracker = Tracker(3.0)
    both = np.array([person(100.0), person(700.0)], dtype=np.float32)
    sure, fading = np.array([0.9, 0.3], dtype=np.float32), np.array([0.3, 0.3], dtype=np.float32)
    assert tracker.update(both, sure).tolist() == [1, UNTRACKED]
    assert tracker.update(both, fading).tolist() == [1, UNTRACKED]
    assert tracker.update(both, sure[::-1]).tolist() == [1, 2]


def test_trackers_do_not_share_numbers() -> None:
    first, second = Tracker(3.0), Tracker(3.0)
    box, score = np.array([person(10.0)], dtype=np.float32), np.ones(1, dtype=np.float32)
    for _ in range(3):
        assert first.update(box, score).tolist() == [1]
        assert second.update(box, score).tolist() == [1]


def test_no_boxes() -> None:
    none = Tracker(30.0).update(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    assert (none.shape, none.dtype) == ((0,), np.int32)


@pytest.mark.parametrize("every", [1, 9])
def test_two_persons_in_contact_are_not_swapped(real_data: Path, every: int) -> None:
    """The left one stays on the left, at 28 and at 3 frames a second."""
    drawn.needs_openvino()
    weights = real_data / "models" / "yolo11n_int8_openvino_model"
    detector, tracker = Detector(weights, 640, 0.4), Tracker(28.05 / every)
    orders = []
    for frame in video.read(real_data / "data" / "video" / "two-people.mp4"):
        if frame.index % every:
            continue
        (found,) = detector([frame.image])
        found = found.only(Category.PERSON)
        number = tracker.update(found.box, found.score)
        orders.append(tuple(number[np.argsort(found.box[:, 0])].tolist()))
    assert len(orders) == 72 // every
    assert set(orders) in ({(1, 2)}, {(2, 1)})
