"""What it costs to look at video, and who is found: side by side with the models alone, and with
the project before this one (see ways).

On test clips of the sample; where YOLOLSTM_REAL_DATA names real footage, on some of that as well.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks import ways
from benchmarks.remux import cut
from benchmarks.ways import Boxes, Done, Looked, Task, Way
from yololstm import datasets, video, weights
from yololstm.clips import Clip
from yololstm.landmarks import Landmarks
from yololstm.material import Material
from yololstm.params import load
from yololstm.settings import ExtractionSettings
from yololstm.storage import read_clips

OLD: Final[tuple[Way, ...]] = ("old", "old, following")
N_ALONE, N_TOGETHER, N_REAL = 3, 1, 4
"""Clips of the sample with one person, and with two; real ones."""
SHARED = 1 / 3
"""Of the smaller of two boxes, for them to be of one person."""
ROUNDS = 4
"""How often cores look at the same clips by the clock: all have something to do for long."""
ONE_BY_ONE = "data/video/one-by-one-person-detection.mp4"
ONE_BY_ONE_S = 30
LONGER = 4
"""How many times over a clip is shown, to see whether memory grows with it."""


@dataclass(frozen=True)
class Footage:
    """Clips to look at, and how."""

    name: str
    kind: str
    root: Path
    clips: tuple[Clip, ...]
    settings: ExtractionSettings
    truth: Mapping[str, Boxes] | None = None
    """Of each clip, by clip_id, its persons, as in Looked; None where nobody has said."""

    def task(self, way: Way, folder: Path, workers: int = 1) -> Task:
        return Task(way, self.kind, self.root, self.clips, self.settings, folder, workers)


def measure() -> dict[str, float]:
    """Frames a second, of one core's time where nothing else is said; shares, ratios and MB."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for footage in all_footage(Path(folder)):
            measured = _measured(footage, Path(folder, footage.name))
            rows |= {f"{footage.name}: {what}": figure for what, figure in measured.items()}
        alone = Path(os.environ.get("YOLOLSTM_REAL_DATA", ""), ONE_BY_ONE)
        if alone.exists():
            measured = _one_by_one(alone, Path(folder, "one by one"))
            rows |= {f"one by one: {what}": figure for what, figure in measured.items()}
    return rows


def settings_of(root: Path) -> ExtractionSettings:
    """The pipeline's own."""
    return ExtractionSettings(
        weights=weights.detector_weights(root / "data/detector"),
        pose_model=weights.pose_landmarker(root / ".cache/models"),
        **load(root / "params.yaml").extract.looking(),
    )


def _measured(footage: Footage, folder: Path) -> dict[str, float]:
    cores = sorted(os.sched_getaffinity(0))
    done = {way: ways.run(footage.task(way, folder / way), cores[:1]) for way in ways.WAYS}
    repeated = _repeated(footage, ROUNDS)
    alone = ways.run(repeated.task("ours", folder / "one"), cores[:1])
    everywhere = ways.run(repeated.task("ours", folder / "all", workers=len(cores)), cores)
    looked = {way: one.looked for way, one in done.items()}
    speed = {way: _speed(one) for way, one in looked.items()}
    one_s, all_s = _by_the_clock(alone.looked), _by_the_clock(everywhere.looked)
    rows: dict[str, float] = {
        "clips": len(footage.clips),
        "frames": sum(one.frames for one in looked["ours"]),
        **speed,
        **{f"ours / {way}": speed["ours"] / speed[way] for way in ways.WAYS if way != "ours"},
        **_alone(footage, looked),
        "ours, one core, by the clock": one_s,
        f"ours, {len(cores)} cores, by the clock": all_s,
        f"{len(cores)} cores / one": all_s / one_s,
        "ours, until the first clip, s": done["ours"].start_s,
        f"ours, {len(cores)} cores, until the first clip, s": everywhere.start_s,
    }
    return {
        **rows,
        **_who_is_found(footage, looked),
        **_memory(footage, done, folder / "long", cores[:1]),
        f"ours, {len(cores)} cores, peak MB of a worker": max(
            one.peak_bytes / 1e6 for one in everywhere.looked
        ),
    }


