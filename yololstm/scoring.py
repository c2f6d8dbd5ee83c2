"""What a shop owner feels: which events are caught, how late, and how many alarms are false.

- An event to be caught is a span of an abnormal label. Who does it are the tracks its box points
  at (yololstm.actors); where that is nobody, any track of the clip.
- It is caught by an alarm of its label, on one of these tracks, that is raised between its start
  and one window after its end: so long a window may still look at it.
- The delay is from its start to the first such alarm. An alarm is raised when a window ends,
  because no earlier has the camera seen it.
- An alarm is false where its event neither overlaps nor touches a span of its clip that is not
  normal. Those are counted over normal footage: all that lies outside of such spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from yololstm.clips import NORMAL, Clip, Span
from yololstm.events import Event, Rule, detect
from yololstm.windows import Windows

Casts = Mapping[tuple[str, Span], frozenset[int]]
"""Who does it, by clip_id and span; empty where nobody was found."""

_ROUNDING_S: Final = 1e-3
"""Spans are stored to a tenth of a millisecond."""


class Truth(NamedTuple):
    """Something that was to be caught."""

    clip: str
    take: str
    label: str
    start_s: float
    end_s: float
    tracks: frozenset[int]
    """Who does it; empty where nobody knows."""


class Alarm(NamedTuple):
    clip: str
    event: Event


@dataclass(frozen=True)
class Footage:
    """Clips of a split, what happens in them, and what is said of every window."""

    clips: Sequence[Clip]
    labels: Sequence[str]
    truths: Sequence[Truth]
    window_s: float
    hop_s: float
    """From window to window."""
    people: Sequence[tuple[str, int]]
    """(clip_id, track) of each person,"""
    person: NDArray[np.intp]
    """and the place among them of each window's (N,)."""
    start_s: NDArray[np.float64]
    """(N,)"""
    probability: NDArray[np.floating]
    """(N, C) calibrated."""

    @classmethod
    def of(
        cls,
        clips: Sequence[Clip],
        windows: Windows,
        probability: NDArray[np.floating],
        labels: Sequence[str],
        casts: Casts | None = None,
    ) -> Self:
        """clips: all of a split, with windows or without; casts: who does what, where known."""
        names, clip = np.unique(windows.clip, return_inverse=True)
        tracks, track = np.unique(windows.track, return_inverse=True)
        people, person = np.unique(clip * len(tracks) + track, return_inverse=True)
        pairs = zip(*np.divmod(people, max(len(tracks), 1)), strict=True)
        return cls(
            clips=clips,
            labels=labels,
            truths=[t for clip in clips for t in _truths(clip, labels, casts or {})],
            window_s=windows.spec.length / windows.spec.fps,
            hop_s=windows.spec.hop / windows.spec.fps,
            people=[(str(names[i]), int(tracks[j])) for i, j in pairs],
            person=person,
            start_s=windows.start_s,
            probability=probability,
        )

    @property
    def abnormal(self) -> list[str]:
        return [label for label in self.labels if label != NORMAL]

    @property
    def hours(self) -> float:
        return sum(clip.duration_s for clip in self.clips) / 3600

    @property
    def normal_hours(self) -> float:
        seconds = sum(end - start for spans in self.busy.values() for start, end in spans)
        return self.hours - seconds / 3600

    @cached_property
    def busy(self) -> Mapping[str, Sequence[tuple[float, float]]]:
        """When something happens that is not normal, of our labels or not, by clip_id: intervals
        that lie apart, within the clip."""
        return {clip.clip_id: _busy(clip) for clip in self.clips}

    def alarms(self, rule: Rule, label: str | None = None) -> list[Alarm]:
        """By clip; of one label, or of all."""
        columns = [i for i, name in enumerate(self.labels) if label in (None, name)]
        found = detect(
            self.person,
            self.start_s,
            self.probability[:, columns],
            window_s=self.window_s,
            labels=[self.labels[i] for i in columns],
            rule=rule,
        )
        people = ((event, *self.people[event.track]) for event in found)
        return [Alarm(clip, replace(event, track=track)) for event, clip, track in people]


