from __future__ import annotations

import itertools
import time
import tracemalloc
import zipfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.outdoor_trees import (
    FOLDER,
    LABEL_MAP,
    actor,
    frames,
    happening,
    outdoor,
    outdoor_xml,
    put_scene,
    scene_name,
    tagged,
)
from tests.datasets.trees import N_FRAMES, material, put, put_video, put_zip
from yololstm.catalogue import Found
from yololstm.clips import IGNORED, Clip, Span
from yololstm.datasets.aihub_outdoor import EVENTS, AihubOutdoorReader

NAME = scene_name()
in_one_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)


def read(root: Path, **label_map: str) -> Found:
    return AihubOutdoorReader(LABEL_MAP | label_map).read(material(root))


def read_one(root: Path, xml: str, name: str = NAME, **label_map: str) -> Clip:
    put_scene(root, name, xml)
    found = read(root, **label_map)
    assert (found.problems, found.unmapped) == ([], [])
    (clip,) = found.clips
    return clip


def intervals(clip: Clip) -> list[tuple[str, float, float]]:
    """Labels with times in frames."""
    return [
        (span.label, round(span.start_s * 3, 3), round(span.end_s * 3, 3)) for span in clip.spans
    ]


# --- names ---


@pytest.mark.parametrize(
    ("name", "take", "store", "camera"),
    [
        ("64-2_cam01_assault01_place01_night_spring", "64-2", "PLACE01", "CAM01"),
        ("64-2_CAM02_Assault01_Place10_Day_Winter", "64-2", "PLACE10", "CAM02"),
        ("101-1_swoon01_place03_day", "101-1_SWOON01_PLACE03_DAY", "PLACE03", ""),
        ("my video_cam3", "MY VIDEO", "THE YARD", "CAM3"),
        ("my video", "MY VIDEO", "THE YARD", ""),
    ],
)
def test_name_says_scene_place_and_camera(
    tmp_path: Path, name: str, take: str, store: str, camera: str
) -> None:
    clip = read_one(tmp_path, outdoor_xml(header={"location": "the \n yard"}), name)
    assert (clip.clip_id, clip.take, clip.store, clip.camera) == (name, take, store, camera)
    assert (clip.split, clip.actors) == ("train", "")
    assert clip.annotation == f"{FOLDER}/{name}.xml"


def test_a_scene_is_one_take_whatever_its_season(tmp_path: Path) -> None:
    for camera in (1, 2, 3):
        for season in ("spring", "summer", "winter"):
            name = scene_name(camera=camera).replace("spring", season)
            put_scene(tmp_path, name, outdoor_xml(happening()))
    clips = read(tmp_path).clips
    assert len(clips) == 9
    assert {clip.take for clip in clips} == {"64-2"}


def test_video_and_annotation_meet_whatever_their_case_and_folder(tmp_path: Path) -> None:
    put_video(tmp_path / "원천데이터" / "a" / f"{NAME.upper()}.MP4")
    put(tmp_path / "라벨링데이터" / f"{NAME}.Xml", outdoor_xml(happening()))
    found = read(tmp_path)
    assert (found.problems, found.warnings) == ([], [])
    assert [clip.path for clip in found.clips] == [f"원천데이터/a/{NAME.upper()}.MP4"]


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    put_video(tmp_path / "a.mp4")
    put(tmp_path / "b.xml", outdoor_xml())
    first, second = read(tmp_path).problems
    assert (first.place, second.place) == ("a.mp4", "b.xml")
    assert "no annotation (.xml)" in first.problem
    assert "no video (.mp4)" in second.problem


def test_recording_that_was_packed_twice_is_read_once(tmp_path: Path) -> None:
    xml = outdoor_xml(happening())
    put_scene(tmp_path, NAME, xml, "inside_croki_01/64-2")
    put_scene(tmp_path, NAME, xml, "insidedoor_01/64-2")
    put(tmp_path / "a" / f"{NAME}.xml", xml)
    found = read(tmp_path)
    assert found.problems == []
    assert [(clip.path, clip.annotation) for clip in found.clips] == [
        (f"inside_croki_01/64-2/{NAME}.mp4", f"a/{NAME}.xml")
    ]
    assert [warning.place for warning in found.warnings] == [
        f"inside_croki_01/64-2/{NAME}.xml",
        f"insidedoor_01/64-2/{NAME}.mp4",
        f"insidedoor_01/64-2/{NAME}.xml",
    ]
    assert "the same bytes stand in inside_croki_01/64-2" in found.warnings[1].problem


