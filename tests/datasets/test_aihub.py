from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.datasets.trees import (
    LABEL_MAP,
    N_FRAMES,
    aihub_name,
    annotation,
    event,
    keypoint,
    put,
    put_pair,
    put_video,
    track,
)
from yololstm.catalogue import Found
from yololstm.clips import Box, Clip, Span
from yololstm.datasets import reader
from yololstm.landmarks import Landmarks
from yololstm.skeleton import JOINTS

NAME = aihub_name()


def read(root: Path, **label_map: str) -> Found:
    return reader("aihub", LABEL_MAP | label_map).read(root)


def read_one(root: Path, *tracks: str, size: tuple[int, int] = (64, 48)) -> Clip:
    put_pair(root, NAME, annotation(*tracks, size=size))
    found = read(root)
    assert not found.problems
    (clip,) = found.clips
    return clip


# --- names ---


@pytest.mark.parametrize(
    ("name", "take", "camera"),
    [
        (
            "C_3_12_1_BU_DYA_07-31_16-15-01_CA_RGB_DF2_M1",
            "C_3_12_1_BU_DYA_07-31_16-15-01_RGB_DF2_M1",
            "CA",
        ),
        (
            "C_1_1_10_BU_DYA_08-13_14-41-55_CH_DF1_F1_F1",
            "C_1_1_10_BU_DYA_08-13_14-41-55_DF1_F1_F1",
            "CH",
        ),
        ("c_3_12_1_bu_syb_07-31_16-15-01_cb", "C_3_12_1_BU_SYB_07-31_16-15-01", "CB"),
        ("my own video", "MY OWN VIDEO", ""),
    ],
)
def test_take_and_camera_stand_in_the_name(
    tmp_path: Path, name: str, take: str, camera: str
) -> None:
    put_pair(tmp_path, name, annotation())
    (clip,) = read(tmp_path).clips
    assert (clip.clip_id, clip.take, clip.camera) == (name, take, camera)


def test_cameras_started_seconds_apart_film_one_take(tmp_path: Path) -> None:
    times = {"CB": "16-15-01", "CA": "16-15-09", "CC": "16-15-33", "CD": "16-17-01"}
    for camera, time in times.items():
        put_pair(tmp_path, aihub_name(camera=camera, time=time), annotation())
    put_pair(tmp_path, aihub_name(scene=2, camera="CA"), annotation())
    takes = {
        (clip.camera, "_1_BU" in clip.take): clip.take.split("_")[7]
        for clip in read(tmp_path).clips
    }
    assert takes == {
        ("CA", True): "16-15-01",
        ("CB", True): "16-15-01",
        ("CC", True): "16-15-01",
        ("CD", True): "16-17-01",
        ("CA", False): "16-15-01",
    }


def test_video_and_annotation_meet_whatever_the_case_of_their_names(tmp_path: Path) -> None:
    put_video(tmp_path / "a" / "b" / f"{NAME}.MP4")
    put(tmp_path / "c" / f"{NAME.lower()}.Xml", annotation(event("theft")))
    found = read(tmp_path)
    assert not found.problems
    assert [clip.path for clip in found.clips] == [f"a/b/{NAME}.MP4"]


def test_official_validation_is_test(tmp_path: Path) -> None:
    for scene, part in enumerate(["x/TRAINING", "y/z/validation", "neither"]):
        put_pair(tmp_path, aihub_name(scene=scene), annotation(), part)
    assert [clip.split for clip in read(tmp_path).clips] == ["train", "test", "train"]


# --- events ---


def test_event_becomes_a_span(tmp_path: Path) -> None:
    clip = read_one(tmp_path, event("broken", 3, 9, (10, 11, 30, 41)))
    assert clip.spans == (Span(1.0, 3.0, "damage", Box(10, 11, 30, 41)),)


def test_class_in_the_name_is_not_believed(tmp_path: Path) -> None:
    assert read_one(tmp_path, event("fight")).label == "assault"
    assert "_12_" in NAME


