from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets.trees import LABEL_MAP, LABELS, material, put, put_video
from yololstm.catalogue import Found
from yololstm.clips import Span
from yololstm.datasets import reader
from yololstm.errors import DataError


def read(root: Path) -> Found:
    return reader("folder", LABEL_MAP, LABELS).read(material(root))


def test_clip_shows_its_label_from_end_to_end(tmp_path: Path) -> None:
    put_video(tmp_path / "theft" / "a.mp4")
    put_video(tmp_path / "normal" / "b.MP4")
    theft, normal = read(tmp_path).clips
    assert theft.spans == (Span(0.0, 4.0, "theft"),)
    assert (normal.spans, normal.label) == ((), "normal")


@pytest.mark.parametrize(
    ("folder", "label"), [("Theft", "theft"), ("fight", "assault"), ("NORMAL/deeper", "normal")]
)
def test_folder_is_a_label_or_a_word_for_one(tmp_path: Path, folder: str, label: str) -> None:
    put_video(tmp_path / folder / "a.mp4")
    assert [clip.label for clip in read(tmp_path).clips] == [label]


def test_labels_keep_their_case(tmp_path: Path) -> None:
    put_video(tmp_path / "loitering" / "a.mp4")
    found = reader("folder", {}, ["Loitering"]).read(material(tmp_path))
    assert [clip.label for clip in found.clips] == ["Loitering"]


@pytest.mark.parametrize(
    ("path", "problem", "remedy"),
    [
        ("thefts/a.mp4", "'thefts' is no label", "nearest label is theft"),
        ("xyz/a.mp4", "'xyz' is no label", "labels are assault, broken"),
        ("test/a.mp4", "'test' is no label", "<label>"),
        ("a.mp4", "in no label's folder", "<label>"),
    ],
)
def test_unknown_folder_is_named(tmp_path: Path, path: str, problem: str, remedy: str) -> None:
    put_video(tmp_path / path)
    (told,) = read(tmp_path).problems
    assert told.place == path
    assert problem in told.problem
    assert remedy in told.remedy


@pytest.mark.parametrize(
    ("stem", "take", "camera"),
    [
        ("walk_3_CA", "theft/walk_3", "CA"),
        ("walk_3_cam12", "theft/walk_3", "CAM12"),
        ("walk_3_CAB", "theft/walk_3_CAB", ""),
        ("cam1", "theft/cam1", ""),
    ],
)
def test_camera_is_no_part_of_the_take(tmp_path: Path, stem: str, take: str, camera: str) -> None:
    put_video(tmp_path / "theft" / f"{stem}.mp4")
    (clip,) = read(tmp_path).clips
    assert (clip.take, clip.camera) == (take, camera)


def test_splits_may_be_made_already(tmp_path: Path) -> None:
    for split in ("train", "Val", "test"):
        put_video(tmp_path / split / "theft" / f"{split}.mp4")
    clips = read(tmp_path).clips
    assert {clip.clip_id: clip.split for clip in clips} == {
        "train": "train",
        "Val": "val",
        "test": "test",
    }


def test_same_names_get_their_folder_in_front(tmp_path: Path) -> None:
    for path in ("theft/1.mp4", "normal/1.MP4", "normal/1.avi", "normal/2.mp4", "a-1/x.mp4"):
        put_video(tmp_path / path)
    ids = {clip.path: clip.clip_id for clip in read(tmp_path).clips}
    assert ids == {
        "normal/1.MP4": "normal-1",
        "normal/1.avi": "normal-1-2",
        "normal/2.mp4": "2",
        "theft/1.mp4": "theft-1",
    }


def test_name_in_another_encoding_is_told(tmp_path: Path) -> None:
    folder = bytes(tmp_path) + b"/" + "절도".encode("cp949")
    try:
        Path(folder.decode("utf-8", "surrogateescape")).mkdir()
    except OSError:
        pytest.skip("this file system takes no such name")
    put_video(Path(folder.decode("utf-8", "surrogateescape")) / "a.mp4")
    with pytest.raises(DataError, match="unzip -O cp949"):
        read(tmp_path)


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    put_video(tmp_path / "theft" / "a.mp4")
    put(tmp_path / "theft" / "notes.txt", "x")
    found = read(tmp_path)
    assert (len(found.clips), found.problems) == (1, [])