def _speed(looked: Sequence[Looked]) -> float:
    """Frames a second of one core."""
    return sum(one.frames for one in looked) / sum(one.cpu_s for one in looked)


def _by_the_clock(looked: Sequence[Looked]) -> float:
    """Frames a second while all workers have something to do: of a clip on which one of them is
    still at work when another has no more, a part."""
    begin_s = min(one.begin_s for one in looked)
    last_s: dict[int, float] = {}
    for one in looked:
        last_s[one.worker] = max(one.end_s, last_s.get(one.worker, 0))
    until_s = min(last_s.values())
    frames = 0.0
    for one in looked:
        within_s = max(0.0, min(one.end_s, until_s) - one.begin_s)
        frames += one.frames * within_s / (one.end_s - one.begin_s)
    return frames / (until_s - begin_s)


def _alone(footage: Footage, looked: Mapping[Way, Sequence[Looked]]) -> dict[str, float]:
    """On clips with one person, the only ones that the old way is made for."""
    if footage.truth is None:
        return {}
    alone = {clip for clip, person in footage.truth.items() if _most_at_once(person) == 1}
    speed = {way: _speed([one for one in of if one.clip_id in alone]) for way, of in looked.items()}
    return {f"one person: ours / {way}": speed["ours"] / speed[way] for way in OLD}


def _one_by_one(clip: Path, folder: Path) -> dict[str, float]:
    """On real footage with one person at a time, where the detector looks at each frame, or at each
    so many-th."""
    label = folder / "raw" / "normal"
    label.mkdir(parents=True)
    cut(clip, label / "one-by-one.mp4", ONE_BY_ONE_S)
    footage = _of_real(clip.parents[2], "one by one", folder / "raw")
    core = sorted(os.sched_getaffinity(0))[:1]
    old = {way: _speed(ways.run(footage.task(way, folder / way), core).looked) for way in OLD}
    rows = {}
    for every in (1, 2, 3):
        fewer = replace(footage, settings=replace(footage.settings, detect_every=every))
        speed = _speed(ways.run(fewer.task("ours", folder / f"ours-{every}"), core).looked)
        seen = f"detector at every {every}." if every > 1 else "detector at each"
        rows |= {f"{seen} frame: ours / {way}": speed / old[way] for way in OLD}
    return rows


def _who_is_found(footage: Footage, looked: Mapping[Way, Sequence[Looked]]) -> dict[str, float]:
    """Of the persons in all frames. Where nobody has said who there is, they are those that the
    detector sees in a frame by itself, and whom else the old way finds."""
    found = {way: {one.clip_id: one.person for one in of} for way, of in looked.items()}
    there = footage.truth
    if there is None:
        there = dict(found["floor"])
        for way in OLD:
            there = {clip: _union(person, found[way][clip]) for clip, person in there.items()}
    n = sum(len(person) for person in there.values())
    return {"persons": n} | {
        f"persons, found by {way}": sum(
            _met(person, found[way][clip])[0].sum() for clip, person in there.items()
        )
        / n
        for way in ("ours", *OLD)
    }


def _union(boxes: Boxes, more: Boxes) -> Boxes:
    return np.concatenate([boxes, more[~_met(boxes, more)[1]]])


