"""AI-Hub 171 on disk, small: real videos, and annotations of the shape of the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.datasets.trees import FPS, N_FRAMES, SIZE, Tree, put, put_video
from yololstm.datasets import DatasetReader
from yololstm.datasets.aihub_outdoor import AihubOutdoorReader

LABEL_MAP = {"burglary": "theft", "assault": "assault", "vandalism": "damage"}
DURATION = f"00:00:{float(N_FRAMES / FPS):04.1f}"
FOLDER = "01.폭행(assult)/outsidedoor_06/64-2"


@dataclass(frozen=True)
class OutdoorTree(Tree):
    def reader(self) -> DatasetReader:
        return AihubOutdoorReader(LABEL_MAP)


def scene_name(scene: str = "64-2", camera: int = 1, event: str = "assault01") -> str:
    return f"{scene}_cam{camera:02d}_{event}_place01_night_spring"


def tagged(tag: str, content: object) -> str:
    return f"<{tag}>{content}</{tag}>"


def happening(
    name: str = "assault", start: str = "00:00:01.0", duration: str = "00:00:02.0"
) -> str:
    """An event, a line for each of its elements; those that are empty are left out."""
    told = {"eventname": name, "starttime": start, "duration": duration}
    lines = [tagged(tag, text) for tag, text in told.items() if text]
    return "\n".join(["<event>", *lines, "</event>"])


def frames(start: object, end: object) -> str:
    return tagged("frame", tagged("start", start) + tagged("end", end))


def actor(*intervals: tuple[object, object], name: str = "person_1") -> str:
    """An object that acts in each of ``intervals``, in frames; every interval on its own line."""
    point = tagged("keypoint", tagged("x", 30) + tagged("y", 20))
    position = tagged("position", tagged("keyframe", 3) + point)
    acts = "\n".join(frames(start, end) for start, end in intervals)
    action = f"<action>{tagged('actionname', 'kicking')}\n{acts}\n</action>"
    return f"<object>{tagged('objectname', name)}{position}\n{action}\n</object>"


def outdoor_xml(
    *parts: str, size: tuple[int, int] = SIZE, header: Mapping[str, object] | None = None
) -> str:
    """header: what it says other than what is so; "" leaves an element empty."""
    told = {"duration": DURATION, "fps": FPS, "frames": N_FRAMES, "inout": "outdoor"}
    told |= {"location": "place01", "season": "spring", "time": "NIGHT", "population": 2}
    lines = [tagged(tag, text) for tag, text in (told | dict(header or {})).items()]
    width, height = size
    measures = tagged("size", tagged("width", width) + tagged("height", height))
    head = ['<?xml version="1.0" encoding="utf-8"?>', "<annotation>"]
    return "\n".join([*head, "<header>", *lines, "</header>", measures, *parts, "</annotation>"])


def put_scene(root: Path, name: str, xml: str, folder: str = FOLDER) -> Path:
    """Returns the annotation's path."""
    put_video(root / folder / f"{name}.mp4")
    return put(root / folder / f"{name}.xml", xml)


def outdoor(root: Path) -> OutdoorTree:
    """5 scenes of each label, of two cameras, one of them labelled by its event's time alone."""
    of_event = {"assault": "01.폭행(assult)", "burglary": "03.절도(burglary)"}
    of_event |= {"vandalism": "04.기물파손(vandalism)", "normal": "정상"}
    for number, (event, folder) in enumerate(of_event.items()):
        for scene in range(1, 6):
            for camera in (1, 2):
                acts = (
                    [actor((2, 5), (6, 9)), actor((3, 8), name="person_2")] if camera == 1 else []
                )
                xml = outdoor_xml(happening(f"{event}01"), *acts)
                where = f"{number}-{scene}"
                name = scene_name(where, camera, f"{event}01")
                put_scene(root, name, xml, f"{folder}/outsidedoor_0{scene}/{where}")
    victim = f"01.폭행(assult)/outsidedoor_01/0-1/{scene_name('0-1')}.xml"
    return OutdoorTree("aihub_outdoor", root, 40, victim)