def test_no_event_is_normal(tmp_path: Path) -> None:
    bag = track("bag", [4])
    gone = track("theft_start", []) + track("theft_end", [])
    clip = read_one(tmp_path, bag, gone, keypoint("Left hand", {4: (1, 2)}))
    assert (clip.spans, clip.label) == ((), "normal")


def test_events_pair_in_order_of_time(tmp_path: Path) -> None:
    clip = read_one(
        tmp_path,
        track("theft_end", [9]),
        track("theft_end", [3]),
        track("Theft_Start", [1, 6]),
        event("fight", 0, 2),
    )
    intervals = [(span.label, span.start_s * 3, span.end_s * 3) for span in clip.spans]
    assert intervals == [("assault", 0, 2), ("theft", 1, 3), ("theft", 6, 9)]


def test_box_is_in_pixels_of_the_video_and_cut_at_its_edges(tmp_path: Path) -> None:
    clip = read_one(tmp_path, event("theft", box=(-2, 10, 60, 97)), size=(128, 96))
    assert clip.spans[0].box == Box(0, 5, 30, 48)


def test_time_is_presentation_time_where_the_rate_varies(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation(event("theft", 1, 3)))
    times_ms = [0, 300, 400, 2000, 2500]
    video = next(tmp_path.rglob("*.mp4"))
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (span,) = read(tmp_path).clips[0].spans
    assert (span.start_s, span.end_s) == pytest.approx((0.3, 2.0))


@pytest.mark.parametrize(
    ("tracks", "problem", "remedy"),
    [
        ([track("theft_start", [3])], "1 theft_start but 0 theft_end", "both ends"),
        ([track("theft_end", [3])], "0 theft_start but 1 theft_end", "both ends"),
        ([event("theft", 9, 3)], "ends at frame 3, not after its start, 9", "Correct"),
        ([event("theft", 3, 3)], "ends at frame 3, not after its start, 3", "Correct"),
        ([event("theft", 3, N_FRAMES)], "frame 12 of a video of 12 frames", "belong together"),
        ([keypoint("Left hand", {99: (1, 1)})], "frame 99 of a video", "belong together"),
        ([event("theft", box=(40, 10, 70, 40))], "is no part of a frame of 64x48", "original_size"),
        ([event("theft", box=(30, 10, 20, 40))], "is no part of a frame", "original_size"),
        ([event("theft", box=(-1, 10, 0, 40))], "is no part of a frame", "original_size"),
        ([event("theff")], "unknown event 'theff'", "nearest known is theft"),
        ([event("xyz")], "unknown event 'xyz'", "known are abandon, broken"),
        *(
            ([track(label, [3], (10, 10, 30, 40))], f"{label!r} marks no start", "<event>_start")
            for label in ("theft_strat", "theft-start", "fight begin", "theft")
        ),
        (
            [event("theft").replace('outside="0"', 'outside="1"')],
            "'theft_start' marks no start",
            "show it in a frame",
        ),
    ],
)
def test_impossible_events_leave_the_clip_out(
    tmp_path: Path, tracks: list[str], problem: str, remedy: str
) -> None:
    put_pair(tmp_path, NAME, annotation(*tracks))
    found = read(tmp_path)
    assert found.clips == []
    (told,) = found.problems
    assert told.place.startswith(f"Training/02.라벨링데이터/{NAME}.xml")
    assert problem in told.problem
    assert remedy in told.remedy


def test_known_event_without_a_label_is_left_out_but_no_fault(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation(event("fall"), event("theft")))
    found = read(tmp_path)
    assert (found.clips, found.problems) == ([], [])
    (told,) = found.unmapped
    assert "'fall'" in told.problem
    assert "data.label_map" in told.remedy


def test_label_map_may_name_further_events(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation(event("buying")))
    (clip,) = read(tmp_path, Buying="normal").clips
    assert (clip.spans[0].label, clip.label) == ("normal", "normal")


