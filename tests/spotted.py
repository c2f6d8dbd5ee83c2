"""A clip in which whoever is there wears a magenta spot, and a detector that finds such spots.

Nobody has taught it: its weights are written by hand, so that it costs no time and what it says is
far from any tie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import yaml

from tests.told import filmed
from yololstm import video
from yololstm.detector import ultralytics

_MAGENTA: Final = (255, 0, 255)
_REACH: Final = (5, 1, 5, 10)
"""Of a box to the left, up, to the right and down from the spot, in cells of 8 pixels."""
_GAIN: Final = 100
"""Of what is as magenta as can be, twice as much."""
_LAYERS: Final = {
    "nc": 2,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]]] * 3,
    "head": [[[2], 1, "Detect", ["nc"]]],
}


def detector(path: Path) -> Path:
    """Made for images whose longer side is 320 pixels; it knows bags, and sees none."""
    layers = path.with_suffix(".yaml")
    layers.write_text(yaml.safe_dump(_LAYERS), encoding="utf-8")
    yolo = ultralytics().YOLO(str(layers), task="detect")
    yolo.model.names = {0: "person", 1: "backpack"}
    with torch.no_grad():
        for module in yolo.model.modules():
            if isinstance(module, torch.nn.Conv2d) and "DFL" not in type(module).__name__:
                _pass_on(module)
        colours = torch.tensor([1.0, -2.0, 1.0])
        first = yolo.model.model[0]
        first.conv.weight[0] = (_GAIN / 9 * colours)[:, None, None]
        # Half as much as magenta has is not enough.
        first.bn.bias[0] = -_GAIN
        _answer(yolo.model.model[-1])
    yolo.save(path)
    return path


def _pass_on(convolution: torch.nn.Conv2d) -> None:
    """The mean of the first channel around each place; nothing of the others."""
    convolution.weight.zero_()
    convolution.weight[0, 0] = 1 / convolution.weight[0, 0].numel()


def _answer(head: Any) -> None:
    (box,), (score,) = ([branch[-1] for branch in branches] for branches in (head.cv2, head.cv3))
    box.weight.zero_()
    box.bias.fill_(-20)
    for side, cells in enumerate(_REACH):
        box.bias[side * head.reg_max + cells] = 20
    score.bias.copy_(torch.tensor([-4.0, -20.0]))
    head.dfl.conv.weight.copy_(torch.arange(head.reg_max).view(1, -1, 1, 1))


def clip(folder: Path) -> Path:
    """Two dozen frames of the sample with one person."""
    _, truth = filmed(folder)
    source = next(folder.rglob("*.mp4"))
    out = folder / "spotted.mp4"
    info = video.probe(source)
    with video.writing(out, info.fps, info.width, info.height) as writer:
        for frame in video.read(source):
            image = np.ascontiguousarray(frame.image)
            for x0, y0, x1, _ in truth.box[truth.frame == frame.index]:
                cv2.circle(image, (round((x0 + x1) / 2), round(y0)), 26, _MAGENTA, -1)
            writer.write(image)
    return out
