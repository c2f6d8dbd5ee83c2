"""Three ways to look at clips, each in a process of its own, so that what it costs is its own.

- floor: every frame decoded, and each network called, in a bare loop with nothing of ours around:
  no tracks, no checks, nothing written. The crops that PoseLandmarker sees are cut beforehand.
- ours: the extract stage's Extraction; what is timed is from a clip to the bytes of its landmarks'
  file, not the writing of it into the store and the folder.
- old: the project before this one. A whole video is read into memory; PoseLandmarker, set to one
  person, looks for them in each full frame.
- old, following: the same, but PoseLandmarker looks first where the person was last.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from yololstm import storage
from yololstm.clips import Clip
from yololstm.cluster import ENVIRONMENT, Workers
from yololstm.extraction import Extracted, Extraction, Job, Recipe, extract_clip
from yololstm.landmark_store import LandmarkStore
from yololstm.material import Material
from yololstm.settings import ExtractionSettings
from yololstm.skeleton import MEDIAPIPE

Way = Literal["floor", "ours", "old", "old, following"]
WAYS: Final[tuple[Way, ...]] = get_args(Way)
Boxes = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    way: Way
    kind: str
    root: Path
    clips: tuple[Clip, ...]
    settings: ExtractionSettings
    folder: Path
    """To write into; empty."""
    workers: int = 1


class Looked(NamedTuple):
    """At a clip."""

    clip_id: str
    frames: int
    cpu_s: float
    begin_s: float
    end_s: float
    worker: int
    peak_bytes: int
    """Resident until then, of the process that looked."""
    person: Boxes
    """(N, 5) frame, and around a person's joints x0, y0, x1, y1 in pixels; of the floor, around the
    whole person."""


class Done(NamedTuple):
    looked: list[Looked]
    start_s: float
    """Until the first clip: imports, models, and a clip that nobody counts."""
    peak_bytes: int
    """Resident, of the process that was started; not of its workers."""


def run(task: Task, cores: Sequence[int]) -> Done:
    """In a new process that may use these cores."""
    task.folder.mkdir(parents=True)
    begun_s = time.time()
    looked, peak = apart(partial(_look, task), cores)
    return Done(looked, min(one.begin_s for one in looked) - begun_s, peak)


def apart(call: Callable[[], T], cores: Sequence[int] | None = None) -> tuple[T, int]:
    """What it gives in a new process that may use these cores, and how many bytes that process held
    at most."""
    cores = sorted(os.sched_getaffinity(0)) if cores is None else cores
    with (
        _environment(ENVIRONMENT),
        ProcessPoolExecutor(
            1, get_context("spawn"), initializer=os.sched_setaffinity, initargs=(0, cores)
        ) as process,
    ):
        return process.submit(_quietly, call).result()


def _quietly(call: Callable[[], T]) -> tuple[T, int]:
    # MediaPipe talks a lot.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return call(), _memory("VmHWM")


def _look(task: Task) -> list[Looked]:
    look = {"floor": floor, "ours": ours}.get(task.way, old)
    return look(task)


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """Of processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def ours(task: Task) -> list[Looked]:
    log = task.folder / "log"
    log.mkdir()
    extraction = Extraction(
        recipe=Recipe(task.kind, task.settings),
        material=Material(task.root, task.folder / "material"),
        store=LandmarkStore(task.folder / "store", limit=10**12),
        out=task.folder / "landmarks",
        format="parquet",
        extract=partial(_timed, log=log, workers=task.workers),
    )
    _, left_out = extraction.run(task.clips, Workers(task.workers))
    assert not left_out, left_out[0]
    return [
        Looked(**json.loads(path.read_text()), person=_with_joints(extraction.out, path.stem))
        for path in sorted(log.glob("*.json"))
    ]


def _timed(job: Job, log: Path, workers: int) -> Extracted:
    """The first of each process starts when all have their models, and have used them."""
    ready = log / f"{os.getpid()}.ready"
    if not ready.exists():
        extract_clip(job)
        ready.touch()
        while len(list(log.glob("*.ready"))) < workers:
            time.sleep(0.01)
    clock = _Clock()
    extracted = extract_clip(job)
    seen = clock.looked(job.clip, extracted.outcome.frames)._asdict()
    del seen["person"]
    (log / f"{job.clip.clip_id}.json").write_text(json.dumps(seen))
    return extracted


def _with_joints(folder: Path, clip_id: str) -> Boxes:
    people = storage.read_landmarks(folder / f"{clip_id}.parquet").persons()
    people = people[np.isfinite(people.xy).any(axis=(1, 2))]
    return around(people.frame, people.xy)


