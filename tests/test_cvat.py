from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.trees import annotation, event, keypoint, put, track
from yololstm import cvat
from yololstm.clips import Box
from yololstm.errors import AnnotationError

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_tracks_are_read(tmp_path: Path) -> None:
    xml = annotation(event("theft", 3, 9, (1, 2, 3.5, 4)), keypoint("Left  Hand", {5: (1.5, 2)}))
    read = cvat.read(put(tmp_path / "a.xml", xml))
    assert read.size == (64, 48)
    assert [t.label for t in read.boxes] == ["theft_start", "theft_end"]
    assert read.boxes[0].appearances[0][0].frame == 3
    assert read.boxes[0].appearances[0][0].at == Box(1, 2, 3.5, 4)
    assert [t.label for t in read.points] == ["left hand"]
    assert read.points[0].appearances[0][0].at == (1.5, 2)


def test_outside_is_absent(tmp_path: Path) -> None:
    read = cvat.read(put(tmp_path / "a.xml", annotation(track("theft_start", [9, 3]))))
    runs = read.boxes[0].appearances
    assert [[shape.frame for shape in run] for run in runs] == [[3], [9]]


def test_shapes_know_their_line(tmp_path: Path) -> None:
    path = put(tmp_path / "a.xml", annotation(track("theft_start", [3])))
    line = cvat.read(path).boxes[0].appearances[0][0].line
    assert '<box frame="3"' in path.read_text().splitlines()[line - 1]


def test_size_may_be_unsaid(tmp_path: Path) -> None:
    assert cvat.read(put(tmp_path / "a.xml", "<annotations/>")) == cvat.Annotation(
        tmp_path / "a.xml", None, (), ()
    )


def shape(tag: str, **attributes: str) -> str:
    given = {
        "box": {"frame": "3", "xtl": "1", "ytl": "1", "xbr": "9", "ybr": "9"},
        "points": {"frame": "3", "points": "1,2"},
    }[tag] | attributes
    text = " ".join(f'{name}="{value}"' for name, value in given.items() if value != "absent")
    return annotation('<track label="x">', f"<{tag} {text}/>", "</track>")


@pytest.mark.parametrize(
    ("xml", "line", "problem"),
    [
        ("", 1, "not XML"),
        ("<annotations>", 1, "not XML"),
        ("<annotations>\n<track>\n</annotations>", 3, "not XML"),
        ("\n<annotation><header/></annotation>", 2, "root is <annotation>"),
        ('<!DOCTYPE a SYSTEM "http://x/a.dtd"><annotations/>', 1, "document type"),
        (annotation("<track><box frame='1'/></track>"), 3, "no label"),
        (annotation(size=(0, 48)), 2, "original_size is '0' x '48'"),
        (annotation().replace("64", "wide"), 2, "original_size"),
        (shape("box", frame="absent"), 4, "frame is ''"),
        (shape("box", frame="-1"), 4, "frame is '-1'"),
        (shape("box", frame="1.5"), 4, "frame is '1.5'"),
        (shape("box", frame="10000001"), 4, "frame is '10000001'"),
        (shape("box", frame="9" * 5000), 4, "frame is '99999"),
        (shape("box", xtl="absent"), 4, "coordinates ''"),
        (shape("box", ybr="nan"), 4, "'nan'"),
        (shape("box", ybr="inf"), 4, "'inf'"),
        (shape("box", ybr="1e9"), 4, "'1e9'"),
        (shape("box", ybr="low"), 4, "'low'"),
        (shape("points", points="absent"), 4, "points is ''"),
        (shape("points", points="1"), 4, "points is '1'"),
        (shape("points", points="1,2;3,4"), 4, "points is '1,2;3,4'"),
        (shape("points", points="1,-inf"), 4, "'-inf'"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, xml: str, line: int, problem: str) -> None:
    path = put(tmp_path / "a.xml", xml)
    with pytest.raises(AnnotationError) as caught:
        cvat.read(path)
    assert problem in caught.value.problem.problem
    assert caught.value.problem.place == f"{path}:{line}"


def test_other_data_set_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="71550 and 71549"):
        cvat.read(put(tmp_path / "a.xml", "<annotation/>"))


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="cannot be read"):
        cvat.read(tmp_path / "a.xml")


def test_nothing_outside_the_file_is_read(tmp_path: Path) -> None:
    put(tmp_path / "secret", "theft_start")
    xml = (
        f'<!DOCTYPE a [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]>'
        "<annotations><track label='x'><box frame='1'>&s;</box></track></annotations>"
    )
    with pytest.raises(AnnotationError, match="document type"):
        cvat.read(put(tmp_path / "a.xml", xml))


def test_entities_do_not_explode(tmp_path: Path) -> None:
    laughs = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(12))
    xml = (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><annotations><track label="&l12;"/></annotations>'
    )
    with pytest.raises(AnnotationError):
        cvat.read(put(tmp_path / "a.xml", xml))


values = st.sampled_from(
    ["", "0", "3", "-1", "1e400", "nan", "9999999999", "1,2", "1,2;3", "½", "٣"]
)
names = st.sampled_from(["frame", "outside", "label", "xtl", "ytl", "xbr", "ybr", "points", "x"])
tags = st.sampled_from(
    [
        "annotations",
        "annotation",
        "meta",
        "task",
        "original_size",
        "width",
        "track",
        "box",
        "points",
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


@in_one_folder
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    with contextlib.suppress(AnnotationError):
        cvat.read(put(tmp_path / "a.xml", content))


@in_one_folder
@given(st.lists(elements(), max_size=4))
def test_any_elements_are_read_or_refused(tmp_path: Path, inner: list[str]) -> None:
    xml = f"<annotations>{''.join(inner)}</annotations>"
    with contextlib.suppress(AnnotationError):
        cvat.read(put(tmp_path / "a.xml", xml))


@in_one_folder
@given(st.data())
def test_any_damage_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    xml = bytearray(annotation(event("theft"), keypoint("Left hand", {4: (1, 2)})).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        xml[data.draw(st.integers(0, len(xml) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AnnotationError):
        cvat.read(put(tmp_path / "a.xml", bytes(xml)))
