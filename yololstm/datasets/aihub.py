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

Starts of one event pair with its ends in order of time. Where events of one name overlap, because
several people act, an end belongs to the start whose box is most like its own; boxes that do not
decide leave the order of time, with a warning.

Keypoints label nothing. Where they cannot be read, or nothing says whose they are, the clip is
kept without them, with a warning.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from yololstm import cvat, fitting, keypoints, naming
from yololstm.boxes import iou
from yololstm.catalogue import (
    Found,
    Namesakes,
    OnItem,
    by_name,
    collect,
    label_of,
    namesakes,
    unusual_rates,
    video_clip,
)
from yololstm.clips import Box, Clip, Span
from yololstm.cvat import Annotation, Shapes, Track
from yololstm.errors import AnnotationError, Problem
from yololstm.fitting import SUFFIXES, TOGETHER
from yololstm.landmarks import Landmarks
from yololstm.material import Facts, Material, VideoFacts
from yololstm.safexml import MAX_BYTES
from yololstm.video import VideoInfo

#: Events that the data set is known to annotate.
EVENTS: Final = ("theft", "fight", "broken", "fall", "fire", "smoke", "abandon")

_EVENT_LABEL: Final = re.compile(r"(?P<event>.+)_(?P<side>start|end)")
_WORD: Final = re.compile(r"[^a-z]")
_TRAINING: Final = re.compile(r"(?<![a-z])training(?![a-z])|^t[sl]_", re.IGNORECASE)
_VALIDATION: Final = re.compile(r"(?<![a-z])validation(?![a-z])|^v[sl]_", re.IGNORECASE)
#: Boxes are drawn by hand and may pass the edge of the frame by this share of its size.
_BOX_TOLERANCE: Final = 0.02
#: Spans shorter than this, or of more than this share of the clip, are doubtful.
_SHORT_S: Final = 1.0
_WHOLE: Final = 0.95
#: How like a known event a customer's doings may be called without a warning.
_ALIKE: Final = 0.75
#: Of one name; a clip lasts a minute.
_MAX_EVENTS: Final = 100
#: By how much the likeness of two boxes, in -1..1, must pass that of any others to decide.
_CLEARLY: Final = 0.2
_SHOWN: Final = 40

_Floats: TypeAlias = NDArray[np.floating]


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
        listing = material.listing(SUFFIXES)
        pairs = list(_pair_up(listing.paths))
        found = collect(partial(self._clips, material), pairs, on_item, listing=listing)
        warnings = sorted([*found.warnings, *unusual_rates(found.clips)])
        return replace(found, clips=naming.with_takes_joined(found.clips), warnings=warnings)

    def landmarks(self, material: Material, clip: Clip) -> Landmarks | None:
        """The annotated keypoints; None where there are none, or none that can be used."""
        annotation, _ = _annotation(material, PurePosixPath(clip.annotation))
        facts = material.video_facts(clip.path)
        _check(annotation, facts)
        return keypoints.landmarks(annotation, clip, facts)

    def _clips(self, material: Material, pair: tuple[str, Namesakes]) -> Iterator[Clip | Problem]:
        split, files = pair
        path, annotation_path = fitting.pair(material, files)
        annotation, annotation_facts = _annotation(material, annotation_path)
        facts = material.video_facts(path)
        _check(annotation, facts)
        name = naming.parse(path.stem)
        events, doubts = _events(annotation, self.label_map, is_shopping=name.is_shopping)
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
        yield from fitting.doubles(files, (path, annotation_path))
        yield from doubts
        yield from _doubts(events, annotation, facts)
        yield from keypoints.doubts(annotation, _n_frames(facts))
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


# --- video and annotation held against each other ---


def _check(annotation: Annotation, facts: VideoFacts) -> None:
    """Raises AnnotationError where the annotation is of another video than this one."""
    info = facts.info
    if stated := annotation.n_frames:
        (n_frames,) = stated.value
        if not fitting.is_as_long(n_frames, info.n_frames, float(info.fps)):
            problem = f"{n_frames} frames, but the video has {info.n_frames}"
            raise AnnotationError(f"{annotation.path}:{stated.line}", problem, TOGETHER)
    if stated := annotation.size:
        width, height = stated.value
        fitting.check_shape(width, height, info, f"{annotation.path}:{stated.line}")
    _check_reach(annotation, _n_frames(facts))


def _n_frames(facts: VideoFacts) -> int:
    """Those of which the time is known."""
    return min(facts.info.n_frames, len(facts.time_s))


def _check_reach(annotation: Annotation, n_frames: int) -> None:
    if not annotation.may_reach(n_frames):
        return
    for track in annotation.boxes:
        _check_last(track, track.shapes(), annotation.path, n_frames)
    for track in annotation.points:
        try:
            shapes = track.shapes()
        except AnnotationError:
            continue  # That is no other video; see _doubts_of_keypoints.
        _check_last(track, shapes, annotation.path, n_frames)


def _check_last(track: Track, shapes: Shapes, path: str, n_frames: int) -> None:
    if len(shapes) and shapes.frame[-1] >= n_frames:
        seen = f"{track.label[:_SHOWN]!r} is at frame {shapes.frame[-1]}"
        problem = f"{seen} of a video of {n_frames} frames"
        raise AnnotationError(f"{path}:{shapes.line[-1]}", problem, TOGETHER)


# --- events ---


