from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets.trees import annotation, event, keypoint, task, track
from yololstm import cvat, safexml
from yololstm.errors import AnnotationError


def read(xml: str | bytes) -> cvat.Annotation:
    return cvat.read(xml.encode() if isinstance(xml, str) else xml, "a.xml")


def one_shape(xml: str) -> cvat.Shapes:
    found = read(xml)
    (only,) = (*found.boxes, *found.points)
    return only.shapes()


def test_tracks_are_read() -> None:
    hand = keypoint("Left  Hand", {7: (3, 4), 5: (1.5, 2)})
    found = read(annotation(event("theft", 3, 9, (1, 2, 3.5, 4)), hand))
    assert [t.label for t in found.boxes] == ["theft_start", "theft_end"]
    assert [t.shapes().frame.tolist() for t in found.boxes] == [[3], [9]]
    assert found.boxes[0].shapes().at.tolist() == [[1, 2, 3.5, 4]]
    (points,) = found.points
    assert points.label == "left hand"
    assert points.shapes().frame.tolist() == [5, 7]
    assert points.shapes().at.tolist() == [[1.5, 2], [3, 4]]


def test_one_track_may_hold_both_boxes_and_points() -> None:
    both = track("x", [3]).replace("</track>", '<points frame="4" points="1,2"/></track>')
    found = read(annotation(both))
    assert found.boxes[0].shapes().frame.tolist() == [3]
    assert found.points[0].shapes().frame.tolist() == [4]


def test_outside_is_absent() -> None:
    found = one_shape(annotation(track("theft_start", [9, 3])))
    assert found.frame.tolist() == [3, 9]
    assert found.first().tolist() == [0, 1]


def test_an_appearance_lasts_until_outside() -> None:
    shapes = "".join(
        f'<points frame="{frame}" outside="{outside}" points="1,2"/>'
        for frame, outside in enumerate([1, 0, 0, 1, 1, 0, 1])
    )
    found = one_shape(annotation(f'<track label="x">{shapes}</track>'))
    assert found.frame.tolist() == [1, 2, 5]
    assert found.first().tolist() == [0, 2]


def test_a_file_tells_how_late_it_may_reach() -> None:
    found = read(annotation(event("theft", 3, 6), keypoint("x", {8: (1, 2)})))
    assert [found.may_reach(frame) for frame in (0, 8, 9)] == [True, True, False]
    assert not read(annotation()).may_reach(0)
    # to be looked at, and refused
    for frame in ("late", "-1", "1.5", "", "absent", "1" * 8):
        assert read(shape("points", frame=frame)).may_reach(10**9)


@pytest.mark.parametrize("points", ["1,2", "-1,-2.5", "0.00,99999.99", "1,2." + "5" * 17])
def test_plain_points_need_not_be_looked_at(points: str) -> None:
    assert not read(shape("points", points=points)).may_misplace()


@pytest.mark.parametrize(
    "points",
    [
        *("absent", "", "1", "1,", ",2", "1,2;3,4", "1,2,3", "1.2.3,4", "nan,2", "1,-inf"),
        *("1,1e400", "1000000,2", "1,-1000000", "1,2&#10;3,4", "1,2&#10;", "٣,4", "--1,2", "1,2 "),
        "999999.99999999999,2",
    ],
)
def test_any_other_points_are_looked_at(points: str) -> None:
    assert read(shape("points", points=points)).may_misplace()


def test_points_are_looked_at_where_there_are_none() -> None:
    assert not read(annotation(event("theft"))).may_misplace()


def test_what_is_never_there_has_no_shapes() -> None:
    gone = track("x", [3]).replace('outside="0"', 'outside="1"')
    found = one_shape(annotation(gone))
    assert len(found) == 0
    assert found.first().tolist() == []


def test_shapes_know_their_line() -> None:
    xml = annotation(track("theft_start", [8, 3]))
    (found,) = read(xml).boxes
    lines = xml.splitlines()
    by_time = [lines[line - 1] for line in found.shapes().line]
    assert ['<box frame="3"' in text for text in by_time] == [True, False]
    assert lines[found.line - 1] == '<track label="theft_start">'


