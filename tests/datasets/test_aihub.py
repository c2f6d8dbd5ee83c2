from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.trees import (
    LABEL_MAP,
    N_FRAMES,
    SIZE,
    Corners,
    aihub_name,
    annotation,
    event,
    keypoint,
    material,
    put,
    put_pair,
    put_video,
    put_zip,
    track,
)
from yololstm import video
from yololstm.catalogue import Found
from yololstm.clips import Box, Clip, Span
from yololstm.datasets import reader
from yololstm.errors import AnnotationError
from yololstm.landmarks import Landmarks
from yololstm.skeleton import JOINTS

NAME = aihub_name()


def read(root: Path, **label_map: str) -> Found:
    return reader("aihub", LABEL_MAP | label_map).read(material(root))


def read_one(root: Path, *tracks: str, size: tuple[int, int] = (64, 48)) -> Clip:
    put_pair(root, NAME, annotation(*tracks, size=size))
    found = read(root)
    assert not found.problems
    (clip,) = found.clips
    return clip


# --- names ---


@pytest.mark.parametrize(
    ("name", "take", "store", "camera", "actors"),
    [
        (
            "C_3_12_1_BU_DYA_07-31_16-15-01_CA_RGB_DF2_M1",
            "C_3_12_1_BU_DYA_07-31_16-15-01_RGB_DF2_M1",
            *("DYA", "CA", "DF2_M1"),
        ),
        (
            "C_1_1_10_BU_DYA_08-13_14-41-55_CH_DF1_F1_F1",
            "C_1_1_10_BU_DYA_08-13_14-41-55_DF1_F1_F1",
            *("DYA", "CH", "DF1_F1_F1"),
        ),
        (
            "c_3_12_1_bu_syb_07-31_16-15-01_cb",
            "C_3_12_1_BU_SYB_07-31_16-15-01",
            *("SYB", "CB", ""),
        ),
        (
            "C_3_8_21_BU_SMC_10-06_09-00-00_CD_RGB",
            "C_3_8_21_BU_SMC_10-06_09-00-00_RGB",
            *("SMC", "CD", ""),
        ),
        ("x_16-15-01_CA_M1", "X_16-15-01_M1", "", "CA", "M1"),
        ("C_3_12_1_BU_DYA_07-31_16-15-01", "C_3_12_1_BU_DYA_07-31_16-15-01", "", "", ""),
        ("내 영상 1", "내 영상 1", "", "", ""),
        ("my own video", "MY OWN VIDEO", "", "", ""),
    ],
)
def test_who_where_and_when_stand_in_the_name(
    tmp_path: Path, name: str, take: str, store: str, camera: str, actors: str
) -> None:
    put_pair(tmp_path, name, annotation())
    (clip,) = read(tmp_path).clips
    assert (clip.clip_id, clip.take) == (name, take)
    assert (clip.store, clip.camera, clip.actors) == (store, camera, actors)


def test_the_file_that_labels_a_clip_is_named(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    (clip,) = read(tmp_path).clips
    assert clip.annotation == f"Training/02.라벨링데이터/{NAME}.xml"
    content = (tmp_path / clip.annotation).read_bytes()
    assert clip.annotation_sha256 == sha256(content).hexdigest()


def takes(root: Path, *starts: str) -> list[str]:
    """The take, by its time, of clips of one scene, given as camera and time and in that order."""
    names = []
    for start in starts:
        camera, time = start.split()
        names.append(aihub_name(camera=camera, time=time))
        put_pair(root, names[-1], annotation())
    time_of = {clip.clip_id: clip.take.split("_")[7] for clip in read(root).clips}
    return [time_of[name] for name in names]


def test_cameras_started_seconds_apart_film_one_take(tmp_path: Path) -> None:
    starts = ("CB 16-15-01", "CA 16-15-09", "CC 16-15-33", "CD 16-17-01")
    assert takes(tmp_path, *starts) == ["16-15-01", "16-15-01", "16-15-01", "16-17-01"]


def test_another_scene_is_another_take(tmp_path: Path) -> None:
    for scene, actors in ((1, "M1"), (2, "M1"), (1, "M2")):
        name = aihub_name(scene=scene).replace("DF2_M1", actors)
        put_pair(tmp_path, name, annotation())
    assert len({clip.take for clip in read(tmp_path).clips}) == 3


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        # Takes that follow each other quickly.
        (
            ("CA 16-00-00", "CB 16-00-05", "CA 16-00-20", "CB 16-00-25", "CA 16-00-40"),
            ["16-00-00", "16-00-00", "16-00-20", "16-00-20", "16-00-40"],
        ),
        # The first of them lacks a camera.
        (("CA 16-00-00", "CA 16-00-20", "CB 16-00-22"), ["16-00-00", "16-00-20", "16-00-20"]),
        # A camera falls behind the start of the next.
        (
            ("CA 16-00-00", "CA 16-00-10", "CB 16-00-11", "CB 16-00-12"),
            ["16-00-00", "16-00-10", "16-00-10", "16-00-00"],
        ),
        # Two cameras at one and the same second.
        (
            ("CA 16-00-00", "CB 16-00-00", "CB 16-00-09", "CC 16-00-09"),
            ["16-00-00", "16-00-00", "16-00-09", "16-00-09"],
        ),
    ],
)
def test_a_take_has_each_camera_once(
    tmp_path: Path, starts: tuple[str, ...], expected: list[str]
) -> None:
    assert takes(tmp_path, *starts) == expected


