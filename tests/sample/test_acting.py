from __future__ import annotations

import numpy as np
import pytest

from yololstm.sample.acting import Cycle, Script, bearing, posed
from yololstm.sample.takes import KINDS, Kind, Settings, Take

CYCLE = Cycle([(0.0, posed(lean=0.0)), (0.5, posed(lean=0.4))], period_s=2.0)


@pytest.mark.parametrize(("time_s", "lean"), [(0.0, 0.0), (0.5, 0.2), (1.0, 0.4), (3.0, 0.4)])
def test_a_cycle_passes_through_its_keys_and_repeats(time_s: float, lean: float) -> None:
    assert CYCLE(time_s).trunk[0] == pytest.approx(lean)


def test_a_phase_shifts_a_cycle() -> None:
    shifted = Cycle(CYCLE.keys, CYCLE.period_s, phase=0.5)
    assert shifted(0.0).trunk[0] == pytest.approx(CYCLE(1.0).trunk[0])


def test_actions_pass_into_each_other() -> None:
    script = Script((0.0, 0.0), 0.0, left_handed=False)
    script.act(lambda _: posed(lean=0.0), 2.0)
    script.act(lambda _: posed(lean=0.4), 4.0)
    performance = script.performance()
    leans = [performance.pose(t).trunk[0] for t in (1.0, 2.0, 3.0)]
    assert leans == pytest.approx([0.0, 0.2, 0.4])


def test_a_left_handed_person_mirrors_the_action() -> None:
    right = posed(right=(0.4, -0.2, 0.0), grip=(0, 1))
    script = Script((0.0, 0.0), 0.0, left_handed=True)
    script.act(lambda _: right, 2.0)
    pose = script.performance().pose(1.0)
    np.testing.assert_allclose(pose.hands[0], (0.4, 0.2, 0.0))
    assert pose.grip.tolist() == [1, 0]


def test_a_walker_faces_the_way_and_arrives() -> None:
    script = Script((0.0, 0.0), 0.0, left_handed=False)
    script.go(lambda _: posed(), (1.0, 0.0), 3.0)
    place, heading = script.performance().where(3.0)
    np.testing.assert_allclose(place, (1.0, 0.0), atol=1e-9)
    assert heading == pytest.approx(np.pi / 2)


def test_bearing_of_a_walk_to_the_cameras_is_0() -> None:
    assert bearing((0.3, 1.0), (0.3, -1.0)) == pytest.approx(0.0)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.event)
def test_nobody_jumps(kind: Kind, default: Settings) -> None:
    """No joint moves faster than 12 m/s, not even the elbows of one who swings with all might."""
    step_s = 0.02
    times_s = np.arange(0, default.seconds, step_s)
    for number in (0, 1):
        take = Take(default, kind, number)
        joints = np.array([[f.joints() for f in group] for group in take.figures(times_s)])
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) / step_s
        assert speed.max() < 12