def test_zip_and_what_was_unpacked_from_it_are_one(tmp_path: Path) -> None:
    xml = put_scene(tmp_path, NAME, outdoor_xml(happening()))
    members = {f"64-2/{path.name}": path for path in (xml, xml.with_suffix(".mp4"))}
    put_zip(tmp_path / "01.폭행(assult)" / "outsidedoor_06.zip", members)
    found = read(tmp_path)
    assert (found.problems, found.warnings) == ([], [])
    assert [clip.path for clip in found.clips] == [f"{FOLDER}/{NAME}.mp4"]


@pytest.mark.parametrize("has_video", [True, False])
def test_one_name_with_other_bytes_is_a_fault(tmp_path: Path, has_video: bool) -> None:
    """Even where it lies alone: it may be the corrected one."""
    put_scene(tmp_path, NAME, outdoor_xml(happening()), "a/64-2")
    other = put(tmp_path / "b/64-2" / f"{NAME}.xml", outdoor_xml(happening("burglary")))
    if has_video:
        put_video(other.with_suffix(".mp4"))
    found = read(tmp_path)
    assert (found.clips, found.warnings) == ([], [])
    (told,) = found.problems
    assert (told.place, told.problem) == (
        f"a/64-2/{NAME}.xml",
        "the same name stands again in b/64-2",
    )


def test_another_video_of_one_name_is_a_fault(tmp_path: Path) -> None:
    put_scene(tmp_path, NAME, outdoor_xml(happening()), "a")
    put_scene(tmp_path, NAME, outdoor_xml(happening()), "b")
    (told,) = read(tmp_path).problems
    assert (told.place, told.problem) == (f"a/{NAME}.mp4", "the same name stands again in b")


def test_where_nothing_says_which_belong_together_nothing_is_guessed(tmp_path: Path) -> None:
    put_video(tmp_path / "videos" / f"{NAME}.mp4")
    for folder in ("a", "b"):
        put(tmp_path / folder / f"{NAME}.xml", outdoor_xml(header={"location": folder}))
    found = read(tmp_path)
    assert (found.clips, found.warnings) == ([], [])
    (told,) = found.problems
    assert (told.place, told.problem) == (f"a/{NAME}.xml", "the same name stands again in b")


def test_zips_are_read_where_they_lie(tmp_path: Path) -> None:
    tree = outdoor(tmp_path / "tree")
    packed = tmp_path / "root" / "01.폭행(assult)" / "outsidedoor_01.zip"
    packed.parent.mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as file:
        for path in sorted((tree.root / "01.폭행(assult)").rglob("0-1/*")):
            file.write(path, f"0-1/{path.name}")
    found = read(tmp_path / "root")
    assert found.problems == []
    assert [clip.path for clip in found.clips] == [
        f"01.폭행(assult)/outsidedoor_01.zip/0-1/{scene_name('0-1', camera)}.mp4"
        for camera in (1, 2)
    ]
    assert [clip.label for clip in found.clips] == ["assault", "assault"]


# --- events ---


def test_actions_of_everybody_are_the_spans(tmp_path: Path) -> None:
    xml = outdoor_xml(
        happening(), actor((8, 9), (1, 3)), actor((2, 4), name="Person02"), actor(name="nobody")
    )
    clip = read_one(tmp_path, xml)
    assert intervals(clip) == [("assault", 1, 4), ("assault", 8, 9)]
    assert all(span.box is None for span in clip.spans)
    assert clip.label == "assault"


