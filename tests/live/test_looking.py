from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import drawn, told
from tests.told import BAG, Told
from yololstm import video
from yololstm.errors import ParamsError
from yololstm.extractor import Extractor
from yololstm.landmarks import Landmarks
from yololstm.live.looking import Looker, refuse_ahead
from yololstm.pose import open_backend
from yololstm.settings import ExtractionSettings
from yololstm.sight import TopDown


def settings(**changes: Any) -> ExtractionSettings:
    return replace(told.settings(Path("weights.pt")), **changes)


def extractor(frames: list[list[list[float]]], **changes: Any) -> Extractor:
    pose = open_backend("mediapipe", drawn.pose_model())
    return Extractor(settings(**changes), TopDown(Told(frames), pose))


def test_frames_are_looked_at_as_those_of_a_file_are(tmp_path: Path) -> None:
    clip, truth = told.filmed(tmp_path)
    path = next(tmp_path.rglob("*.mp4"))
    boxes = [[*frame, BAG] for frame in told.person_boxes(truth)]
    with extractor(boxes, max_persons=2) as whole:
        expected = whole.extract(path)
    with extractor(boxes, max_persons=2) as by_frame:
        looker = Looker(by_frame, Fraction(clip.fps))
        seen = [looker.look(frame).landmarks for frame in video.read(path)]
    got = Landmarks.concatenate(seen, expected.source)
    assert len(got) > len(seen)
    assert all(one.source == replace(expected.source, n_frames=0) for one in seen)
    for name in ("frame", "time_s", "category", "track", "score", "box", "xy", "confidence"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name))


def test_whoever_is_seen_after_a_break_is_somebody_else() -> None:
    box = [[100.0, 50, 160, 220]]
    with extractor([box, box, [*box, [400.0, 50, 460, 220]], box, box]) as looks:
        looker = Looker(looks, Fraction(3))
        seen = []
        for k in range(5):
            if k in (3, 4):
                looker.restart()
            frame = video.Frame(k, k / 3, np.zeros((240, 640, 3), dtype=np.uint8))
            seen.append(looker.look(frame).landmarks.track.tolist())
    assert seen == [[1], [1], [1, 2], [3], [4]]


def test_persons_who_are_too_unsure_to_be_followed_are_handed_on() -> None:
    pose = open_backend("mediapipe", drawn.pose_model())
    boxes = [[100.0, 50, 160, 220], BAG]
    seen = []
    for score in (0.45, 0.9):
        looks = Extractor(settings(), TopDown(Told([boxes, boxes], score), pose))
        looker = Looker(looks, Fraction(3))
        frame = video.Frame(0, 0.0, np.zeros((240, 640, 3), dtype=np.uint8))
        seen.append(looker.look(frame))
    unsure, sure = seen
    assert (len(unsure.landmarks), unsure.others.tolist()) == (0, boxes[:1])
    assert (len(sure.landmarks), sure.others.shape) == (2, (0, 4))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("detect_every", 2), ("rejoin_s", 3.0), ("still_s", 9.0), ("smoothing", "savgol")],
)
def test_what_looks_ahead_is_refused(setting: str, value: object) -> None:
    problem = rf"extract\.{setting}: .*looks ahead.* to watch live"
    with extractor([], **{setting: value}) as looks, pytest.raises(ParamsError, match=problem):
        Looker(looks, Fraction(3))


def test_what_looks_back_is_not() -> None:
    refuse_ahead(vars(settings(smoothing="one_euro")))
