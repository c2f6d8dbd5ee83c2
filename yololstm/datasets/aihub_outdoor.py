"""AI-Hub 171, '이상행동 CCTV 영상': staged abnormal behaviour, outdoors and indoors.

    01.폭행(assult)/outsidedoor_06/64-2/64-2_cam01_assault01_place01_night_spring.mp4 and .xml
                                        scene camera event    place   time  season

    <annotation>
      <filename>64-2_cam01_assault01_place01_night_spring.mp4</filename>
      <header> <duration>00:05:00.0</duration> <fps>30</fps> <frames>9000</frames> ...
      <size> <width>3840</width> <height>2160</height> </size>
      <event> <eventname>assault</eventname> <starttime>00:01:00.0</starttime> <duration> ...
      <object> <objectname>person_1</objectname>
        <position> <keyframe>1800</keyframe> <keypoint> <x>1000</x> <y>1200</y> ...
        <action> <actionname>kicking</actionname> <frame> <start>1800</start> <end>1860</end> ...

Verified, by what public programs do with the real files: these names and elements; times as
[hours:]minutes:seconds; frames that are 0 or negative; the folders inside_croki, insidedoor and
outsidedoor, which may hold one recording twice; an event that may last the whole video, so that the
actions are the better label. Assumed: frames count from 0, and an action ends before its ``end``
(one off is 1/30 s); scenes are numbered across all events; the seasons of a scene are acted by the
same people, so a scene is one take whatever its season, place or time of day.

An object has one point in one frame of the whole video: too little to find its track, let alone at
the start of each of its actions. So spans carry no box, and everybody in the clip bears the label:
bystanders too, and the victim.

A recording that stands twice with the same bytes is read once. Other bytes of the same name are a
fault, even where only one of the folders holds both video and annotation: the annotation that lies
alone may be the corrected one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, NoReturn

import numpy as np

from yololstm import fitting, safexml
from yololstm.catalogue import Found, Namesakes, OnItem, by_name, collect, label_of, video_clip
from yololstm.clips import NORMAL, Clip, Span
from yololstm.errors import AnnotationError, Problem
from yololstm.fitting import SUFFIXES, TOGETHER
from yololstm.landmarks import Landmarks
from yololstm.material import Material, VideoFacts
from yololstm.safexml import Element
from yololstm.video import VideoInfo

#: Events that the data set is known to annotate.
EVENTS: Final = (
    *("assault", "fight", "burglary", "vandalism", "swoon", "wander"),
    *("trespass", "dump", "robbery", "datefight", "kidnap", "drunken"),
)

_NAME: Final = re.compile(r"(?P<take>.+?)_(?P<camera>CAM\d+)(?:_.+)?")
_PLACE: Final = re.compile(r"_(?P<place>PLACE\d+)(?:_|$)")

_FRAME: Final = re.compile(r"\d{1,8}", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,9}(?:\.\d{0,9})?", re.ASCII)
_TIME: Final = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:\.\d{0,9})?)", re.ASCII)

#: Of one annotation; those of five minutes are tens of kB.
_MAX_BYTES: Final = 4 * 2**20
_MAX_EVENTS: Final = 100
#: Actions closer than this are one: the blows of a beating.
_PAUSE_S: Final = 1.0

_MEND: Final = "Mend that line, or fetch the file again"


class _Interval(NamedTuple):
    start_s: float
    end_s: float


class _Event(NamedTuple):
    name: str
    place: str
    """File and line, to complain about."""
    stated: _Interval | None


@dataclass(frozen=True)
class AihubOutdoorReader:
    label_map: Mapping[str, str]

    def read(self, material: Material, on_item: OnItem | None = None) -> Found:
        listing = material.listing(SUFFIXES)
        files = by_name(listing.paths)
        return collect(partial(self._clips, material), files, on_item, listing=listing)

    def landmarks(self, material: Material, clip: Clip) -> Landmarks | None:
        """The data set knows no skeletons."""
        return None

    def _clips(self, material: Material, files: Namesakes) -> Iterator[Clip | Problem]:
        path, annotation_path = fitting.pair(material, files)
        content, annotation_facts = material.content(annotation_path, _MAX_BYTES)
        place = str(annotation_path)
        root = _root(content, place)
        facts = material.video_facts(path)
        yield from _check_header(root, place, facts)
        yield from fitting.doubles(files, (path, annotation_path))
        spans = sorted(_spans(root, place, facts, self.label_map), key=lambda span: span.start_s)
        take, store, camera = _named(path.stem)
        yield video_clip(
            path,
            facts,
            take=take,
            store=store or " ".join(_text(root.find("header/location")).upper().split())[:40],
            camera=camera,
            split="train",
            annotation=(annotation_path, annotation_facts),
            spans=tuple(spans),
        )


# --- names ---


def _named(stem: str) -> tuple[str, str, str]:
    """Take, store and camera; a name without a camera is a take of its own."""
    name = _NAME.fullmatch(stem.upper())
    place = _PLACE.search(stem.upper())
    store = place["place"] if place else ""
    return (name["take"], store, name["camera"]) if name else (stem.upper(), store, "")


# --- header ---


def _root(content: bytes, place: str) -> Element:
    root = safexml.parse(content, place)
    if root.tag != "annotation":
        remedy = "Set data.kind to aihub for the shop data sets, 71550 and 71549"
        _refuse(f"{place}:{root.sourceline}", f"its root is <{str(root.tag)[:40]}>", remedy)
    if root.find("header") is None:
        _refuse(f"{place}:{root.sourceline}", "it has no <header>", "Fetch the file again")
    return root


def _check_header(root: Element, place: str, facts: VideoFacts) -> Iterator[Problem]:
    """What the header does not say. Raises AnnotationError where it speaks of another video."""
    fps, n_frames, end_s = float(facts.info.fps), facts.info.n_frames, _end_s(facts)
    checks: dict[str, tuple[float, Callable[[float], bool]]] = {
        "header/fps": (fps, lambda stated: fitting.is_as_fast(stated, fps)),
        "header/frames": (n_frames, lambda stated: fitting.is_as_long(stated, n_frames, fps)),
        "header/duration": (end_s, lambda stated: fitting.is_as_long(stated, end_s)),
    }
    for name, (of_video, is_near) in checks.items():
        element = root.find(name)
        if element is None or not _text(element):
            continue
        is_time = name == "header/duration"
        stated = _seconds(element, place) if is_time else _number(element, place)
        if stated <= 0:
            problem = f"{name} is {_text(element)}, so it was not checked"
            yield Problem(_at(element, place), problem, TOGETHER)
        elif not is_near(stated):
            problem = f"{name} is {stated:g}, but that of the video is {of_video:g}"
            _refuse(_at(element, place), problem, TOGETHER)
    _check_shape(root, place, facts.info)


def _check_shape(root: Element, place: str, info: VideoInfo) -> None:
    sides = [root.find(name) for name in ("size/width", "size/height")]
    width, height = (0.0 if side is None else _number(side, place) for side in sides)
    if width > 0 and height > 0:
        fitting.check_shape(width, height, info, _at(root.find("size"), place))


# --- events ---


def _spans(
    root: Element, place: str, facts: VideoFacts, label_map: Mapping[str, str]
) -> Iterator[Span]:
    events = list(_events(root, place))
    actions = list(_actions(root, place, facts))
    if actions and not events:
        remedy = "Add an <event>, its name normal if nothing happens"
        _refuse(f"{place}:{root.sourceline}", "it has actions, but no event", remedy)
    for event, own in zip(events, _shared_out(actions, events), strict=True):
        if event.name == NORMAL:
            continue
        label = label_of(event.name, event.place, EVENTS, label_map)
        for start_s, end_s in _merged(own) if own else [_of_event(event, _end_s(facts))]:
            yield Span(start_s, end_s, label)


def _events(root: Element, place: str) -> Iterator[_Event]:
    elements = root.findall("event")
    if len(elements) > _MAX_EVENTS:
        problem = f"{len(elements)} events, more than {_MAX_EVENTS}"
        _refuse(_at(elements[0], place), problem, _MEND)
    for element in elements:
        # Scenarios of one event are numbered: trespass01.
        name = _text(element.find("eventname")).lower().rstrip("0123456789")
        if not name:
            _refuse(_at(element, place), "an event has no name", _MEND)
        yield _Event(name, _at(element, place), _stated(element, place))


def _stated(event: Element, place: str) -> _Interval | None:
    times = [event.find(name) for name in ("starttime", "duration")]
    if not all(_text(time) for time in times):
        return None
    start_s, duration_s = (_seconds(time, place) for time in times if time is not None)
    return _Interval(start_s, start_s + duration_s)


def _actions(root: Element, place: str, facts: VideoFacts) -> Iterator[_Interval]:
    """When anybody acts, in seconds of presentation time."""
    time_s = facts.time_s
    n_frames = min(facts.info.n_frames, len(time_s))
    last_s = _end_s(facts)
    last = n_frames + fitting.SLACK_S * facts.info.fps
    for element in root.iterfind("object/action/frame"):
        start, end = (_frame(element, name, place) for name in ("start", "end"))
        if start >= n_frames or end > last:
            problem = f"an action lasts from frame {start} to {end} of a video of {n_frames} frames"
            _refuse(_at(element, place), problem, TOGETHER)
        end_s = float(time_s[end]) if end < n_frames else last_s
        if end <= start or end_s <= time_s[start]:
            problem = f"an action ends at frame {end}, not after its start, {start}"
            _refuse(_at(element, place), problem, "Correct the frame of one of the two")
        yield _Interval(float(time_s[start]), end_s)


def _shared_out(
    actions: Sequence[_Interval], events: Sequence[_Event]
) -> Sequence[Sequence[_Interval]]:
    """Each event's actions: those that have more time in common with it than with any other, or
    else are nearer to it. Raises AnnotationError where an event of several does not say when."""
    if len(events) <= 1 or not actions:
        return [actions] * len(events)
    for event in events:
        if event.stated is None:
            problem = f"{event.name[:40]!r} is one of several events, and does not say when it is"
            _refuse(event.place, problem, "Add its starttime and duration")
    event_start, event_end = np.array([event.stated for event in events]).T
    start, end = np.array(actions).T[..., None]
    common = np.minimum(end, event_end) - np.maximum(start, event_start)
    of_event: list[list[_Interval]] = [[] for _ in events]
    for action, place in zip(actions, common.argmax(axis=1).tolist(), strict=True):
        of_event[place].append(action)
    return of_event


def _merged(intervals: Iterable[_Interval]) -> list[_Interval]:
    """Without the pauses shorter than _PAUSE_S; in order of time."""
    merged: list[_Interval] = []
    for start_s, end_s in sorted(intervals):
        if merged and start_s - merged[-1].end_s < _PAUSE_S:
            before = merged.pop()
            start_s, end_s = before.start_s, max(before.end_s, end_s)
        merged.append(_Interval(start_s, end_s))
    return merged


def _of_event(event: _Event, last_s: float) -> _Interval:
    if event.stated is None:
        problem = f"{event.name[:40]!r} has neither actions nor a starttime with a duration"
        _refuse(event.place, problem, "Add one of the two")
    start_s, end_s = event.stated
    if not start_s < end_s:
        _refuse(event.place, f"{event.name[:40]!r} lasts no time", "Correct its duration")
    if start_s >= last_s or end_s > last_s + fitting.SLACK_S:
        problem = f"an event lasts from {start_s:g} to {end_s:g} s of a video of {last_s:g} s"
        _refuse(event.place, problem, TOGETHER)
    return _Interval(start_s, min(end_s, last_s))


def _end_s(facts: VideoFacts) -> float:
    """When the last frame ends. Frames over rate is wrong where the rate varies."""
    usual, last = float(facts.info.n_frames / facts.info.fps), float(facts.time_s[-1])
    return usual if usual > last else last + float(1 / facts.info.fps)


# --- elements ---


def _text(element: Element | None) -> str:
    return "" if element is None else (element.text or "").strip()


def _at(element: Element | None, place: str) -> str:
    return f"{place}:{1 if element is None else element.sourceline or 1}"


def _frame(parent: Element, name: str, place: str) -> int:
    element = parent.find(name)
    text = _text(element)
    if not _FRAME.fullmatch(text):
        where = _at(parent if element is None else element, place)
        _refuse(where, f"{name} is {text[:20]!r}, not the number of a frame", _MEND)
    return int(text)


def _number(element: Element, place: str) -> float:
    text = _text(element)
    if not _NUMBER.fullmatch(text):
        _refuse(_at(element, place), f"{element.tag!s} is {text[:20]!r}, not a number", _MEND)
    return float(text)


def _seconds(element: Element, place: str) -> float:
    text = _text(element)
    time = _TIME.fullmatch(text)
    if time is None:
        _refuse(_at(element, place), f"{element.tag!s} is {text[:20]!r}, not 00:00:00.0", _MEND)
    hours, minutes, seconds = time.groups(default="0")
    return (int(hours) * 60 + int(minutes)) * 60 + float(seconds)


def _refuse(place: str, problem: str, remedy: str) -> NoReturn:
    raise AnnotationError(place, problem, remedy)
