"""Annotated video: a clip's frames with what was seen and what a classifier says of it.

What somebody is said to do are the events that are found in the whole clip: from their start to
their end, as a person who looks back on it would tell, though an alarm is raised only in between.
Who is in none is normal.

The result has a constant rate: that at which frames were looked at. Where the source's own rate
varies, a frame stands until the next one is due, so that time runs as in the source; of two frames
that are due at once the first is shown. No more than two frames are in memory at a time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from yololstm import drawing, video
from yololstm.clips import NORMAL, Span
from yololstm.drawing import Person, Scene, Status, Timeline
from yololstm.events import Event, Rule, detect, probability_at
from yololstm.inference import Classifier, Predictions
from yololstm.landmarks import Landmarks
from yololstm.storage import atomic
from yololstm.video import Frame
from yololstm.windows import WindowSpec

_PARTS: Final = 1000
"""Of a timeline: about one a pixel."""
_REPLAY_WIDTH: Final = 1280
_EARLY: Final = 0.1
"""Share of a frame by which a time stamp may be early: containers round them to milliseconds."""


@dataclass(frozen=True)
class Annotation:
    """All that is to be drawn on a clip."""

    landmarks: Landmarks
    predictions: Predictions
    labels: Sequence[str]
    spec: WindowSpec
    rule: Rule
    """Which of the predictions are an event."""
    truth: Sequence[Span] | None = None
    """None where nobody has labelled the clip."""

    @classmethod
    def of(
        cls,
        landmarks: Landmarks,
        classifier: Classifier,
        truth: Sequence[Span] | None = None,
    ) -> Self:
        predictions = classifier.classify(landmarks)
        return cls(
            landmarks, predictions, classifier.labels, classifier.spec, classifier.rule, truth
        )

    @property
    def window_s(self) -> float:
        return self.spec.length / self.spec.fps

    @cached_property
    def events(self) -> list[Event]:
        """By start."""
        return detect(
            self.predictions.track,
            self.predictions.start_s,
            self.predictions.probability,
            window_s=self.window_s,
            labels=self.labels,
            rule=self.rule,
        )

    def scene(self, frame: int, time_s: float) -> Scene:
        """frame: its number in the video, as in the landmarks."""
        begin, end = np.searchsorted(self.landmarks.frame, [frame, frame + 1])
        seen = self.landmarks[begin:end]
        people, going_on = seen.persons(), self._going_on(time_s)
        persons = [
            Person(int(track), box, xy, confidence, self._status(int(track), time_s, going_on))
            for track, box, xy, confidence in zip(
                people.track, people.box, people.xy, people.confidence, strict=True
            )
        ]
        anybody = _worst(going_on) or self._calm(self._starts, np.array([time_s]))[0]
        return Scene(time_s, persons, seen.bags().box, anybody)

    def timeline(self, duration_s: float) -> Timeline:
        """Of several events at once, the likelier at that moment."""
        part_s = duration_s / _PARTS
        middles = (np.arange(_PARTS) + 0.5) * part_s
        said: list[list[Status]] = [[] for _ in range(_PARTS)]
        for event in self.events:
            first = min(int(event.start_s / part_s), _PARTS - 1)
            end = max(round(event.end_s / part_s), first + 1)
            within = np.clip(middles[first:end], event.start_s, event.end_s)
            for part, probability in enumerate(self._course(event, within), first):
                said[part].append(Status(event.label, probability))
        calm = self._calm(self._starts, middles)
        statuses = [_likeliest(part) or other for part, other in zip(said, calm, strict=True)]
        return Timeline(duration_s, statuses, self.truth)

    def _status(self, track: int, time_s: float, going_on: Sequence[Event]) -> Status | None:
        worst = _worst([event for event in going_on if event.track == track])
        starts = self.predictions.start_s[self._windows_of(track)]
        return worst or self._calm(starts, np.array([time_s]))[0]

    def _going_on(self, time_s: float) -> list[Event]:
        begun = bisect_right(self.events, time_s, key=lambda event: event.start_s)
        recent = bisect_right(
            self.events, time_s - self._longest_s, hi=begun, key=lambda event: event.start_s
        )
        return [event for event in self.events[recent:begun] if time_s < event.end_s]

    def _calm(
        self, start_s: NDArray[np.floating], time_s: NDArray[np.floating]
    ) -> list[Status | None]:
        """Normal where one of these windows, in order, speaks for a moment or is at most half a
        window away; elsewhere nobody knows."""
        reach_s = self.window_s / 2
        before = np.searchsorted(start_s, time_s - self.window_s - reach_s, side="left")
        by_then = np.searchsorted(start_s, time_s + reach_s, side="right")
        normal = Status(NORMAL) if NORMAL in self.labels else None
        return [normal if known else None for known in (before < by_then).tolist()]

    def _course(self, event: Event, time_s: NDArray[np.floating]) -> list[float]:
        """How probable the event is at each of these moments; where it bridges a gap in which no
        window speaks, as much as on the whole."""
        rows, column = self._windows_of(event.track), self.labels.index(event.label)
        mean = probability_at(
            time_s,
            self.predictions.start_s[rows],
            self.predictions.probability[rows, column : column + 1],
            self.window_s,
        )[:, 0]
        course: list[float] = np.where(np.isnan(mean), event.probability, mean).tolist()
        return course

    def _windows_of(self, track: int) -> slice:
        begin, end = np.searchsorted(self.predictions.track, [track, track + 1])
        return slice(int(begin), int(end))

    @cached_property
    def _starts(self) -> NDArray[np.float64]:
        """Of everybody's windows, in order."""
        return np.sort(self.predictions.start_s)

    @cached_property
    def _longest_s(self) -> float:
        return max((event.end_s - event.start_s for event in self.events), default=0.0)