def floor(task: Task) -> list[Looked]:
    import torch

    from yololstm.detector import CATEGORIES, ultralytics
    from yololstm.pose.mediapipe import MediaPipePose

    settings = task.settings
    yolo = ultralytics().YOLO(str(settings.weights), task="detect")
    options = {"imgsz": settings.imgsz, "conf": settings.min_confidence, "verbose": False}
    person = [number for number, name in yolo.names.items() if name == "person"]
    options |= {"iou": 0.5, "agnostic_nms": True}
    options["classes"] = [n for n, name in yolo.names.items() if name in CATEGORIES]
    pose = MediaPipePose(settings.pose_model)
    in_region, searching = pose._landmarkers
    looked = []
    for number, clip in enumerate((task.clips[0], *task.clips)):
        clock = _Clock()
        frames = _decoded(task.root / clip.path)
        clock.pause()
        bgr = [np.ascontiguousarray(frame[..., ::-1]) for frame in frames]
        clock.go_on()
        found = [yolo.predict(frame, **options)[0].boxes for frame in bgr]
        clock.pause()
        torch.set_num_threads(1)
        del bgr
        boxes = [_largest(one.xyxy[np.isin(one.cls, person)].numpy(), settings) for one in found]
        crops = [
            _image(_crop(frame, box)) for frame, of in zip(frames, boxes, strict=True) for box in of
        ]
        clock.go_on()
        for crop in crops:
            # As ours: where the box says, and searched where nobody is seen there.
            if not in_region.detect(crop).pose_landmarks:
                searching.detect(crop)
        clock.pause()
        of_frame = np.repeat(np.arange(len(boxes)), [len(one) for one in boxes])
        everyone = np.concatenate([of_frame[:, None], np.concatenate(boxes)], axis=1)
        if number:
            looked.append(clock.looked(clip, len(frames))._replace(person=everyone))
    pose.close()
    return looked


def old(task: Task) -> list[Looked]:
    follows = task.way == "old, following"
    looked = []
    for number, clip in enumerate((task.clips[0], *task.clips)):
        pose = _landmarker(task.settings.pose_model, "VIDEO" if follows else "IMAGE")
        clock = _Clock()
        frames = _read_at_once(task.root / clip.path)
        joints = []
        for index, frame in enumerate(frames):
            image, time_ms = _image(frame), int(index * 1000 / clip.fps)
            found = pose.detect_for_video(image, time_ms) if follows else pose.detect(image)
            joints.append(found.pose_landmarks)
        clock.pause()
        pose.close()
        if number:
            person = _of_poses(joints, *frames[0].shape[:2])
            looked.append(clock.looked(clip, len(frames))._replace(person=person))
    return looked


def _of_poses(poses: Sequence[Any], height: int, width: int) -> Boxes:
    """poses: of each frame what PoseLandmarker says."""
    found = [index for index, of_frame in enumerate(poses) if of_frame]
    xy = [[(point.x * width, point.y * height) for point in poses[index][0]] for index in found]
    joints = np.array(xy, dtype=np.float32).reshape(-1, 33, 2)[:, MEDIAPIPE]
    return around(np.array(found), joints)


class _Clock:
    """Of this process, and on the wall."""

    def __init__(self) -> None:
        self._begin_s, self._cpu_s = time.time(), 0.0
        self.go_on()

    def go_on(self) -> None:
        self._since_s: float | None = time.process_time()

    def pause(self) -> None:
        if self._since_s is not None:
            self._cpu_s += time.process_time() - self._since_s
        self._since_s = None

    def looked(self, clip: Clip, frames: int) -> Looked:
        self.pause()
        times = self._cpu_s, self._begin_s, time.time()
        nobody = np.empty((0, 5), np.float32)
        return Looked(clip.clip_id, frames, *times, os.getpid(), _memory("VmHWM"), nobody)


def _landmarker(model: Path, mode: str) -> Any:
    import mediapipe

    vision = mediapipe.tasks.vision
    return vision.PoseLandmarker.create_from_options(
        vision.PoseLandmarkerOptions(
            base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(model)),
            running_mode=vision.RunningMode[mode],
            num_poses=1,
        )
    )


def _image(rgb: NDArray[np.uint8]) -> Any:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=rgb)


def _decoded(path: Path) -> list[NDArray[np.uint8]]:
    import av

    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _read_at_once(path: Path) -> list[NDArray[np.uint8]]:
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB), dtype=np.uint8))
    capture.release()
    return frames


def _largest(box: Boxes, settings: ExtractionSettings) -> Boxes:
    area = np.prod(box[:, 2:] - box[:, :2], axis=1)
    return box[np.argsort(-area)[: settings.max_persons]]


_MARGIN: Final = 0.05


def _crop(frame: NDArray[np.uint8], box: Boxes) -> NDArray[np.uint8]:
    """As MediaPipePose cuts it."""
    margin = _MARGIN * (box[3] - box[1])
    x0, y0 = np.maximum(box[:2] - margin, 0).astype(int)
    x1, y1 = (box[2:] + margin).astype(int)
    part = frame[y0:y1, x0:x1]
    side = max(part.shape[:2])
    square = np.full((side, side, 3), 128, dtype=np.uint8)
    top, left = (side - part.shape[0]) // 2, (side - part.shape[1]) // 2
    square[top : top + part.shape[0], left : left + part.shape[1]] = part
    return square


def around(frame: NDArray[Any], xy: NDArray[np.float32]) -> Boxes:
    """frame: (N,); xy: (N, 13, 2) with at least one joint each."""
    if not len(frame):
        return np.empty((0, 5), dtype=np.float32)
    low, high = np.nanmin(xy, axis=1), np.nanmax(xy, axis=1)
    return np.concatenate([frame[:, None], low, high], axis=1).astype(np.float32)


def resident_bytes() -> int:
    """What this process holds now."""
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Bytes. Not ru_maxrss for the most, in which the parent's lives on."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
