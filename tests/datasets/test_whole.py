"""AI-Hub 71550 and 71549 side by side as they are downloaded, and everything wrong that can be."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.trees import (
    N_FRAMES,
    SIZE,
    annotation,
    event,
    keypoint,
    material,
    mp4_bytes,
    put,
    put_video,
    put_zip,
    track,
)
from yololstm import video
from yololstm.catalogue import Found
from yololstm.clips import IGNORED, Clip
from yololstm.datasets import reader
from yololstm.errors import Problem
from yololstm.safexml import MAX_BYTES

LABEL_MAP = {"theft": "theft", "fight": "assault", "broken": "damage", "smoke": IGNORED}

ABNORMAL = "220.실내(편의점, 매장) 사람 이상행동 데이터/01-1.정식개방데이터"
SHOPPING = "221.실내(편의점, 매장) 구매행동 데이터/01.데이터"
VIDEOS = f"{ABNORMAL}/Training/01.원천데이터"
LABELS = f"{ABNORMAL}/Training/02.라벨링데이터"
FAULTY = "TS_03.이상행동_07.결함"


def name(number: int, scene: int, camera: str = "CA", time: str = "16-15-01") -> str:
    return f"C_3_{number}_{scene}_BU_DYA_07-31_{time}_{camera}_RGB_DF2_M1"


def shopping_name(scene: int) -> str:
    return f"C_1_1_{scene}_BU_SYB_08-13_14-41-55_CC_DF1_F1"


# --- what is sound: 6 + 4 + 3 + 3 + 1 + 1 clips ---


def put_sound(root: Path, apart: Path) -> None:
    """apart: a folder for what is put into zips."""
    put_thefts_in_zips(root, apart)
    put_fights_with_decomposed_names(root)
    put_damage_for_validation(root)
    put_shopping(root, apart)
    put_both_unpacked_and_in_a_zip(root)
    put_what_is_ignored(root)
    put(root / VIDEOS / f"._{name(13, 1)}.mp4", b"left by macOS")
    put(root / LABELS / "읽어보세요.txt", "no part of the data")


def put_thefts_in_zips(root: Path, apart: Path) -> None:
    """3 takes of 2 cameras, seconds apart, of two thefts at once by two actors."""
    videos, labels = {}, {}
    left, right = (2, 10, 22, 40), (40, 10, 60, 40)
    for scene in range(1, 4):
        for camera, time in (("CA", "16-15-01"), ("CB", "16-15-08")):
            one = name(12, scene, camera, time)
            marks = [event("theft", 2, 8, left), event("theft", 3, 9, right)]
            head = keypoint("Center  head", {2: (20, 12), 4: (22, 13)})
            videos[f"{one}.mp4"] = put_video(apart / f"{one}.mp4")
            labels[f"12.절도/{one}.xml"] = put(apart / f"{one}.xml", annotation(*marks, head))
    put_zip(root / VIDEOS / "TS_03.이상행동_12.절도.zip", videos)
    put_zip(root / LABELS / "TL_03.이상행동_12.절도.zip", labels)


def put_fights_with_decomposed_names(root: Path) -> None:
    """As macOS unpacks them."""
    for scene in range(1, 5):
        one = name(13, scene)
        one_hits, other = event("fight", 3, 10), event("fight", 4, 9, (40, 10, 60, 40))
        xml = annotation(one_hits, other)
        folder = unicodedata.normalize("NFD", "TS_03.이상행동_13.폭행")
        put_video(root / VIDEOS / folder / f"{one}.mp4")
        put(root / LABELS / "TL_03.이상행동_13.폭행" / f"{one}.xml", xml)


def put_damage_for_validation(root: Path) -> None:
    """In mixed case."""
    part = root / f"{ABNORMAL}/validation"
    for scene in range(1, 4):
        one = name(8, scene)
        put_video(part / "01.원천데이터" / "VS_03.이상행동_8.파손" / f"{one}.MP4")
        xml = annotation(event("Broken"))
        put(part / "02.라벨링데이터" / "VL_03.이상행동_8.파손" / f"{one.lower()}.Xml", xml)


def put_shopping(root: Path, apart: Path) -> None:
    """Where nobody has listed what customers do."""
    videos, labels = {}, {}
    for scene, tracks in ((1, []), (2, [event("buy"), event("browse")]), (3, [event("theft")])):
        one = shopping_name(scene)
        videos[f"{one}.mp4"] = put_video(apart / f"{one}.mp4")
        labels[f"{one}.xml"] = put(apart / f"{one}.xml", annotation(*tracks))
    put_zip(root / f"{SHOPPING}/Training/01.원천데이터/TS_01.매장이동.zip", videos)
    put_zip(root / f"{SHOPPING}/Training/02.라벨링데이터/TL_01.매장이동.zip", labels)


def put_both_unpacked_and_in_a_zip(root: Path) -> None:
    file = put_video(root / VIDEOS / "TS_03.이상행동_10.흡연" / f"{name(10, 1)}.mp4")
    put_zip(root / VIDEOS / "TS_03.이상행동_10.흡연.zip", {file.name: file})
    put(root / LABELS / "TL_03.이상행동_10.흡연" / f"{name(10, 1)}.xml", annotation())


def put_what_is_ignored(root: Path) -> None:
    put_video(root / VIDEOS / f"{name(10, 2)}.mp4")
    put(root / LABELS / f"{name(10, 2)}.xml", annotation(event("smoke")))


# --- what is not ---


def put_labelled(root: Path, one: str, xml: str | bytes, content: bytes = b"") -> None:
    put_video(root / VIDEOS / FAULTY / f"{one}.mp4", content)
    put(root / LABELS / f"{one}.xml", xml)


FAULTY_ANNOTATIONS: dict[str, tuple[str | bytes, int | None, str]] = {
    "damaged": (annotation()[:-20], 2, "not XML"),
    "too large": (" " * (MAX_BYTES + 1), None, f"more than {MAX_BYTES} bytes"),
    "document type": ("<!DOCTYPE a><annotations/>", 1, "declares a document type"),
    "another data set": ("<annotation/>", 1, "its root is <annotation>"),
    "no end": (annotation(track("theft_start", [3])), 4, "1 theft_start but 0 theft_end"),
    "ends first": (annotation(event("theft", 9, 3)), 7, "ends at frame 3, not after its start, 9"),
    "unknown": (annotation(event("theff")), 4, "unknown event 'theff'"),
    "misspelt": (annotation(track("theft_strat", [3])), 3, "'theft_strat' marks no start"),
    "late": (annotation(event("theft", 3, N_FRAMES)), 7, "frame 12 of a video of 12 frames"),
    "late keypoint": (
        annotation(keypoint("Left hand", {3: (1, 2), 99: (1, 2)})),
        5,
        "'left hand' is at frame 99 of a video of 12 frames",
    ),
    "no frame": (annotation(event("theft")).replace('"3"', '"-3"'), 4, "frame is '-3'"),
    "no box": (
        annotation(event("theft", box=(1, 2, 3, float("nan")))),
        4,
        "box '1,2,3,nan' is no place in an image",
    ),
    "box outside": (
        annotation(event("theft", box=(40, 10, 70, 40))),
        4,
        "box 40, 10, 70, 40 is no part of a frame of 64x48",
    ),
    "long": (annotation(n_frames=180), 2, "180 frames, but the video has 12"),
    "wide": (annotation(size=(1920, 1080)), 2, "frames of 1920x1080, but the video's are 64x48"),
}
FAULTY_VIDEOS = {
    "empty": (b"", "the file is empty"),
    "text": (b"x" * 99, "not a video that can be opened"),
    "cut short": (mp4_bytes()[:-200], "cut short"),
}


def put_faults(root: Path) -> dict[str, str]:
    """Returns what is wrong, by its place."""
    faults = {}
    for scene, (xml, line, words) in enumerate(FAULTY_ANNOTATIONS.values(), start=100):
        put_labelled(root, name(7, scene), xml)
        faults[f"{LABELS}/{name(7, scene)}.xml" + (f":{line}" if line else "")] = words
    for scene, (content, words) in enumerate(FAULTY_VIDEOS.values(), start=200):
        put_labelled(root, name(7, scene), annotation())
        faults[f"{VIDEOS}/{FAULTY}/{name(7, scene)}.mp4"] = words
        put(root / VIDEOS / FAULTY / f"{name(7, scene)}.mp4", content)
    return faults | put_faulty_files(root)


def put_faulty_files(root: Path) -> dict[str, str]:
    put_video(root / VIDEOS / "alone.mp4")
    put(root / LABELS / "lonely.xml", annotation())
    put_labelled(root, "twice", annotation())
    put(root / LABELS / "again" / "TWICE.XML", annotation(event("theft")))
    return {
        f"{VIDEOS}/alone.mp4": "no annotation (.xml) of its name",
        f"{LABELS}/lonely.xml": "no video (.mp4) of its name",
        f"{LABELS}/again/TWICE.XML": f"stands again in {LABELS}",
    }


def put_unreadable(root: Path) -> dict[str, str]:
    put(root / VIDEOS / "TS_03.이상행동_09.방화.zip", b"PK\3\4 and no more")
    put(root / VIDEOS / "TS_03.이상행동_11.유기.zip.part0", b"PK\3\4")
    return {
        f"{VIDEOS}/TS_03.이상행동_09.방화.zip": "zip",
        f"{VIDEOS}/TS_03.이상행동_11.유기.zip.part*": "a zip in pieces",
    }


def put_doubts(root: Path) -> dict[str, str]:
    """Returns what is doubtful, by its place: 13 clips."""
    doubtful = {
        "short": (event("theft", 3, 5), 4, "theft lasts 0.67 s only"),
        "whole": (event("theft", 0, 11), 4, "theft lasts from the first frame to the last"),
        "end outside": (
            track("theft_start", [3]) + track("theft_end", [9], (60, 10, 90, 40)),
            7,
            "the box of the end of theft is no part of the frame",
        ),
        "whose end": (
            event("theft", 2, 8) + event("theft", 4, 10),
            7,
            "2 theft overlap, and no box says whose end this is",
        ),
        "keypoint": (
            keypoint("Left hand", {3: (1, 2), 4: (float("nan"), 2)}),
            5,
            "points 'nan,2' is no place in an image",
        ),
        "keypoint's frame": (
            keypoint("Left hand", {3: (1, 2)}).replace('frame="3"', ""),
            4,
            "frame is ''",
        ),
        "whose hand": (
            keypoint("Pelvis", {3: (9, 9)}) * 2 + keypoint("Left hand", {3: (9, 2)}),
            7,
            "nothing says of which person this 'left hand' is",
        ),
        "crowd": (
            "\n".join([keypoint("Pelvis", {1: (1, 1)})] * 51),
            3 + 3 * 50,
            "more than 50 tracks of 'pelvis'",
        ),
    }
    doubts = {}
    for scene, (tracks, line, words) in enumerate(doubtful.values(), start=300):
        put_labelled(root, name(12, scene), annotation(tracks))
        doubts[f"{LABELS}/{name(12, scene)}.xml:{line}"] = words
    put_labelled(root, shopping_name(300), annotation(event("fihgt")))
    for words in ("'fihgt_start' was taken for", "'fihgt_end' was taken for"):
        line = 3 if "start" in words else 6
        doubts[f"{LABELS}/{shopping_name(300)}.xml:{line}"] = words
    return doubts | put_doubtful_videos(root)


def put_doubtful_videos(root: Path) -> dict[str, str]:
    folder = f"{VIDEOS}/{FAULTY}"
    put_labelled(root, name(12, 310), annotation())
    with video.writing(root / folder / f"{name(12, 310)}.mp4", Fraction(4), *SIZE) as writer:
        for _ in range(N_FRAMES):
            writer.write(np.zeros((*SIZE[::-1], 3), np.uint8))
    for scene in (311, 312):
        put_labelled(root, name(12, scene), annotation(), mp4_bytes())
    put_labelled(root, name(12, 313), annotation())
    put(root / LABELS / "copy" / f"{name(12, 313)}.xml", annotation())
    return {
        f"{folder}/{name(12, 310)}.mp4": "4 frames a second, but most clips have 3",
        f"{folder}/{name(12, 312)}.mp4": f"the same as {folder}/{name(12, 311)}.mp4",
        f"{LABELS}/copy/{name(12, 313)}.xml": f"the same bytes stand in {LABELS}",
    }


def put_unmapped(root: Path) -> dict[str, str]:
    put_labelled(root, name(7, 400), annotation(event("fall"), event("theft")))
    return {f"{LABELS}/{name(7, 400)}.xml:4": "no label for the event 'fall'"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    put_sound(folder / "root", folder / "apart")
    return folder / "root"


def read(root: Path) -> Found:
    return reader("aihub", LABEL_MAP).read(material(root))


def counts(clips: Iterable[Clip], *fields: str) -> dict[tuple[str, ...], int]:
    keys = [tuple(getattr(clip, field) for field in fields) for clip in clips]
    return {key: keys.count(key) for key in sorted(set(keys))}


def assert_told(problems: list[Problem], expected: dict[str, str]) -> None:
    assert [problem.place for problem in problems] == sorted(expected)
    for problem in problems:
        assert expected[problem.place] in problem.problem
        assert problem.remedy


def test_all_that_is_sound_is_read(root: Path) -> None:
    found = read(root)
    assert (found.problems, found.unmapped, found.warnings) == ([], [], [])
    assert counts(found.clips, "label", "split") == {
        ("assault", "train"): 4,
        ("damage", "test"): 3,
        ("ignored", "train"): 1,
        ("normal", "train"): 3,
        ("theft", "train"): 7,
    }
    assert counts(found.clips, "store", "camera", "actors") == {
        ("DYA", "CA", "DF2_M1"): 12,
        ("DYA", "CB", "DF2_M1"): 3,
        ("SYB", "CC", "DF1_F1"): 3,
    }
    assert len({clip.take for clip in found.clips}) == 15
    thefts = [clip for clip in found.clips if "_12_" in clip.clip_id]
    assert [len({span.box for span in clip.spans}) for clip in thefts] == [2] * 6
    assert sum(".zip/" in clip.path for clip in found.clips) == 9


def test_every_defect_is_told_and_leaves_out_no_more_than_itself(root: Path) -> None:
    sound = read(root).clips
    faults, doubts, unmapped = put_faults(root), put_doubts(root), put_unmapped(root)
    unreadable = put_unreadable(root)
    found = read(root)
    assert_told(found.unreadable, unreadable)
    assert_told(found.problems, faults)
    assert_told(found.warnings, doubts)
    assert_told(found.unmapped, unmapped)
    assert (len(faults), len(doubts), len(unmapped)) == (21, 13, 1)
    assert len(found.clips) == len(sound) + 13
    assert [clip for clip in found.clips if clip in sound] == sound
