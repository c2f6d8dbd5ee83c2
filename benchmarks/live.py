"""Watching live: how many frames a second, how late one is told, and what it takes of memory.

python -m benchmarks.live               half an hour, and some minutes more
python -m benchmarks.live --minutes 2

Needs `make repro` first, for the checkpoint and for the acts of the sample's test clips. Where
YOLOLSTM_REAL_DATA names real footage, one person of it stands there once, twice and four times, and
YOLO11n in 8 bits finds them at 640; else it is one of the sample, and the pipeline's own detector.
What is seen of them is among the figures. A film is played from a file at 10 frames a second, or as
fast as it can be watched, by a process of its own that may use every core.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Final, NamedTuple
from uuid import uuid4

import cv2
import numpy as np

from benchmarks import ways
from benchmarks.extract import settings_of
from yololstm import checkpoint, live, storage, streams, video
from yololstm.changes import Teller
from yololstm.clips import NORMAL, Span
from yololstm.detector import Detector, use_one_thread
from yololstm.events import Event
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.landmarks import Category, Landmarks
from yololstm.live.engine import Engine
from yololstm.rendering import Annotation
from yololstm.settings import ExtractionSettings
from yololstm.storage import write_json
from yololstm.video import Image

OUT: Final = Path(__file__).parent / "out" / "live.json"
CHECKPOINT: Final = Path("data/checkpoint.safetensors")
SIZES: Final = {"720p": (1280, 720), "1080p": (1920, 1080)}
PEOPLE: Final = (1, 2, 4)
FPS: Final = 10
SECONDS: Final = 30.0
"""Of each film, in each way."""
WARM: Final = 20
"""Frames that are not counted."""
LONG: Final = ("1080p", 2)
"""What is watched for long."""
SOMEBODY_S: Final = (28.0, 36.0)
"""Of the real video, in which one person is in view."""
STARTS: Final = 16
"""At so many moments of a window watching begins: an act falls anywhere among the windows."""


class Watched(NamedTuple):
    """What came of watching, without the first frames."""

    fps: float
    delay_s: list[float]
    """From each frame's arrival until its moment."""
    persons: float
    """A frame, with landmarks."""
    dropped: float
    """A share."""
    resident: list[tuple[float, float]]
    """Minutes since the start, and MB."""


@dataclass(frozen=True)
class Task:
    film: Path
    settings: ExtractionSettings
    checkpoint: Path
    seconds: float
    realtime: bool
    every_s: float = 60.0
    """How often memory is looked at."""


def measure(minutes: float, seconds: float = SECONDS) -> dict[str, float]:
    # What takes least goes first, so that what is missing is told before an hour has gone.
    settings, somebody = _somebody()
    classifier = checkpoint.load(CHECKPOINT).classifier()
    rows = until_told(classifier)
    with tempfile.TemporaryDirectory() as folder:
        films = Path(folder)
        strips = cut(somebody, settings)
        for size, number in itertools.product(SIZES, PEOPLE):
            film = films / f"{size} {number}.mp4"
            compose(film, strips, number, SIZES[size])
            name = f"{size}, {number} persons"
            for realtime in (False, True):
                endless = looped(film, films / "endless.mp4", 20 * seconds)
                task = Task(endless, settings, CHECKPOINT.absolute(), seconds, realtime)
                done = apart(task)
                rows |= {f"{name}: {what}": figure for what, figure in told(done, realtime).items()}
        size, number = LONG
        film = looped(films / f"{size} {number}.mp4", films / "long.mp4", 60 * minutes + 30)
        task = Task(film, settings, CHECKPOINT.absolute(), 60 * minutes, realtime=True)
        done = apart(task)
        for what, figure in {**told(done, realtime=True), **memory(done)}.items():
            rows[f"{minutes:g} minutes: {what}"] = figure
    if real := os.environ.get("YOLOLSTM_REAL_DATA"):
        rows |= as_in_files(Path(real), settings, classifier)
    return rows


def told(done: Watched, realtime: bool) -> dict[str, float]:
    if not realtime:
        return {"frames a second": done.fps, "persons found a frame": done.persons}
    if not done.delay_s:
        return {}
    p50, p95 = np.percentile(done.delay_s, [50, 95])
    return {
        "frame to moment at 10 a second, p50 ms": 1000 * float(p50),
        "frame to moment at 10 a second, p95 ms": 1000 * float(p95),
        "dropped, %": 100 * done.dropped,
    }


def memory(done: Watched) -> dict[str, float]:
    """Growth is the slope of a line through all but the first fifth, in which caches fill."""
    if not done.resident:
        return {}
    minute, resident = np.array(done.resident).T
    later = minute >= minute[-1] / 5
    slope = np.polyfit(minute[later], resident[later], 1)[0] if later.sum() > 1 else 0.0
    return {
        "MB at the first look": float(resident[0]),
        "MB at the last": float(resident[-1]),
        "MB at most": float(resident.max()),
        "growth, MB an hour": 60 * float(slope),
    }


# --- watching ---


