"""Boxes: x0, y0, x1, y1 in pixels, x1 and y1 beyond the last ones within."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating]


def iou(box: Boxes, boxes: Boxes) -> Boxes:
    """Intersection over union of one box (4,) with each of ``boxes`` (N, 4): (N,)."""
    shared = intersection(box, boxes)
    union = area(box) + area(boxes) - shared
    return shared / np.maximum(union, 1e-9)


def intersection(box: Boxes, boxes: Boxes) -> Boxes:
    """(N,) square pixels that one box (4,) has in common with each of ``boxes`` (N, 4)."""
    low = np.maximum(box[:2], boxes[..., :2])
    high = np.minimum(box[2:], boxes[..., 2:])
    common: Boxes = np.clip(high - low, 0, None).prod(axis=-1)
    return common


def area(boxes: Boxes) -> Boxes:
    """(...,) square pixels of boxes (..., 4)."""
    squared: Boxes = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1)
    return squared
