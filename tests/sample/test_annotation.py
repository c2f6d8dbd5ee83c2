from __future__ import annotations

import numpy as np
from lxml import etree

from yololstm.clips import Box
from yololstm.sample.annotation import KEYPOINTS, Marker, to_xml
from yololstm.skeleton import JOINTS

POINTS = np.arange(3 * 2 * 17 * 2, dtype=np.float64).reshape(3, 2, 17, 2)
MARKERS = [
    Marker("theft_start", 0, Box(1, 2, 3, 4)),
    Marker("theft_end", 2, Box(5, 6, 7.125, 8)),
]


def root() -> etree._Element:
    return etree.fromstring(to_xml("clip.mp4", (64, 48), MARKERS, POINTS))


def test_the_meta_names_the_video_its_length_and_its_size() -> None:
    meta = root().find("meta")
    assert meta is not None
    assert meta.findtext("source") == "clip.mp4"
    assert meta.findtext("task/size") == "3"
    assert meta.findtext("task/original_size/width") == "64"
    assert meta.findtext("task/original_size/height") == "48"


def test_an_event_is_two_tracks_of_one_box_each() -> None:
    (start,) = root().xpath("track[@label='theft_start']/box")
    (end,) = root().xpath("track[@label='theft_end']/box")
    assert dict(start.attrib) == {
        "frame": "0", "outside": "0", "occluded": "0", "keyframe": "1",
        "xtl": "1.00", "ytl": "2.00", "xbr": "3.00", "ybr": "4.00",
    }  # fmt: skip
    assert end.get("frame") == "2"


def test_each_persons_keypoints_come_together_in_one_order() -> None:
    tracks = root().xpath("track[points]")
    assert [track.get("label") for track in tracks] == [*KEYPOINTS, *KEYPOINTS]
    x, y = POINTS[2, 1, 3]
    assert tracks[17 + 3][2].get("points") == f"{x:.2f},{y:.2f}"
    assert tracks[17 + 3][2].get("frame") == "2"


def test_track_numbers_do_not_repeat() -> None:
    numbers = [track.get("id") for track in root().iter("track")]
    assert numbers == [str(n) for n in range(2 + 2 * 17)]


def test_the_keypoints_hold_our_joints() -> None:
    assert set(JOINTS) <= set(KEYPOINTS.values())
