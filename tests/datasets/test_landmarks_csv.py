from __future__ import annotations

import contextlib
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.trees import (
    OLD_COLUMNS,
    Row,
    csv_text,
    kinect_columns,
    kinect_row,
    material,
    nobody,
    old_row,
    put,
)
from yololstm.catalogue import Found
from yololstm.clips import Clip, Span
from yololstm.datasets import reader
from yololstm.errors import AnnotationError, DataError
from yololstm.landmarks import Landmarks
from yololstm.material import Material
from yololstm.skeleton import JOINTS

HEAD = JOINTS.index("HEAD")


def read(root: Path) -> Found:
    return reader("landmarks_csv", {}).read(material(root))


def in_order(found: Found) -> list[Clip]:
    assert not found.problems
    return sorted(found.clips, key=lambda clip: int(clip.path.split("=")[1].split("-")[0]))


def landmarks(root: Path, clip: Clip) -> Landmarks:
    found = reader("landmarks_csv", {}).landmarks(material(root), clip)
    assert found is not None
    return found


def old(root: Path, *rows: Row) -> list[Clip]:
    put(root / "x.csv", csv_text(OLD_COLUMNS, rows))
    return in_order(read(root))


def kinect(root: Path, *rows: Row) -> list[Clip]:
    put(root / "x.csv", csv_text(kinect_columns(), rows))
    return in_order(read(root))


# --- clips ---


def test_clip_ends_where_frames_fall_or_the_label_changes(tmp_path: Path) -> None:
    clips = old(
        tmp_path,
        *(old_row(frame, 0) for frame in (400, 410, 420)),
        *(old_row(frame, 0) for frame in (390, 400)),
        *(old_row(frame, 1) for frame in (410, 420)),
    )
    assert [(c.path, c.label) for c in clips] == [
        ("x.csv#row=2-4", "theft"),
        ("x.csv#row=5-6", "theft"),
        ("x.csv#row=7-8", "assault"),
    ]
    assert clips[0].spans == (Span(0.0, 1.0, "theft"),)
    assert clips[0].clip_id == "x_2-4"


def test_gaps_between_frames_are_gaps_in_time(tmp_path: Path) -> None:
    (clip,) = old(tmp_path, *(old_row(frame, 2) for frame in (700, 710, 740, 750)))
    found = landmarks(tmp_path, clip)
    assert (clip.fps, clip.n_frames, clip.width, clip.height) == (Fraction(3), 6, 1920, 1080)
    assert found.frame.tolist() == [0, 1, 4, 5]
    assert found.time_s.tolist() == pytest.approx([0, 1 / 3, 4 / 3, 5 / 3])


def test_denser_frames_have_a_higher_rate(tmp_path: Path) -> None:
    (clip,) = old(tmp_path, *(old_row(frame, 2) for frame in (700, 701, 705)))
    assert (clip.fps, clip.n_frames) == (Fraction(30), 6)
    assert landmarks(tmp_path, clip).time_s.tolist() == pytest.approx([0, 1 / 30, 5 / 30])


def test_walks_are_cut_where_the_hips_jump(tmp_path: Path) -> None:
    """The torso is 100 px: 200 px from row to row is a walk yet, 201 px is not."""
    clips = old(tmp_path, *(old_row("", 3, x=x) for x in (500, 700, 500, 701, 702)))
    assert [clip.path for clip in clips] == ["x.csv#row=2-4", "x.csv#row=5-6"]
    assert [(clip.label, clip.fps, clip.n_frames) for clip in clips] == [
        ("normal", 3, 3),
        ("normal", 3, 2),
    ]


def test_jump_is_seen_over_rows_that_show_nobody(tmp_path: Path) -> None:
    empty = dict.fromkeys(OLD_COLUMNS, 0) | {"FRAME_NUM": "", "label": 3}
    clips = old(tmp_path, old_row("", 3), empty, old_row("", 3, x=900), old_row("", 3, x=900))
    assert [clip.path for clip in clips] == ["x.csv#row=2-3", "x.csv#row=4-5"]


