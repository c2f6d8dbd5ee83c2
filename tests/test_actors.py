from __future__ import annotations

import numpy as np
import pytest

from tests.people import FIGURE, around, landmarks
from yololstm.actors import Life, actors, with_heirs
from yololstm.boxes import iou
from yololstm.clips import Box, Span
from yololstm.landmarks import Landmarks

TIMES = np.arange(30) / 3
LEFT, RIGHT = FIGURE * 100 + [300, 300], FIGURE * 100 + [700, 300]


def still(xy: np.ndarray, times: np.ndarray = TIMES) -> tuple[np.ndarray, np.ndarray]:
    return times, np.tile(xy, (len(times), 1, 1))


def two_people() -> Landmarks:
    return landmarks({1: still(LEFT), 2: still(RIGHT)})


def theft(box: Box | None, start_s: float = 2) -> Span:
    return Span(start_s, 8, "theft", box)


def test_box_around_one_person_means_that_person() -> None:
    assert actors(two_people(), theft(around(RIGHT, margin=10))) == {2}


def test_box_around_both_means_both() -> None:
    both = Box(*around(LEFT)[:2], *around(RIGHT)[2:])
    assert actors(two_people(), theft(both)) == {1, 2}


def test_without_box_everybody_takes_part() -> None:
    assert actors(two_people(), theft(None)) == {1, 2}


def test_box_elsewhere_means_nobody() -> None:
    assert actors(two_people(), theft(Box(1000, 0, 1100, 100))) == frozenset()


def test_nobody_means_nobody() -> None:
    empty = landmarks({})
    assert actors(empty, theft(None)) == frozenset()
    assert actors(empty, theft(around(LEFT))) == frozenset()


@pytest.mark.parametrize(("begins_s", "expected"), [(2.0, {1}), (2.9, {1}), (3.1, set())])
def test_actor_is_looked_for_up_to_a_second_away(begins_s: float, expected: set[int]) -> None:
    late = landmarks({1: still(LEFT, begins_s + TIMES), 2: still(RIGHT)})
    assert actors(late, theft(around(LEFT))) == expected


def test_where_the_actor_stands_at_the_start_counts() -> None:
    """1 walks from left to right and 2 the other way; at 2 s each is where it began."""
    swap = np.where(TIMES < 5, 0.0, 400)[:, None, None] * [1, 0]
    crossing = landmarks({1: (TIMES, LEFT + swap), 2: (TIMES, RIGHT - swap)})
    assert actors(crossing, theft(around(LEFT))) == {1}
    assert actors(crossing, theft(around(LEFT), start_s=6)) == {2}


def test_track_that_goes_on_where_the_actor_was_lost_inherits() -> None:
    found = still(np.add(LEFT, [20, 0]), TIMES[11:])
    again = landmarks({1: still(LEFT, TIMES[:10]), 2: still(RIGHT), 7: found})
    assert actors(again, theft(around(LEFT))) == {1, 7}


BOX = np.array([100.0, 100, 150, 300])


@pytest.mark.parametrize(
    ("heir", "expected"),
    [
        (Life(2, 5.3, 9, BOX, BOX), {1, 2}),
        (Life(2, 6.1, 9, BOX, BOX), {1}),  # too late
        (Life(2, 4.9, 9, BOX, BOX), {1}),  # was there before
        (Life(2, 5.3, 9, np.add(BOX, [45, 0, 45, 0]), BOX), {1, 2}),  # a step aside
        (Life(2, 5.3, 9, np.add(BOX, [120, 0, 120, 0]), BOX), {1}),  # too far
    ],
)
def test_who_inherits(heir: Life, expected: set[int]) -> None:
    assert with_heirs(frozenset({1}), [Life(1, 0, 5, BOX, BOX), heir], end_s=8) == expected


def test_inheritance_goes_on_and_each_has_one_heir() -> None:
    lives = [
        Life(1, 0, 2, BOX, BOX),
        Life(2, 2.3, 4, BOX, BOX + 20),
        Life(3, 4.3, 9, BOX + 20, BOX),
        Life(4, 2.3, 9, BOX + 30, BOX),  # beside: 2 is nearer
    ]
    assert with_heirs(frozenset({1}), lives, end_s=9) == {1, 2, 3}


def test_after_the_span_nobody_inherits() -> None:
    lives = [Life(1, 0, 5, BOX, BOX), Life(2, 5.3, 9, BOX, BOX)]
    assert with_heirs(frozenset({1}), lives, end_s=5) == {1}


def test_iou_of_known_boxes() -> None:
    box = np.array([0.0, 0, 2, 2])
    others = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [2, 0, 4, 2], [0, 0, 0, 0]])
    np.testing.assert_allclose(iou(box, others), [1, 1 / 3, 0, 0])
