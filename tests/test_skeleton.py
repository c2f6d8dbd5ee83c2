from __future__ import annotations

import numpy as np
import pytest

from yololstm import skeleton
from yololstm.skeleton import BONES, COCO, FLIP, JOINTS, MEDIAPIPE


def test_flip_is_its_own_inverse_and_swaps_sides() -> None:
    np.testing.assert_array_equal(FLIP[FLIP], np.arange(len(JOINTS)))
    for i, joint in enumerate(JOINTS):
        mirrored = JOINTS[FLIP[i]]
        assert mirrored == joint if joint == "HEAD" else mirrored.split("_")[0] in joint
        assert mirrored == "HEAD" or ("LEFT" in mirrored) != ("LEFT" in joint)


def test_bones_connect_every_joint() -> None:
    reached = {0}
    for _ in JOINTS:
        reached |= {b for a, b in BONES if a in reached} | {a for a, b in BONES if b in reached}
    assert reached == set(range(len(JOINTS)))


@pytest.mark.parametrize(("table", "n"), [(MEDIAPIPE, 33), (COCO, 17)])
def test_keypoint_tables_name_thirteen_different_points(table: np.ndarray, n: int) -> None:
    assert len(set(table.tolist())) == len(JOINTS)
    assert table.min() >= 0
    assert table.max() < n


def test_torso_length() -> None:
    xy = np.zeros((2, 13, 2))
    xy[0, list(skeleton.HIPS)] = 3, 4
    xy[1, skeleton.HIPS[0]] = np.nan
    length = skeleton.torso_length(xy)
    assert length[0] == 5
    assert np.isnan(length[1])