def apart(task: Task) -> Watched:
    """In a new process."""
    given = {"OMP_NUM_THREADS": "1"}
    with (
        ways._environment(given),
        ProcessPoolExecutor(1, get_context("spawn"), initializer=_silence) as process,
    ):
        return process.submit(watch, task).result()


def watch(task: Task) -> Watched:
    classifier = checkpoint.load(task.checkpoint).classifier()
    delays: list[float] = []
    persons: list[int] = []
    resident: list[tuple[float, float]] = []
    with (
        Extractor(task.settings) as extractor,
        streams.open(str(task.film), FPS, realtime=task.realtime) as stream,
    ):
        use_one_thread()
        now = begun = time.monotonic()
        before = stream.counts
        moments = live.watch(stream, Teller("", uuid4()), extractor, classifier)
        for number, moment in enumerate(moments):
            now = time.monotonic()
            if number <= WARM:
                begun, before = now, stream.counts
            if number <= WARM or moment.landmarks is None or moment.shot is None:
                continue
            delays.append((datetime.now(UTC) - moment.shot.arrived).total_seconds())
            posed = np.isfinite(moment.landmarks.persons().xy).any(axis=(1, 2))
            persons.append(int(posed.sum()))
            if now - begun >= len(resident) * task.every_s:
                resident.append(((now - begun) / 60, _resident_mb()))
            if now - begun >= task.seconds:
                break
        counts = stream.counts
    dropped = (counts.dropped - before.dropped) / max(counts.read - before.read, 1)
    fps = len(delays) / max(now - begun, 1e-9)
    return Watched(fps, delays, sum(persons) / max(len(persons), 1), dropped, resident)


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS"))


def _silence() -> None:
    """MediaPipe talks a lot."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


# --- films ---


def _somebody() -> tuple[ExtractionSettings, list[Image]]:
    """Frames with one person, and the settings that find them."""
    settings = replace(
        settings_of(Path.cwd()),
        **{"backend": "mediapipe", "fps": float(FPS), "detect_every": 1},
        **{"rejoin_s": 0.0, "still_s": 0.0, "smoothing": "none"},
    )
    if real := os.environ.get("YOLOLSTM_REAL_DATA"):
        start_s, end_s = SOMEBODY_S
        film = video.read(Path(real, "data/video/one-by-one-person-detection.mp4"), FPS, start_s)
        shown = itertools.takewhile(lambda frame: frame.time_s < end_s, film)
        settings = replace(settings, weights=Path(real, "models/yolo11n_int8_openvino_model"))
        return replace(settings, imgsz=640), [frame.image for frame in shown]
    clips = storage.read_clips(Path("data/index.csv"), Path("data/splits.csv"))
    root = Path("data/raw/sample")
    clip = next(clip for clip in clips if clip.split == "test" and clip.label == "theft")
    return settings, [frame.image for frame in video.read(root / clip.path)]


@dataclass(frozen=True)
class Strips:
    """A person, frame by frame, and where in the picture they are."""

    images: Sequence[Image]
    middle: Sequence[float]
    """In pixels from the left."""


def cut(images: Sequence[Image], settings: ExtractionSettings) -> Strips:
    """The largest person there is. Where none is found they are where they were."""
    assert settings.weights is not None
    detector = Detector(settings.weights, settings.imgsz, settings.min_confidence)
    middle, at = [], images[0].shape[1] / 2
    for image in images:
        (found,) = detector([image])
        box = found.box[found.category == Category.PERSON]
        if len(box):
            largest = box[np.prod(box[:, 2:] - box[:, :2], axis=1).argmax()]
            at = float(largest[0] + largest[2]) / 2
        middle.append(at)
    return Strips(images, middle)


def compose(film: Path, strips: Strips, number: int, size: tuple[int, int]) -> None:
    """The person so many times side by side, forwards and then backwards, so that it can be shown
    over and over; the picture's height is all of the original's."""
    width, height = size
    there = list(zip(strips.images, strips.middle, strict=True))
    with video.writing(film, Fraction(FPS), width, height) as writer:
        for image, middle in there + there[::-1]:
            whole = image.shape[0] * width / height / number
            left = round(np.clip(middle - whole / 2, 0, image.shape[1] - whole))
            strip = image[:, left : left + round(whole)]
            tile = cv2.resize(strip, (width // number, height), interpolation=cv2.INTER_LINEAR)
            writer.write(np.tile(tile, (1, number, 1)).astype(np.uint8))


def looped(film: Path, out: Path, seconds: float) -> Path:
    """The film as often as it takes, as it is coded."""
    import av

    with av.open(film) as source, av.open(out, "w") as copy:
        stream = source.streams.video[0]
        assert stream.time_base is not None
        target = copy.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        length = round(len(packets) / FPS / stream.time_base)
        coded = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in packets]
        for round_ in range(int(seconds * FPS / len(coded)) + 1):
            for content, pts, dts, is_key in coded:
                packet = av.Packet(content)
                packet.pts, packet.dts = pts + round_ * length, dts + round_ * length
                packet.time_base, packet.is_keyframe = stream.time_base, is_key
                packet.stream = target
                copy.mux(packet)
    return out


# --- when it is told ---


def until_told(classifier: Classifier) -> dict[str, float]:
    """From where an act begins in the sample's test clips until its label is told: a window every
    hop, as we do, and one window after the other, as the project before this one did."""
    clips = storage.read_clips(Path("data/index.csv"), Path("data/splits.csv"))
    acts = [
        (span, storage.read_landmarks(Path("data/landmarks", f"{clip.clip_id}.parquet")))
        for clip in clips
        if clip.split == "test"
        for span in clip.spans
        if span.label != NORMAL
    ]
    rows: dict[str, float] = {"acts": len(acts)}
    spec = classifier.spec
    for name, hop in (("a window every hop", spec.hop), ("whole windows", spec.length)):
        one = with_hop(classifier, hop)
        told = [
            (span.label, delay)
            for span, seen in acts
            for first in range(STARTS)
            for delay in [told_after(one, span, seen, first / STARTS * spec.length / spec.fps)]
            if delay is not None
        ]
        rows[f"{name}: s between windows"] = hop / spec.fps
        thefts = [delay for label, delay in told if label == "theft"]
        rows |= _late(f"{name}: act to alarm", [delay for _, delay in told])
        rows |= _late(f"{name}: theft to alarm", thefts)
        if acts:
            rows[f"{name}: told, % of the acts"] = 100 * len(told) / (STARTS * len(acts))
    return rows


def _late(what: str, delays: Sequence[float]) -> dict[str, float]:
    if not delays:
        return {}
    p50, p95 = np.percentile(delays, [50, 95])
    return {f"{what}, p50 s": float(p50), f"{what}, p95 s": float(p95)}


def with_hop(classifier: Classifier, hop: int) -> Classifier:
    said = classifier.to_dict()
    return Classifier.from_dict(classifier._network, said | {"spec": said["spec"] | {"hop": hop}})


def told_after(classifier: Classifier, span: Span, seen: Landmarks, begin_s: float) -> float | None:
    """Seconds from the act's beginning, or from that of watching where it is later; None where it
    is not told. begin_s: of watching."""
    engine = Engine(classifier, float(seen.source.fps))
    for time_s in np.unique(seen.time_s[seen.time_s >= begin_s]).tolist():
        heard = engine.feed(seen[seen.time_s == time_s], time_s)
        for signal in heard.signals:
            event = signal.event
            if event.label == span.label and event.end_s > span.start_s:
                return time_s - max(span.start_s, begin_s)
    return None


# --- real video ---


def as_in_files(
    real: Path, settings: ExtractionSettings, classifier: Classifier
) -> dict[str, float]:
    """Each clip as a camera's, and as a file; and the first alarm among them, as it happens."""
    films = [*sorted(real.glob("data/aihub_clips/*.mp4")), real / "data/video/two-people.mp4"]
    found: dict[Path, list[Event]] = {}
    with Extractor(settings) as extractor:
        use_one_thread()
        for film in films:
            found[film] = Annotation.of(extractor.extract(film), classifier).events
        same = sum(alike(_ended(film, extractor, classifier), found[film]) for film in films)
        label, first = first_alarm(found)
        first_s = until_known(first, label, extractor, classifier) if first else None
    rows: dict[str, float] = {
        "real clips": len(films),
        "real clips with the same events live as in the file": same,
        "their events": sum(map(len, found.values())),
    }
    if first_s is not None:
        rows[f"their first {label}, frame to alarm, ms"] = 1000 * first_s
    return rows


