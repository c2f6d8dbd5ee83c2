from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import people
from tests.people import FIGURE
from yololstm.blurring import AROUND_S, CELLS, Veil, What, pixelated, regions
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
    assert len(np.unique(covered[inside].reshape(-1, 3), axis=0)) <= CELLS[what] ** 2
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
        assert len(np.unique(veil.over(image, at).reshape(-1, 3), axis=0)) <= 9


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