def test_video_and_annotation_meet_whatever_the_case_of_their_names(tmp_path: Path) -> None:
    put_video(tmp_path / "a" / "b" / f"{NAME}.MP4")
    put(tmp_path / "c" / f"{NAME.lower()}.Xml", annotation(event("theft")))
    found = read(tmp_path)
    assert not found.problems
    assert [clip.path for clip in found.clips] == [f"a/b/{NAME}.MP4"]


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("x/TRAINING", "train"),
        ("y/z/validation", "test"),
        ("neither", "train"),
        ("220.실내(편의점, 매장) 사람 이상행동 데이터/01-1.정식개방데이터/Validation", "test"),
        (
            "220.실내(편의점, 매장) 사람 이상행동 데이터/01-1.정식개방데이터/2.Validation(검증)",
            "test",
        ),
        ("[Training]/VS_03.이상행동_12.절도", "train"),
        ("invalidation", "train"),
        ("VS_03.이상행동_12.절도", "test"),
        ("vl_03.이상행동_12.절도", "test"),
        ("TS_03.이상행동_12.절도", "train"),
        ("CVS_03", "train"),
    ],
)
def test_folder_says_the_official_split(tmp_path: Path, folder: str, split: str) -> None:
    put_pair(tmp_path, NAME, annotation(), folder)
    assert [clip.split for clip in read(tmp_path).clips] == [split]


def test_what_lies_in_no_split_belongs_to_the_file_of_its_name(tmp_path: Path) -> None:
    put_video(tmp_path / "videos" / f"{NAME}.mp4")
    put(tmp_path / "VL_12" / f"{NAME}.xml", annotation())
    found = read(tmp_path)
    assert [clip.split for clip in found.clips] == ["test"]