@pytest.mark.parametrize(
    ("acts", "expected"),
    [
        ([(1, 2), (4, 6)], [(1, 6)]),  # 2 frames are 0.67 s
        ([(1, 2), (6, 7)], [(1, 2), (6, 7)]),  # 4 frames are 1.33 s
        ([(1, 9), (2, 3), (11, 12)], [(1, 12)]),
        ([(5, 6), (5, 6)], [(5, 6)]),
        ([(0, N_FRAMES)], [(0, N_FRAMES)]),
        ([(8, N_FRAMES + 3)], [(8, N_FRAMES)]),  # a second too long is cut
    ],
)
def test_actions_that_are_near_are_one(
    tmp_path: Path, acts: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    clip = read_one(tmp_path, outdoor_xml(happening(), actor(*acts)))
    assert intervals(clip) == [("assault", start, end) for start, end in expected]


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        ("00:00:01.0", "00:00:02.0", (1, 3)),
        ("00:00:00", "00:02.5", (0, 2.5)),
        ("00:01.25", "0:1", (1.25, 2.25)),
        ("00:00:03.5", "00:00:01.4", (3.5, 4)),
    ],
)
def test_without_actions_the_event_says_when(
    tmp_path: Path, start: str, duration: str, expected: tuple[float, float]
) -> None:
    clip = read_one(tmp_path, outdoor_xml(happening("burglary", start, duration), actor()))
    (span,) = clip.spans
    assert span == Span(*expected, "theft")


def test_actions_go_to_the_event_of_their_time(tmp_path: Path) -> None:
    xml = outdoor_xml(
        happening("burglary", "0:00", "0:01"),
        happening("vandalism", "0:02", "0:02"),
        happening("assault", "0:01.5", "0:00.2"),
        actor((0, 2), (4, 6), (5, 9)),
    )
    clip = read_one(tmp_path, xml)
    # 4 to 6 lies over all of assault, and meets the end of neither other event
    assert intervals(clip) == [("theft", 0, 2), ("assault", 4, 6), ("damage", 5, 9)]


def test_event_without_actions_of_its_own_keeps_its_time(tmp_path: Path) -> None:
    xml = outdoor_xml(
        happening("burglary", "0:00", "0:01"), happening("vandalism", "0:02", "0:02"), actor((7, 9))
    )
    assert intervals(read_one(tmp_path, xml)) == [("theft", 0, 3), ("damage", 7, 9)]


def test_scenarios_are_numbered_and_case_says_nothing(tmp_path: Path) -> None:
    assert read_one(tmp_path, outdoor_xml(happening(" Assault03 "))).label == "assault"


@pytest.mark.parametrize(
    "parts",
    [(), (happening("normal", "", ""), actor((1, 2))), (happening("Normal"),)],
)
def test_no_event_is_normal(tmp_path: Path, parts: tuple[str, ...]) -> None:
    clip = read_one(tmp_path, outdoor_xml(*parts))
    assert (clip.spans, clip.label) == ((), "normal")


def test_event_may_be_ignored_or_normal(tmp_path: Path) -> None:
    xml = outdoor_xml(happening("wander"), actor((1, 2)))
    assert read_one(tmp_path, xml, wander=IGNORED).label == "ignored"
    assert read_one(tmp_path, xml, wander="normal").label == "normal"


@pytest.mark.parametrize("event", EVENTS)
def test_known_event_without_a_label_is_left_out_but_no_fault(tmp_path: Path, event: str) -> None:
    put_scene(tmp_path, NAME, outdoor_xml(happening(event)))
    found = AihubOutdoorReader({}).read(material(tmp_path))
    assert (found.clips, found.problems) == ([], [])
    (told,) = found.unmapped
    assert f"{event!r}" in told.problem
    assert "data.label_map" in told.remedy