def _met(there: Boxes, found: Boxes) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of (N, 5) and of (M, 5) are one and the same: of one frame, and the two share much of
    the smaller one. One to one. Legs behind a counter are guessed far below what is seen."""
    is_there, is_found = np.zeros(len(there), np.bool_), np.zeros(len(found), np.bool_)
    low = np.maximum(there[:, None, 1:3], found[None, :, 1:3])
    high = np.minimum(there[:, None, 3:], found[None, :, 3:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    smaller = np.minimum(_area(there)[:, None], _area(found)[None])
    share = shared / np.maximum(smaller, 1e-9) * (there[:, None, 0] == found[None, :, 0])
    rows, columns = linear_sum_assignment(share, maximize=True)
    same = share[rows, columns] >= SHARED
    is_there[rows[same]], is_found[columns[same]] = True, True
    return is_there, is_found


def _area(person: Boxes) -> NDArray[np.float32]:
    area: NDArray[np.float32] = np.prod(person[:, 3:] - person[:, 1:3], axis=1)
    return area


def _memory(
    footage: Footage, done: Mapping[Way, Done], folder: Path, cores: Sequence[int]
) -> dict[str, float]:
    """The largest that the process ever was, also over a clip that is as long as several."""
    long = replace(_long(footage, folder / "raw"), settings=footage.settings)
    rows = {}
    both: tuple[Way, ...] = ("ours", "old")
    for way in both:
        longer = ways.run(long.task(way, folder / way), cores)
        rows[f"{way}, peak MB"] = done[way].peak_bytes / 1e6
        rows[f"{way}, peak MB, {LONGER} times as long"] = longer.peak_bytes / 1e6
    return rows


# --- clips ---


def all_footage(folder: Path) -> Iterator[Footage]:
    yield _sample()
    if real := os.environ.get("YOLOLSTM_REAL_DATA"):
        yield _real(Path(real), folder / "footage")


def _sample() -> Footage:
    params, here = load(Path("params.yaml")), Path.cwd()
    root = here / params.data.root
    reader, material = (
        datasets.reader(params.data.kind, {}),
        Material(root, here / ".cache/material"),
    )
    indexed = read_clips(Path("data/index.csv"), Path("data/splits.csv"))
    truth: dict[str, Boxes] = {}
    alone, together = [], []
    for clip in (clip for clip in indexed if clip.split == "test"):
        marks = reader.landmarks(material, clip)
        assert marks is not None, clip.path
        truth[clip.clip_id] = _persons(marks)
        (alone if _most_at_once(truth[clip.clip_id]) == 1 else together).append(clip)
    clips = (*alone[:N_ALONE], *together[:N_TOGETHER])
    truth = {clip.clip_id: truth[clip.clip_id] for clip in clips}
    return Footage("sample", params.data.kind, root, clips, _usual(settings_of(here)), truth)


def _real(real: Path, folder: Path) -> Footage:
    label = folder / "normal"
    label.mkdir(parents=True)
    every = sorted(real.glob("data/aihub_clips/*.mp4"))
    for path in every[:: max(1, len(every) // N_REAL)]:
        shutil.copy(path, label)
    return _of_real(real, "real", folder)


def _of_real(real: Path, name: str, folder: Path) -> Footage:
    settings = replace(
        _usual(settings_of(Path.cwd())),
        weights=real / "models" / "yolo11n_int8_openvino_model",
        imgsz=640,
    )
    return Footage(name, "folder", folder, _clips(folder), settings)


def _usual(settings: ExtractionSettings) -> ExtractionSettings:
    """Each frame is looked at by both models, as the floor does."""
    return replace(settings, backend="mediapipe", fps=None, detect_every=1)


def _repeated(footage: Footage, times: int) -> Footage:
    clips = tuple(
        replace(clip, clip_id=f"{clip.clip_id}-{number}")
        for number in range(times)
        for clip in footage.clips
    )
    return replace(footage, clips=clips)


def _long(footage: Footage, folder: Path) -> Footage:
    """One clip, over and over."""
    clip = footage.clips[0]
    path = folder / "normal" / "long.mp4"
    path.parent.mkdir(parents=True)
    with video.writing(path, Fraction(clip.fps), clip.width, clip.height) as writer:
        for _ in range(LONGER):
            for frame in video.read(footage.root / clip.path):
                writer.write(frame.image)
    return replace(footage, kind="folder", root=folder, clips=_clips(folder), truth=None)


def _clips(folder: Path) -> tuple[Clip, ...]:
    reader = datasets.reader("folder", {"normal": "normal"})
    return tuple(reader.read(Material(folder, folder.parent / "material")).clips)


def _persons(marks: Landmarks) -> Boxes:
    people = marks.persons()
    people = people[np.isfinite(people.xy).any(axis=(1, 2))]
    return ways.around(people.frame, people.xy)


def _most_at_once(person: Boxes) -> int:
    return int(np.unique(person[:, 0], return_counts=True)[1].max(initial=0))
