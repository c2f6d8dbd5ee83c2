from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests import people
from tests.people import FIGURE
from yololstm.blurring import AROUND_S, CELLS, UNFOLLOWED, Veil, What, pixelated, regions
from yololstm.landmarks import Landmarks, Source
from yololstm.skeleton import JOINTS

SOURCE = Source(400, 300, Fraction(3), 30, "synthetic")
HEAD = JOINTS.index("HEAD")
HEIGHT = 3.1 * 60
"""Of the figure's box."""


def standing(time_s: NDArray[np.float64], x: NDArray[np.float64], track: int = 1) -> Landmarks:
    """Somebody whose torso is 60 pixels long, at (x, 150)."""
    xy = FIGURE * 60 + np.stack([x, np.full_like(x, 150.0)], axis=1)[:, None]
    return people.landmarks({track: (time_s, xy)}, SOURCE)


def pattern() -> NDArray[np.uint8]:
    """Lines and squares of a few pixels, which no coarse picture can hold."""
    y, x = np.mgrid[:300, :400]
    image = np.where(((x // 3) + (y // 3)) % 2 == 0, 230, 20).astype(np.uint8)
    return np.repeat(image[..., None], 3, axis=2)


def detail(image: NDArray[np.uint8]) -> float:
    """Mean difference of neighbours."""
    return float(np.abs(np.diff(image.astype(np.float64), axis=1)).mean())


def colours(image: NDArray[np.uint8]) -> int:
    return len(np.unique(image.astype(np.int64) @ [65536, 256, 1]))


def contains(outer: NDArray[np.floating], inner: NDArray[np.floating]) -> bool:
    return bool((outer[:2] <= inner[:2] + 1e-6).all() and (outer[2:] >= inner[2:] - 1e-6).all())


@pytest.mark.parametrize("what", ["faces", "persons"])
def test_what_is_covered_is_gone_and_the_rest_stays(what: What) -> None:
    seen = standing(np.array([1.0]), np.array([200.0]))
    veil = Veil.of(seen, [1.0], what)
    image = pattern()
    covered = veil.over(image, 1.0)
    (box,) = veil.boxes(1.0).round().astype(int).clip(0, [400, 300, 400, 300])
    inside = np.s_[box[1] + 1 : box[3] - 1, box[0] + 1 : box[2] - 1]
    assert colours(covered[inside]) <= CELLS[what] ** 2
    assert detail(covered[inside]) < 0.05 * detail(image[inside])
    outside = np.ones((300, 400), dtype=bool)
    outside[box[1] - 1 : box[3] + 1, box[0] - 1 : box[2] + 1] = False
    assert outside.sum() > 20_000
    np.testing.assert_array_equal(covered[outside], image[outside])
    np.testing.assert_array_equal(image, pattern())


def test_a_face_is_the_head_and_not_the_person() -> None:
    seen = standing(np.array([1.0]), np.array([200.0]))
    (face,), (person,) = regions(seen, "faces"), regions(seen, "persons")
    head = seen.xy[0, HEAD]
    assert contains(face, np.concatenate([head - 15, head + 15]))
    assert contains(person, seen.box[0] + np.array([-9, -9, 9, 9]))
    area = np.prod(face[2:] - face[:2]) / np.prod(person[2:] - person[:2])
    assert 0.1 < area < 0.4


@pytest.mark.parametrize("doubt", ["absent", "unsure", "no shoulders"])
def test_where_nobody_knows_the_head_it_is_the_upper_part_of_the_box(doubt: str) -> None:
    seen = standing(np.array([1.0]), np.array([200.0]))
    head = seen.xy[0, HEAD].copy()
    if doubt == "absent":
        seen.xy[0, HEAD], seen.confidence[0, HEAD] = np.nan, 0
    elif doubt == "unsure":
        seen.confidence[0, HEAD] = 0.2
    else:
        seen.xy[0, [0, 3]] = np.nan
    (face,) = regions(seen, "faces")
    assert np.isfinite(face).all()
    assert contains(face, np.concatenate([head - 12, head + 12]))
    if doubt != "no shoulders":
        assert contains(face, np.array([*seen.box[0, :3], seen.box[0, 1] + 0.3 * HEIGHT]))


@pytest.mark.parametrize("what", ["faces", "persons"])
@pytest.mark.parametrize("seed", range(8))
def test_nobody_flashes_through_between_sights(what: What, seed: int) -> None:
    rng = np.random.default_rng(seed)
    time_s = np.cumsum(rng.uniform(0.1, 0.9, 12))
    x = 200 + np.cumsum(rng.uniform(-60, 60, 12))
    seen = standing(time_s, x)
    veil, boxes = Veil.of(seen, list(time_s), what), regions(seen, what)
    for at in rng.uniform(time_s[0], time_s[-1], 50):
        (box,) = veil.boxes(at)
        between = np.array([np.interp(at, time_s, boxes[:, side]) for side in range(4)])
        assert contains(box, between)
    for i in range(12):
        assert contains(veil.boxes(time_s[i])[0], boxes[i])
    for away in rng.uniform(0, AROUND_S, 10):
        for at, i, way in ((time_s[0] - away, 0, -1), (time_s[-1] + away, -1, 1)):
            moved = boxes[i] + way * 0.9 * away * HEIGHT * np.array([1, 0, 1, 0])
            assert contains(veil.boxes(at)[0], moved)
    assert not len(veil.boxes(time_s[0] - AROUND_S - 0.1))
    assert not len(veil.boxes(time_s[-1] + AROUND_S + 0.1))


@pytest.mark.parametrize("doubt", ["absent", "unsure"])
def test_where_nobody_knows_the_head_of_somebody_who_lies_it_is_the_whole_box(doubt: str) -> None:
    upright = standing(np.array([1.0]), np.array([0.0]))
    lying = replace(upright, xy=upright.xy[..., ::-1] + 50, box=upright.box[:, [1, 0, 3, 2]] + 50)
    head, other_end = lying.xy[0, HEAD].copy(), lying.box[0, 2:]
    lying.confidence[0, HEAD] = 0.2
    if doubt == "absent":
        lying.xy[0, HEAD], lying.confidence[0, HEAD] = np.nan, 0
    (face,) = regions(lying, "faces")
    for end in (head, other_end):
        assert contains(face, np.concatenate([end - 6, end + 6]))
    assert contains(face, lying.box[0])


def unsure(time_s: Sequence[float], box: Sequence[Sequence[float]]) -> Landmarks:
    """Of somebody who is not followed."""
    n = len(time_s)
    at = np.array(time_s, dtype=np.float64)
    rows = people.landmarks({UNFOLLOWED: (at, np.full((n, 13, 2), np.nan))}, SOURCE)
    return replace(rows, box=np.array(box, dtype=np.float32))


def test_who_is_not_followed_is_covered_like_those_who_are() -> None:
    box = [100.0, 100, 150, 220]
    for seen in (unsure([2.0], [box]), unsure([2.0, 2.0], [box, [300, 100, 350, 220]])):
        veil = Veil.of(seen, [2.0], "persons")
        assert len(veil.boxes(2.0)) == len(seen)
        assert contains(veil.boxes(2.0)[0], np.array(box))
        for away, way in ((0.9, -1), (0.9, 1)):
            walked = np.array(box) + way * away * 120 * np.array([1, 0, 1, 0])
            assert contains(veil.boxes(2.0 + way * away)[0], walked)
        assert not len(veil.boxes(3.1))
        assert not len(veil.boxes(0.9))


def test_who_is_next_to_where_somebody_was_is_the_same_person() -> None:
    time_s = [1.0, 1.2, 1.4, 2.2, 3.4]
    box = [[100.0 + 10 * i, 100, 150 + 10 * i, 220] for i in range(5)]
    veil = Veil.of(unsure(time_s, box), time_s, "persons")
    (between,) = veil.boxes(1.3)
    assert contains(between, np.array([110, 100, 170, 220]))
    assert between[2] - between[0] < 100
    (hidden,) = veil.boxes(1.8)
    assert contains(hidden, np.array([120, 100, 180, 220]))
    assert hidden[2] - hidden[0] < 100
    # Unseen for longer, they may have been anywhere.
    assert len(veil.boxes(2.8)) == 2
    assert min(box[2] - box[0] for box in veil.boxes(2.8)) > 150


def test_a_row_without_a_box_is_nobody() -> None:
    veil = Veil.of(unsure([1.0, 1.5], [[np.nan] * 4] * 2), [1.0, 1.5], "faces")
    assert not len(veil.boxes(1.2))
    np.testing.assert_array_equal(veil.over(pattern(), 1.2), pattern())


@pytest.mark.parametrize("what", ["faces", "persons"])
def test_sights_may_come_in_any_order(what: What) -> None:
    time_s = np.arange(-1.0, 6.0, 0.25)
    seen = standing(time_s, np.linspace(100.0, 300.0, len(time_s)))
    rng = np.random.default_rng(0)
    expected = Veil.of(seen, time_s.tolist(), what)
    for order in (rng.permutation(len(seen)), np.roll(np.arange(len(seen)), -4)):
        veil = Veil.of(seen[order], time_s[order].tolist(), what)
        for at in np.linspace(-1.5, 6.5, 40):
            np.testing.assert_array_equal(veil.boxes(at), expected.boxes(at))


def test_everybody_is_covered() -> None:
    both = Landmarks.concatenate(
        [
            standing(np.array([1.0]), np.array([100.0]), 1),
            standing(np.array([1.2]), np.array([300.0]), 2),
        ],
        SOURCE,
    )
    assert len(Veil.of(both, [1.0, 1.2], "faces").boxes(1.1)) == 2


def test_where_nobody_looked_nothing_is_shown() -> None:
    veil = Veil.of(Landmarks.empty(SOURCE), [5.0, 5.5], "faces")
    image = pattern()
    np.testing.assert_array_equal(veil.over(image, 5.2), image)
    np.testing.assert_array_equal(veil.over(image, 6.4), image)
    for at in (3.9, 6.6):
        assert detail(veil.over(image, at)) < 0.05 * detail(image)


def test_what_is_shown_between_looks_that_are_far_apart_may_be_of_the_first() -> None:
    veil = Veil.of(standing(np.array([1.0]), np.array([200.0])), [0.5, 1.0, 3.0, 3.5], "persons")
    for at in (1.1, 2.0, 2.9):
        assert detail(veil.over(pattern(), at)) < 0.05 * detail(pattern())
    np.testing.assert_array_equal(veil.over(pattern(), 3.2), pattern())


def test_a_part_of_a_picture_is_covered_as_the_whole() -> None:
    veil = Veil.of(standing(np.array([1.0]), np.array([200.0])), [1.0], "persons")
    image, half = pattern(), np.s_[40:260, 190:390]
    part = cv2.resize(image[half], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_NEAREST)
    covered = veil.over(np.asarray(part, dtype=np.uint8), 1.0, corner=(190, 40), scale=0.5)
    whole = veil.over(image, 1.0)[half][::2, ::2]
    changed = (covered != part).any(axis=2)
    expected = (whole != image[half][::2, ::2]).any(axis=2)
    assert 0.2 < expected.mean() < 0.8
    assert (changed == expected).mean() > 0.9


def test_who_is_partly_in_the_picture_is_as_coarse_as_who_is_within() -> None:
    image = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    covered = pixelated(image, np.array([[380.0, 280, 700, 600]]), 8)
    assert colours(covered[280:, 380:]) == 1


@pytest.mark.parametrize(
    "box",
    [[-50, -50, 30, 30], [390, 290, 900, 900], [-9, -9, 999, 999], [10, 10, 10.4, 250]],
)
def test_boxes_may_reach_beyond_the_picture(box: list[float]) -> None:
    image = pattern()
    covered = pixelated(image, np.array([box]), 3)
    assert covered.shape == image.shape
    x0, y0, x1, y1 = np.clip(box, 0, [400, 300, 400, 300]).round().astype(int)
    assert (covered[y0:y1, x0:x1] != image[y0:y1, x0:x1]).any() or x1 - x0 < 2


@pytest.mark.parametrize("box", [[500, 10, 600, 90], [-90, 10, -5, 90], [50, 50, 40, 40]])
def test_boxes_outside_of_the_picture_cover_nothing(box: list[float]) -> None:
    image = pattern()
    np.testing.assert_array_equal(pixelated(image, np.array([box], dtype=float), 3), image)