def annotate(
    path: Path,
    annotation: Annotation,
    out: Path,
    *,
    crf: int = 23,
    on_frame: Callable[[], None] | None = None,
) -> None:
    """Draw on the frames that the landmarks were made of, and write H.264 to ``out``, atomically.

    on_frame: called after each frame that was read. Raises VideoError where ``path`` cannot be
    read to its end; ``out`` is then left as it was.
    """
    info = video.probe(path)
    fps = annotation.landmarks.source.fps
    frames = video.read(path, float(fps) if fps < info.fps else None)
    duration_s = float(info.n_frames / info.fps)
    _write(frames, annotation, duration_s, (info.width, info.height), out, crf, on_frame)


def replay(
    annotation: Annotation,
    out: Path,
    *,
    crf: int = 23,
    on_frame: Callable[[], None] | None = None,
) -> None:
    """The same without the video: on a dark canvas of the source's shape, at most 1280 wide."""
    source = annotation.landmarks.source
    scale = min(1.0, _REPLAY_WIDTH / source.width)
    smaller = replace(annotation, landmarks=_scaled(annotation.landmarks, scale))
    size = round(source.width * scale), round(source.height * scale)
    last = annotation.landmarks.time_s.max(initial=0.0) + float(1 / source.fps)
    duration_s = max(last, float(source.n_frames / source.fps))
    _write(
        _blanks(smaller.landmarks, duration_s, size), smaller, duration_s, size, out, crf, on_frame
    )


def _worst(events: Iterable[Event]) -> Status | None:
    """The surest, with the probability that it is reported with."""
    return _likeliest([Status(event.label, event.probability) for event in events])


def _likeliest(statuses: Iterable[Status]) -> Status | None:
    return max(statuses, key=lambda status: status.probability or 0.0, default=None)


def _write(
    frames: Iterable[Frame],
    annotation: Annotation,
    duration_s: float,
    size: tuple[int, int],
    out: Path,
    crf: int,
    on_frame: Callable[[], None] | None,
) -> None:
    fps = annotation.landmarks.source.fps.limit_denominator(1001)
    colours = drawing.palette(annotation.labels)
    timeline = drawing.strip(annotation.timeline(duration_s), *size, colours)
    with atomic(out) as temporary, video.writing(temporary, fps, *size, crf) as writer:
        for frame, times in _paced(frames, fps):
            scene = annotation.scene(frame.index, frame.time_s)
            image = drawing.draw(frame.image, scene, timeline, colours)
            for _ in range(times):
                writer.write(image)
            if on_frame:
                on_frame()


def _paced(frames: Iterable[Frame], fps: Fraction) -> Iterator[tuple[Frame, int]]:
    """Each frame, and for how many frames of a constant rate it stands; the last for one."""
    shown, since = None, 0
    for frame in frames:
        due = math.floor(frame.time_s * float(fps) + _EARLY)
        if shown is not None:
            if due <= since:
                continue
            yield shown, due - since
        shown, since = frame, due
    if shown is not None:
        yield shown, 1


def _blanks(landmarks: Landmarks, duration_s: float, size: tuple[int, int]) -> Iterator[Frame]:
    """An empty frame for every moment, with the number of the frame that has its landmarks."""
    fps = float(landmarks.source.fps)
    numbers = dict(
        zip(
            np.floor(landmarks.time_s * fps + _EARLY).tolist(),
            landmarks.frame.tolist(),
            strict=True,
        )
    )
    image = drawing.canvas(*size)
    for moment in range(math.ceil(duration_s * fps - _EARLY)):
        yield Frame(numbers.get(moment, -1), moment / fps, image)


def _scaled(landmarks: Landmarks, scale: float) -> Landmarks:
    factor = np.float32(scale)
    return replace(landmarks, box=landmarks.box * factor, xy=landmarks.xy * factor)
