"""AI-Hub 71550, abnormal behaviour in shops, and 71549, normal shopping, as they are downloaded.

Videos and annotations lie anywhere below the root, unpacked or in zips, and belong together by
name. Folders named Training and Validation, or zips named TS_, TL_, VS_ and VL_, are the official
split; Validation is our test. A file that stands twice with the same bytes is read once.

    C_3_12_1_BU_DYA_07-31_16-15-01_CA_RGB_DF2_M1.mp4
      |         |   date  time     camera actors
      category  store

What a clip shows is never read from its name: tracks ``<event>_start`` and ``<event>_end`` of the
annotation say it, and the box of the start says who does it. Only, normal shopping (category 1) may
mark what its customers do in words that nobody has listed: those events are normal.

Several starts of one event, of one person or of several, pair with its ends in order of time.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yololstm import cvat, naming
from yololstm.catalogue import (
    Found,
    Namesakes,
    OnItem,
    by_name,
    collect,
    is_packed,
    label_of,
    namesakes,
    unusual_rates,
    video_clip,
    without_copies,
)
from yololstm.clips import Box, Clip, Span
from yololstm.cvat import Annotation, Track
from yololstm.errors import AnnotationError, Problem
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.material import Facts, Material, VideoFacts
from yololstm.safexml import MAX_BYTES
from yololstm.skeleton import JOINTS, N_JOINTS
from yololstm.video import VideoInfo

#: Events that the data set is known to annotate.
EVENTS: Final = ("theft", "fight", "broken", "fall", "fire", "smoke", "abandon")

_SUFFIXES: Final = frozenset({".mp4", ".xml"})
_EVENT_LABEL: Final = re.compile(r"(?P<event>.+)_(?P<side>start|end)")
_WORD: Final = re.compile(r"[^a-z]")
_TRAINING: Final = re.compile(r"(?<![a-z])training(?![a-z])|^t[sl]_", re.IGNORECASE)
_VALIDATION: Final = re.compile(r"(?<![a-z])validation(?![a-z])|^v[sl]_", re.IGNORECASE)
#: Boxes are drawn by hand and may pass the edge of the frame by this share of its size.
_BOX_TOLERANCE: Final = 0.02
#: An annotation is of another video if its length differs by more than this and by more than this
#: share, or its shape by more than this share.
_SLACK_S: Final = 1.0
_LENGTH_SLACK: Final = 0.01
_SHAPE_SLACK: Final = 0.05
#: Spans shorter than this, or of more than this share of the clip, are doubtful.
_SHORT_S: Final = 1.0
_WHOLE: Final = 0.95
#: How like a known event a customer's doings may be called without a warning.
_ALIKE: Final = 0.75
_MAX_PERSONS: Final = 50
_SHOWN: Final = 40

_TOGETHER: Final = "Check that video and annotation belong together"

#: The annotated keypoints: our 13 joints, then what only helps to bound the person.
_KEYPOINTS: Final = {
    **{f"{side} shoulder": f"SHOULDER_{side.upper()}" for side in ("left", "right")},
    **{f"{side} elbow": f"ELBOW_{side.upper()}" for side in ("left", "right")},
    **{f"{side} hand": f"WRIST_{side.upper()}" for side in ("left", "right")},
    **{f"{side} hip": f"HIP_{side.upper()}" for side in ("left", "right")},
    **{f"{side} knee": f"KNEE_{side.upper()}" for side in ("left", "right")},
    **{f"{side} foot": f"ANKLE_{side.upper()}" for side in ("left", "right")},
    "center head": "HEAD",
}
_TRUNK: Final = ("pelvis", "spine naval", "spine chest", "neck base")
_PLACES: Final = {
    **{label: JOINTS.index(joint) for label, joint in _KEYPOINTS.items()},
    **{label: N_JOINTS + i for i, label in enumerate(_TRUNK)},
}


class _Mark(NamedTuple):
    """The start or the end of an event."""

    frame: int
    place: str
    """File and line, to complain about."""
    box: Box
    """In pixels of the annotation."""


class _Event(NamedTuple):
    name: str
    label: str
    start: _Mark
    end: _Mark


@dataclass(frozen=True)
class AihubReader:
    label_map: Mapping[str, str]

    def read(self, material: Material, on_item: OnItem | None = None) -> Found:
        pairs = list(_pair_up(material.files(_SUFFIXES)))
        problems = material.problems(_SUFFIXES)
        found = collect(partial(self._clips, material), pairs, on_item, problems=problems)
        warnings = sorted([*found.warnings, *unusual_rates(found.clips)])
        return replace(found, clips=naming.with_takes_joined(found.clips), warnings=warnings)

    def landmarks(self, material: Material, clip: Clip) -> Landmarks | None:
        """The annotated keypoints; track n is made of the nth track of each keypoint's name."""
        annotation, _ = _annotation(material, PurePosixPath(clip.annotation))
        facts = material.video_facts(clip.path)
        _check(annotation, facts)
        return _landmarks(annotation, clip, facts)

    def _clips(self, material: Material, pair: tuple[str, Namesakes]) -> Iterator[Clip | Problem]:
        split, files = pair
        path, annotation_path = without_copies(material, files).pair()
        annotation, annotation_facts = _annotation(material, annotation_path)
        facts = material.video_facts(path)
        _check(annotation, facts)
        name = naming.parse(path.stem)
        events = _events(annotation, self.label_map, is_shopping=name.is_shopping)
        yield video_clip(
            path,
            facts,
            take=name.take,
            store=name.store,
            camera=name.camera,
            actors=name.actors,
            split=split,
            annotation=(annotation_path, annotation_facts),
            spans=tuple(_spans(events, annotation, facts)),
        )
        yield from _doubles(files, (path, annotation_path))
        yield from _doubts(events, annotation, facts)
        if name.is_shopping:
            yield from _misspelt(annotation, self.label_map)


