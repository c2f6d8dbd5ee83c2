"""Annotated video: a clip's frames with what was seen and what a classifier says of it.

The result has a constant rate: that at which frames were looked at. Where the source's own rate
varies, a frame stands until the next one is due, so that time runs as in the source; of two frames
that are due at once the first is shown. No more than two frames are in memory at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from yololstm import drawing, events, video
from yololstm.clips import Span
from yololstm.drawing import Person, Scene, Timeline
from yololstm.events import Rule, Status
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
    """From which probability on an abnormal label is named."""
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

    def statuses(self, time_s: NDArray[np.floating]) -> dict[int, list[Status | None]]:
        """What each track with windows does at each of these moments."""
        tracks = self.predictions.track
        return {
            int(track): [
                events.status(row, self.labels, self.rule)
                for row in events.probability_at(
                    time_s,
                    self.predictions.start_s[tracks == track],
                    self.predictions.probability[tracks == track],
                    self.window_s,
                )
            ]
            for track in np.unique(tracks)
        }

    def scene(self, frame: int, time_s: float) -> Scene:
        """frame: its number in the video, as in the landmarks."""
        of_track = {t: status for t, (status,) in self.statuses(np.array([time_s])).items()}
        begin, end = np.searchsorted(self.landmarks.frame, [frame, frame + 1])
        seen = self.landmarks[begin:end]
        people = seen.persons()
        persons = [
            Person(int(track), box, xy, confidence, of_track.get(int(track)))
            for track, box, xy, confidence in zip(
                people.track, people.box, people.xy, people.confidence, strict=True
            )
        ]
        return Scene(time_s, persons, seen.bags().box, events.worst(of_track.values()))

    def timeline(self, duration_s: float) -> Timeline:
        middles = (np.arange(_PARTS) + 0.5) * (duration_s / _PARTS)
        by_track = self.statuses(middles).values()
        statuses = [events.worst(moment) for moment in zip(*by_track, strict=True)]
        return Timeline(duration_s, statuses or [None] * _PARTS, self.truth)


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