def test_time_is_presentation_time_where_the_rate_varies(tmp_path: Path) -> None:
    header = {"fps": "", "frames": "", "duration": ""}
    path = put_scene(tmp_path, NAME, outdoor_xml(happening(), actor((1, 3)), header=header))
    times_ms = [0, 300, 400, 2000, 2500]
    with av.open(str(path.with_suffix(".mp4")), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (span,) = read(tmp_path).clips[0].spans
    assert (span.start_s, span.end_s) == pytest.approx((0.3, 2.0))
    put(path, outdoor_xml(happening("assault", "0:01", "0:01.4"), header=header))
    assert read(tmp_path).clips[0].spans == (Span(1.0, 2.4, "assault"),)


# --- faults ---


def with_header(**header: object) -> str:
    return outdoor_xml(happening(), header=header)


TOO_MANY = [happening()] * 101


@pytest.mark.parametrize(
    ("xml", "on_line", "problem", "remedy"),
    [
        ("<annotations>\n</annotations>", "<annotations>", "root is <annotations>", "aihub"),
        ("<annotation>\n</annotation>", "<annotation>", "no <header>", "Fetch"),
        ("<annotation>\n<header>", "<header>", "not XML", "etch"),
        (with_header(fps=30), "<fps>", "header/fps is 30, but that of the video is 3", "together"),
        (with_header(fps="fast"), "<fps>", "fps is 'fast', not a number", "Mend"),
        (with_header(fps="nan"), "<fps>", "fps is 'nan', not a number", "Mend"),
        (with_header(frames=99), "<frames>", "frames is 99, but that of the video is 12", "toge"),
        (with_header(frames="1" * 99), "<frames>", "frames is '1111", "Mend"),
        (with_header(duration="00:05:00.0"), "<duration>00:05", "duration is 300", "together"),
        (with_header(duration="5 min"), "<duration>5 min", "'5 min', not 00:00:00.0", "Mend"),
        (
            outdoor_xml(size=(48, 64)),
            "<size>",
            "frames of 48x64, but the video's are 64x48",
            "together",
        ),
        (outdoor_xml(actor((1, 2))), "<annotation>", "actions, but no event", "Add an <event>"),
        (outdoor_xml(happening("")), "<event>", "an event has no name", "Mend"),
        (outdoor_xml(happening("01")), "<event>", "an event has no name", "Mend"),
        (outdoor_xml(happening("assult")), "<event>", "unknown event 'assult'", "known is assault"),
        (
            outdoor_xml(happening("x" * 99)),
            "<event>",
            f"event '{'x' * 40}'",
            "known are assault, b",
        ),
        (outdoor_xml(happening(start="")), "<event>", "neither actions nor a starttime", "Add one"),
        (outdoor_xml(happening(duration="")), "<event>", "neither actions nor", "Add one"),
        (outdoor_xml(happening(start="noon")), "<starttime>", "starttime is 'noon'", "Mend"),
        (outdoor_xml(happening(duration="-1")), "<duration>-1", "duration is '-1'", "Mend"),
        (outdoor_xml(happening(duration="0:00")), "<event>", "'assault' lasts no time", "Correct"),
        (
            outdoor_xml(happening("assault", "0:04.2", "0:00.5")),
            "<event>",
            "from 4.2 to 4.7",
            "toge",
        ),
        (outdoor_xml(happening(start="0:04")), "<event>", "from 4 to 6 s of a video of 4", "toge"),
        (
            outdoor_xml(happening(duration="0:05")),
            "<event>",
            "from 1 to 6 s of a video",
            "together",
        ),
        (
            outdoor_xml(happening(), actor((5, 5))),
            "<frame>",
            "ends at frame 5, not after",
            "Correct",
        ),
        (outdoor_xml(happening(), actor((5, 3))), "<frame>", "not after its start, 5", "Correct"),
        (outdoor_xml(happening(), actor((12, 13))), "<frame>", "from frame 12 to 13", "together"),
        (outdoor_xml(happening(), actor((1, 16))), "<frame>", "a video of 12 frames", "together"),
        (outdoor_xml(happening(), actor((-1, 3))), "<frame>", "start is '-1', not the", "Mend"),
        (outdoor_xml(happening(), actor((1, 2.5))), "<frame>", "end is '2.5', not the", "Mend"),
        (outdoor_xml(happening(), actor((1, "٣"))), "<frame>", "end is '٣', not the", "Mend"),
        (outdoor_xml(happening(), actor((1, "9" * 99))), "<frame>", "end is '9999", "Mend"),
        (
            outdoor_xml(happening(), actor((1, 2)).replace(tagged("end", 2), "")),
            "<frame>",
            "end is ''",
            "Mend",
        ),
        (
            outdoor_xml(happening(), happening("burglary", start=""), actor((1, 2))),
            "<event>",
            "'burglary' is one of several",
            "Add its starttime",
        ),
        (outdoor_xml(*TOO_MANY, actor((1, 2))), "<event>", "101 events, more than 100", "Mend"),
    ],
)
def test_impossible_annotations_leave_the_clip_out(
    tmp_path: Path, xml: str, on_line: str, problem: str, remedy: str
) -> None:
    path = put_scene(tmp_path, NAME, xml)
    found = read(tmp_path)
    assert (found.clips, found.warnings) == ([], [])
    (told,) = found.problems
    file, _, line = told.place.rpartition(":")
    assert tmp_path / file == path
    assert on_line in xml.splitlines()[int(line) - 1]
    assert problem in told.problem
    assert remedy in told.remedy


@pytest.mark.parametrize(
    "header",
    [
        {"fps": "3.1", "frames": 15, "duration": "00:00:04.9"},
        {"fps": "", "frames": "", "duration": "", "location": ""},
    ],
)
def test_header_may_be_a_little_off_or_silent(tmp_path: Path, header: dict[str, object]) -> None:
    put_scene(tmp_path, NAME, with_header(**header))
    found = read(tmp_path)
    assert (len(found.clips), found.warnings) == (1, [])


@pytest.mark.parametrize("n_frames", [0, -9000])
def test_header_that_knows_no_frames_is_doubted(tmp_path: Path, n_frames: int) -> None:
    xml = with_header(frames=n_frames)
    put_scene(tmp_path, NAME, xml)
    found = read(tmp_path)
    assert (len(found.clips), found.problems) == (1, [])
    (told,) = found.warnings
    assert (
        told.place
        == f"{FOLDER}/{NAME}.xml:{xml.splitlines().index(f'<frames>{n_frames}</frames>') + 1}"
    )
    assert f"header/frames is {n_frames}" in told.problem


def test_scaled_video_is_the_same_video(tmp_path: Path) -> None:
    assert read_one(tmp_path, outdoor_xml(happening(), size=(3840, 2880))).label == "assault"


def test_damaged_video_is_named(tmp_path: Path) -> None:
    path = put_scene(tmp_path, NAME, outdoor_xml(happening()))
    put(path.with_suffix(".mp4"), b"x" * 99)
    (told,) = read(tmp_path).problems
    assert told.place == f"{FOLDER}/{NAME}.mp4"


# --- any input ---

WITHIN = {
    "annotation": "header size event event object object",
    "header": "fps frames duration location",
    "size": "width height",
    "event": "eventname starttime duration",
    "object": "objectname position action action",
    "position": "keyframe keypoint",
    "action": "actionname frame frame",
    "frame": "start end",
}
odd = st.sampled_from(["", "-1", "1e400", "nan", "9999999999", "9:9:9", "assult", "½", "٣"])
names = st.sampled_from(["assault", "burglary01", "vandalism", "normal"])
times = st.sampled_from(["0:00", "0:01", "0:02.5", "00:00:01.0", "00:00:03.9"])
frame = st.integers(0, 15)
words = st.one_of(odd, names, times, st.integers(0, 12))


@st.composite
def elements(draw: st.DrawFn, tag: str) -> str:
    """An element with those that belong in it, some of them lacking, twice or in disorder."""
    if tag not in WITHIN:
        return tagged(tag, draw(words))
    inner = draw(st.lists(st.sampled_from([*WITHIN[tag].split(), "event", "x"]), max_size=6))
    return tagged(tag, "".join(draw(elements(name)) for name in inner))


intervals_of = st.lists(st.tuples(frame, frame).map(sorted).map(tuple), max_size=4)
sound = st.one_of(
    st.builds(happening, names, times, st.sampled_from(["0:00.5", "0:01.5"])),
    intervals_of.map(lambda intervals: actor(*(i for i in intervals if i[0] < min(i[1], 12)))),
)
unsound = st.one_of(
    st.builds(happening, st.one_of(odd, names), st.one_of(odd, times), st.one_of(odd, times)),
    intervals_of.map(lambda intervals: actor(*intervals)),
)


def check(root: Path, content: bytes | str) -> None:
    """Either it is refused, or what is read can be."""
    put_scene(root, NAME, "")
    put(root / FOLDER / f"{NAME}.xml", content)
    found = read(root)
    assert len(found.clips) + len(found.problems) + len(found.unmapped) == 1
    for clip in found.clips:
        assert clip.spans == tuple(sorted(clip.spans, key=lambda span: span.start_s))
        for span in clip.spans:
            assert 0 <= span.start_s < span.end_s <= clip.duration_s
            assert span.label in LABEL_MAP.values()


@in_one_folder
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    check(tmp_path, content)


@in_one_folder
@given(st.lists(st.sampled_from(["event", "object", "size"]).flatmap(elements), max_size=4))
def test_any_elements_are_read_or_refused(tmp_path: Path, inner: list[str]) -> None:
    check(tmp_path, outdoor_xml(*inner))


@in_one_folder
@given(elements("annotation"))
def test_any_annotation_is_read_or_refused(tmp_path: Path, xml: str) -> None:
    check(tmp_path, xml)


@in_one_folder
@given(st.lists(sound, max_size=5), st.lists(unsound, max_size=1))
def test_any_events_and_actions_are_read_or_refused(
    tmp_path: Path, parts: list[str], last: list[str]
) -> None:
    check(tmp_path, outdoor_xml(*parts, *last))


@in_one_folder
@given(st.data())
def test_any_damage_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    xml = bytearray(outdoor_xml(happening(), actor((1, 3), (5, 7))).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.sampled_from(b"0179.:- a<\xff"))
    check(tmp_path, bytes(xml))


@in_one_folder
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.integers(1, 12)).filter(lambda t: t[0] < t[1]), min_size=1
    )
)
def test_spans_cover_the_actions_and_no_pause_of_a_second(
    tmp_path: Path, times: list[tuple[int, int]]
) -> None:
    put_scene(tmp_path, NAME, outdoor_xml(happening(), actor(*times)))
    spans = [(start, end) for _, start, end in intervals(read(tmp_path).clips[0])]
    for start, end in times:
        assert any(first <= start and end <= last for first, last in spans)
    assert {start for start, _ in spans} <= {start for start, _ in times}
    assert {end for _, end in spans} <= {end for _, end in times}
    assert all(after - before >= 3 for (_, before), (after, _) in itertools.pairwise(spans))