def test_jump_is_measured_by_the_smaller_body(tmp_path: Path) -> None:
    near = old_row("", 3)
    far = {**near, "SHOULDER_LEFT_Y": 280, "SHOULDER_RIGHT_Y": 280}
    shifted = {k: v + 60 if str(k).endswith("_X") else v for k, v in near.items()}  # type: ignore[operator]
    assert len(old(tmp_path, near, shifted)) == 1
    assert len(old(tmp_path, far, shifted)) == 2


def test_rows_with_frames_do_not_end_where_hips_jump(tmp_path: Path) -> None:
    assert len(old(tmp_path, old_row(0, 0), old_row(10, 0, x=1500))) == 1


@pytest.mark.parametrize(
    ("x", "size"),
    [(500, (1920, 1080)), (2000, (2560, 1440)), (3000, (3840, 2160)), (9999, (3840, 2160))],
)
def test_size_of_walks_is_the_smallest_that_holds_them(
    tmp_path: Path, x: float, size: tuple[int, int]
) -> None:
    (clip,) = old(tmp_path, old_row("", 3, x=x))
    assert (clip.width, clip.height) == size


def test_splits_may_be_made_already(tmp_path: Path) -> None:
    for folder in ("train", "val", "Test"):
        put(tmp_path / folder / "x.csv", csv_text(OLD_COLUMNS, [old_row(0, 0), old_row(10, 0)]))
    found = read(tmp_path)
    assert {(clip.clip_id, clip.take, clip.split) for clip in found.clips} == {
        ("train-x_2-3", "train/x_2-3", "train"),
        ("val-x_2-3", "val/x_2-3", "val"),
        ("Test-x_2-3", "Test/x_2-3", "test"),
    }


# --- rows ---


def test_kinect_rows_are_unlabelled(tmp_path: Path) -> None:
    (clip,) = kinect(tmp_path, nobody(0), kinect_row(10, level=3), kinect_row(20, level=1))
    assert (clip.split, clip.spans, clip.n_frames) == ("", (), 3)
    found = landmarks(tmp_path, clip)
    assert found.time_s.tolist() == pytest.approx([1 / 3, 2 / 3])
    np.testing.assert_allclose(found.confidence, [[1] * 13, [1 / 3] * 13], rtol=1e-6)


def test_cameras_of_one_take_stay_together(tmp_path: Path) -> None:
    """Where the file is named as AI-Hub names the video."""
    for time, camera in (("16-15-01", "CA"), ("16-15-04", "CB"), ("17-00-00", "CA")):
        name = f"C_3_12_1_BU_DYA_07-31_{time}_{camera}_RGB_DF2_M1.csv"
        put(tmp_path / name, csv_text(kinect_columns(), [kinect_row(0), kinect_row(10)]))
    found = sorted(read(tmp_path).clips, key=lambda clip: clip.path)
    assert [(clip.store, clip.camera, clip.actors) for clip in found] == [
        ("DYA", camera, "DF2_M1") for camera in ("CA", "CB", "CA")
    ]
    first, second, later = (clip.take for clip in found)
    assert first == second == "C_3_12_1_BU_DYA_07-31_16-15-01_RGB_DF2_M1" != later


def test_both_spellings_of_the_spine_are_known(tmp_path: Path) -> None:
    text = csv_text(kinect_columns(), [kinect_row(0)])
    put(tmp_path / "x.csv", text.replace("SPINE_NAVA_", "SPINE_NAVAL_"))
    assert len(in_order(read(tmp_path))) == 1


def test_kinect_rows_may_be_labelled(tmp_path: Path) -> None:
    columns = [*kinect_columns(), "label"]
    put(tmp_path / "x.csv", csv_text(columns, [kinect_row(0, label=2)]))
    assert [(clip.label, clip.split) for clip in read(tmp_path).clips] == [("damage", "train")]


def test_bodies_are_tracks(tmp_path: Path) -> None:
    (clip,) = kinect(
        tmp_path,
        kinect_row(0, body=7, x=900),
        kinect_row(0, body=2, x=300),
        kinect_row(10, body=7, x=900),
    )
    found = landmarks(tmp_path, clip)
    assert [*zip(found.frame, found.track, strict=True)] == [(0, 1), (0, 2), (1, 2)]
    assert found.xy[:, HEAD, 0].tolist() == [300, 900, 900]


