"""What people said of events, as a data set that the pipeline reads (``data.kind: aihub``).

    OUT/C_3_0_0_FB_SITE_<date>_<time>_C<A..Z>_<id>.mp4   the clip as it was recorded
    OUT/C_3_0_0_FB_SITE_<date>_<time>_C<A..Z>_<id>.xml   who did what in it, and when
    OUT/feedback.json                                    of which events it is made

An event that was right is marked in its clip from its start to its end, with the box of who did
it; one that was wrong is marked as what somebody said it was, and not at all where that is normal.
Clips that overlap in time, of whichever cameras, may show the same scene: they are one take, and
never part over train and test.
"""

from __future__ import annotations

import shutil
import string
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from yololstm import storage, video
from yololstm.clips import NORMAL, Box
from yololstm.errors import EmptyError, LandmarksError, ParamsError, Problem, VideoError
from yololstm.journal import Entry
from yololstm.landmarks import Landmarks
from yololstm.sample.annotation import Marker, to_xml

MANIFEST: Final = "feedback.json"
_CAMERAS: Final = string.ascii_uppercase
_NEAR_S: Final = 1.0
"""How far from an event's start its person may have been seen."""


@dataclass(frozen=True)
class Exported:
    clips: int
    left_out: list[Problem]


@dataclass(frozen=True)
class _Clip:
    """A recording, and all events that are in it."""

    entry: Entry
    path: Path
    began: datetime
    ended: datetime
    events: tuple[Entry, ...]


class _LeftOut(Exception):  # noqa: N818
    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def event_names(label_map: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """What the events of each label are called, by a data set's label map; the first of ``known``
    where several are."""
    ordered = sorted(label_map, key=lambda event: (event not in known, event))
    return {label_map[event]: event for event in reversed(ordered)}


def export(
    entries: Sequence[Entry], recordings: Path, out: Path, names: Mapping[str, str]
) -> Exported:
    """entries: all events of a site; those that somebody judged are exported.

    names: what the events of a label are called. Raises ParamsError where ``out`` is there already,
    for what was learned from once must not change; EmptyError where nothing can be exported.
    """
    if out.exists():
        raise ParamsError(out, "it is there already", "Name a new folder: each export is a version")
    left_out: list[Problem] = []
    clips = list(_clips(entries, recordings, left_out))
    made: list[dict[str, object]] = []
    partial = out.with_name(f"{storage.UNFINISHED}{out.name}")
    shutil.rmtree(partial, ignore_errors=True)
    # Whom it shows does not concern the other users of the machine.
    partial.mkdir(mode=0o700, parents=True)
    try:
        for stem, clip in _named(clips, left_out):
            try:
                _write(partial, stem, clip, names)
            except _LeftOut as error:
                left_out.append(_problem(clip.entry, error))
            else:
                made.append(_said(stem, clip.entry))
        if not made:
            problem = f"no clip can be exported ({len(left_out)} left out)"
            raise EmptyError(out, problem, "Judge events on the page first")
        storage.write_json(partial / MANIFEST, {"clips": made})
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(len(made), sorted(left_out))


def _clips(entries: Sequence[Entry], recordings: Path, left_out: list[Problem]) -> Iterator[_Clip]:
    """Of those that somebody judged, in order of time."""
    of_camera: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda e: (e.started, e.id)):
        of_camera[entry.camera].append(entry)
    judged = [entry for entry in entries if entry.verdict]
    for entry in sorted(judged, key=lambda e: (e.began or e.started, e.id)):
        try:
            yield _clip(entry, of_camera[entry.camera], recordings)
        except _LeftOut as error:
            left_out.append(_problem(entry, error))


def _clip(entry: Entry, beside: Sequence[Entry], recordings: Path) -> _Clip:
    """beside: all events of its camera, in order of their start."""
    path = recordings / entry.clip
    if not entry.clip or entry.began is None or not path.is_file():
        raise _LeftOut("its clip is gone", "Judge events before their clips are, or keep more days")
    try:
        length_s = float(video.frame_times(path)[-1])
    except VideoError as error:
        raise _LeftOut(error.problem.problem, "It cannot be used") from error
    ended = entry.began + timedelta(seconds=length_s)
    until = bisect_left(beside, ended, key=lambda other: other.started)
    inside = tuple(other for other in beside[:until] if other.ended > entry.began)
    if not _is_said(entry):
        raise _LeftOut("nobody said what it was instead", "Say it, or that it was right")
    if unsaid := [other for other in inside if not _is_said(other)]:
        others = f"of {len(unsaid)} other events in its clip nobody said what they were"
        raise _LeftOut(others, "Judge them too")
    return _Clip(entry, path, entry.began, ended, inside)


