"""AI-Hub 71550, abnormal behaviour in shops, and 71549, normal shopping, as they are downloaded.

Videos and annotations lie anywhere below the root and belong together by name, whatever its case.
Folders named Training and Validation are the official split; Validation is our test.

    C_3_12_1_BU_DYA_07-31_16-15-01_CA_RGB_DF2_M1.mp4
                          time     camera

What a clip shows is never read from its name: tracks ``<event>_start`` and ``<event>_end`` of the
annotation say it, and the box of the start says who does it.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yololstm import cvat, video
from yololstm.catalogue import Found, OnItem, UnmappedError, collect, files, video_clip
from yololstm.clips import Box, Clip, Span
from yololstm.cvat import Annotation, Shape, Track
from yololstm.errors import AnnotationError
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.skeleton import JOINTS, N_JOINTS
from yololstm.video import VideoInfo

#: Events that the data set is known to annotate.
EVENTS: Final = ("theft", "fight", "broken", "fall", "fire", "smoke", "abandon")

_NAME: Final = re.compile(
    r"(?P<scene>.+)_(?P<time>\d\d-\d\d-\d\d)_(?P<camera>C[A-Z])(?P<actors>_.+)?"
)
_EVENT_LABEL: Final = re.compile(r"(?P<event>.+)_(?P<side>start|end)")
_WORD: Final = re.compile(r"[^a-z]")
_SPLITS: Final = {"training": "train", "validation": "test"}
#: Cameras of one take are started by hand, seconds apart; a take lasts a minute.
_SAME_TAKE_S: Final = 30
#: Boxes are drawn by hand and may pass the edge of the frame by this share of its size.
_BOX_TOLERANCE: Final = 0.02

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


@dataclass(frozen=True)
class _Pair:
    """The files of one name within one official split: sound if one of each."""

    split: str
    videos: tuple[PurePosixPath, ...]
    annotations: tuple[PurePosixPath, ...]


@dataclass(frozen=True)
class AihubReader:
    label_map: Mapping[str, str]
    _pairs: dict[Path, list[_Pair]] = field(default_factory=dict, repr=False)

    def read(self, root: Path, on_item: OnItem | None = None) -> Found:
        self._pairs.pop(root, None)
        found = collect(partial(self._clips, root), self._paired(root), root, on_item)
        return replace(found, clips=_joined_takes(found.clips))

    def landmarks(self, root: Path, clip: Clip) -> Landmarks | None:
        """The annotated keypoints; track n is made of the nth track of each keypoint's name."""
        path = PurePosixPath(clip.path)
        pair = next((p for p in self._paired(root) if path in p.videos), None)
        if pair is None:
            raise AnnotationError(root / path, "no such video", "Run the index stage again")
        annotation = cvat.read(root / _only(pair)[1])
        times = video.frame_times(root / path)
        _check_frames(annotation, min(clip.n_frames, len(times)))
        return _landmarks(annotation, clip, times)

    def _paired(self, root: Path) -> list[_Pair]:
        if root not in self._pairs:
            self._pairs[root] = _pair_up(files(root, {".mp4", ".xml"}))
        return self._pairs[root]

    def _clips(self, root: Path, pair: _Pair) -> Iterable[Clip]:
        path, annotation_path = _only(pair)
        annotation = cvat.read(root / annotation_path)
        info = video.probe(root / path)
        times = video.frame_times(root / path)
        _check_frames(annotation, min(info.n_frames, len(times)))
        found = _spans(annotation, info, times, self.label_map)
        spans = tuple(sorted(found, key=lambda span: span.start_s))
        take, camera = _take_and_camera(path.stem)
        yield video_clip(root, path, info, take=take, camera=camera, split=pair.split, spans=spans)


# --- files and their names ---