def test_unknown_joint_is_absent(tmp_path: Path) -> None:
    (clip,) = kinect(
        tmp_path,
        kinect_row(0, HEAD_Y="nan"),
        kinect_row(10, HEAD_CONFIDENCE_LEVEL=0),
        kinect_row(20, HEAD_X=""),
    )
    found = landmarks(tmp_path, clip)
    assert np.isnan(found.xy[:, HEAD]).all()
    assert (found.confidence[:, HEAD] == 0).all()
    assert np.isfinite(found.xy[:, :HEAD]).all()


def test_row_without_a_known_joint_is_nobody_and_time_goes_on(tmp_path: Path) -> None:
    unknown = dict.fromkeys(OLD_COLUMNS[2:-2], "nan")
    rows = [old_row(0, 1), {**old_row(10, 1), **unknown}, old_row(20, 1)]
    (clip,) = old(tmp_path, *rows)
    assert clip.n_frames == 3
    assert landmarks(tmp_path, clip).frame.tolist() == [0, 2]


def test_box_holds_the_joints_with_a_margin(tmp_path: Path) -> None:
    (clip,) = old(tmp_path, old_row(0, 0))
    # 300 px from head (160) to ankles (460), 40 px wide around 500
    np.testing.assert_allclose(landmarks(tmp_path, clip).box, [[465, 145, 535, 475]])


def test_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [old_row(frame, 0) for frame in (20, 10, 0)]
    put(tmp_path / "x.csv", csv_text(OLD_COLUMNS, rows))
    opened: list[str] = []
    read_bytes = Material.read_bytes

    def counting(self: Material, path: PurePosixPath | str, limit: int) -> bytes:
        opened.append(str(path))
        return read_bytes(self, path, limit)

    monkeypatch.setattr(Material, "read_bytes", counting)
    csv_reader = reader("landmarks_csv", {})
    clips = csv_reader.read(material(tmp_path)).clips
    assert len([csv_reader.landmarks(material(tmp_path), clip) for clip in clips]) == 3
    assert opened == ["x.csv"]


# --- faults ---


def changed(columns: Sequence[str], **new: str) -> list[str]:
    return [new.get(column, column) for column in columns]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "missing 'ANKLE_LEFT_X', 'ANKLE_LEFT_Y', 'ANKLE_RIGHT_X' and 34 more"),
        ("a,b\n1,2\n", 1, "unknown 'a', 'b'; missing"),
        (
            csv_text(changed(OLD_COLUMNS, HEAD_X="HED_X"), []),
            1,
            "unknown 'HED_X'; missing 'HEAD_X'",
        ),
        (csv_text([*OLD_COLUMNS, "ID"], []), 1, "repeated 'ID'"),
        (csv_text(OLD_COLUMNS, []), 2, "no row"),
        (csv_text(OLD_COLUMNS, [old_row(0, 0), old_row("inf", 0)]), 3, "FRAME_NUM is 'inf'"),
        (csv_text(OLD_COLUMNS, [old_row(0.5, 0)]), 2, "FRAME_NUM is not empty or a whole"),
        (csv_text(OLD_COLUMNS, [old_row(-10, 0)]), 2, "FRAME_NUM is not"),
        (csv_text(OLD_COLUMNS, [old_row(10**8, 0)]), 2, "FRAME_NUM is not"),
        (
            csv_text(OLD_COLUMNS, [old_row(0, 0), old_row(9, 0), old_row(400_000, 0)]),
            4,
            "FRAME_NUM is more than 3 hours after",
        ),
        (csv_text(OLD_COLUMNS, [old_row(0, 0), old_row(0, 0)]), 3, "of an earlier row"),
        (csv_text(OLD_COLUMNS, [old_row(0, 4)]), 2, "label is not 0, 1, 2 or 3"),
        (csv_text(OLD_COLUMNS, [old_row(0, "")]), 2, "label is not"),
        (csv_text(OLD_COLUMNS, [old_row(0, 0, HEAD_X="left")]), 2, "HEAD_X is 'left'"),
        (csv_text(OLD_COLUMNS, [old_row(0, 0, HEAD_X="1e7")]), 2, "a coordinate is not"),
        (csv_text(OLD_COLUMNS, [old_row(0, 0)]) + "1,2,3\n", 3, "3 cells below 38 columns"),
        (csv_text(kinect_columns(), [kinect_row(0, level=4)]), 2, "CONFIDENCE_LEVEL is not 0 to 3"),
        (csv_text(kinect_columns(), [kinect_row(0, level="")]), 2, "CONFIDENCE_LEVEL is not"),
    ],
)
def test_faults_are_named_with_their_line(
    tmp_path: Path, text: str, line: int, problem: str
) -> None:
    put(tmp_path / "x.csv", text)
    found = read(tmp_path)
    assert found.clips == []
    (told,) = found.problems
    assert told.place == f"x.csv:{line}"
    assert problem in told.problem


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    text = csv_text(OLD_COLUMNS, [old_row(0, 0), old_row(10, 0)])
    put(tmp_path / "x.csv", "\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n")
    assert [clip.path for clip in in_order(read(tmp_path))] == ["x.csv#row=2-3"]