def _annotation(material: Material, path: PurePosixPath) -> tuple[Annotation, Facts]:
    content, facts = material.content(path, MAX_BYTES)
    return cvat.read(content, str(path)), facts


# --- files and their names ---


def _pair_up(paths: Iterable[PurePosixPath]) -> Iterator[tuple[str, Namesakes]]:
    """Files of one name, with their split. A name may stand in both splits, as two clips."""
    for files in by_name(paths):
        of_split: dict[str, list[PurePosixPath]] = defaultdict(list)
        for path in (*files.videos, *files.annotations):
            of_split[_official_split(path)].append(path)
        unsaid = of_split.pop("", [])
        if unsaid and len(of_split) == 1:
            next(iter(of_split.values())).extend(unsaid)
        elif unsaid:
            of_split["train"].extend(unsaid)
        yield from ((split, namesakes(group)) for split, group in sorted(of_split.items()))


def _official_split(path: PurePosixPath) -> str:
    """What the outermost folder that says it says, if one does."""
    for part in path.parts[:-1]:
        if _TRAINING.search(part):
            return "train"
        if _VALIDATION.search(part):
            return "test"
    return ""


def _doubles(files: Namesakes, read: tuple[PurePosixPath, PurePosixPath]) -> Iterator[Problem]:
    """Copies that are not there as the zip and what was unpacked from it."""
    for paths, kept in zip((files.videos, files.annotations), read, strict=True):
        for path in paths:
            if path != kept and is_packed(path) == is_packed(kept):
                problem = f"the same bytes stand in {kept.parent}, which was read instead"
                yield Problem(str(path), problem, "Take one of the two out")


# --- video and annotation held against each other ---


def _check(annotation: Annotation, facts: VideoFacts) -> None:
    """Raises AnnotationError where the annotation is of another video than this one."""
    _check_length(annotation, facts.info)
    _check_shape(annotation, facts.info)
    _check_frames(annotation, min(facts.info.n_frames, len(facts.time_s)))
    _check_persons(annotation)


def _check_length(annotation: Annotation, info: VideoInfo) -> None:
    if stated := annotation.n_frames:
        slack = max(_SLACK_S * float(info.fps), _LENGTH_SLACK * info.n_frames)
        if abs(stated.value[0] - info.n_frames) > slack:
            problem = f"{stated.value[0]} frames, but the video has {info.n_frames}"
            raise AnnotationError(f"{annotation.path}:{stated.line}", problem, _TOGETHER)


def _check_shape(annotation: Annotation, info: VideoInfo) -> None:
    if stated := annotation.size:
        width, height = stated.value
        if abs(info.width * height / (info.height * width) - 1) > _SHAPE_SLACK:
            problem = f"frames of {width}x{height}, but the video's are {info.width}x{info.height}"
            raise AnnotationError(f"{annotation.path}:{stated.line}", problem, _TOGETHER)


