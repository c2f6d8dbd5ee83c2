"""From landmarks, frame by frame, to events: what ``yololstm run`` finds in a file, as it happens.

Windows are cut by the same code, on the same grid: each once, as soon as nothing that is still to
come can change it. That is so with the frame at or after its last step, or, where a joint was just
lost, once it has been absent for longer than what is bridged.

Of a person no more is kept than the next windows need; who left is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yololstm.events import EventStream, Signal
from yololstm.inference import Classifier
from yololstm.landmarks import Landmarks
from yololstm.moments import Verdict
from yololstm.segmentation import segment
from yololstm.skeleton import N_JOINTS
from yololstm.smoothing import OneEuro
from yololstm.windows import Windows, WindowSpec
from yololstm.zones import Zone, counted, standing

_ROUNDING_S: Final = 2e-6
"""As in segmentation."""
_GONE_S: Final = 2.5
"""From the first frame without somebody; longer than the tracker remembers them, unless frames are
dropped."""
_GRID_S: Final = 600.0
"""How far back a grid may begin: to begin it anew would move the steps by the rounding of times."""


class Heard(NamedTuple):
    """What became known with a frame."""

    verdicts: list[Verdict]
    signals: list[Signal]


class Engine:
    """One camera's people."""

    def __init__(self, classifier: Classifier, fps: float, *, smooth: bool = False) -> None:
        """fps: the rate at which frames are looked at. smooth: by the One Euro filter."""
        self._classifier = classifier
        self._smooth = smooth
        # Of frames at that rate, so many that the tracker has forgotten whoever is in none of them.
        self._gone_s = (math.ceil(_GONE_S * fps) - 0.5) / fps
        spec = classifier.spec
        self._window_s = spec.length / spec.fps
        self._people: dict[int, _Person] = {}
        self._stream = EventStream(
            classifier.rule, window_s=self._window_s, labels=classifier.labels
        )

    def feed(self, landmarks: Landmarks, time_s: float, zones: Sequence[Zone] = ()) -> Heard:
        """The next frame: who is in it, and when it was shown. Call it for empty frames as well.

        zones: where labels count. A window counts for a label where the person stood in places
        that count for at least half of it.
        """
        seen = dict(landmarks.tracks())
        for track, row in seen.items():
            person = self._people.setdefault(track, _Person(self._classifier.spec, self._smooth))
            person.add(row)
        heard = Heard([], [])
        for track, person in list(self._people.items()):
            if track in seen:
                person.absent_s = math.inf
            else:
                person.absent_s = min(person.absent_s, time_s)
            if time_s - person.absent_s >= self._gone_s:
                del self._people[track]
                self._tell(heard, person, person.last_windows(), zones)
            else:
                self._tell(heard, person, person.windows(time_s), zones)
                person.forget()
        to_come_s = min([time_s, *(person.next_s for person in self._people.values())])
        heard.signals.extend(self._stream.advance(to_come_s - 2 * _ROUNDING_S))
        return heard

    def finish(self, zones: Sequence[Zone] = ()) -> Heard:
        """Nobody who was seen will be seen again: the end, or a break after which nobody knows who
        is who. Goes on with numbers that were not used before."""
        heard = Heard([], [])
        for person in self._people.values():
            self._tell(heard, person, person.last_windows(), zones)
        self._people.clear()
        heard.signals.extend(self._stream.finish())
        return heard

    def _tell(
        self, heard: Heard, person: _Person, windows: Windows | None, zones: Sequence[Zone]
    ) -> None:
        if windows is None or not len(windows):
            return
        x = self._classifier.scaling.transform(windows.x, windows.valid)
        said = self._classifier.scaled(x, windows.valid)
        for track, start_s, probability in zip(
            windows.track.tolist(), windows.start_s.tolist(), said, strict=True
        ):
            end_s = start_s + self._window_s
            heard.verdicts.append(Verdict(track, start_s, end_s, tuple(probability.tolist())))
            if zones:
                counts = counted(person.places(start_s, end_s), zones, self._classifier.labels)
                probability = np.where(counts.mean(axis=0) >= 0.5, probability, 0.0)
            heard.signals.extend(self._stream.feed(track, start_s, probability))


@dataclass
class _Person:
    """What is kept of one person. Steps are counted from the first row, where their grid begins."""

    spec: WindowSpec
    smooth: bool
    absent_s: float = math.inf
    """When the first frame was since then without them; inf where there was none."""
    _rows: list[Landmarks] = field(default_factory=list)
    """Of one frame each."""
    _next: int = 0
    """The step at which the next window starts: a multiple of hop."""
    _known_s: NDArray[np.float64] = field(default_factory=lambda: np.full(N_JOINTS, -np.inf))
    """When each joint was known last."""
    _smoother: OneEuro = field(default_factory=OneEuro)

    @property
    def next_s(self) -> float:
        """When the next window starts."""
        return self._at(self._next)

    def add(self, row: Landmarks) -> None:
        time_s = float(row.time_s[0])
        if self.smooth:
            height = float(row.box[0, 3] - row.box[0, 1])
            row = replace(row, xy=self._smoother.update(time_s, row.xy[0], height)[None])
        self._rows.append(row)
        self._known_s[np.isfinite(row.xy[0]).all(axis=1)] = time_s

    def windows(self, time_s: float) -> Windows | None:
        """Those that are decided by this time and were not before; None for none."""
        first = self._next
        while self._is_decided(self._next + self.spec.length - 1, time_s):
            self._next += self.spec.hop
        if self._next == first:
            return None
        return self._cut(first, self._next)

    def last_windows(self) -> Windows:
        """Those that are left where nothing more will come."""
        return self._cut(self._next, None)

    def _is_decided(self, step: int, time_s: float) -> bool:
        """Whether no row to come changes this step, or one before it."""
        step_s = self._at(step) - _ROUNDING_S
        if self._rows[-1].time_s[0] < step_s:
            return False
        lost = time_s - self._known_s > self.spec.max_gap_s + 2 * _ROUNDING_S
        return bool(((self._known_s >= step_s) | lost).all())

    def _cut(self, first: int, end: int | None) -> Windows:
        """Windows that start from a step on, and before another."""
        rows = Landmarks.concatenate(self._rows, self._rows[0].source)
        windows = segment(rows, self.spec).windows
        step = np.rint((windows.start_s - self._at(0)) * self.spec.fps)
        return windows[(step >= first) & (step < (math.inf if end is None else end))]

    def _at(self, step: int) -> float:
        return float(self._rows[0].time_s[0]) + step / self.spec.fps

    def places(self, start_s: float, end_s: float) -> NDArray[np.float64]:
        """(N, 2) where they stood from then until then, which are those of a window that was told
        and not forgotten."""
        rows = [row for row in self._rows if start_s - _ROUNDING_S <= row.time_s[0] < end_s]
        return np.concatenate([standing(row) for row in rows or self._rows[-1:]])

    def forget(self) -> None:
        """What the next window does not need. The first row stays to hold the grid: it is too long
        ago for anything to be bridged from it."""
        needed_s = self.next_s - self.spec.max_gap_s - 1 / self.spec.fps
        old = sum(row.time_s[0] < needed_s for row in self._rows)
        if not old:
            return
        begin = 0
        if needed_s - self._at(0) > _GRID_S:
            begin = int((needed_s - self._at(0)) * self.spec.fps) // self.spec.hop * self.spec.hop
        self._rows[:old] = [replace(self._rows[0], time_s=np.array([self._at(begin)]))]
        self._next -= begin