@pytest.mark.parametrize(
    ("meta", "n_frames"),
    [
        (task("<size>180</size>"), 180),
        (task("<size> 180\n</size>").replace("task", "job"), 180),
        (task("<start_frame>20</start_frame>", "<stop_frame>49</stop_frame>"), 30),
        (
            task("<size>180</size>", "<start_frame>0</start_frame>", "<stop_frame>9</stop_frame>"),
            180,
        ),
        (task("<stop_frame>9</stop_frame>"), None),
        (task(), None),
        ("", None),
    ],
)
def test_file_says_how_long_the_video_is(meta: str, n_frames: int | None) -> None:
    stated = read(f"<annotations>\n{meta}\n</annotations>").n_frames
    assert (stated and stated.value) == (n_frames and (n_frames,))


def test_file_says_how_large_the_frames_are() -> None:
    size = "<original_size>\n<width>64</width><height>48</height></original_size>"
    assert read(f"<annotations>{task(size)}</annotations>").size == cvat.Stated((64, 48), 2)
    assert read("<annotations/>").size is None


def shape(tag: str, **attributes: str) -> str:
    given = {
        "box": {"frame": "3", "xtl": "1", "ytl": "1", "xbr": "9", "ybr": "9"},
        "points": {"frame": "3", "points": "1,2"},
    }[tag] | attributes
    text = " ".join(f'{name}="{value}"' for name, value in given.items() if value != "absent")
    sound = {
        "box": '<box frame="3" xtl="1" ytl="1" xbr="9" ybr="9"/>',
        "points": '<points frame="3" points="1,2"/>',
    }[tag]
    return annotation('<track label="x">', sound, f"<{tag} {text}/>", sound, "</track>")


@pytest.mark.parametrize(
    ("xml", "line", "problem"),
    [
        ("", 1, "not XML"),
        ("<annotations>\n<track>\n</annotations>", 3, "not XML"),
        ("\n<annotation><header/></annotation>", 2, "root is <annotation>"),
        (f"\n<{'a' * 99}/>", 2, f"root is <{'a' * 40}>"),
        ("<annotations>\n<track><box frame='1'/></track></annotations>", 2, "no label"),
        ("<annotations>" + "<track/>" * 5001 + "</annotations>", 1, "more than 5000"),
        (annotation(size=(0, 48)), 2, "original_size is 0"),
        (annotation().replace("64", "wide"), 2, "width is 'wide'"),
        (annotation().replace("64", "-64"), 2, "width is '-64'"),
        (annotation().replace("64", "9" * 5000), 2, "width is '99999"),
        (annotation(n_frames="180.5"), 2, "size is '180.5'"),
        (
            f"<annotations>{task('<start_frame>9</start_frame><stop_frame>8</stop_frame>')}"
            "</annotations>",
            1,
            "stop_frame 8 is before start_frame",
        ),
        (shape("box", frame="absent"), 5, "frame is ''"),
        (shape("box", frame="-1"), 5, "frame is '-1'"),
        (shape("box", frame="1.5"), 5, "frame is '1.5'"),
        (shape("box", frame="٣"), 5, "frame is '٣'"),
        (shape("points", frame="10000000"), 5, "frame is '10000000'"),
        (shape("points", frame="9" * 5000), 5, "frame is '99999"),
        (shape("box", xtl="absent"), 5, "box ',1,9,9'"),
        (shape("box", xtl="1,2", ytl="absent"), 5, "box '1,2,,9,9'"),
        (shape("box", ybr="nan"), 5, "nan'"),
        (shape("box", ybr="inf"), 5, "inf'"),
        (shape("box", ybr="1e308"), 5, "1e308'"),
        (shape("box", ybr="-1e6"), 5, "-1e6'"),
        (shape("box", ybr="low"), 5, "low'"),
        (shape("points", points="absent"), 5, "points ''"),
        (shape("points", points="1"), 5, "points '1'"),
        (shape("points", points="1,2;3,4"), 5, "points '1,2;3,4'"),
        (shape("points", points="1,2,3"), 5, "points '1,2,3'"),
        (shape("points", points="1,-inf"), 5, "points '1,-inf'"),
        (shape("points", points="1,1e400"), 5, "points '1,1e400'"),
    ],
)
def test_what_cannot_be_is_refused(xml: str, line: int, problem: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        one_shape(xml)
    assert problem in caught.value.problem.problem
    assert caught.value.problem.place == f"a.xml:{line}"
    assert len(str(caught.value)) < 400


def test_other_data_set_is_named_with_the_remedy() -> None:
    with pytest.raises(AnnotationError, match="aihub_outdoor"):
        read("<annotation/>")


# --- whatever may come ---


def read_if_sound(xml: str | bytes) -> None:
    """Nothing but an error of ours; or else tracks that can be relied on."""
    try:
        found = read(xml)
        boxes = [(one.shapes(), 4) for one in found.boxes]
    except AnnotationError:
        return
    try:
        points = [(one.shapes(), 2) for one in found.points]
    except AnnotationError:
        assert found.may_misplace() or found.may_reach(10**9)
        return
    for one, width in (*boxes, *points):
        assert one.frame.tolist() == sorted(one.frame.tolist())
        assert (one.frame >= 0).all()
        assert one.at.shape == (len(one), width)
        assert np.isfinite(one.at).all()
        assert len(one.line) == len(one.appearance) == len(one)
        assert (np.diff(one.appearance) >= 0).all()
        assert not len(one) or found.may_reach(int(one.frame[-1]))


values = st.sampled_from(
    ["", "0", "3", "-1", "1e400", "nan", "9999999999", "1,2", "1,2;3", "½", "٣", "x" * 999]
)
names = st.sampled_from(["frame", "outside", "label", "xtl", "ytl", "xbr", "ybr", "points", "x"])
tags = st.sampled_from(
    [
        *("annotations", "annotation", "meta", "task", "size", "start_frame", "stop_frame"),
        *("original_size", "width", "height", "track", "box", "points"),
    ]
)


@st.composite
def elements(draw: st.DrawFn, depth: int = 4) -> str:
    tag = draw(tags)
    attributes = draw(st.dictionaries(names, values, max_size=5))
    given = "".join(f' {name}="{value}"' for name, value in attributes.items())
    inner = [draw(values)] if depth else []
    if depth:
        inner += draw(st.lists(elements(depth=depth - 1), max_size=3))
    return f"<{tag}{given}>{''.join(inner)}</{tag}>"


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    read_if_sound(content)


@given(st.lists(elements(), max_size=4))
def test_any_elements_are_read_or_refused(inner: list[str]) -> None:
    read_if_sound(f"<annotations>{''.join(inner)}</annotations>")


shapes = st.builds(
    '<{} frame="{}" outside="{}" {} points="{}"/>'.format,
    st.sampled_from(["box", "points"]),
    st.one_of(st.integers(0, 10**8), values),
    st.sampled_from("01"),
    st.sampled_from(['xtl="1" ytl="1" xbr="9" ybr="9"', 'xtl="1"', 'xtl="1e308" ybr="0"']),
    st.one_of(st.sampled_from(["1,2", "3.5,-4"]), values),
)


@given(st.lists(shapes, max_size=6))
def test_any_shapes_are_read_or_refused(inner: list[str]) -> None:
    read_if_sound(annotation(f'<track label="x">{"".join(inner)}</track>'))


@given(st.data())
def test_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    xml = bytearray(annotation(event("theft"), keypoint("Left hand", {4: (1, 2)})).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.integers(0, 255))
    read_if_sound(bytes(xml))


places = st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5))