def _events(
    annotation: Annotation, label_map: Mapping[str, str], *, is_shopping: bool
) -> tuple[list[_Event], list[Problem]]:
    """In order of their starts; and where nothing but the order of time has paired them."""
    events, doubts = [], []
    for name, starts, ends in _marks(annotation, label_map, is_shopping=is_shopping):
        label = label_of(name, (starts + ends)[0].place, EVENTS, label_map)
        _check_marks(name, starts, ends)
        pairs, undecided = _paired(starts, ends)
        events += [_Event(name, label, start, end) for start, end in pairs]
        for those in undecided:
            problem = f"{len(those)} {name} overlap, and no box says whose end this is"
            remedy = "They are paired in order of time; draw the box of an end as of its start"
            doubts.append(Problem(those[0].place, problem, remedy))
    return sorted(events, key=lambda event: event.start.frame), doubts


def _check_marks(name: str, starts: Sequence[_Mark], ends: Sequence[_Mark]) -> None:
    """Raises AnnotationError where no order pairs them. Both are in order of time."""
    place = (*starts, *ends)[0].place
    if len(starts) != len(ends):
        problem = f"{len(starts)} {name}_start but {len(ends)} {name}_end"
        raise AnnotationError(place, problem, "Annotate both ends, or neither")
    if len(starts) > _MAX_EVENTS:
        problem = f"{len(starts)} {name}_start, more than {_MAX_EVENTS}"
        raise AnnotationError(place, problem, "Take out those that are there twice")
    for start, end in zip(starts, ends, strict=True):
        if end.frame <= start.frame:
            problem = f"{name} ends at frame {end.frame}, not after its start, {start.frame}"
            raise AnnotationError(end.place, problem, "Correct the frame of one of the two")


def _paired(
    starts: Sequence[_Mark], ends: Sequence[_Mark]
) -> tuple[list[tuple[_Mark, _Mark]], list[Sequence[_Mark]]]:
    """Each start with its end; and those ends, together, that no box has given a start. All are in
    order of time."""
    pairs: list[tuple[_Mark, _Mark]] = []
    undecided = []
    parts = [*_overlapping(starts, ends)]
    while parts:
        firsts, lasts = parts.pop()
        clearest = _clearest(firsts, lasts) if len(firsts) > 1 else (0, 0)
        if clearest is None:
            pairs += zip(firsts, lasts, strict=True)
            undecided.append(lasts)
        else:
            i, j = clearest
            pairs.append((firsts[i], lasts[j]))
            parts += _overlapping(_without(firsts, i), _without(lasts, j))
    return sorted(pairs, key=lambda pair: starts.index(pair[0])), undecided


def _overlapping(
    starts: Sequence[_Mark], ends: Sequence[_Mark]
) -> Iterator[tuple[Sequence[_Mark], Sequence[_Mark]]]:
    """Both, in order of time, cut where nothing goes on. So any start of a part may be of any end
    after it: each leaves the others a way to be paired."""
    first = 0
    for i in range(1, len(starts) + 1):
        if i == len(starts) or starts[i].frame >= ends[i - 1].frame:
            yield starts[first:i], ends[first:i]
            first = i


def _without(marks: Sequence[_Mark], i: int) -> Sequence[_Mark]:
    return [*marks[:i], *marks[i + 1 :]]


def _clearest(starts: Sequence[_Mark], ends: Sequence[_Mark]) -> tuple[int, int] | None:
    """The places of the start and the end, of those of a part, that are more like each other than
    like any other; None where boxes do not decide."""
    likeness = _likeness(starts, ends)
    lead = np.minimum(_over_others(likeness), _over_others(likeness.T).T)
    i, j = divmod(int(lead.argmax()), len(ends))
    return (i, j) if lead[i, j] >= _CLEARLY else None


def _over_others(likeness: _Floats) -> _Floats:
    """By how much each is more than the most of the others of its row, of which two are finite."""
    second, first = np.sort(likeness, axis=1)[:, -2:].T[..., None]
    over: _Floats = likeness - np.where(likeness == first, second, first)
    return over


def _likeness(starts: Sequence[_Mark], ends: Sequence[_Mark]) -> _Floats:
    """(S, E) of their boxes, from -1 to 1, and -inf where the end is not after the start.

    What they share of their union, less the distance of their middles by the size of both: DIoU,
    Zheng et al. 2020, arXiv 1911.08287.
    """
    a, b = (np.array([mark.box for mark in marks], dtype=np.float64) for marks in (starts, ends))
    shared = np.stack([iou(box, b) for box in a])
    a = a[:, None]
    middles = (a[..., :2] + a[..., 2:] - b[:, :2] - b[:, 2:]) / 2
    around = np.maximum(a[..., 2:], b[:, 2:]) - np.minimum(a[..., :2], b[:, :2])
    apart = (middles**2).sum(axis=-1) / np.maximum((around**2).sum(axis=-1), 1e-9)
    is_after = np.array([[end.frame > start.frame for end in ends] for start in starts])
    return np.where(is_after, shared - np.clip(apart, 0, 1), -np.inf)


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
    sx, sy = annotation.scale(info.width, info.height)
    x0, y0, x1, y1 = np.array(box) * [sx, sy, sx, sy]
    dx, dy = _BOX_TOLERANCE * info.width, _BOX_TOLERANCE * info.height
    is_near = -dx <= x0 < x1 <= info.width + dx and -dy <= y0 < y1 <= info.height + dy
    cut = Box(max(x0, 0), max(y0, 0), min(x1, info.width), min(y1, info.height))
    return Box(*map(float, cut)) if is_near and cut.x0 < cut.x1 and cut.y0 < cut.y1 else None


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
