"""What a shop owner feels: which events are caught, how late, and how many alarms are false.

- An event to be caught is a span of an abnormal label. Who does it are the tracks its box points
  at (yololstm.actors); where that is nobody, any track of the clip.
- It is caught by an alarm of its label, on one of these tracks, that is raised between its start
  and one window after its end: so long a window may still look at it.
- The delay is from its start to the first such alarm. An alarm is raised when a window ends,
  because no earlier has the camera seen it.
- An alarm is false where no span that is not normal overlaps or touches the time from its event's
  start until it is raised: what comes later cannot have caused it.
- An alarm that is not false and is still on when another event starts, catches that one too, with
  a delay of 0. One that is over and only keeps a new one from being raised (Rule.cool_down_s) does
  not: whoever looks sees nobody then.
- False alarms are counted over normal footage: all moments at which one could be raised. An event
  is at least one window long, so these are the moments before which a whole window has been
  watched that touches nothing: neither the first of a clip, nor those during a span that is not
  normal and until one window after it. (A Rule.min_s beyond a window's length would make them
  fewer still; that is not taken into account.) A clip that nobody looked at, because its video
  could not be read, has none; what happens in it is missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
    unseen: Collection[str] = ()
    """The clip_id of clips that nobody looked at."""

    @classmethod
    def of(
        cls,
        clips: Sequence[Clip],
        windows: Windows,
        probability: NDArray[np.floating],
        labels: Sequence[str],
        casts: Casts | None = None,
        unseen: Collection[str] = (),
    ) -> Self:
        """clips: all of a split, with windows or without; casts: who does what, where known;
        unseen: the clip_id of those that nobody looked at."""
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
            unseen=frozenset(unseen),
        )

    @property
    def abnormal(self) -> list[str]:
        return [label for label in self.labels if label != NORMAL]

    @property
    def hours(self) -> float:
        """Of what was looked at."""
        return sum(clip.duration_s for clip in self._seen) / 3600

    @cached_property
    def normal_hours(self) -> float:
        """Of the moments at which an alarm that is raised would be false."""
        return sum(_normal_s(clip, self.window_s) for clip in self._seen) / 3600

    @cached_property
    def busy(self) -> Mapping[str, Sequence[tuple[float, float]]]:
        """When something happens that is not normal, of our labels or not, by clip_id: start and
        end of each, within the clip."""
        return {clip.clip_id: _busy(clip) for clip in self.clips}

    @property
    def _seen(self) -> list[Clip]:
        return [clip for clip in self.clips if clip.clip_id not in self.unseen]

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
        [event for event in by_clip.get(truth.clip, ()) if _answers(event, truth, footage)]
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
    return [
        (max(span.start_s, 0.0), min(span.end_s, clip.duration_s))
        for span in clip.spans
        if span.label != NORMAL and span.start_s <= clip.duration_s
    ]


def _normal_s(clip: Clip, window_s: float) -> float:
    normal_s, from_s = 0.0, window_s
    for start_s, end_s in sorted(_busy(clip)):
        normal_s += max(start_s - from_s, 0.0)
        from_s = max(from_s, end_s + window_s)
    return normal_s + max(clip.duration_s - from_s, 0.0)


def _answers(event: Event, truth: Truth, footage: Footage) -> bool:
    if truth.tracks and event.track not in truth.tracks:
        return False
    if event.raised_s < truth.start_s - _ROUNDING_S:
        still_on = truth.start_s < event.end_s - _ROUNDING_S
        return still_on and _touches(event, footage.busy[truth.clip])
    return event.raised_s <= truth.end_s + footage.window_s + _ROUNDING_S


def _touches(event: Event, busy: Iterable[tuple[float, float]]) -> bool:
    """Whether any of it happens before the alarm is raised."""
    return any(
        start <= event.raised_s + _ROUNDING_S and event.start_s <= end + _ROUNDING_S
        for start, end in busy
    )


def _delays(truths: Sequence[Truth], answers: Iterable[Sequence[Event]]) -> NDArray[np.float64]:
    first = [min((event.raised_s for event in events), default=np.nan) for events in answers]
    start = np.array([truth.start_s for truth in truths], dtype=np.float64)
    return np.maximum(np.array(first, dtype=np.float64) - start, 0.0)