@pytest.mark.parametrize("rows", ["", "#row=", "#row=9-12", "#row=a-b", "#row=1-2-3"])
def test_rows_that_are_not_there(tmp_path: Path, rows: str) -> None:
    (clip,) = old(tmp_path, old_row(0, 0))
    with pytest.raises(DataError):
        landmarks(tmp_path, replace(clip, path=f"x.csv{rows}"))


in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
cells = st.sampled_from(
    ["", "0", "0.0", "1", "2", "3", "10", "-5", "nan", "inf", "1e400", "9" * 40, "x", '"']
)


@in_one_folder
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)))
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "x.csv", content)
    assert len(read(tmp_path).problems) == 1


@in_one_folder
@given(
    st.sampled_from([OLD_COLUMNS, kinect_columns()]),
    st.lists(st.dictionaries(st.integers(0, 54), cells, max_size=6), max_size=8),
    st.booleans(),
)
def test_any_cells_are_read_or_refused(
    tmp_path: Path, columns: list[str], changes: list[dict[int, str]], zero: bool
) -> None:
    make = old_row if columns is OLD_COLUMNS else kinect_row
    rows = []
    for i, change in enumerate(changes):
        row = dict(nobody(10 * i) if zero else make(10 * i, 0))
        rows.append(row | {columns[k]: v for k, v in change.items() if k < len(columns)})
    put(tmp_path / "x.csv", csv_text(columns, rows))
    csv_reader = reader("landmarks_csv", {})
    for clip in csv_reader.read(material(tmp_path)).clips:
        with contextlib.suppress(AnnotationError):
            csv_reader.landmarks(material(tmp_path), clip)


def test_memory_is_bounded_by_the_file(tmp_path: Path) -> None:
    rows = csv_text(OLD_COLUMNS, [old_row(10 * i, 0) for i in range(100)]).splitlines()
    content = "\n".join([rows[0], *(rows[1:] * 300)]).encode()
    put(tmp_path / "x.csv", content)
    tracemalloc.start()
    try:
        found = read(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 15 * len(content)
    finally:
        tracemalloc.stop()
    assert len(found.clips) == 300


# --- the real files ---


def test_real_old_format(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "data" / "csv" / "dataedit.csv", tmp_path)
    found = read(tmp_path)
    assert not found.problems
    assert Counter(clip.label for clip in found.clips) == {
        "assault": 22,
        "damage": 25,
        "theft": 25,
        "normal": 28,
    }
    n_rows = dict.fromkeys(("theft", "assault", "damage", "normal"), 0)
    csv_reader = reader("landmarks_csv", {})
    for clip in found.clips:
        rows = csv_reader.landmarks(material(tmp_path), clip)
        assert rows is not None
        n_rows[clip.label] += len(rows)
        assert clip.fps == 3
    assert n_rows == {"theft": 1650, "assault": 1468, "damage": 2000, "normal": 2100}


def test_real_kinect_format(real_data: Path, tmp_path: Path) -> None:
    shutil.copy(real_data / "data" / "csv" / "datasample.csv", tmp_path)
    (clip,) = read(tmp_path).clips
    assert (clip.split, clip.n_frames) == ("", 180)
    assert len(landmarks(tmp_path, clip)) == 165
