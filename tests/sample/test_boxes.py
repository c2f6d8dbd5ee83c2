from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from yololstm.clips import Box
from yololstm.sample.boxes import Labelled, stills, take_still, to_yolo
from yololstm.sample.takes import TRAINING, Settings


def labels(root: Path) -> list[list[float]]:
    return [
        [float(value) for value in line.split()]
        for path in sorted(root.rglob("labels/*/*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def test_images_and_labels_come_in_pairs(made: Path, tiny: Settings) -> None:
    images = sorted(path.relative_to(made / "boxes/images") for path in made.rglob("*.jpg"))
    texts = sorted(path.relative_to(made / "boxes/labels") for path in made.rglob("*.txt"))
    assert [path.with_suffix(".txt") for path in images] == texts
    assert len(images) == tiny.detector_images
    assert {path.parts[0] for path in images} == {"train", "val"}


def test_boxes_lie_within_the_image(made: Path) -> None:
    rows = np.array(labels(made / "boxes"))
    assert set(rows[:, 0]) == {0, 1}
    centre, size = rows[:, 1:3], rows[:, 3:5]
    assert (size > 0).all()
    assert (centre - size / 2 >= -1e-6).all()
    assert (centre + size / 2 <= 1 + 1e-6).all()


def test_the_index_names_folders_relative_to_itself(made: Path) -> None:
    index = yaml.safe_load((made / "boxes/data.yaml").read_text(encoding="utf-8"))
    assert index["names"] == {0: "person", 1: "bag"}
    assert "path" not in index
    for split in ("train", "val"):
        assert any((made / "boxes" / index[split]).iterdir())


def test_no_still_comes_from_validation_or_from_both_sides(default: Settings) -> None:
    plan = stills(default)
    assert {still.take.split for still in plan} == {TRAINING}
    sides = {
        side: {still.take.key for still in plan if still.split == side} for side in ("train", "val")
    }
    assert sides["train"].isdisjoint(sides["val"])
    assert len(plan) == default.detector_images
    assert 0.1 < sum(still.split == "val" for still in plan) / len(plan) < 0.3


def test_few_stills_still_serve_both_sides(default: Settings) -> None:
    plan = stills(replace(default, takes=1, detector_images=2))
    assert [still.split for still in plan] == ["val", "train"]


def test_some_stills_are_empty_and_most_show_persons_and_bags(tiny: Settings) -> None:
    found = [
        {item.category for item in take_still(still)[1]}
        for still in stills(replace(tiny, detector_images=40))
    ]
    assert 0 < sum(not kinds for kinds in found) < 9
    assert sum(0 in kinds for kinds in found) > 28
    assert sum(1 in kinds for kinds in found) > 16


def test_stills_are_no_larger_than_a_detector_needs(default: Settings, made: Path) -> None:
    image, _ = take_still(stills(default)[0])
    assert image.shape == (360, 640, 3)
    small = cv2.imread(str(next(made.rglob("*.jpg"))))
    assert small is not None
    assert small.shape == (240, 426, 3)


def test_yolo_lines_are_centre_and_size_as_shares() -> None:
    text = to_yolo([Labelled(1, Box(10, 20, 30, 60))], width=100, height=200)
    category, *shares = text.split()
    assert category == "1"
    assert [float(share) for share in shares] == pytest.approx([0.2, 0.2, 0.2, 0.2])
