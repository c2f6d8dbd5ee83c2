from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from yololstm.detector import Detections
from yololstm.following import Followed, Following, between
from yololstm.landmarks import Category

PERSON, BAG = Category.PERSON, Category.BAG


def detections(*things: tuple[Category, float]) -> Detections:
    """Of each: what it is, and where it begins from the left."""
    return Detections(
        box=np.array([[x, 10, x + 40, 100] for _, x in things], np.float32).reshape(-1, 4),
        score=np.linspace(0.9, 0.6, len(things), dtype=np.float32),
        category=np.array([category for category, _ in things], np.uint8),
    )


def left(followed: Followed) -> dict[tuple[Category, int], float]:
    keys = zip(followed.found.category, followed.track, strict=True)
    return {
        (Category(category), int(track)): float(box[0])
        for (category, track), box in zip(keys, followed.found.box, strict=True)
    }


def test_persons_and_bags_are_numbered_apart_and_put_in_order() -> None:
    following = Following(Fraction(3))
    found = detections((BAG, 300), (PERSON, 100), (BAG, 500), (PERSON, 200))
    seen, rows = following.update(found)
    assert list(left(seen)) == [(PERSON, 1), (PERSON, 2), (BAG, 1), (BAG, 2)]
    np.testing.assert_array_equal(seen.found.box, found.box[rows])
    again, rows = following.update(found[np.array([3, 2, 1, 0])])
    assert left(again) == left(seen)
    assert rows.tolist() == [2, 0, 3, 1]


def test_unsure_boxes_are_left_out() -> None:
    found = detections((PERSON, 100), (PERSON, 300))
    unsure = Detections(found.box, np.array([0.9, 0.3], np.float32), found.category)
    seen, rows = Following(Fraction(3)).update(unsure)
    assert (left(seen), rows.tolist()) == ({(PERSON, 1): 100}, [0])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_on_the_way(share: float) -> None:
    following = Following(Fraction(3))
    before, _ = following.update(detections((PERSON, 100), (PERSON, 300), (BAG, 300)))
    after, _ = following.update(detections((PERSON, 290), (PERSON, 120), (BAG, 300)))
    there = between(before, after, share)
    assert left(there) == {(PERSON, 1): 100 + 20 * share, (PERSON, 2): 300 - 10 * share} | {
        (BAG, 1): 300
    }
    assert np.isnan(there.found.score).all()
    assert np.isfinite(before.found.score).all()
    assert left(before)[PERSON, 1] == 100


def test_who_goes_stays_until_then_and_who_comes_is_not_there_yet() -> None:
    following = Following(Fraction(3))
    before, _ = following.update(detections((PERSON, 100), (BAG, 10)))
    after, _ = following.update(detections((PERSON, 500), (BAG, 20)))
    assert left(after) == {(PERSON, 2): 500, (BAG, 1): 20}
    assert left(between(before, after, 0.5)) == {(PERSON, 1): 100, (BAG, 1): 15}


def test_nobody() -> None:
    following = Following(Fraction(3))
    nobody, rows = following.update(detections())
    assert (len(nobody.found), len(rows)) == (0, 0)
    somebody, _ = following.update(detections((PERSON, 100)))
    assert left(between(nobody, somebody, 0.5)) == {}
    assert left(between(somebody, nobody, 0.5)) == {(PERSON, 1): 100}