def test_an_hour_of_actions_and_many_events_take_no_time(tmp_path: Path) -> None:
    busy = outdoor_xml(*[happening()] * 100, actor(*[(1, 3)] * 60_000))
    put_scene(tmp_path, NAME, busy)
    tracemalloc.start()
    try:
        start = time.process_time()
        found = read(tmp_path)
        assert time.process_time() - start < 60
        assert tracemalloc.get_traced_memory()[1] < 300e6
    finally:
        tracemalloc.stop()
    assert intervals(found.clips[0])[0] == ("assault", 1, 3)


@pytest.mark.parametrize(
    "xml",
    [
        outdoor_xml(happening(" " * 5_000_000)),
        outdoor_xml(happening(), tagged("object", tagged("action", frames(1, 2) * 200_000))),
    ],
)
def test_annotation_that_is_too_large_is_refused(tmp_path: Path, xml: str) -> None:
    put_scene(tmp_path, NAME, xml)
    (told,) = read(tmp_path).problems
    assert told.place == f"{FOLDER}/{NAME}.xml"
    assert "more than 4194304 bytes" in told.problem


@pytest.mark.parametrize(
    "text", ["_" * 1_000_000, "0" * 1_000_000, "a1" * 500_000, "assault_" * 100_000]
)
def test_long_words_are_refused_at_once(tmp_path: Path, text: str) -> None:
    put_scene(tmp_path, NAME, outdoor_xml(happening(text), actor((1, 2))))
    start = time.process_time()
    (told,) = read(tmp_path).problems
    assert time.process_time() - start < 30
    assert len(str(told)) < 400


def test_entities_do_not_explode(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(12))
    document = (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><annotation><header>&l12;</header></annotation>'
    )
    put_scene(tmp_path, NAME, document)
    (told,) = read(tmp_path).problems
    assert told.place.startswith(f"{FOLDER}/{NAME}.xml:")


def test_there_are_no_landmarks(tmp_path: Path) -> None:
    clip = read_one(tmp_path, outdoor_xml(happening()))
    assert AihubOutdoorReader(LABEL_MAP).landmarks(material(tmp_path), clip) is None
