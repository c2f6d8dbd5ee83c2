from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import drawn
from yololstm.errors import AnnotationError, EmptyError
from yololstm.yolo_data import YoloData, labels_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return drawn.squares(tmp_path / "data")


def test_boxes_are_around_what_is_seen(source: Path) -> None:
    seen = list(YoloData.read(source).labelled("val"))
    assert len(seen) == 8
    for image, box, name in seen:
        assert name == ["person", "apple", "backpack"]
        x0, y0, x1, y1 = box[2].round().astype(int)
        # The last that was drawn hides the others.
        np.testing.assert_allclose(image[y0:y1, x0:x1].mean(axis=(0, 1)), (250, 30, 30), atol=25)


def test_names_may_be_a_list(source: Path) -> None:
    source.write_text("train: images/train\nval: images/val\nnames: [person, bag]\n")
    assert YoloData.read(source).names == {0: "person", 1: "bag"}


def test_image_without_a_label_file_shows_nothing(source: Path) -> None:
    (source.parent / "labels/val/0.txt").unlink()
    box, name = next(YoloData.read(source).labelled("val"))[1:]
    assert box.shape == (0, 4)
    assert name == []


def test_some_images_are_spread_over_all(source: Path) -> None:
    data = YoloData.read(source)
    assert [path.stem for path in data.images("train", most=3)] == ["0", "3", "7"]
    assert data.images("train", most=8) == data.images("train")


def test_copy_is_a_data_set_of_its_own(source: Path, tmp_path: Path) -> None:
    data = YoloData.read(source)
    copied = data.copy(tmp_path / "copy", ("train", "val"), most=2)
    for split in ("train", "val"):
        mine, theirs = (list(one.labelled(split, 2)) for one in (data, YoloData.read(copied)))
        assert len(theirs) == 2
        for (image, box, name), (other_image, other_box, other_name) in zip(
            mine, theirs, strict=True
        ):
            np.testing.assert_array_equal(image, other_image)
            np.testing.assert_array_equal(box, other_box)
            assert name == other_name


@pytest.mark.parametrize("line", ["0 0.5 0.5", "a b c d e", "7 0.5 0.5 0.1 0.1", "0 0 0 1 1 0 0"])
def test_label_file_that_is_none(source: Path, line: str) -> None:
    (source.parent / "labels/val/0.txt").write_text(f"{line}\n")
    with pytest.raises(AnnotationError, match=r"0\.txt: not a label file of boxes"):
        next(YoloData.read(source).labelled("val"))


def test_image_that_is_none(source: Path) -> None:
    (source.parent / "images/val/0.jpg").write_bytes(b"none")
    with pytest.raises(AnnotationError, match=r"0\.jpg: not an image"):
        next(YoloData.read(source).labelled("val"))


def test_folder_that_is_absent(source: Path) -> None:
    source.write_text("train: images/train\nval: elsewhere\nnames: [person]\n")
    with pytest.raises(EmptyError, match="elsewhere"):
        YoloData.read(source)


def test_the_last_folder_of_images_has_its_labels_beside_it() -> None:
    assert labels_of(Path("/images/shop/images/train")) == Path("/images/shop/labels/train")
    assert labels_of(Path("images/a.JPG")) == Path("labels/a.txt")
    assert labels_of(Path("shop/a.jpg")) == Path("shop/a.txt")
