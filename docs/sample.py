"""Make docs/sample.webp, the README's picture, of what the render stage drew of the sample."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np

from yololstm import video
from yololstm.storage import read_clips

LABELS = ("theft", "assault", "damage")
SIZE = (420, 236)
SECONDS = (4.0, 12.0)


def main() -> None:
    clips = {
        clip.label: clip.clip_id
        for clip in read_clips(Path("data/index.csv"), Path("data/splits.csv"))
        if _drawn(clip.clip_id)
    }
    columns = [_frames(Path("data/renders", f"{clips[label]}.mp4")) for label in LABELS]
    animation = cv2.Animation()
    animation.frames = [np.hstack(row)[..., ::-1].copy() for row in zip(*columns, strict=False)]
    animation.durations = [333] * len(animation.frames)
    out = str(Path(__file__).with_suffix(".webp"))
    cv2.imwriteanimation(out, animation, [cv2.IMWRITE_WEBP_QUALITY, 60])


def _drawn(clip_id: str) -> bool:
    return Path("data/renders", f"{clip_id}.mp4").exists()


def _frames(path: Path) -> list[np.ndarray]:
    first, last = SECONDS
    inside = itertools.takewhile(lambda frame: frame.time_s < last, video.read(path))
    return [
        cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_AREA)
        for frame in inside
        if frame.time_s >= first
    ]


if __name__ == "__main__":
    main()
