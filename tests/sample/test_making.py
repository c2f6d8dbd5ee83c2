from __future__ import annotations

import hashlib
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from lxml import etree

from yololstm import video
from yololstm.sample.annotation import KEYPOINTS
from yololstm.sample.filming import Viewpoint
from yololstm.sample.making import clips, make, total_frames
from yololstm.sample.takes import CAMERAS, Settings, all_takes

ROOT = Path(__file__).parents[2]


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_stage_makes_the_same_bytes_with_workers_as_without(
    made: Path, tiny: Settings, tmp_path: Path
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["sample"] = vars(tiny)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "left over.mp4").touch()
    stage = [sys.executable, str(ROOT / "stages" / "sample.py"), "tree", "boxes"]
    subprocess.run(stage, cwd=tmp_path, check=True)
    for folder in ("tree", "boxes"):
        assert digests(tmp_path / folder) == digests(made / folder)


def test_progress_adds_up(tiny: Settings, made: Path, tmp_path: Path) -> None:
    few = Settings(**{**vars(tiny), "takes": 1, "detector_images": 2})
    told: list[int] = []
    make(few, tmp_path / "tree", tmp_path / "boxes", workers=1, on_frames=told.append)
    assert sum(told) == total_frames(few)


def test_every_clip_has_its_video_and_its_labels_and_nothing_else(
    made: Path, tiny: Settings
) -> None:
    planned = clips(tiny, made / "tree")
    expected = {path for clip in planned for path in (clip.video, clip.labels)}
    assert {path for path in (made / "tree").rglob("*") if path.is_file()} == expected
    assert len(expected) == 2 * len(all_takes(tiny)) * len(CAMERAS)


def test_the_tree_is_the_data_sets(made: Path) -> None:
    folders = {path.relative_to(made / "tree").as_posix() for path in (made / "tree").glob("*/*/*")}
    for split, initial in (("Training", "T"), ("Validation", "V")):
        for name in ("03.이상행동_12.절도", "03.이상행동_13.폭행", "03.이상행동_08.파손"):
            assert f"{split}/01.원천데이터/{initial}S_{name}" in folders
            assert f"{split}/02.라벨링데이터/{initial}L_{name}" in folders
    assert len(folders) == 16


def test_videos_are_as_the_params_say(made: Path, tiny: Settings) -> None:
    info = video.probe(clips(tiny, made / "tree")[0].video)
    assert info == video.VideoInfo(Fraction(3), 24, tiny.width, tiny.height)


@pytest.mark.parametrize("index", range(0, 16, 3))
def test_keypoints_lie_on_the_persons_in_the_picture(
    index: int, made: Path, tiny: Settings
) -> None:
    """Drawn again without the body, a frame differs from the film at the keypoints."""
    clip = clips(tiny, made / "tree")[index]
    camera = clip.take.view(clip.camera, clip.take.figures(tiny.times_s))
    empty = Viewpoint.of(
        clip.take, camera, clip.take.lamp(clip.camera), np.random.default_rng(0)
    ).empty
    labels = etree.parse(clip.labels)
    for frame in list(video.read(clip.video))[::8]:
        points = labels.xpath(f"track/points[@frame='{frame.index}']/@points")
        assert len(points) == len(KEYPOINTS) * len(clip.take.scene.cast)
        xy = np.array([[float(v) for v in point.split(",")] for point in points]).astype(int)
        there = frame.image[xy[:, 1], xy[:, 0]].astype(int)
        change = np.abs(there - empty.image[xy[:, 1], xy[:, 0]]).max(axis=1)
        assert (change > 20).mean() > 0.8


def test_event_boxes_hold_those_who_do_it(made: Path, tiny: Settings) -> None:
    for clip in clips(tiny, made / "tree"):
        labels, event = etree.parse(clip.labels), clip.take.scene.event
        boxes = labels.xpath("track/box")
        if event is None:
            assert not boxes
            continue
        start, end = boxes
        name = clip.take.kind.event
        assert start.getparent().get("label") == f"{name}_start"
        assert end.getparent().get("label") == f"{name}_end"
        assert 0 < int(start.get("frame")) < int(end.get("frame")) < len(tiny.times_s) - 1
        for box in boxes:
            assert_holds_the_first(event.actors, box, labels)


def assert_holds_the_first(n: int, box: etree._Element, labels: etree._ElementTree) -> None:
    """The joints of the first n persons, and the middle of nobody else, are in the box."""
    points = labels.xpath(f"track/points[@frame='{box.get('frame')}']/@points")
    xy = np.array([[float(v) for v in point.split(",")] for point in points]).reshape(-1, 17, 2)
    x0, y0, x1, y1 = (float(box.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))
    inside = (xy > (x0 - 1, y0 - 1)).all(-1) & (xy < (x1 + 1, y1 + 1)).all(-1)
    assert inside[:n].all()
    assert not inside[n:, 0].any()