# --- files ---


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    put_video(tmp_path / "a.mp4")
    put(tmp_path / "b.xml", annotation())
    first, second = read(tmp_path).problems
    assert (first.place, second.place) == ("a.mp4", "b.xml")
    assert "no annotation (.xml)" in first.problem
    assert "no video (.mp4)" in second.problem


def test_what_is_there_twice_is_named(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    put(tmp_path / "Training" / "copy" / f"{NAME}.xml", annotation())
    (told,) = read(tmp_path).problems
    assert "stands again in Training/copy" in told.problem


def test_damaged_video_is_named(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    video = next(tmp_path.rglob("*.mp4"))
    for content, problem in ((b"", "empty"), (b"x" * 99, "not a video"), (None, "cut short")):
        put_video(video)
        video.write_bytes(video.read_bytes()[:-200] if content is None else content)
        (told,) = read(tmp_path).problems
        assert told.place == f"Training/01.원천데이터/{NAME}.mp4"
        assert problem in told.problem


# --- keypoints ---


def landmarks(root: Path, clip: Clip) -> Landmarks | None:
    return reader("aihub", LABEL_MAP).landmarks(root, clip)


def test_keypoints_become_landmarks(tmp_path: Path) -> None:
    clip = read_one(
        tmp_path,
        keypoint("Left  hand", {3: (20, 40), 6: (22, 42)}),
        keypoint("CENTER HEAD", {3: (24, 10)}),
        keypoint("Pelvis", {3: (30, 30), 9: (1, 1)}),
        size=(128, 96),
    )
    found = landmarks(tmp_path, clip)
    assert found is not None
    assert found.frame.tolist() == [3, 6]  # at 9 there is no joint of ours
    assert found.time_s.tolist() == [1.0, 2.0]
    wrist, head = JOINTS.index("WRIST_LEFT"), JOINTS.index("HEAD")
    assert found.xy[0, wrist].tolist() == [10, 20]
    assert found.xy[0, head].tolist() == [12, 5]
    assert found.confidence.sum(axis=1).tolist() == [2, 1]
    assert found.box.tolist() == [[10, 5, 15, 20], [11, 21, 11, 21]]
    assert np.isnan(found.score).all()


def test_second_track_of_a_keypoint_is_the_second_person(tmp_path: Path) -> None:
    clip = read_one(
        tmp_path,
        keypoint("Left knee", {3: (1, 1)}),
        keypoint("Left knee", {3: (30, 1), 4: (31, 1)}),
        keypoint("Right foot", {4: (2, 2)}),
        keypoint("Right foot", {}),
    )
    found = landmarks(tmp_path, clip)
    assert found is not None
    assert [*zip(found.frame, found.track, strict=True)] == [(3, 1), (3, 2), (4, 1), (4, 2)]
    assert found.xy[1, JOINTS.index("KNEE_LEFT")].tolist() == [30, 1]
    assert found.xy[2, JOINTS.index("ANKLE_RIGHT")].tolist() == [2, 2]


def test_every_joint_of_ours_is_annotated_somewhere(tmp_path: Path) -> None:
    limbs = ["shoulder", "elbow", "hand", "hip", "knee", "foot"]
    names = [f"{side} {limb}" for side in ("Left", "Right") for limb in limbs] + ["Center head"]
    points = {name: (float(i + 1), 5.0) for i, name in enumerate(names)}
    clip = read_one(tmp_path, *(keypoint(name, {0: at}) for name, at in points.items()))
    found = landmarks(tmp_path, clip)
    assert found is not None
    words = {"HAND": "WRIST", "FOOT": "ANKLE", "CENTER_HEAD": "HEAD"}
    for name, at in points.items():
        side, limb = name.upper().split()
        joint = "HEAD" if limb == "HEAD" else f"{words.get(limb, limb)}_{side}"
        assert tuple(found.xy[0, JOINTS.index(joint)]) == at


def test_without_keypoints_there_are_no_landmarks(tmp_path: Path) -> None:
    assert landmarks(tmp_path, read_one(tmp_path, event("theft"))) is None