def _check_frames(annotation: Annotation, n_frames: int) -> None:
    if not annotation.may_reach(n_frames):
        return
    for track in (*annotation.boxes, *annotation.points):
        shapes = track.shapes()
        if len(shapes) and shapes.frame[-1] >= n_frames:
            problem = (
                f"{track.label[:_SHOWN]!r} is at frame {shapes.frame[-1]} of a video of"
                f" {n_frames} frames"
            )
            raise AnnotationError(f"{annotation.path}:{shapes.line[-1]}", problem, _TOGETHER)


def _check_persons(annotation: Annotation) -> None:
    n_tracks: Counter[str] = Counter()
    for track in annotation.points:
        n_tracks[track.label] += track.label in _PLACES
        if n_tracks[track.label] > _MAX_PERSONS:
            problem = f"more than {_MAX_PERSONS} tracks of {track.label!r}, one for each person"
            remedy = "Take out the tracks that are there twice"
            raise AnnotationError(f"{annotation.path}:{track.line}", problem, remedy)


# --- events ---


def _events(
    annotation: Annotation, label_map: Mapping[str, str], *, is_shopping: bool
) -> list[_Event]:
    """In order of their starts."""
    events = []
    for name, starts, ends in _marks(annotation, label_map, is_shopping=is_shopping):
        label = label_of(name, (starts + ends)[0].place, EVENTS, label_map)
        if len(starts) != len(ends):
            problem = f"{len(starts)} {name}_start but {len(ends)} {name}_end"
            remedy = "Annotate both ends, or neither"
            raise AnnotationError((starts + ends)[0].place, problem, remedy)
        for start, end in zip(starts, ends, strict=True):
            if end.frame <= start.frame:
                problem = f"{name} ends at frame {end.frame}, not after its start, {start.frame}"
                remedy = "Correct the frame of one of the two"
                raise AnnotationError(end.place, problem, remedy)
            events.append(_Event(name, label, start, end))
    return sorted(events, key=lambda event: event.start.frame)


def _marks(
    annotation: Annotation, label_map: Mapping[str, str], *, is_shopping: bool
) -> Iterator[tuple[str, list[_Mark], list[_Mark]]]:
    """Each event with its starts and its ends, both in order of time. A mark is set where a track
    appears; how long the track stays says nothing."""
    marks: dict[str, dict[str, list[_Mark]]] = defaultdict(lambda: {"start": [], "end": []})
    for track in annotation.boxes:
        event, side = _event_and_side(track.label)
        if is_shopping and not _is_listed(event, label_map):
            continue
        if side and (of_track := list(_marks_of(track, annotation.path))):
            marks[event][side] += of_track
        elif side or event in EVENTS:
            problem = f"track {track.label[:_SHOWN]!r} marks no start and no end of an event"
            remedy = "Name it <event>_start or <event>_end, and show it in a frame"
            raise AnnotationError(f"{annotation.path}:{track.line}", problem, remedy)
    for event, sides in sorted(marks.items()):
        starts, ends = (sorted(side, key=lambda mark: mark.frame) for side in sides.values())
        yield event, starts, ends


def _event_and_side(label: str) -> tuple[str, str]:
    """Of another track than <event>_start and <event>_end its first word, and no side."""
    name = _EVENT_LABEL.fullmatch(label)
    return (name["event"], name["side"]) if name else (_WORD.split(label, maxsplit=1)[0], "")


def _is_listed(event: str, label_map: Mapping[str, str]) -> bool:
    return event in EVENTS or event in label_map


def _marks_of(track: Track, path: str) -> Iterator[_Mark]:
    shapes = track.shapes()
    for i in shapes.first().tolist():
        box = Box(*shapes.at[i].tolist())
        yield _Mark(int(shapes.frame[i]), f"{path}:{shapes.line[i]}", box)


def _spans(events: Iterable[_Event], annotation: Annotation, facts: VideoFacts) -> Iterator[Span]:
    for event in events:
        box = _in_frame(event.start.box, annotation, facts.info)
        if box is None:
            corners = ", ".join(f"{side:g}" for side in event.start.box)
            raise AnnotationError(
                event.start.place,
                f"box {corners} is no part of a frame of {facts.info.width}x{facts.info.height}",
                "Correct the box, or <original_size>, in whose pixels it is given",
            )
        start_s, end_s = (float(facts.time_s[mark.frame]) for mark in (event.start, event.end))
        yield Span(start_s, end_s, event.label, box)