@given(st.dictionaries(st.integers(0, 10**6), places, min_size=1, max_size=8))
def test_what_was_written_is_read(at: dict[int, tuple[float, float]]) -> None:
    found = one_shape(annotation(keypoint("x", at)))
    assert {
        frame: tuple(place) for frame, place in zip(found.frame, found.at.tolist(), strict=True)
    } == at
    assert found.first().tolist() == [0]


@pytest.mark.parametrize(
    "shape",
    [
        '<points frame="1" points="1,2"/>',
        '<box frame="1" xtl="1" ytl="1" xbr="9" ybr="9"/>',
        '<track label="x"/>',
        '<track label="x"><points frame="1" points="1,2"/></track>',
        "<meta/>",
    ],
)
def test_a_file_of_any_size_takes_little_memory(shape: str, tmp_path: Path) -> None:
    """As large as may be; the most that was measured is 0.8 GB."""
    start, end = '<annotations><track label="x">', "</track></annotations>"
    if "track" in shape:
        start, end = "<annotations>", "</annotations>"
    times = (safexml.MAX_BYTES - len(start + end)) // len(shape)
    (tmp_path / "a.xml").write_text(start + shape * times + end, encoding="utf-8")
    program = f"""
        import contextlib, resource, pathlib
        from yololstm import cvat, safexml
        from yololstm.errors import AnnotationError
        content = pathlib.Path({str(tmp_path / "a.xml")!r}).read_bytes()
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        before = peak()
        with contextlib.suppress(AnnotationError):
            found = cvat.read(content, "a.xml")
            found.may_reach(100)
            found.may_misplace()
            [track.shapes() for track in (*found.boxes, *found.points)]
        print(peak() - before)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    assert int(ran.stdout) < 1200