def _pair_up(paths: Iterable[PurePosixPath]) -> list[_Pair]:
    groups: dict[tuple[str, str], list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        groups[_official_split(path), path.stem.casefold()].append(path)
    return [
        _Pair(
            split,
            tuple(path for path in group if path.suffix.lower() == ".mp4"),
            tuple(path for path in group if path.suffix.lower() == ".xml"),
        )
        for (split, _), group in sorted(groups.items())
    ]


def _official_split(path: PurePosixPath) -> str:
    named = (_SPLITS.get(part.lower()) for part in path.parts[:-1])
    return next((split for split in named if split), "train")


def _only(pair: _Pair) -> tuple[PurePosixPath, PurePosixPath]:
    """The video and the annotation. Raises AnnotationError where one lacks or is there twice."""
    for paths, lacking, others in (
        (pair.videos, "video (.mp4)", pair.annotations),
        (pair.annotations, "annotation (.xml)", pair.videos),
    ):
        if not paths:
            remedy = "Unzip the part of the download that holds it, or take this file out"
            raise AnnotationError(str(others[0]), f"there is no {lacking} of its name", remedy)
        if len(paths) > 1:
            problem = f"the same name stands again in {paths[1].parent}"
            raise AnnotationError(str(paths[0]), problem, "Keep one of the two")
    return pair.videos[0], pair.annotations[0]


def _take_and_camera(stem: str) -> tuple[str, str]:
    """A name without a camera is a take of its own."""
    name = _NAME.fullmatch(stem.upper())
    if name is None:
        return stem.upper(), ""
    return f"{name['scene']}_{name['time']}{name['actors'] or ''}", name["camera"]


def _joined_takes(clips: Sequence[Clip]) -> list[Clip]:
    """Takes whose names differ by a few seconds only are one: the first of them."""
    by_scene: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for clip in clips:
        if name := _NAME.fullmatch(PurePosixPath(clip.path).stem.upper()):
            scene = (name["scene"], name["actors"] or "")
            by_scene[scene].append((_seconds(name["time"]), clip.take))
    first: dict[str, str] = {}
    for takes in by_scene.values():
        before, joined = -_SAME_TAKE_S, ""
        for start, take in sorted(takes):
            joined = joined if start - before < _SAME_TAKE_S else take
            first[take], before = joined, start
    return [replace(clip, take=first.get(clip.take, clip.take)) for clip in clips]


def _seconds(time: str) -> int:
    hours, minutes, seconds = map(int, time.split("-"))
    return (hours * 60 + minutes) * 60 + seconds


# --- events ---


def _spans(
    annotation: Annotation,
    info: VideoInfo,
    times: NDArray[np.float64],
    label_map: Mapping[str, str],
) -> Iterator[Span]:
    """times: presentation time of every frame, which is right at a variable rate too."""
    for event, starts, ends in _events(annotation):
        label = _label(event, starts + ends, annotation.path, label_map)
        if len(starts) != len(ends):
            problem = f"{len(starts)} {event}_start but {len(ends)} {event}_end"
            raise AnnotationError(annotation.path, problem, "Annotate both ends, or neither")
        for start, end in zip(starts, ends, strict=True):
            if end.frame <= start.frame:
                raise AnnotationError(
                    f"{annotation.path}:{end.line}",
                    f"{event} ends at frame {end.frame}, not after its start, {start.frame}",
                    "Correct the frame of one of the two",
                )
            box = _box_in_frame(start, annotation, info)
            yield Span(float(times[start.frame]), float(times[end.frame]), label, box)


def _events(annotation: Annotation) -> Iterator[tuple[str, list[Shape], list[Shape]]]:
    """Each event with its starts and its ends, both in order of time. A mark is set where a track
    appears; how long the track stays says nothing."""
    marks: dict[str, dict[str, list[Shape]]] = defaultdict(lambda: {"start": [], "end": []})
    for track in annotation.boxes:
        name = _EVENT_LABEL.fullmatch(track.label)
        if name and track.appearances:
            marks[name["event"]][name["side"]] += [run[0] for run in track.appearances]
        elif name or _WORD.split(track.label)[0] in EVENTS:
            problem = f"track {track.label!r} marks no start and no end of an event"
            remedy = "Name it <event>_start or <event>_end, and show it in a frame"
            raise AnnotationError(f"{annotation.path}:{track.line}", problem, remedy)
    for event, sides in sorted(marks.items()):
        starts, ends = (sorted(side, key=lambda mark: mark.frame) for side in sides.values())
        if starts or ends:
            yield event, starts, ends


def _label(event: str, marks: Sequence[Shape], path: Path, label_map: Mapping[str, str]) -> str:
    if event in label_map:
        return label_map[event]
    place = f"{path}:{marks[0].line}"
    if event in EVENTS:
        problem = f"data.label_map has no label for the event {event!r}"
        raise UnmappedError(place, problem, f"Add {event}: <label> to data.label_map to use it")
    known = sorted({*EVENTS, *label_map})
    near = difflib.get_close_matches(event, known, n=1, cutoff=0.5)
    nearest = f"the nearest known is {near[0]}" if near else f"known are {', '.join(known)}"
    raise AnnotationError(
        place, f"unknown event {event!r}", f"Correct it, or add it to data.label_map; {nearest}"
    )


def _box_in_frame(mark: Shape, annotation: Annotation, info: VideoInfo) -> Box:
    """The mark's box in pixels of the video, cut at the edges of the frame."""
    sx, sy = _scale(annotation, info.width, info.height)
    x0, y0, x1, y1 = np.array(mark.at) * [sx, sy, sx, sy]
    dx, dy = _BOX_TOLERANCE * info.width, _BOX_TOLERANCE * info.height
    inside = -dx <= x0 < x1 <= info.width + dx and -dy <= y0 < y1 <= info.height + dy
    cut = Box(max(x0, 0), max(y0, 0), min(x1, info.width), min(y1, info.height))
    if not inside or cut.x0 >= cut.x1 or cut.y0 >= cut.y1:
        corners = ", ".join(f"{side:g}" for side in mark.at)
        raise AnnotationError(
            f"{annotation.path}:{mark.line}",
            f"box {corners} is no part of a frame of {info.width}x{info.height}",
            "Correct the box, or <original_size>, in whose pixels it is given",
        )
    return Box(*map(float, cut))


def _check_frames(annotation: Annotation, n_frames: int) -> None:
    for track in (*annotation.boxes, *annotation.points):
        if track.appearances and (last := track.appearances[-1][-1]).frame >= n_frames:
            raise AnnotationError(
                f"{annotation.path}:{last.line}",
                f"{track.label!r} is at frame {last.frame} of a video of {n_frames} frames",
                "Check that video and annotation belong together",
            )


def _scale(annotation: Annotation, width: int, height: int) -> tuple[float, float]:
    """From pixels of the annotation to pixels of the video."""
    annotated_width, annotated_height = annotation.size or (width, height)
    return width / annotated_width, height / annotated_height


# --- keypoints ---


def _landmarks(annotation: Annotation, clip: Clip, times: NDArray[np.float64]) -> Landmarks | None:
    keypoints = _keypoints(annotation, clip.n_frames)
    keypoints *= np.array(_scale(annotation, clip.width, clip.height))
    joints = keypoints[:, :, :N_JOINTS]
    frame, person = np.nonzero(np.isfinite(joints[..., 0]).any(axis=-1))
    if not len(frame):
        return None
    every = keypoints[frame, person]
    xy = joints[frame, person].astype(np.float32)
    return Landmarks(
        frame=frame.astype(np.int32),
        time_s=times[frame],
        category=np.full(len(frame), Category.PERSON, dtype=np.uint8),
        track=(person + 1).astype(np.int32),
        score=np.full(len(frame), np.nan, dtype=np.float32),
        box=np.hstack([np.nanmin(every, axis=1), np.nanmax(every, axis=1)]).astype(np.float32),
        xy=xy,
        confidence=np.isfinite(xy[..., 0]).astype(np.float32),
        source=Source(clip.width, clip.height, clip.fps, clip.n_frames, "AI-Hub keypoints"),
    )


def _keypoints(annotation: Annotation, n_frames: int) -> NDArray[np.float64]:
    """(n_frames, persons, 17, 2) in pixels of the annotation; NaN where a keypoint is absent."""
    tracks: dict[str, list[Track]] = defaultdict(list)
    for track in annotation.points:
        tracks[track.label].append(track)
    named = {label: tracks[label] for label in _PLACES if label in tracks}
    persons = max(map(len, named.values()), default=0)
    xy = np.full((n_frames, persons, len(_PLACES), 2), np.nan)
    for label, of_label in named.items():
        for person, track in enumerate(of_label):
            for shape in itertools.chain.from_iterable(track.appearances):
                xy[shape.frame, person, _PLACES[label]] = shape.at
    return xy