def test_a_name_in_both_splits_is_two_clips(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation(), "Training")
    put_pair(tmp_path, NAME, annotation(), "Validation")
    found = read(tmp_path)
    assert sorted(clip.split for clip in found.clips) == ["test", "train"]
    assert len({clip.take for clip in found.clips}) == 1
    assert ["byte for byte the same" in told.problem for told in found.warnings] == [True]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_may_be_composed_or_not(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    folder = unicodedata.normalize(form, "01.원천데이터/TS_03.이상행동_12.절도")
    put_video(tmp_path / folder / f"{unicodedata.normalize(form, '절도')}_1.mp4")
    put(tmp_path / "02.라벨링데이터" / "절도_1.xml", annotation())
    found = read(tmp_path)
    assert (found.problems, [clip.clip_id for clip in found.clips]) == ([], ["절도_1"])


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
    put_pair(tmp_path, NAME, annotation(event("theft", 1, 3), n_frames=5))
    times_ms = [0, 300, 400, 2000, 2500]
    path = next(tmp_path.rglob("*.mp4"))
    with av.open(str(path), "w") as container:
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


@pytest.mark.parametrize("label", ["ignored", "normal"])
def test_event_may_be_ignored_or_normal(tmp_path: Path, label: str) -> None:
    put_pair(tmp_path, NAME, annotation(event("fall", 1, 5), event("theft", 6, 9)))
    put_pair(tmp_path, aihub_name(scene=2), annotation(event("fall", 1, 5)))
    both, alone = read(tmp_path, fall=label).clips
    assert [span.label for span in both.spans] == [label, "theft"]
    assert (both.label, alone.label) == ("theft", label)
    assert [span.label for span in alone.spans] == [label]


def test_several_events_are_several_spans(tmp_path: Path) -> None:
    clip = read_one(tmp_path, event("broken", 6, 11), event("theft", 1, 4), event("fight", 3, 7))
    assert [span.label for span in clip.spans] == ["theft", "assault", "damage"]
    assert [round(span.start_s * 3) for span in clip.spans] == [1, 3, 6]
    assert clip.label == "damage"


SIDES = LEFT, RIGHT = (2.0, 10.0, 22.0, 40.0), (40.0, 10.0, 60.0, 40.0)


def boxes_and_frames(clip: Clip) -> list[tuple[object, ...]]:
    return [(s.box, round(s.start_s * 3), round(s.end_s * 3)) for s in clip.spans]


def test_two_who_act_at_once_have_a_span_and_a_box_each(tmp_path: Path) -> None:
    clip = read_one(tmp_path, event("fight", 3, 9, RIGHT), event("fight", 3, 9, LEFT))
    assert boxes_and_frames(clip) == [(RIGHT, 3, 9), (LEFT, 3, 9)]


@pytest.mark.parametrize(("left", "right"), [((1, 10), (4, 8)), ((1, 6), (4, 9))])
def test_an_end_belongs_to_the_start_whose_box_is_like_its_own(
    tmp_path: Path, left: tuple[int, int], right: tuple[int, int]
) -> None:
    assert warned(tmp_path, event("theft", *right, RIGHT), event("theft", *left, LEFT)) == []
    (clip,) = read(tmp_path).clips
    assert boxes_and_frames(clip) == [(LEFT, *left), (RIGHT, *right)]


def theft(start: tuple[int, Corners], end: tuple[int, Corners]) -> str:
    return track("theft_start", [start[0]], start[1]) + track("theft_end", [end[0]], end[1])


def test_nearness_decides_where_boxes_do_not_meet(tmp_path: Path) -> None:
    clip = read_one(
        tmp_path,
        theft((1, (0, 0, 8, 20)), (9, (10, 2, 18, 22))),
        theft((4, (56, 20, 64, 48)), (6, (44, 10, 53, 40))),
    )
    assert boxes_and_frames(clip) == [((0, 0, 8, 20), 1, 9), ((56, 20, 64, 48), 4, 6)]


def test_one_end_that_is_clear_tells_of_the_other(tmp_path: Path) -> None:
    """The one on the right leaves, the one on the left walks to the middle."""
    middle = (21, 10, 41, 40)
    assert warned(tmp_path, theft((1, LEFT), (9, middle)), theft((4, RIGHT), (8, RIGHT))) == []
    (clip,) = read(tmp_path).clips
    assert boxes_and_frames(clip) == [(LEFT, 1, 9), (RIGHT, 4, 8)]


def test_every_start_keeps_an_end_that_is_after_it(tmp_path: Path) -> None:
    """Those at 1 and 2 are like the ends at 7 and 9, which would leave 5 to the one at 6."""
    middle, above = (30, 20, 40, 30), (25, 0, 35, 10)
    clip = read_one(
        tmp_path,
        *(theft((1, LEFT), (7, LEFT)), theft((2, RIGHT), (9, RIGHT))),
        theft((6, above), (5, middle)),
    )
    spans = [(start, end) for _, start, end in boxes_and_frames(clip)]
    assert spans in ([(1, 7), (2, 5), (6, 9)], [(1, 5), (2, 9), (6, 7)])


@pytest.mark.parametrize(
    "ends",
    [
        [(6, LEFT), (9, LEFT)],  # both are like the same start
        [(6, (21, 10, 41, 40)), (9, (21, 10, 41, 40))],  # both are between the two
        [(6, (30, 45, 32, 48)), (9, (12, 10, 50, 40))],  # the latter is nearer, to both
    ],
)
def test_boxes_that_do_not_decide_leave_the_order_of_time(
    tmp_path: Path, ends: list[tuple[int, Corners]]
) -> None:
    tracks = [theft((start, box), end) for start, box, end in zip((1, 4), SIDES, ends, strict=True)]
    told = warned(tmp_path, *tracks)
    (clip,) = read(tmp_path).clips
    assert boxes_and_frames(clip) == [(LEFT, 1, 6), (RIGHT, 4, 9)]
    (doubt,) = told
    assert doubt.startswith('<box frame="6"')
    assert "2 theft overlap, and no box says whose end this is" in doubt


def test_what_does_not_overlap_needs_no_boxes(tmp_path: Path) -> None:
    tracks = [theft((1, LEFT), (4, RIGHT)), theft((4, RIGHT), (9, LEFT))]
    assert warned(tmp_path, *tracks) == []
    (clip,) = read(tmp_path).clips
    assert boxes_and_frames(clip) == [(LEFT, 1, 4), (RIGHT, 4, 9)]


def test_a_hundred_at_once_are_believed_and_no_more(tmp_path: Path) -> None:
    boxes = [(i % 10 * 6.0, i // 10 * 4.0, i % 10 * 6 + 5.0, i // 10 * 4 + 3.0) for i in range(100)]
    clip = read_one(
        tmp_path, *(event("theft", 1 + i % 5, 11 - i % 5, boxes[i]) for i in range(100))
    )
    assert {(span.box, round(span.start_s * 3 + span.end_s * 3)) for span in clip.spans} == {
        (box, 12) for box in boxes
    }
    put_pair(tmp_path, NAME, annotation(*[event("theft")] * 101))
    (told,) = read(tmp_path).problems
    assert "101 theft_start, more than 100" in told.problem


def test_one_may_start_when_another_ends(tmp_path: Path) -> None:
    clip = read_one(tmp_path, event("theft", 5, 9, RIGHT), event("theft", 1, 5, LEFT))
    assert boxes_and_frames(clip) == [(LEFT, 1, 5), (RIGHT, 5, 9)]


def test_faults_of_events_name_their_line(tmp_path: Path) -> None:
    xml = annotation(event("theft", 1, 3), event("theft", 9, 6), track("fight_start", [2]))
    put_pair(tmp_path, NAME, xml)
    (told,) = read(tmp_path).problems
    place, _, line = told.place.rpartition(":")
    assert place == f"Training/02.라벨링데이터/{NAME}.xml"
    assert xml.splitlines()[int(line) - 1].startswith('<box frame="2"')


# --- normal shopping ---

SHOPPING = "C_1_1_10_BU_DYA_08-13_14-41-55_CA_DF1_F1_F1"


def shopping(root: Path, *tracks: str, **label_map: str) -> Found:
    put_pair(root, SHOPPING, annotation(*tracks))
    return read(root, **label_map)


@pytest.mark.parametrize(
    "tracks",
    [
        [],
        [event("buy")],
        [track("browse_start", [1, 4])],
        [track("select", [3]), track("select_end", [])],
        [event("buy", 9, 3)],
    ],
)
def test_what_customers_do_is_normal(tmp_path: Path, tracks: list[str]) -> None:
    found = shopping(tmp_path, *tracks)
    assert (found.problems, found.unmapped, found.warnings) == ([], [], [])
    (clip,) = found.clips
    assert (clip.label, clip.spans) == ("normal", ())


def test_the_same_in_another_category_is_a_fault(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation(event("buy")))
    (told,) = read(tmp_path).problems
    assert "unknown event 'buy'" in told.problem


def test_known_events_count_among_shopping_too(tmp_path: Path) -> None:
    (clip,) = shopping(tmp_path, event("buy"), event("theft")).clips
    assert [span.label for span in clip.spans] == ["theft"]
    (clip,) = shopping(tmp_path, event("buy"), buy="damage").clips
    assert [span.label for span in clip.spans] == ["damage"]
    (told,) = shopping(tmp_path, event("fall")).unmapped
    assert "'fall'" in told.problem
    (told,) = shopping(tmp_path, track("theft_start", [3])).problems
    assert "1 theft_start but 0 theft_end" in told.problem
    (told,) = shopping(tmp_path, track("theft", [3])).problems
    assert "'theft' marks no start" in told.problem


def test_shopping_that_is_called_like_an_event_is_told(tmp_path: Path) -> None:
    found = shopping(tmp_path, track("theff_start", [3]))
    assert len(found.clips) == 1
    (told,) = found.warnings
    assert told.place == f"Training/02.라벨링데이터/{SHOPPING}.xml:3"
    assert "'theff_start' was taken for normal shopping" in told.problem
    assert "theft" in told.remedy


# --- files ---


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    put_video(tmp_path / "a.mp4")
    put(tmp_path / "b.xml", annotation())
    first, second = read(tmp_path).problems
    assert (first.place, second.place) == ("a.mp4", "b.xml")
    assert "no annotation (.xml)" in first.problem
    assert "no video (.mp4)" in second.problem


def test_one_name_with_other_bytes_is_a_fault(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    put(tmp_path / "Training" / "copy" / f"{NAME}.xml", annotation(event("theft")))
    found = read(tmp_path)
    (told,) = found.problems
    assert found.clips == []
    assert "stands again in Training/copy" in told.problem


def test_the_same_bytes_again_are_read_once_and_told(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    (original,) = tmp_path.rglob("*.mp4")
    put_video(tmp_path / "Training" / "copy" / f"{NAME}.mp4", original.read_bytes())
    put(tmp_path / "Training" / "copy" / f"{NAME}.xml", annotation())
    found = read(tmp_path)
    assert (len(found.clips), found.problems) == (1, [])
    assert [told.place for told in found.warnings] == [
        f"Training/copy/{NAME}.mp4",
        f"Training/copy/{NAME}.xml",
    ]
    assert "the same bytes stand in Training/01.원천데이터" in found.warnings[0].problem


def test_zip_and_what_was_unpacked_from_it_are_one(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    source, labels = tmp_path / "Training/01.원천데이터", tmp_path / "Training/02.라벨링데이터"
    put_zip(source / "TS_03.이상행동_12.절도.zip", {f"{NAME}.mp4": source / f"{NAME}.mp4"})
    put_zip(labels / "TL_03.이상행동_12.절도.zip", {f"{NAME}.xml": labels / f"{NAME}.xml"})
    found = read(tmp_path)
    assert (found.problems, found.warnings) == ([], [])
    assert [clip.path for clip in found.clips] == [f"Training/01.원천데이터/{NAME}.mp4"]


def test_one_in_a_zip_and_another_unpacked_is_a_fault(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    other = put_video(tmp_path / "other.avi")
    put_zip(tmp_path / "Training" / "x.zip", {f"{NAME}.mp4": other})
    (told,) = read(tmp_path).problems
    assert "the same name stands again" in told.problem


def test_zips_are_read_in_place(tmp_path: Path) -> None:
    put_pair(tmp_path / "from", NAME, annotation(event("theft")))
    for kind, suffix in (("TS", "mp4"), ("TL", "xml")):
        (file,) = (tmp_path / "from").rglob(f"*.{suffix}")
        zipped = tmp_path / "root" / f"{kind}_03.이상행동_12.절도.zip"
        put_zip(zipped, {f"03.이상행동/{NAME}.{suffix}": file})
    found = read(tmp_path / "root")
    assert (found.problems, found.warnings) == ([], [])
    (clip,) = found.clips
    assert clip.path == f"TS_03.이상행동_12.절도.zip/03.이상행동/{NAME}.mp4"
    assert clip.annotation == f"TL_03.이상행동_12.절도.zip/03.이상행동/{NAME}.xml"
    assert clip.label == "theft"


def test_damaged_video_is_named(tmp_path: Path) -> None:
    put_pair(tmp_path, NAME, annotation())
    video = next(tmp_path.rglob("*.mp4"))
    for content, problem in ((b"", "empty"), (b"x" * 99, "not a video"), (None, "cut short")):
        put_video(video)
        video.write_bytes(video.read_bytes()[:-300] if content is None else content)
        (told,) = read(tmp_path).problems
        assert told.place == f"Training/01.원천데이터/{NAME}.mp4"
        assert problem in told.problem


# --- what is doubtful ---


@pytest.mark.parametrize(
    ("n_frames", "is_sound"), [(N_FRAMES - 3, True), (N_FRAMES + 3, True), (8, False), (16, False)]
)
def test_length_of_video_and_annotation_may_differ_by_a_second(
    tmp_path: Path, n_frames: int, is_sound: bool
) -> None:
    put_pair(tmp_path, NAME, annotation(n_frames=n_frames))
    found = read(tmp_path)
    assert len(found.clips) == is_sound
    told = [f"{problem.place} {problem.problem}" for problem in found.problems]
    place = f"Training/02.라벨링데이터/{NAME}.xml:2"
    assert told == ([] if is_sound else [f"{place} {n_frames} frames, but the video has 12"])


@pytest.mark.parametrize(
    ("size", "is_sound"), [((1920, 1440), True), ((66, 48), True), ((1920, 1080), False)]
)
def test_annotation_of_another_shape_is_of_another_video(
    tmp_path: Path, size: tuple[int, int], is_sound: bool
) -> None:
    put_pair(tmp_path, NAME, annotation(size=size))
    found = read(tmp_path)
    assert len(found.clips) == is_sound
    told = [(problem.place, problem.problem) for problem in found.problems]
    place = f"Training/02.라벨링데이터/{NAME}.xml:2"
    problem = "frames of 1920x1080, but the video's are 64x48"
    assert told == ([] if is_sound else [(place, problem)])


def warned(root: Path, *tracks: str) -> list[str]:
    put_pair(root, NAME, xml := annotation(*tracks))
    found = read(root)
    assert len(found.clips) == 1
    lines = xml.splitlines()
    told = []
    for problem in found.warnings:
        place, _, line = problem.place.rpartition(":")
        assert place == f"Training/02.라벨링데이터/{NAME}.xml"
        assert problem.remedy
        told.append(f"{lines[int(line) - 1].strip()} {problem.problem}")
    return told


def test_short_and_whole_spans_are_told(tmp_path: Path) -> None:
    assert warned(tmp_path, event("theft", 3, 6)) == []
    (short,) = warned(tmp_path, event("theft", 3, 5))
    assert short.startswith('<box frame="3"')
    assert "theft lasts 0.67 s only" in short


def test_span_over_the_whole_clip_is_told(tmp_path: Path) -> None:
    (whole,) = warned(tmp_path, event("theft", 0, N_FRAMES - 1))
    assert whole.startswith('<box frame="0"')
    assert "from the first frame to the last" in whole


def test_box_of_an_end_may_lie_outside(tmp_path: Path) -> None:
    end = track("theft_end", [9], (60, 10, 90, 40))
    (told,) = warned(tmp_path, track("theft_start", [3]), end)
    assert told.startswith('<box frame="9"')
    assert "the box of the end of theft is no part of the frame" in told


def test_another_rate_than_most_is_told(tmp_path: Path) -> None:
    for scene in range(3):
        put_pair(tmp_path, aihub_name(scene=scene), annotation())
    odd = next(tmp_path.rglob(f"{aihub_name(scene=1)}.mp4"))
    with video.writing(odd, Fraction(5), *SIZE) as writer:
        for _ in range(N_FRAMES):
            writer.write(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    (told,) = read(tmp_path).warnings
    assert told.place == odd.relative_to(tmp_path).as_posix()
    assert told.problem == "5 frames a second, but most clips have 3"


def test_one_video_under_two_names_is_told(tmp_path: Path) -> None:
    for scene in range(3):
        put_pair(tmp_path, aihub_name(scene=scene), annotation())
    first, _, last = sorted(tmp_path.rglob("*.mp4"))
    last.write_bytes(first.read_bytes())
    found = read(tmp_path)
    assert len(found.clips) == 3
    (told,) = found.warnings
    assert told.place == last.relative_to(tmp_path).as_posix()
    assert told.problem.endswith(f"the same as {first.relative_to(tmp_path).as_posix()}")


# --- keypoints ---


def landmarks(root: Path, clip: Clip) -> Landmarks | None:
    return reader("aihub", LABEL_MAP).landmarks(material(root), clip)


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
    never_seen = keypoint("Right foot", {4: (3, 3)}).replace('outside="0"', 'outside="1"')
    clip = read_one(
        tmp_path,
        keypoint("Left knee", {3: (1, 1)}),
        keypoint("Left knee", {3: (30, 1), 4: (31, 1)}),
        never_seen,
        keypoint("Right foot", {4: (2, 2)}),
    )
    found = landmarks(tmp_path, clip)
    assert found is not None
    assert [*zip(found.frame, found.track, strict=True)] == [(3, 1), (3, 2), (4, 2)]
    assert found.xy[1, JOINTS.index("KNEE_LEFT")].tolist() == [30, 1]
    assert found.xy[2, JOINTS.index("ANKLE_RIGHT")].tolist() == [2, 2]


#: Of a person 40 pixels long, around the middle of the person.
FIGURE = {
    **{"Pelvis": (0, 0), "Neck base": (0, -12), "Center head": (0, -20), "Left hand": (5, 0)},
    **{"Right hand": (-5, 0), "Left knee": (3, 10), "Left foot": (3, 20), "Right foot": (-3, 20)},
}
WIDE = (640, 48)


def person(
    x: float, without: Iterable[str] = (), frames: Iterable[int] = range(5)
) -> list[tuple[str, str]]:
    """Names of keypoints with their tracks; the person walks to the right."""
    return [
        (name, keypoint(name, {frame: (x + dx + frame, 24.0 + dy) for frame in frames}))
        for name, (dx, dy) in FIGURE.items()
        if name not in without
    ]


def by_person(*persons: list[tuple[str, str]]) -> list[str]:
    return [xml for one in persons for _, xml in one]


def by_keypoint(*persons: list[tuple[str, str]]) -> list[str]:
    tracks = [track for one in persons for track in one]
    return [xml for _, xml in sorted(tracks, key=lambda track: [*FIGURE].index(track[0]))]


orders = pytest.mark.parametrize("order", [by_person, by_keypoint])


def put_wide(root: Path, *tracks: str) -> Clip:
    """A video wide enough for people to stand apart."""
    put_pair(root, NAME, annotation(*tracks, size=WIDE))
    with video.writing(next(root.rglob("*.mp4")), Fraction(3), *WIDE) as writer:
        for _ in range(N_FRAMES):
            writer.write(np.zeros((*WIDE[::-1], 3), np.uint8))
    found = read(root)
    assert not found.problems
    (clip,) = found.clips
    return clip


def joints_at(found: Landmarks | None, frame: int = 2) -> dict[int, dict[str, float]]:
    """Where each track's joints are from left to right, less the way that people have walked."""
    assert found is not None
    at = found[found.frame == frame]
    return {
        track: {JOINTS[i]: xy[i, 0] - frame for i in np.flatnonzero(np.isfinite(xy[:, 0]))}
        for track, xy in zip(at.track.tolist(), at.xy, strict=True)
    }


def figure_at(x: float, *without: str) -> dict[str, float]:
    joint = {"Center head": "HEAD", "Left hand": "WRIST_LEFT", "Right hand": "WRIST_RIGHT"}
    joint |= {"Left knee": "KNEE_LEFT", "Left foot": "ANKLE_LEFT", "Right foot": "ANKLE_RIGHT"}
    return {joint[name]: x + FIGURE[name][0] for name in joint if name not in without}


@orders
@pytest.mark.parametrize(
    "lacks",
    [
        [[], []],
        [["Left hand"], []],
        [[], ["Left hand"]],
        [["Left hand", "Pelvis"], ["Left foot"]],
        [["Right foot"], ["Pelvis"]],
        [["Right foot", "Left foot", "Center head"], []],
        [[], ["Pelvis", "Neck base", "Left hand", "Right hand", "Left foot"]],
        [["Left hand"], [], ["Left hand", "Center head"]],
        [["Left hand"], ["Center head"], ["Right foot"]],
    ],
)
def test_a_joint_that_a_person_lacks_is_no_other_persons(
    tmp_path: Path, order: Callable[..., list[str]], lacks: list[list[str]]
) -> None:
    persons = [person(100.0 + 150 * i, without) for i, without in enumerate(lacks)]
    clip = put_wide(tmp_path, *order(*persons))
    assert joints_at(landmarks(tmp_path, clip)) == {
        i + 1: figure_at(100.0 + 150 * i, *without) for i, without in enumerate(lacks)
    }
    assert read(tmp_path).warnings == []


def test_where_people_touch_the_order_of_the_file_decides(tmp_path: Path) -> None:
    persons = [person(100, ["Left hand"]), person(104)]
    clip = put_wide(tmp_path, *by_person(*persons))
    assert joints_at(landmarks(tmp_path, clip)) == {
        1: figure_at(100, "Left hand"),
        2: figure_at(104),
    }
    assert read(tmp_path).warnings == []


def test_where_nothing_says_whose_a_joint_is_it_is_left_out_and_told(tmp_path: Path) -> None:
    lacking = ["Left hand", "Right foot"]
    clip = put_wide(tmp_path, *by_keypoint(person(100, lacking), person(104)))
    assert joints_at(landmarks(tmp_path, clip)) == {
        1: figure_at(100, *lacking),
        2: figure_at(104, *lacking),
    }
    (told,) = read(tmp_path).warnings
    lines = (tmp_path / clip.annotation).read_text(encoding="utf-8").splitlines()
    place, _, line = told.place.rpartition(":")
    assert (place, lines[int(line) - 1]) == (clip.annotation, '<track label="Left hand">')
    assert told.problem.endswith("which person this 'left hand' is, nor of 1 other keypoints")


@orders
def test_a_joint_far_from_everybody_is_nobodys(
    tmp_path: Path, order: Callable[..., list[str]]
) -> None:
    stray = [("Left hand", keypoint("Left hand", {2: (200, 20)}))]
    lacking = person(100, ["Left hand"])
    clip = put_wide(tmp_path, *order(lacking + stray, person(500, ["Left hand"])))
    assert joints_at(landmarks(tmp_path, clip)) == {
        1: figure_at(100, "Left hand"),
        2: figure_at(500, "Left hand"),
    }
    (told,) = read(tmp_path).warnings
    assert "of which person this 'left hand' is" in told.problem


@orders
def test_a_track_that_was_cut_in_two_is_of_one_person(
    tmp_path: Path, order: Callable[..., list[str]]
) -> None:
    one = person(100, ["Left hand"]) + [
        ("Left hand", keypoint("Left hand", {frame: (105.0 + frame, 24.0)})) for frame in (2, 3)
    ]
    clip = put_wide(tmp_path, *order(one))
    found = landmarks(tmp_path, clip)
    assert joints_at(found, 2) == joints_at(found, 3) == {1: figure_at(100)}
    assert read(tmp_path).warnings == []


def test_nobody_has_two_left_hands(tmp_path: Path) -> None:
    hands = [("Left hand", keypoint("Left hand", {2: (x, 24)})) for x in (107, 108)]
    clip = put_wide(tmp_path, *by_person(person(100, ["Left hand"]) + hands, person(300)))
    assert joints_at(landmarks(tmp_path, clip)) == {1: figure_at(100, "Left hand")} | {
        2: figure_at(300)
    }
    assert len(read(tmp_path).warnings) == 1


def test_a_track_that_is_never_seen_is_nobodys_and_not_told(tmp_path: Path) -> None:
    unseen = keypoint("Left hand", {2: (105, 24)}).replace('outside="0"', 'outside="1"')
    clip = put_wide(tmp_path, unseen, *by_person(person(100), person(300)))
    assert joints_at(landmarks(tmp_path, clip)) == {1: figure_at(100), 2: figure_at(300)}
    assert read(tmp_path).warnings == []


def test_who_comes_when_another_has_gone_is_not_the_same(tmp_path: Path) -> None:
    later = person(300, ["Left hand"], range(6, 9))
    clip = put_wide(tmp_path, *by_person(person(100), later))
    found = landmarks(tmp_path, clip)
    assert joints_at(found, 2) == {1: figure_at(100)}
    assert joints_at(found, 7) == {2: figure_at(300, "Left hand")}


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


def test_frames_without_keypoints_have_no_rows(tmp_path: Path) -> None:
    hand = {frame: (10.0 + frame, 20.0) for frame in range(N_FRAMES) if frame % 3}
    clip = read_one(tmp_path, keypoint("Left hand", hand), keypoint("Left foot", {2: (5, 5)}))
    found = landmarks(tmp_path, clip)
    assert found is not None
    assert found.frame.tolist() == [1, 2, 4, 5, 7, 8, 10, 11]
    assert found.xy[:, JOINTS.index("WRIST_LEFT"), 0].tolist() == [10 + f for f in found.frame]
    assert np.isfinite(found.xy[:, JOINTS.index("ANKLE_LEFT"), 0]).tolist() == [
        frame == 2 for frame in found.frame
    ]


def test_fifty_persons_are_believed_and_no_more(tmp_path: Path) -> None:
    hands = [keypoint("Left hand", {3: (1 + i, 5)}) for i in range(50)]
    found = landmarks(tmp_path, read_one(tmp_path, *hands))
    assert found is not None
    assert found.track.tolist() == list(range(1, 51))
    put_pair(tmp_path, NAME, annotation(*hands, hands[0]))
    found_again = read(tmp_path)
    (told,) = found_again.warnings
    assert told.place == f"Training/02.라벨링데이터/{NAME}.xml:{3 + 50 * 3}"
    assert "more than 50 tracks of 'left hand'" in told.problem
    assert landmarks(tmp_path, found_again.clips[0]) is None


def test_any_other_tracks_do_no_harm(tmp_path: Path) -> None:
    clip = read_one(tmp_path, *(keypoint("nose", {3: (1, 5)}) for _ in range(200)))
    assert landmarks(tmp_path, clip) is None


@pytest.mark.parametrize(
    ("sound", "faulty", "problem"),
    [
        ('points="4.0,5.0"', 'points="4.0,1e308"', "points '4.0,1e308' is no place in an image"),
        ('points="4.0,5.0"', 'points="nan,2"', "points 'nan,2' is no place in an image"),
        ('points="4.0,5.0"', 'points="1,2;3,4"', "points '1,2;3,4' is no place in an image"),
        ('points="4.0,5.0"', "", "points '' is no place in an image"),
        ('frame="4"', "", "frame is '', not a whole number"),
        ('frame="4"', 'frame="-4"', "frame is '-4', not a whole number"),
        ('frame="4"', 'frame="4.5"', "frame is '4.5', not a whole number"),
    ],
)
def test_keypoints_that_cannot_be_read_cost_no_clip(
    tmp_path: Path, sound: str, faulty: str, problem: str
) -> None:
    hand = keypoint("Left hand", {3: (1, 5), 4: (4.0, 5.0)}).replace(sound, faulty)
    head = keypoint("Center head", {3: (1, 2)})
    put_pair(tmp_path, NAME, annotation(event("theft"), hand, head))
    found = read(tmp_path)
    assert (found.problems, [clip.label for clip in found.clips]) == ([], ["theft"])
    (told,) = found.warnings
    assert told.place == f"Training/02.라벨링데이터/{NAME}.xml:12"
    assert problem in told.problem
    assert "keypoints are not used" in told.remedy
    assert landmarks(tmp_path, found.clips[0]) is None


def test_what_is_no_keypoint_of_ours_may_be_anywhere(tmp_path: Path) -> None:
    line = keypoint("counter", {3: (1, 2)}).replace("1,2", "1,2;3,4")
    clip = read_one(tmp_path, line, keypoint("Left hand", {3: (1, 5)}))
    assert read(tmp_path).warnings == []
    assert landmarks(tmp_path, clip) is not None


def test_unreadable_keypoints_hide_no_annotation_of_another_video(tmp_path: Path) -> None:
    gone = keypoint("Left hand", {3: (1, 5)}).replace('frame="3"', "")
    put_pair(tmp_path, NAME, annotation(gone, keypoint("Left foot", {99: (1, 5)})))
    (told,) = read(tmp_path).problems
    assert "'left foot' is at frame 99 of a video of 12 frames" in told.problem


def test_landmarks_of_an_annotation_that_was_changed(tmp_path: Path) -> None:
    clip = read_one(tmp_path, keypoint("Left hand", {3: (1, 5)}))
    put_pair(tmp_path, NAME, annotation(keypoint("Left hand", {N_FRAMES: (1, 5)})))
    with pytest.raises(AnnotationError, match="frame 12 of a video of 12"):
        landmarks(tmp_path, clip)


# --- whatever may come ---

frames = st.integers(-1, N_FRAMES + 1)
corners = st.tuples(*[st.one_of(st.integers(-5, 70), st.sampled_from([1e308, np.nan]))] * 4)
labels = st.sampled_from(
    ["theft_start", "theft_end", "fight_start", "fight_end", "fall_start", "buy_start", "_end", ""]
)
anything = st.lists(
    st.one_of(
        st.builds(event, st.sampled_from(["theft", "fight", "buy"]), frames, frames, corners),
        st.builds(track, labels, st.lists(frames, max_size=3), corners),
        st.builds(
            keypoint,
            st.sampled_from(["Left hand", "Center head", "x"]),
            st.dictionaries(frames, st.tuples(*[st.floats()] * 2), max_size=3),
        ),
    ),
    max_size=5,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([NAME, SHOPPING]), tracks=anything, n_frames=st.integers(8, 16))
def test_any_tracks_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, tracks: list[str], n_frames: int
) -> None:
    root = tmp_path_factory.mktemp("any")
    put_pair(root, name, annotation(*tracks, n_frames=n_frames))
    found = read(root)
    assert len(found.clips) + len(found.problems) + len(found.unmapped) == 1
    for clip in found.clips:
        for span in clip.spans:
            assert 0 <= span.start_s < span.end_s <= clip.duration_s
            assert span.box is not None
            assert 0 <= span.box.x0 < span.box.x1 <= SIZE[0]
            assert 0 <= span.box.y0 < span.box.y1 <= SIZE[1]
        seen = landmarks(root, clip)
        assert seen is None or np.isfinite(seen.box).all()
        if any("keypoints are not used" in told.remedy for told in found.warnings):
            assert seen is None
