"""Annotations in CVAT 1.1 video XML, as AI-Hub 71550 has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from yololstm.clips import Box
from yololstm.sample.body import Figure
from yololstm.sample.rendering import Camera

#: The data set's keypoints, and the point of a figure that each is. Its hands are our wrists, its
#: feet our ankles, and its head is the nose, which is what our HEAD is.
KEYPOINTS: Final = {
    "Pelvis": "PELVIS",
    "Spine naval": "NAVEL",
    "Spine chest": "CHEST",
    "Neck base": "NECK",
    "Center head": "HEAD",
    "Left shoulder": "SHOULDER_LEFT",
    "Left elbow": "ELBOW_LEFT",
    "Left hand": "WRIST_LEFT",
    "Left hip": "HIP_LEFT",
    "Left knee": "KNEE_LEFT",
    "Left foot": "ANKLE_LEFT",
    "Right shoulder": "SHOULDER_RIGHT",
    "Right elbow": "ELBOW_RIGHT",
    "Right hand": "WRIST_RIGHT",
    "Right hip": "HIP_RIGHT",
    "Right knee": "KNEE_RIGHT",
    "Right foot": "ANKLE_RIGHT",
}
_EVENTS: Final = ("theft", "fight", "broken", "fall", "fire", "smoke", "abandon")


@dataclass(frozen=True)
class Marker:
    """A box at one frame that says that an event starts or ends, and who does it."""

    label: str
    frame: int
    box: Box


def keypoints(figures: Sequence[Figure], camera: Camera) -> NDArray[np.float64]:
    """(P, 17, 2) pixels of the figures' keypoints, in the order of KEYPOINTS."""
    world = [[figure.points[name] for name in KEYPOINTS.values()] for figure in figures]
    return camera.project(np.array(world))[..., :2]


def to_xml(
    source: str,
    size: tuple[int, int],
    markers: Sequence[Marker],
    keypoints: NDArray[np.float64],
) -> bytes:
    """source: name of the video file; size: its width and height; keypoints: (F, P, 17, 2) pixels,
    person by person in the file."""
    root = ET.Element("annotations")
    ET.SubElement(root, "version").text = "1.1"
    root.append(_meta(source, size, len(keypoints)))
    for marker in markers:
        track = _track(root, marker.label)
        sides = zip(("xtl", "ytl", "xbr", "ybr"), marker.box, strict=True)
        places = {name: f"{side:.2f}" for name, side in sides}
        ET.SubElement(track, "box", {**_state(marker.frame), **places})
    for person in keypoints.swapaxes(0, 1):
        for index, name in enumerate(KEYPOINTS):
            track = _track(root, name)
            for frame, (x, y) in enumerate(person[:, index]):
                ET.SubElement(track, "points", {**_state(frame), "points": f"{x:.2f},{y:.2f}"})
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _meta(source: str, size: tuple[int, int], n_frames: int) -> ET.Element:
    """As CVAT does, it declares labels that no track bears."""
    meta = ET.Element("meta")
    task = ET.SubElement(meta, "task")
    ET.SubElement(task, "name").text = source
    ET.SubElement(task, "size").text = str(n_frames)
    ET.SubElement(task, "mode").text = "interpolation"
    labels = ET.SubElement(task, "labels")
    edges = (f"{event}_{edge}" for event in _EVENTS for edge in ("start", "end"))
    for name in (*edges, *KEYPOINTS):
        ET.SubElement(ET.SubElement(labels, "label"), "name").text = name
    original = ET.SubElement(task, "original_size")
    ET.SubElement(original, "width").text, ET.SubElement(original, "height").text = map(str, size)
    ET.SubElement(meta, "source").text = source
    return meta


def _track(root: ET.Element, label: str) -> ET.Element:
    number = len(root.findall("track"))
    return ET.SubElement(root, "track", {"id": str(number), "label": label, "source": "manual"})


def _state(frame: int) -> dict[str, str]:
    return {"frame": str(frame), "outside": "0", "occluded": "0", "keyframe": "1"}
