"""What it costs to index a large AI-Hub data set: at first, again, and after one more clip; and to
read the keypoints out of its annotations."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from yololstm import datasets, video
from yololstm.catalogue import Found
from yololstm.clips import Clip
from yololstm.material import Material

N_CLIPS = 10_000
N_FRAMES = 180
WIDTH, HEIGHT, FPS = 1920, 1080, Fraction(3)
EVENTS = ("theft", "fight", "broken")
SIDES = ("shoulder", "elbow", "hand", "hip", "knee", "foot")
KEYPOINTS = (
    *("Pelvis", "Spine naval", "Spine chest", "Neck base", "Center head"),
    *(f"{side} {joint}" for joint in SIDES for side in ("Left", "Right")),
)
#: Clips whose keypoints are read, in one process.
N_PARSED = 1_000
#: Annotations that differ; each is that of many clips, because 10,000 of them are 4 GB.
N_ANNOTATIONS = 50


def measure() -> dict[str, float]:
    """Seconds and milliseconds, of this process and those that it starts."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "data"), Path(folder, "cache")
        clips = _make(root, Path(folder))
        for _ in range(N_CLIPS):
            next(clips)
        rows = {}
        for run, n_more in (("first", 0), ("again", 0), ("one more", 1)):
            for _ in range(n_more):
                next(clips)
            wall_s, cpu_s, found = _index(root, cache)
            assert not found.problems, found.problems[0]
            rows[f"{run}: clips"] = float(len(found.clips))
            rows[f"{run}: seconds"] = wall_s
            rows[f"{run}: CPU, ms a clip"] = cpu_s / len(found.clips) * 1e3
        parsed = found.clips[:N_PARSED]
        rows["keypoints: clips"] = float(len(parsed))
        wall_s, cpu_s = _parse(root, cache, parsed)
        rows["keypoints: seconds"] = wall_s
        rows["keypoints: CPU, ms a clip"] = cpu_s / len(parsed) * 1e3
        return rows


def _reader() -> datasets.DatasetReader:
    return datasets.reader("aihub", {event: event for event in EVENTS})


def _index(root: Path, cache: Path) -> tuple[float, float, Found]:
    start, cpu = time.perf_counter(), _cpu_s()
    found = _reader().read(Material(root, cache))
    return time.perf_counter() - start, _cpu_s() - cpu, found


def _parse(root: Path, cache: Path, clips: Sequence[Clip]) -> tuple[float, float]:
    reader, material = _reader(), Material(root, cache)
    start, cpu = time.perf_counter(), _cpu_s()
    for clip in clips:
        landmarks = reader.landmarks(material, clip)
        assert landmarks is not None
        assert len(landmarks) == N_FRAMES
    return time.perf_counter() - start, _cpu_s() - cpu


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


# --- the data set ---


def _make(root: Path, scratch: Path) -> Iterator[None]:
    """One more clip in each step. The videos differ in the bytes of an atom that nobody reads."""
    mp4 = _mp4(scratch / "x.mp4")
    xmls = [scratch / f"{i}.xml" for i in range(N_ANNOTATIONS)]
    for i, xml in enumerate(xmls):
        xml.write_text(_annotation(i), encoding="utf-8")
    videos, annotations = (
        root / "Training" / folder / "3.이상행동_12.절도"
        for folder in ("01.원천데이터", "02.라벨링데이터")
    )
    for folder in (videos, annotations):
        folder.mkdir(parents=True)
    scene = 0
    while True:
        take, camera = divmod(scene, 4)
        name = f"C_3_12_{take}_BU_DYA_07-31_16-15-01_C{'ABCD'[camera]}_RGB_DF2_M1"
        atom = (16).to_bytes(4, "big") + b"free" + scene.to_bytes(8, "big")
        (videos / f"{name}.mp4").write_bytes(mp4 + atom)
        xml = annotations / f"{name}.xml"
        if scene < N_CLIPS:
            os.link(xmls[scene % N_ANNOTATIONS], xml)
        else:  # one more link would be a change of all that share the file
            xml.write_text(_annotation(scene), encoding="utf-8")
        scene += 1
        yield


def _mp4(path: Path) -> bytes:
    with video.writing(path, FPS, WIDTH, HEIGHT) as writer:
        for i in range(N_FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), i, dtype=np.uint8))
    return path.read_bytes()


def _annotation(seed: int) -> str:
    """Every keypoint in every frame, about 400 KB, and one event."""
    rng = np.random.default_rng(seed)
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    lines = ["<annotations><version>1.1</version>", f"<meta><task>{size}</task></meta>"]
    event = EVENTS[seed % len(EVENTS)]
    for number, (side, frame) in enumerate((("start", 40), ("end", 90))):
        box = 'xtl="812.30" ytl="301.00" xbr="1012.30" ybr="801.00" z_order="0"'
        lines += [f'<track id="{number}" label="{event}_{side}" source="manual">']
        for i, outside in enumerate("01"):
            shown = f'outside="{outside}" occluded="0" keyframe="1"'
            lines += [f'<box frame="{frame + i}" {shown} {box}>', "</box>"]
        lines += ["</track>"]
    for number, label in enumerate(KEYPOINTS):
        lines += [f'<track id="{number + 2}" label="{label}" source="manual">']
        for frame, (x, y) in enumerate(rng.uniform((0, 0), (WIDTH, HEIGHT), (N_FRAMES, 2))):
            shown = f'frame="{frame}" outside="0" occluded="0" keyframe="1"'
            lines += [f'<points {shown} points="{x:.2f},{y:.2f}" z_order="0">', "</points>"]
        lines += ["</track>"]
    return "\n".join([*lines, "</annotations>", ""])