def first_alarm(found: Mapping[Path, Sequence[Event]]) -> tuple[str, Path | None]:
    """A theft, or whatever there is."""
    told = [(one.label, film) for film, events in found.items() for one in events]
    told.sort(key=lambda one: one[0] != "theft")
    return told[0] if told else ("", None)


def alike(some: Iterable[Event], others: Iterable[Event]) -> bool:
    """But for what rounding makes of windows that are classified one by one."""
    one, other = (sorted(map(astuple, events)) for events in (some, others))
    return len(one) == len(other) and all(
        a[:2] == b[:2] and np.allclose(a[2:], b[2:], rtol=0, atol=1e-4)
        for a, b in zip(one, other, strict=True)
    )


def until_known(
    film: Path, label: str, extractor: Extractor, classifier: Classifier
) -> float | None:
    """From the arrival of the frame with which the first one is known until it is; None where none
    is."""
    with streams.open(str(film), FPS, realtime=True) as stream:
        for moment in live.watch(stream, Teller("", uuid4()), extractor, classifier):
            if any((c.state, c.event.label) == ("start", label) for c in moment.changes):
                return (datetime.now(UTC) - moment.at).total_seconds()
    return None


def _ended(film: Path, extractor: Extractor, classifier: Classifier) -> Iterator[Event]:
    with streams.open(str(film), FPS) as stream:
        for moment in live.watch(stream, Teller("", uuid4()), extractor, classifier):
            yield from (change.event for change in moment.changes if change.state == "end")


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the long film")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each of the others")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args(arguments or None)
    result = measure(given.minutes, given.seconds)
    write_json(given.out, result)
    for what, figure in result.items():
        print(f"{what:64} {figure:10.2f}")


if __name__ == "__main__":
    main()
