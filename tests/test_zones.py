from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.people import FIGURE, SOURCE, landmarks
from yololstm.zones import MOST_CORNERS, Mode, Zone, counted, standing

LABELS = ("theft", "assault", "normal")
TRIANGLE = ((0.1, 0.1), (0.9, 0.1), (0.5, 0.9))

shares = st.floats(0, 1).map(lambda value: round(value, 4))
corners = st.tuples(shares, shares)
polygons = st.lists(corners, min_size=3, max_size=8).map(tuple)
rectangles = st.tuples(shares, shares, shares, shares).filter(
    lambda sides: sides[0] < sides[2] and sides[1] < sides[3]
)
seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=50)


def zone(polygon: Any, mode: Mode = "count", labels: tuple[str, ...] = ()) -> Zone:
    return Zone("a place", mode, tuple(polygon), labels)


def somewhere(seed: int, n: int = 100) -> NDArray[np.float64]:
    """Places that lie on no side of a polygon, but for the odd chance."""
    return np.random.default_rng(seed).uniform(0, 1, (n, 2))


def inside(polygon: Any, places: NDArray[np.float64]) -> NDArray[np.bool_]:
    return counted(places, [zone(polygon)], ["theft"])[:, 0]


def corners_of(rectangle: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x0, y0, x1, y1 = rectangle
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


# --- what lies in a polygon ---


@some
@given(rectangles, seeds)
def test_a_rectangle_is_two_intervals(
    rectangle: tuple[float, float, float, float], seed: int
) -> None:
    places = somewhere(seed)
    x0, y0, x1, y1 = rectangle
    (x, y) = places.T
    np.testing.assert_array_equal(
        inside(corners_of(rectangle), places), (x0 < x) & (x < x1) & (y0 < y) & (y < y1)
    )


@some
@given(polygons, st.floats(0.1, 0.5), st.floats(0, 0.5), st.floats(0, 0.5), seeds)
def test_where_the_whole_lies_and_how_large_it_is_changes_nothing(
    polygon: Any, size: float, right: float, down: float, seed: int
) -> None:
    places = somewhere(seed)
    moved = np.array(polygon) * size + (right, down)
    far = _far_from_edges(places, np.array(polygon))
    np.testing.assert_array_equal(
        inside(polygon, places)[far],
        inside(map(tuple, moved.tolist()), places * size + (right, down))[far],
    )


@some
@given(polygons, st.integers(0, 7), seeds)
def test_at_which_corner_and_which_way_round_it_is_drawn_changes_nothing(
    polygon: Any, first: int, seed: int
) -> None:
    places = somewhere(seed)
    places = places[_far_from_edges(places, np.array(polygon))]
    turned = (*polygon[first:], *polygon[:first])
    expected = inside(polygon, places)
    np.testing.assert_array_equal(inside(turned, places), expected)
    np.testing.assert_array_equal(inside(reversed(turned), places), expected)


@some
@given(polygons, seeds)
def test_a_mirror_image_has_the_mirror_images_within(polygon: Any, seed: int) -> None:
    places = somewhere(seed)
    places = places[_far_from_edges(places, np.array(polygon))]
    mirrored = [(1 - x, y) for x, y in polygon]
    np.testing.assert_array_equal(
        inside(polygon, places), inside(mirrored, places * (-1, 1) + (1, 0))
    )


@some
@given(polygons, st.integers(0, 7), seeds)
def test_a_corner_halfway_along_an_edge_changes_nothing(polygon: Any, edge: int, seed: int) -> None:
    places = somewhere(seed)
    places = places[_far_from_edges(places, np.array(polygon))]
    edge %= len(polygon)
    (x0, y0), (x1, y1) = polygon[edge], polygon[(edge + 1) % len(polygon)]
    more = (*polygon[: edge + 1], ((x0 + x1) / 2, (y0 + y1) / 2), *polygon[edge + 1 :])
    np.testing.assert_array_equal(inside(more, places), inside(polygon, places))


def test_what_edges_that_cross_enclose_twice_is_outside() -> None:
    star = [
        (0.5 + 0.4 * np.sin(turn), 0.5 - 0.4 * np.cos(turn))
        for turn in np.arange(5) * 4 / 5 * np.pi
    ]
    places = np.array([(0.5, 0.5), (0.5, 0.2), (0.5, 0.05)])
    assert inside(star, places).tolist() == [False, True, False]


@some
@given(rectangles, st.floats(0, 1), seeds)
def test_two_zones_that_share_an_edge_leave_no_gap_and_share_no_place(
    whole: tuple[float, float, float, float], share: float, seed: int
) -> None:
    x0, y0, x1, y1 = whole
    middle = min(x0 + share * (x1 - x0), x1)
    y = np.random.default_rng(seed).uniform(y0, y1, 50)
    on_edge = np.stack([np.full(50, middle), y], axis=1)
    left, right = corners_of((x0, y0, middle, y1)), corners_of((middle, y0, x1, y1))
    both = inside(left, on_edge).astype(int) + inside(right, on_edge)
    np.testing.assert_array_equal(both, inside(corners_of(whole), on_edge).astype(int))


def _far_from_edges(places: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) where rounding cannot put a place on the other side of an edge."""
    start, along = polygon, np.roll(polygon, -1, axis=0) - polygon
    length = np.maximum((along**2).sum(axis=1), 1e-12)
    offset = places[:, None] - start
    share = np.clip((offset * along).sum(axis=2) / length, 0, 1)
    away = np.linalg.norm(offset - share[..., None] * along, axis=2)
    far: NDArray[np.bool_] = away.min(axis=1) > 1e-6
    return far


# --- which labels count ---


@some
@given(polygons, seeds)
def test_with_no_zone_of_a_label_it_counts_everywhere(polygon: Any, seed: int) -> None:
    places = somewhere(seed)
    assert counted(places, [], LABELS).all()
    counts = counted(places, [zone(polygon, "count", ("theft",))], LABELS)
    assert counts.shape == (len(places), 3)
    assert counts[:, 1:].all()
    np.testing.assert_array_equal(counts[:, 0], inside(polygon, places))


@some
@given(polygons, polygons, seeds)
def test_ignore_beats_count(counting: Any, ignoring: Any, seed: int) -> None:
    places = somewhere(seed)
    zones = [zone(counting), zone(ignoring, "ignore")]
    expected = inside(counting, places) & ~inside(ignoring, places)
    for order in (zones, zones[::-1]):
        np.testing.assert_array_equal(counted(places, order, ["theft"])[:, 0], expected)


@some
@given(polygons, polygons, seeds)
def test_a_label_counts_in_any_of_its_zones(one: Any, other: Any, seed: int) -> None:
    places = somewhere(seed)
    np.testing.assert_array_equal(
        counted(places, [zone(one), zone(other)], ["theft"])[:, 0],
        inside(one, places) | inside(other, places),
    )


def test_zones_are_of_their_labels_alone() -> None:
    zones = [
        zone(corners_of((0, 0, 0.5, 1)), "count", ("theft",)),
        zone(corners_of((0, 0, 1, 0.5)), "ignore", ("assault", "normal")),
    ]
    places = np.array([(0.25, 0.25), (0.75, 0.25), (0.75, 0.75)])
    assert counted(places, zones, LABELS).tolist() == [
        [True, False, False],
        [False, False, False],
        [False, True, True],
    ]


def test_nobody_is_nowhere() -> None:
    assert counted(np.empty((0, 2)), [zone(TRIANGLE)], LABELS).shape == (0, 3)


# --- where somebody stands ---


def test_somebody_stands_where_their_feet_are() -> None:
    xy = FIGURE * 100 + (640, 360)
    seen = landmarks({1: (np.zeros(1), xy[None])})
    box = seen.box[0]
    x, y = standing(seen)[0]
    assert x * SOURCE.width == pytest.approx((box[0] + box[2]) / 2)
    assert y * SOURCE.height == pytest.approx(box[3])


@pytest.mark.parametrize("at", [(-50, 300), (1330, 300), (640, -50), (640, 700)])
def test_whoever_reaches_out_of_the_picture_stands_in_a_zone_to_its_edge(
    at: tuple[int, int],
) -> None:
    places = standing(landmarks({1: (np.zeros(1), (FIGURE * 100 + at)[None])}))
    assert inside(corners_of((0, 0, 1, 1)), places).all()
    assert ((places >= 0) & (places <= 1)).all()


# --- what is no zone, and what of it is written ---


@some
@given(polygons, st.sampled_from(["count", "ignore"]), st.sets(st.sampled_from(LABELS)))
def test_a_zone_is_read_as_it_was_written(polygon: Any, mode: Mode, labels: set[str]) -> None:
    made = zone(polygon, mode, tuple(sorted(labels)))
    assert Zone.from_dict(json.loads(json.dumps(made.to_dict()))) == made


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Zone(" ", "count", TRIANGLE), "no name"),
        (lambda: Zone("till", "counts", TRIANGLE), "neither of count, ignore"),
        (lambda: Zone("till", "count", TRIANGLE[:2]), "2 corners"),
        (lambda: Zone("till", "count", TRIANGLE * 22), f"66 corners, not 3 to {MOST_CORNERS}"),
        (lambda: Zone("till", "count", (*TRIANGLE, (0.5, 1.01))), "outside of the picture"),
        (lambda: Zone("till", "count", (*TRIANGLE, (float("nan"), 0))), "outside of the picture"),
    ],
)
def test_what_is_no_zone_is_refused(make: Callable[[], Zone], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"mode": "all"},
        {"mode": ["count"]},
        {"polygon": None},
        {"polygon": 7},
        {"polygon": [[0, 0], [1, 0]]},
        {"polygon": [[0, 0, 0]] * 3},
        {"polygon": [["a", "b"]] * 3},
        {"polygon": [[0, 0], [1, 0], [0, 2]]},
        {"labels": None},
        {"labels": 3},
        {"labels": "theft"},
        {"labels": [3]},
    ],
)
def test_what_somebody_wrote_that_is_no_zone_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Zone.from_dict(zone(TRIANGLE).to_dict() | change)
    for absent in ("name", "mode", "polygon", "labels"):
        with pytest.raises(KeyError):
            Zone.from_dict({k: v for k, v in zone(TRIANGLE).to_dict().items() if k != absent})