@dataclass(frozen=True)
class Score:
    """Delays are in the order of the footage's truths; NaN where one was missed."""

    delay_s: NDArray[np.float64]
    delay_any_s: NDArray[np.float64]
    """To the first alarm of any label."""
    false_alarms: Sequence[Alarm]


def score(footage: Footage, alarms: Sequence[Alarm]) -> Score:
    by_clip: dict[str, list[Event]] = {}
    for clip, event in alarms:
        by_clip.setdefault(clip, []).append(event)
    within = [
        [event for event in by_clip.get(truth.clip, ()) if _answers(event, truth, footage.window_s)]
        for truth in footage.truths
    ]
    return Score(
        delay_s=_delays(
            footage.truths,
            (
                [event for event in events if event.label == truth.label]
                for events, truth in zip(within, footage.truths, strict=True)
            ),
        ),
        delay_any_s=_delays(footage.truths, within),
        false_alarms=[
            alarm for alarm in alarms if not _touches(alarm.event, footage.busy[alarm.clip])
        ],
    )


def summary(footage: Footage, result: Score) -> dict[str, Any]:
    """Recall, delay and false alarms, of all labels and of each; None where there is nothing to
    divide by."""
    label = np.array([truth.label for truth in footage.truths])
    alarm = np.array([alarm.event.label for alarm in result.false_alarms])
    whole = np.ones(len(label), dtype=np.bool_)
    return {
        **_told(result, whole, len(alarm), footage.normal_hours),
        "per_class": {
            name: _told(result, label == name, int((alarm == name).sum()), footage.normal_hours)
            for name in footage.abnormal
        },
    }


def _told(
    result: Score, rows: NDArray[np.bool_], false_alarms: int, hours: float
) -> dict[str, Any]:
    delay = result.delay_s[rows]
    caught = delay[np.isfinite(delay)]
    return {
        "events": len(delay),
        "caught": len(caught),
        "recall": len(caught) / len(delay) if len(delay) else None,
        "recall_any_label": (
            float(np.isfinite(result.delay_any_s[rows]).mean()) if len(delay) else None
        ),
        "delay_median_s": _milliseconds(np.median(caught)) if len(caught) else None,
        "delay_p90_s": _milliseconds(np.quantile(caught, 0.9)) if len(caught) else None,
        "false_alarms": false_alarms,
        "false_alarms_per_hour": false_alarms / hours if hours > 0 else None,
    }


def _milliseconds(seconds: np.floating) -> float:
    """No difference between two models should be one of rounding."""
    return round(float(seconds), 3)


def _truths(clip: Clip, labels: Sequence[str], casts: Casts) -> Iterable[Truth]:
    for span in clip.spans:
        if span.label in labels and span.label != NORMAL:
            cast = casts.get((clip.clip_id, span), frozenset())
            yield Truth(clip.clip_id, clip.take, span.label, span.start_s, span.end_s, cast)


def _busy(clip: Clip) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for span in sorted((s for s in clip.spans if s.label != NORMAL), key=lambda s: s.start_s):
        start, end = max(span.start_s, 0.0), min(span.end_s, clip.duration_s)
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif start < end:
            merged.append((start, end))
    return merged


def _answers(event: Event, truth: Truth, window_s: float) -> bool:
    in_time = truth.start_s - _ROUNDING_S <= event.raised_s <= truth.end_s + window_s + _ROUNDING_S
    return in_time and (not truth.tracks or event.track in truth.tracks)


def _touches(event: Event, busy: Iterable[tuple[float, float]]) -> bool:
    return any(
        start <= event.end_s + _ROUNDING_S and event.start_s <= end + _ROUNDING_S
        for start, end in busy
    )


def _delays(truths: Sequence[Truth], answers: Iterable[Sequence[Event]]) -> NDArray[np.float64]:
    first = [min((event.raised_s for event in events), default=np.nan) for events in answers]
    start = np.array([truth.start_s for truth in truths], dtype=np.float64)
    return np.maximum(np.array(first, dtype=np.float64) - start, 0.0)
