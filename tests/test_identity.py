from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.people import FIGURE, acting, landmarks
from yololstm.identity import refine
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.tracking import UNTRACKED, Tracker

FPS = 10
SOURCE = Source(1280, 720, Fraction(FPS), 200, "drawn")
TIMES = np.arange(40) / FPS


def at(
    x: NDArray[np.float64] | float, times: NDArray[np.float64], size: float = 100
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Somebody upright whose hips are at x, 400; a torso is ``size`` pixels, a height 3.1 of it."""
    place = np.zeros((len(times), 1, 2))
    place[..., 0], place[..., 1] = np.broadcast_to(x, len(times))[:, None], 400
    return times, FIGURE * size + place


def seen(people: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]) -> Landmarks:
    return landmarks(people, SOURCE)


def numbers(found: Landmarks) -> set[int]:
    return set(found.persons().track.tolist())


# --- rejoined ---


@pytest.mark.parametrize("speed", [0, 150, -150])
@pytest.mark.parametrize(("gap_s", "joined"), [(0.3, True), (1.9, True), (2.1, False)])
def test_who_stands_or_walks_on_keeps_the_number(speed: float, gap_s: float, joined: bool) -> None:
    after = 4 + gap_s - 0.1 + TIMES
    people = {1: at(600 + speed * (TIMES - 4), TIMES), 2: at(600 + speed * (after - 4), after)}
    assert numbers(refine(seen(people), 2.0, 0)) == ({1} if joined else {1, 2})


def test_who_stops_out_of_sight_keeps_the_number() -> None:
    people = {1: at(300 + 150 * TIMES, TIMES), 2: at(1000, 5.5 + TIMES)}
    assert numbers(refine(seen(people), 2.0, 0)) == {1}


@pytest.mark.parametrize(
    ("x", "size"), [(300, 100), (900, 100), (600, 40)], ids=["behind", "ahead", "smaller"]
)
def test_somebody_else_has_another_number(x: float, size: float) -> None:
    people = {1: at(400 + 50 * TIMES, TIMES), 2: at(x, 5 + TIMES, size)}
    assert numbers(refine(seen(people), 2.0, 0)) == {1, 2}


def test_who_walks_out_is_not_who_comes_in() -> None:
    people = {1: at(880 + 100 * TIMES, TIMES), 2: at(1240 - 100 * TIMES, 4.5 + TIMES)}
    assert numbers(refine(seen(people), 2.0, 0)) == {1, 2}


def test_who_is_still_there_is_nobody_else() -> None:
    people = {1: at(600, TIMES), 2: at(610, 2 + TIMES)}
    assert numbers(refine(seen(people), 2.0, 0)) == {1, 2}


def test_each_has_one_successor_and_the_nearest() -> None:
    later = 5 + TIMES
    people = {
        **{1: at(500, TIMES), 2: at(580, TIMES)},
        **{3: at(590, later), 4: at(505, later), 5: at(540, later)},
    }
    got = refine(seen(people), 2.0, 0)
    assert numbers(got) == {1, 2, 5}
    late = got[got.time_s == later[0]]
    assert dict(zip(late.track.tolist(), late.box[:, 0].round(), strict=True)) == {
        **{1: 455, 2: 540, 5: 490}
    }


def test_a_person_lost_twice_keeps_the_first_number() -> None:
    people = {n: at(600, 5 * (n - 3) + TIMES) for n in (3, 5, 4)}
    assert numbers(refine(seen(people), 2.0, 0)) == {3}


def test_rows_stay_in_order_and_the_same() -> None:
    rng = np.random.default_rng(0)
    times = 5 + TIMES
    people = {
        **{4: at(600, TIMES), 2: (np.arange(90) / FPS, at(200, np.arange(90))[1])},
        **{1: at(600, times), 3: (TIMES, acting("theft", TIMES, rng))},
    }
    before = seen(people)
    bags = replace(before[before.track == 1], category=np.full(40, Category.BAG, np.uint8))
    whole = Landmarks.concatenate([before, bags], SOURCE)
    whole = whole[np.lexsort((whole.track, whole.category, whole.frame))]
    got = refine(whole, 2.0, 0)
    assert numbers(got) == {2, 3, 4}
    assert set(got.bags().track.tolist()) == {1}
    keys = np.stack([got.frame, got.category, got.track], axis=1)
    assert (np.lexsort(keys.T[::-1]) == np.arange(len(got))).all()
    assert len(np.unique(keys, axis=0)) == len(got) == len(whole)
    np.testing.assert_array_equal(np.sort(got.xy, axis=0), np.sort(whole.xy, axis=0))


# --- a crossing, through the tracker ---


def crossing(fps: int, speed: float, pause_s: float) -> tuple[Landmarks, NDArray[np.str_]]:
    """Two meet, stand before each other for a while, and walk on: who is behind is not seen while
    more than 60 % is hidden. Speed in widths a second. And who is who, row by row."""
    rng = np.random.default_rng(0)
    tracker, rows, names = Tracker(fps), [], []
    for frame in range(9 * fps):
        since = frame / fps - 4.5
        x = 100 * speed * np.sign(since) * max(abs(since) - pause_s / 2, 0)
        box = np.array([[600 - x, 215, 700 - x, 515], [600 + x, 200, 700 + x, 500]])
        box = (box + rng.normal(0, 2, box.shape)).astype(np.float32)
        box = box[: 1 if abs(2 * x) < 40 else 2]
        number = tracker.update(box, np.full(len(box), 0.9, np.float32))
        for row in np.argsort(number):
            if number[row] != UNTRACKED:
                rows.append((frame, number[row], box[row]))
                names.append("behind" if row else "front")
    n = len(rows)
    frame = np.array([row[0] for row in rows], dtype=np.int32)
    source = replace(SOURCE, fps=Fraction(fps), n_frames=9 * fps)
    blank = Landmarks.empty(source)
    return replace(
        blank,
        frame=frame,
        time_s=frame / fps,
        category=np.zeros(n, np.uint8),
        track=np.array([row[1] for row in rows], dtype=np.int32),
        score=np.ones(n, np.float32),
        box=np.array([row[2] for row in rows]),
        xy=np.full((n, 13, 2), np.nan, np.float32),
        confidence=np.zeros((n, 13), np.float32),
    ), np.array(names)


def told(found: Landmarks, names: NDArray[np.str_]) -> dict[str, set[int]]:
    return {name: set(found.track[names == name].tolist()) for name in ("front", "behind")}


@pytest.mark.parametrize("fps", [3, 10, 30])
@pytest.mark.parametrize("speed", [0.7, 1.5])
def test_two_who_pass_each_other_keep_their_numbers(fps: int, speed: float) -> None:
    """By the tracker's own doing, while it must do without one of them for half a second."""
    found, names = crossing(fps, speed, pause_s=0)
    assert told(found, names) == {"front": {1}, "behind": {2}}
    assert told(refine(found, 2.0, 0), names) == {"front": {1}, "behind": {2}}


def test_two_who_meet_and_walk_on_keep_their_numbers() -> None:
    """The tracker does not expect anybody to stop, and gives a new number."""
    found, names = crossing(10, 1.5, pause_s=1.2)
    assert len(told(found, names)["behind"]) == 2
    # Who was behind has the higher number before and after: rows stay in their places.
    assert told(refine(found, 2.0, 0), names) == {"front": {1}, "behind": {2}}


# --- what never moves ---


def jittered(n: int, box: float, joints: float, seed: int = 0) -> Landmarks:
    """n frames of somebody still; noise in heights of the box and in torsos."""
    rng = np.random.default_rng(seed)
    times = np.arange(n) / FPS
    one = seen({1: at(600, times)})
    shake = rng.normal(0, box * 310 / np.sqrt(2), (n, 2))
    xy = one.xy + shake[:, None] + rng.normal(0, joints * 100, one.xy.shape)
    return replace(
        one,
        box=(one.box + np.tile(shake, 2)).astype(np.float32),
        xy=xy.astype(np.float32),
    )


@pytest.mark.parametrize(
    ("box", "joints", "left_out"), [(0.005, 0.02, True), (0.02, 0.02, False), (0.005, 0.1, False)]
)
def test_what_never_moves_is_left_out(box: float, joints: float, left_out: bool) -> None:
    assert (len(refine(jittered(150, box, joints), 0, 10)) == 0) == left_out


def test_only_long_lives_are_judged_and_whole_ones() -> None:
    picture = jittered(150, 0.003, 0.02)
    assert len(refine(picture, 0, 15)) == 150
    assert len(refine(picture, 0, 0)) == 150
    entering = picture.box.copy()
    entering[:10] -= np.linspace(300, 0, 10)[:, None].astype(np.float32)
    assert len(refine(replace(picture, box=entering), 0, 10)) == 150


def test_one_moving_arm_is_a_person() -> None:
    picture = jittered(150, 0.003, 0.01)
    xy = picture.xy.copy()
    xy[60:80, 2, 1] -= 150
    assert len(refine(replace(picture, xy=xy), 0, 10)) == 150


def test_without_a_torso_nobody_is_judged() -> None:
    picture = jittered(150, 0.003, 0.01)
    xy = picture.xy.copy()
    xy[:100, 6] = np.nan
    assert len(refine(replace(picture, xy=xy), 0, 10)) == 150


def test_a_joint_that_is_never_seen_counts_for_nothing() -> None:
    picture = jittered(150, 0.003, 0.02)
    xy = picture.xy.copy()
    xy[:, 2] = np.nan
    assert len(refine(replace(picture, xy=xy), 0, 10)) == 0
    xy[60:80, 5, 1] -= 150
    assert len(refine(replace(picture, xy=xy), 0, 10)) == 150


def test_pictures_that_flicker_are_joined_first() -> None:
    picture = jittered(150, 0.003, 0.02)
    track = np.where(picture.time_s < 8, 1, 2).astype(np.int32)
    parts = replace(picture, track=track)[np.abs(picture.time_s - 8) > 0.5]
    assert len(refine(parts, 0, 10)) == len(parts)
    assert len(refine(parts, 2, 10)) == 0


def test_others_and_bags_stay() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(150) / FPS
    picture = jittered(150, 0.003, 0.02)
    person = replace(seen({2: (times, acting("theft", times, rng))}), source=SOURCE)
    bag = replace(picture, category=np.full(150, Category.BAG, np.uint8))
    whole = Landmarks.concatenate([picture, person, bag], SOURCE)
    whole = whole[np.lexsort((whole.track, whole.category, whole.frame))]
    got = refine(whole, 2, 10)
    assert numbers(got) == {2}
    assert len(got.bags()) == 150
    assert len(refine(landmarks({}), 2, 10)) == 0
