from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from yololstm.errors import ParamsError
from yololstm.sample.body import Figure
from yololstm.sample.rendering import Camera
from yololstm.sample.shop import in_sight
from yololstm.sample.takes import (
    CAMERAS,
    KINDS,
    MIN_HEIGHT,
    STORES,
    TRAINING,
    VALIDATION,
    Kind,
    Settings,
    Take,
    all_takes,
    sees,
)

Figures = dict[Take, list[list[Figure]]]


@pytest.fixture(scope="module")
def takes(default: Settings) -> list[Take]:
    return all_takes(default)


@pytest.fixture(scope="module")
def figures(takes: list[Take], default: Settings) -> Figures:
    return {take: take.figures(default.times_s) for take in takes}


@pytest.fixture(scope="module")
def views(takes: list[Take], figures: Figures) -> dict[tuple[Take, str], Camera]:
    return {(take, name): take.view(name, figures[take]) for take in takes for name in CAMERAS}


def outlines(groups: list[list[Figure]]) -> np.ndarray:
    return np.stack([figure.outline() for group in groups for figure in group])


def test_everybody_is_always_whole_and_large_in_every_clip(
    views: dict[tuple[Take, str], Camera], figures: Figures, default: Settings
) -> None:
    for (take, name), camera in views.items():
        xy = camera.project(outlines(figures[take]))[..., :2]
        assert (xy >= 0).all(), (take.kind.event, take.number, name)
        assert (xy < default.size).all(), (take.kind.event, take.number, name)
        assert np.ptp(xy[..., 1], axis=1).min() >= MIN_HEIGHT * default.height >= 230


def test_cameras_look_down_as_in_a_shop(views: dict[tuple[Take, str], Camera]) -> None:
    pitches = np.degrees([camera.pitch for camera in views.values()])
    assert pitches.min() > 0
    assert pitches.max() < 35


def test_the_two_views_of_a_take_differ(
    views: dict[tuple[Take, str], Camera], takes: list[Take]
) -> None:
    for take in takes:
        left, right = (views[take, name].position for name in CAMERAS)
        assert left[0] < right[0] - 0.3


def test_nobody_is_hidden_by_a_rack(
    views: dict[tuple[Take, str], Camera], figures: Figures
) -> None:
    for (take, _), camera in views.items():
        assert in_sight(camera.position, outlines(figures[take]))


def test_fighters_stand_a_metre_or_more_apart(figures: Figures) -> None:
    for take, groups in figures.items():
        if take.kind.event == "fight":
            for attacker, victim in groups:
                apart = attacker.points["PELVIS"] - victim.points["PELVIS"]
                assert np.linalg.norm(apart[:2]) >= 1.0


def test_an_event_lies_within_its_clip_with_normal_conduct_around(default: Settings) -> None:
    for take in all_takes(default):
        event = take.scene.event
        assert (event is None) == (take.kind.event == "normal")
        if event:
            assert 0.15 * default.seconds < event.start_s
            assert 0.4 <= (event.end_s - event.start_s) / default.seconds <= 0.6
            assert event.end_s < 0.97 * default.seconds
            first, last = event.frames(default.fps)
            assert event.start_s <= default.times_s[first] < default.times_s[last] <= event.end_s


def test_names_are_those_of_the_data_set(takes: list[Take]) -> None:
    abnormal = r"C_3_(8|12|13)_\d+_BU_\w{3}_\d\d-\d\d_\d\d-\d\d-\d\d_CA_RGB_DF\d(_[MF]\d)+"
    normal = r"C_1_1_\d+_BU_\w{3}_\d\d-\d\d_\d\d-\d\d-\d\d_CA_DF\d(_[MF]\d)+"
    for take in takes:
        pattern = normal if take.kind.event == "normal" else abnormal
        assert re.fullmatch(pattern, take.name("CA"))
        assert take.name("CA").replace("_CA_", "_CB_") == take.name("CB")


def test_no_two_takes_share_a_name(takes: list[Take]) -> None:
    assert len({take.name("CA") for take in takes}) == len(takes)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.event)
def test_each_kind_comes_from_several_stores_on_both_sides_of_the_split(
    kind: Kind, takes: list[Take]
) -> None:
    for split in (TRAINING, VALIDATION):
        stores = {take.store for take in takes if take.kind == kind and take.split == split}
        assert len(stores) >= 3
        assert stores <= set(STORES)


@pytest.mark.parametrize(("n", "held_out"), [(1, 0), (2, 1), (4, 3), (12, 4), (20, 6)])
def test_three_in_ten_takes_are_for_validation(n: int, held_out: int, default: Settings) -> None:
    splits = Counter(take.split for take in all_takes(replace(default, takes=n)))
    assert splits[VALIDATION] == held_out * len(KINDS)
    assert splits[TRAINING] == (n - held_out) * len(KINDS)


def test_more_takes_leave_the_others_as_they_were(default: Settings) -> None:
    few, many = (Take(replace(default, takes=n), KINDS[0], 1) for n in (2, 9))
    assert few.name("CA") == many.name("CA")
    one, other = (outlines(take.figures(np.array([3.0]))) for take in (few, many))
    np.testing.assert_array_equal(one, other)


def test_another_seed_is_another_sample(default: Settings) -> None:
    one, other = (Take(replace(default, seed=seed), KINDS[0], 0) for seed in (1, 2))
    assert one.name("CA") != other.name("CA")


def test_one_who_is_half_outside_is_not_seen(
    views: dict[tuple[Take, str], Camera], figures: Figures, takes: list[Take]
) -> None:
    take = takes[0]
    beside = np.array([3.0, 0.0, 0.0])
    assert not sees(views[take, "CA"], outlines(figures[take]) + beside)


def test_a_picture_too_narrow_for_the_shop_is_refused(default: Settings) -> None:
    take = Take(replace(default, width=320, height=2000), KINDS[1], 0)
    with pytest.raises(ParamsError, match=r"sample\.width"):
        take.view("CA", take.figures(default.times_s))
