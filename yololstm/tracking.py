"""Who is who from frame to frame: ByteTrack over boxes, through the library ``trackers``."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import supervision as sv
from numpy.typing import NDArray
from trackers import ByteTrackTracker
from trackers.utils.iou import BaseIoU

UNTRACKED: Final = -1

_LOST_S: Final = 2.0
"""A person who is hidden for longer comes back as another."""
_MIN_IOU: Final = 0.1
_REACH: Final = 0.75
"""Heights of a box a second by which it is widened on each side before boxes are compared. At 3
frames a second somebody who walks past has left their box by the next frame: of 136 persons of the
sample plain IoU breaks the tracks of 16, this of none."""
_MAX_REACH: Final = 0.25
"""Heights of a box; beyond it neighbours are taken for each other."""
_SURE: Final = 0.5
"""A box with a lower score continues a track, but starts none."""
_NEVER: Final = 2**31 - 1
_BUFFER_FPS: Final = 30
"""The rate in which the library counts its buffer of lost frames, whatever the video's is."""


class _WidenedIoU(BaseIoU):
    """Of boxes that are made wider by a share of their height, which says how near they are: the
    width changes with every step. Persons move along the image faster than up or down in it."""

    def __init__(self, share: float) -> None:
        self._margin = np.array([-share, 0.0, share, 0.0])

    def _compute(self, boxes_1: NDArray[Any], boxes_2: NDArray[Any]) -> NDArray[Any]:
        overlap: NDArray[Any] = sv.box_iou_batch(self._widened(boxes_1), self._widened(boxes_2))
        return overlap

    def _widened(self, box: NDArray[Any]) -> NDArray[Any]:
        widened: NDArray[Any] = box + (box[:, 3:4] - box[:, 1:2]) * self._margin
        return widened


class Tracker:
    """Numbers the persons, or the bags, of one video, from 1 up in order of appearance."""

    def __init__(self, fps: float) -> None:
        """fps: the rate at which ``update`` is called."""
        self._tracks_so_far = 0
        self._bytetrack = ByteTrackTracker(
            frame_rate=fps,
            lost_track_buffer=round(_LOST_S * _BUFFER_FPS),
            track_activation_threshold=_SURE,
            high_conf_det_threshold=_SURE,
            minimum_iou_threshold=_MIN_IOU,
            iou=_WidenedIoU(min(_MAX_REACH, _REACH / fps)),
            # The library numbers a track from its second sighting on, which at 3 frames a second
            # is a third of a second late. Here it never does; see _number_newcomers.
            minimum_consecutive_frames=_NEVER,
        )

    def update(self, box: NDArray[np.float32], score: NDArray[np.float32]) -> NDArray[np.int32]:
        """The boxes of the next frame. Call it for frames without a box as well.

        box: (N, 4) x0 y0 x1 y1, pixels; score: (N,) in 0..1. Returns (N,) track numbers in the
        same order; UNTRACKED for a box that is too unsure to start a track.
        """
        detections = sv.Detections(
            xyxy=box.astype(np.float64).reshape(-1, 4),
            confidence=score.astype(np.float64),
            # The library returns the boxes in another order.
            data={"row": np.arange(len(box))},
        )
        tracked = self._bytetrack.update(detections)
        number = np.full(len(box), UNTRACKED, dtype=np.int32)
        if len(tracked):
            rows = np.asarray(tracked.data["row"], dtype=np.intp)
            number[rows] = np.asarray(tracked.tracker_id, dtype=np.int32)
            self._number_newcomers(number, rows[score[rows] >= _SURE])
        return number

    def _number_newcomers(self, number: NDArray[np.int32], sure: NDArray[np.intp]) -> None:
        """Give the next numbers to the tracks that start in this frame, in place.

        sure: rows that may start a track, in the library's order, which is that of its new tracks.
        """
        newcomers = (t for t in self._bytetrack.tracks if t.tracker_id == UNTRACKED)
        for row, newcomer in zip(sure[number[sure] == UNTRACKED], newcomers, strict=True):
            self._tracks_so_far += 1
            number[row] = newcomer.tracker_id = self._tracks_so_far
