"""Small pictures of clips, for a page that shows what a data set holds."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import Final

import cv2
import numpy as np

from yololstm import video
from yololstm.census import Example
from yololstm.clips import Box
from yololstm.errors import DataError
from yololstm.material import Material
from yololstm.page import Picture
from yololstm.video import Image

SIDE: Final = 320
"""Pixels of the longer side."""
_QUALITY: Final = 82
_EARLY_S: Final = 1e-3
"""Spans in an index are rounded."""
_LINE: Final = (255, 196, 40)
_RIM: Final = (16, 19, 24)


def pictures(material: Material, examples: Iterable[Example]) -> list[Picture]:
    """Each example with its JPEG, or with why it has none: rows of a CSV show nothing. Videos are
    decoded in threads."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(partial(_picture, material), examples))


def _picture(material: Material, example: Example) -> Picture:
    if PurePosixPath(example.clip.path).suffix.lower() not in video.SUFFIXES:
        return Picture(example)
    try:
        frame = _frame_at(material, example.clip.path, example.time_s)
    except DataError as error:
        return Picture(example, missing=error.problem.problem)
    if frame is None:
        return Picture(example, missing=f"the video ends before {example.time_s:.2f} s")
    return Picture(example, jpeg=thumbnail(frame, example.span.box if example.span else None))


def _frame_at(material: Material, path: str, time_s: float) -> Image | None:
    """The first frame at or after ``time_s``; nothing after it is decoded."""
    with material.local(path) as file:
        frame = next(video.read(file, start_s=time_s - _EARLY_S), None)
        return frame.image if frame else None


def thumbnail(image: Image, box: Box | None) -> bytes:
    """A JPEG of at most SIDE by SIDE pixels. image: (H, W, 3) RGB; box: in its pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if box is not None:
        x0, y0, x1, y1 = (round(side * scale) for side in box)
        corners = (x0, y0), (min(x1, size[0] - 1), min(y1, size[1] - 1))
        cv2.rectangle(small, *corners, _RIM, 4)
        cv2.rectangle(small, *corners, _LINE, 2)
    _, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return encoded.tobytes()