def _named(clips: Sequence[_Clip], left_out: list[Problem]) -> Iterator[tuple[str, _Clip]]:
    """Each with the stem of its name: those that overlap are of one take."""
    scene: _Clip | None = None
    until = datetime.min
    letters: Iterator[str] = iter(())
    for clip in clips:
        if scene is None or clip.began > until:
            scene, until, letters = clip, clip.ended, iter(_CAMERAS)
        until = max(until, clip.ended)
        letter = next(letters, None)
        if letter is None:
            error = _LeftOut(f"more than {len(_CAMERAS)} clips overlap", "It cannot be used")
            left_out.append(_problem(clip.entry, error))
            continue
        at = scene.began.astimezone()
        yield f"C_3_0_0_FB_SITE_{at:%m-%d_%H-%M-%S}_C{letter}_{_short(scene.entry)}", clip


def _short(entry: Entry) -> str:
    return entry.id.replace("-", "")[:12].upper()


def _write(folder: Path, stem: str, clip: _Clip, names: Mapping[str, str]) -> None:
    info, times = video.probe(clip.path), video.frame_times(clip.path)
    markers = []
    for event in clip.events:
        if (label := _label(event)) == NORMAL:
            continue
        if label not in names:
            raise _LeftOut(f"no event of data.label_map is {label}", "Map one to it")
        markers += _markers(names[label], event, clip, times.tolist())
    nobody = np.empty((len(times), 0, 17, 2))
    annotation = to_xml(f"{stem}.mp4", (info.width, info.height), markers, nobody)
    with storage.atomic(folder / f"{stem}.xml") as temporary:
        temporary.write_bytes(annotation)
    with storage.atomic(folder / f"{stem}.mp4") as temporary:
        shutil.copyfile(clip.path, temporary)


def _is_said(event: Entry) -> bool:
    return event.verdict == "right" or (event.verdict == "wrong" and event.corrected != "")


def _label(event: Entry) -> str:
    return event.label if event.verdict == "right" else event.corrected


def _markers(name: str, event: Entry, clip: _Clip, times: list[float]) -> list[Marker]:
    start_s, end_s = ((at - clip.began).total_seconds() for at in (event.started, event.ended))
    start = min(int(np.searchsorted(times, start_s)), len(times) - 1)
    end = min(int(np.searchsorted(times, end_s)), len(times) - 1)
    if end <= start:
        raise _LeftOut("no more than a frame of an event is in its clip", "It cannot be used")
    seen = _landmarks(clip)
    first = _box(seen, event.track, times[start], _NEAR_S)
    # They may be gone before the last window with them is over.
    last = _box(seen, event.track, times[end], times[-1])
    return [Marker(f"{name}_start", start, first), Marker(f"{name}_end", end, last)]


def _landmarks(clip: _Clip) -> Landmarks:
    try:
        return storage.read_landmarks(clip.path.with_suffix(".parquet"))
    except LandmarksError as error:
        raise _LeftOut("its landmarks are gone", "It cannot be used") from error


def _box(seen: Landmarks, track: int, time_s: float, near_s: float) -> Box:
    """Of a person, where they were seen next to that time, and at most so far from it."""
    rows = seen.persons()
    rows = rows[rows.track == track]
    away_s = np.abs(rows.time_s - time_s)
    if not len(rows) or away_s.min() > near_s:
        raise _LeftOut("nobody knows where its person was", "It cannot be used")
    x0, y0, x1, y1 = rows.box[int(away_s.argmin())].tolist()
    width, height = seen.source.width, seen.source.height
    return Box(max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))


def _said(stem: str, entry: Entry) -> dict[str, object]:
    return {
        **{"file": f"{stem}.mp4", "event": entry.id, "camera": entry.camera},
        **{"told": entry.label, "verdict": entry.verdict, "label": _label(entry)},
        "started": entry.started.isoformat(timespec="milliseconds"),
    }


def _problem(entry: Entry, error: _LeftOut) -> Problem:
    return Problem(f"{entry.camera} {entry.id}", error.problem, error.remedy)
