from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.people import FIGURE
from yololstm.agreement import Agreement, agreement
from yololstm.landmarks import Category, Landmarks, Source

FPS = Fraction(30)


def standing(
    places: list[tuple[int, float]], error: NDArray[np.float64] | float = 0.0, fps: Fraction = FPS
) -> Landmarks:
    """Persons with a torso of 100 pixels, each at (frame, x)."""
    n = len(places)
    frame = np.array([f for f, _ in places], dtype=np.int32)
    origin = np.array([[x, 300.0] for _, x in places]).reshape(n, 1, 2)
    xy = (100 * FIGURE + origin).astype(np.float32)
    return Landmarks(
        frame=frame,
        time_s=frame / float(FPS),
        category=np.full(n, Category.PERSON, dtype=np.uint8),
        track=np.arange(1, n + 1, dtype=np.int32),
        score=np.ones(n, dtype=np.float32),
        box=np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).reshape(n, 4),
        xy=xy + np.asarray(error, dtype=np.float32),
        confidence=np.ones((n, 13), dtype=np.float32),
        source=Source(1280, 720, fps, 10, "drawn"),
    )


def test_truth_agrees_with_itself() -> None:
    truth = standing([(0, 200.0), (0, 600.0), (1, 210.0)])
    assert agreement(truth, truth) == Agreement(person_frames=3, found=3, joints=39, right=39)


def test_joint_is_right_within_a_fifth_of_the_torso() -> None:
    truth = standing([(0, 200.0)])
    error = np.zeros((13, 2))
    error[0, 0], error[1, 1], error[2, 0] = 19.9, -20.1, 50.0
    found = agreement(standing([(0, 200.0)], error), truth)
    assert (found.joints, found.right) == (13, 11)


def test_persons_are_matched_by_place_and_once() -> None:
    truth = standing([(0, 200.0), (0, 600.0)])
    swapped = standing([(0, 600.0), (0, 200.0), (0, 590.0)])
    assert agreement(swapped, truth) == Agreement(2, 2, 26, 26)


def test_person_without_landmarks_is_not_found() -> None:
    truth = standing([(0, 200.0), (1, 200.0), (2, 200.0)])
    predicted = standing([(0, 200.0), (1, 200.0)])
    predicted.xy[1] = np.nan
    assert agreement(predicted, truth) == Agreement(person_frames=3, found=1, joints=13, right=13)


def test_joints_that_one_of_them_lacks_do_not_count() -> None:
    truth, predicted = standing([(0, 200.0)]), standing([(0, 200.0)])
    truth.xy[0, 1], predicted.xy[0, 2] = np.nan, np.nan
    assert agreement(predicted, truth).joints == 11


def test_truth_without_a_torso_does_not_count() -> None:
    truth = standing([(0, 200.0), (1, 200.0)])
    truth.xy[0, 6] = np.nan
    truth.xy[1] = np.nan
    assert agreement(standing([(0, 200.0)]), truth) == Agreement()


def test_frames_that_were_not_looked_at_do_not_count() -> None:
    truth = standing([(frame, 200.0) for frame in range(30)])
    third = standing([(0, 200.0), (10, 200.0), (20, 200.0)], fps=Fraction(3))
    assert agreement(third, truth).person_frames == 3
    assert agreement(third, truth).found == 3


@given(st.integers(1, 60), st.integers(1, 30))
def test_ticks_are_those_of_the_video(video_fps: int, fps: int) -> None:
    """The rule of video.read, written the other way round."""
    truth = standing([(frame, 200.0) for frame in range(40)])
    truth = Landmarks(**{**vars(truth), "source": Source(9, 9, Fraction(video_fps), 40, "")})
    next_tick, looked_at = 0, []
    for frame in range(40):
        if frame / video_fps * fps >= next_tick - 1e-3:
            looked_at.append(frame)
            next_tick = int(frame / video_fps * fps + 1e-3) + 1
    rate = min(Fraction(fps), Fraction(video_fps))
    predicted = standing([(frame, 200.0) for frame in looked_at], fps=rate)
    found = agreement(predicted, truth)
    assert found.found == found.person_frames == len(looked_at)


def test_nobody() -> None:
    nobody = Landmarks.empty(standing([(0, 0.0)]).source)
    someone = standing([(0, 200.0)])
    assert agreement(nobody, someone) == Agreement(person_frames=1)
    assert agreement(someone, nobody) == Agreement()
    assert agreement(nobody, nobody).report() == {
        "person_frames": 0,
        "found_share": None,
        "pck02": None,
    }


def test_counts_add_up() -> None:
    total = Agreement(4, 2, 20, 15) + Agreement(1, 1, 5, 5)
    assert total.report() == {"person_frames": 5, "found_share": 0.6, "pck02": 0.8}
