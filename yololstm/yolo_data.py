"""YOLO data sets: a data.yaml that names folders of images, with a label file beside each image."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from yololstm.detector import first_line
from yololstm.errors import AnnotationError, EmptyError

_IMAGES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class Labelled(NamedTuple):
    """An image, and the N things in it."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    box: NDArray[np.float32]
    """(N, 4) x0, y0, x1, y1 in pixels."""
    name: list[str]
    """N of YoloData.names."""


@dataclass(frozen=True)
class YoloData:
    source: Path
    """Its data.yaml."""
    names: Mapping[int, str]
    """Of the classes, by their numbers in label files."""
    folders: Mapping[str, Path]
    """Of the images of ``train`` and ``val``."""

    @classmethod
    def read(cls, source: Path) -> YoloData:
        """Raises AnnotationError where this is no such file, EmptyError where a folder holds no
        image, or none that is labelled."""
        try:
            content = yaml.safe_load(source.read_text(encoding="utf-8"))
            names = content["names"]
            names = dict(names.items() if isinstance(names, dict) else enumerate(names))
            root = source.parent / (content.get("path") or "")
            folders = {split: Path(root, content[split]) for split in ("train", "val")}
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise AnnotationError(
                source,
                f"not the data.yaml of a YOLO data set ({first_line(error)})",
                "It needs names, and train and val: folders of images",
            ) from error
        found = cls(source, names, folders)
        for split, images in folders.items():
            if not found.images(split):
                raise EmptyError(source, f"no image in {images}", "Check the folder in data.yaml")
            if not any(labels_of(images).glob("*.txt")):
                problem = f"no label file in {labels_of(images)}"
                raise EmptyError(source, problem, "Labels lie beside images/")
        return found

    def images(self, split: str, most: int | None = None) -> list[Path]:
        """Ordered by name; at most so many, evenly spread."""
        found = sorted(
            path for path in self.folders[split].glob("*") if path.suffix.lower() in _IMAGES
        )
        if most is None or len(found) <= most:
            return found
        return [found[int(number)] for number in np.linspace(0, len(found) - 1, most)]

    def copy(self, to: Path, splits: Collection[str], most: int | None = None) -> Path:
        """Copy it, with at most so many images of each split, and return its data.yaml's path.

        ultralytics writes caches beside the labels, and mends JPEGs where they lie.
        """
        for split in splits:
            images, labels = to / "images" / split, to / "labels" / split
            images.mkdir(parents=True)
            labels.mkdir(parents=True)
            for image in self.images(split, most):
                shutil.copyfile(image, images / image.name)
                if (label := labels_of(image)).is_file():
                    shutil.copyfile(label, labels / label.name)
        copied = to / "data.yaml"
        content = {"path": str(to), "train": "images/train", "val": "images/val"}
        content |= {split: f"images/{split}" for split in splits}
        copied.write_text(yaml.safe_dump(content | {"names": dict(self.names)}), encoding="utf-8")
        return copied

    def labelled(self, split: str, most: int | None = None) -> Iterator[Labelled]:
        """Raises AnnotationError for what is no image, or no label file."""
        for path in self.images(split, most):
            image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if image is None:
                raise AnnotationError(path, "not an image", "Remove it, or mend it")
            label = labels_of(path)
            text = label.read_text(encoding="utf-8") if label.is_file() else ""
            try:
                lines = [line.split() for line in text.splitlines()]
                rows = np.array(lines or np.empty((0, 5)), dtype=np.float32)
                number, x, y, width, height = rows.T
                name = [self.names[int(one)] for one in number]
            except (ValueError, KeyError) as error:
                raise AnnotationError(
                    label,
                    f"not a label file of boxes ({first_line(error)})",
                    "A line is: class x y width height, shares of the image",
                ) from error
            box = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
            size = np.array([image.shape[1], image.shape[0]] * 2, dtype=np.float32)
            yield Labelled(np.asarray(image, np.uint8), box * size, name)


def labels_of(images: Path) -> Path:
    """The label file of an image; the folder of the label files of a folder of images. Of several
    parts named images, the last one tells."""
    parts = list(images.parts)
    if "images" in parts:
        parts[-1 - parts[::-1].index("images")] = "labels"
    path = Path(*parts)
    return path.with_suffix(".txt") if path.suffix.lower() in _IMAGES else path