def _in_frame(box: Box, annotation: Annotation, info: VideoInfo) -> Box | None:
    """In pixels of the video and cut at the edges of its frame; None where it is no part of it."""
    sx, sy = _scale(annotation, info)
    x0, y0, x1, y1 = np.array(box) * [sx, sy, sx, sy]
    dx, dy = _BOX_TOLERANCE * info.width, _BOX_TOLERANCE * info.height
    is_near = -dx <= x0 < x1 <= info.width + dx and -dy <= y0 < y1 <= info.height + dy
    cut = Box(max(x0, 0), max(y0, 0), min(x1, info.width), min(y1, info.height))
    return Box(*map(float, cut)) if is_near and cut.x0 < cut.x1 and cut.y0 < cut.y1 else None


def _scale(annotation: Annotation, info: VideoInfo) -> tuple[float, float]:
    """From pixels of the annotation to pixels of the video."""
    width, height = annotation.size.value if annotation.size else (info.width, info.height)
    return info.width / width, info.height / height


def _doubts(
    events: Iterable[_Event], annotation: Annotation, facts: VideoFacts
) -> Iterator[Problem]:
    for name, _, start, end in events:
        lasts_s = float(facts.time_s[end.frame] - facts.time_s[start.frame])
        remedy = "Check the frames of its start and its end"
        if lasts_s < _SHORT_S:
            yield Problem(start.place, f"{name} lasts {lasts_s:.2g} s only", remedy)
        if lasts_s > _WHOLE * facts.time_s[-1]:
            yield Problem(start.place, f"{name} lasts from the first frame to the last", remedy)
        if _in_frame(end.box, annotation, facts.info) is None:
            problem = f"the box of the end of {name} is no part of the frame"
            yield Problem(end.place, problem, "It is not used; check the box of the start")


def _misspelt(annotation: Annotation, label_map: Mapping[str, str]) -> Iterator[Problem]:
    """What customers do that is called much like an event that is known."""
    for track in annotation.boxes:
        event, _ = _event_and_side(track.label)
        near = difflib.get_close_matches(event[:_SHOWN], EVENTS, n=1, cutoff=_ALIKE)
        if near and not _is_listed(event, label_map):
            place = f"{annotation.path}:{track.line}"
            problem = f"{track.label[:_SHOWN]!r} was taken for normal shopping"
            yield Problem(place, problem, f"Correct it if {near[0]} is meant")


# --- keypoints ---


def _landmarks(annotation: Annotation, clip: Clip, facts: VideoFacts) -> Landmarks | None:
    frame, person, keypoints = _keypoints(annotation)
    keypoints *= _scale(annotation, facts.info)
    known = np.isfinite(keypoints[:, :N_JOINTS, 0]).any(axis=-1)
    if not known.any():
        return None
    frame, person, keypoints = frame[known], person[known], keypoints[known]
    xy = keypoints[:, :N_JOINTS].astype(np.float32)
    return Landmarks(
        frame=frame.astype(np.int32),
        time_s=facts.time_s[frame],
        category=np.full(len(frame), Category.PERSON, dtype=np.uint8),
        track=(person + 1).astype(np.int32),
        score=np.full(len(frame), np.nan, dtype=np.float32),
        box=np.hstack([np.nanmin(keypoints, axis=1), np.nanmax(keypoints, axis=1)]).astype(
            np.float32
        ),
        xy=xy,
        confidence=np.isfinite(xy[..., 0]).astype(np.float32),
        source=Source(clip.width, clip.height, clip.fps, clip.n_frames, "AI-Hub keypoints"),
    )


def _keypoints(
    annotation: Annotation,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Frame (N,) and person (N,), in order, with keypoints (N, 17, 2) in pixels of the annotation,
    NaN where absent."""
    n_tracks: Counter[str] = Counter()
    frames, points = [np.empty(0, np.int64)], [np.empty((0, 2))]
    persons: list[int] = []
    places: list[int] = []
    for track in annotation.points:
        if (place := _PLACES.get(track.label)) is not None:
            shapes = track.shapes()
            frames.append(shapes.frame)
            points.append(shapes.at)
            persons += [n_tracks[track.label]] * len(shapes)
            places += [place] * len(shapes)
            n_tracks[track.label] += 1
    both = np.stack([np.concatenate(frames), np.array(persons, np.int64)])
    (frame, person), row = np.unique(both, axis=1, return_inverse=True)
    xy = np.full((len(frame), len(_PLACES), 2), np.nan)
    xy[row, places] = np.concatenate(points)
    return frame, person, xy
