"""What a data set is found to hold: the part of reading that all kinds of data set share."""

from __future__ import annotations

import difflib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final, TypeAlias, TypeVar

from yololstm import zips
from yololstm.clips import NORMAL, Clip, Span
from yololstm.cluster import spread
from yololstm.errors import AnnotationError, DataError, Problem, YololstmError
from yololstm.finding import Listing
from yololstm.material import Facts, Material, VideoFacts

Item = TypeVar("Item")
OnItem = Callable[[], None]
Outcome: TypeAlias = list[Clip | Problem] | DataError

#: Items from which on it pays to start processes, and how many each is given at a time.
_MANY: Final = 400
_CHUNK: Final = 50
#: In bytes; file systems take 255.
_LONGEST_ID: Final = 200

#: Letters of a name that may be anything.
_SHOWN: Final = 40
#: 29.97 and 30 frames a second are as good as the same.
_SAME_RATE: Final = 0.01


class UnmappedError(AnnotationError):
    """An event that is known and sound, but that data.label_map gives no label."""


@dataclass(frozen=True)
class Found:
    """clips: ordered by clip_id; their paths are relative to the data root.

    problems: a fault each, for which one file was left out; unmapped: clips left out for an event
    that data.label_map does not name; warnings: what is kept, but should be looked at; unreadable:
    what hides files, nobody knows how many; see finding.Listing. Places are relative to the data
    root.
    """

    clips: list[Clip]
    problems: list[Problem]
    unmapped: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unreadable: list[Problem] = field(default_factory=list)


def collect(
    make: Callable[[Item], Iterable[Clip | Problem]],
    items: Iterable[Item],
    on_item: OnItem | None = None,
    *,
    listing: Listing | None = None,
) -> Found:
    """Call ``make`` on every item; on many, in several processes, for which it must pickle.

    It yields clips, and problems to warn of; a DataError of it leaves the item out, and is listed.
    Clips that are the same byte for byte are warned of too.
    on_item: called after each item, in this thread. listing: out of which the items are; what it
    says of others is passed on.
    """
    listing = listing or Listing()
    clips: list[Clip] = []
    problems = list(listing.problems)
    unmapped: list[Problem] = []
    warnings: list[Problem] = []
    for outcome in _outcomes(make, list(items), on_item or _nothing):
        if isinstance(outcome, UnmappedError):
            unmapped.append(outcome.problem)
        elif isinstance(outcome, DataError):
            problems.append(outcome.problem)
        else:
            clips.extend(made for made in outcome if isinstance(made, Clip))
            warnings.extend(made for made in outcome if isinstance(made, Problem))
    warnings.extend(_copies(clips))
    left_out = map(sorted, (problems, unmapped, warnings, listing.unreadable))
    return Found(_with_unique_ids(clips), *left_out)


def _outcomes(
    make: Callable[[Item], Iterable[Clip | Problem]], items: Sequence[Item], on_item: OnItem
) -> Iterator[Outcome]:
    """In the order of completion."""
    if len(items) < _MANY:
        for item in items:
            yield _outcome(make, item)
            on_item()
        return
    # Half of the work holds the interpreter, so that threads would only get in each other's way.
    chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
    for chunk, outcomes in spread(partial(_of_chunk, make), chunks):
        if isinstance(outcomes, YololstmError):
            raise outcomes
        yield from outcomes
        for _ in chunk:
            on_item()


def _of_chunk(
    make: Callable[[Item], Iterable[Clip | Problem]], items: Sequence[Item]
) -> list[Outcome]:
    return [_outcome(make, item) for item in items]


def _outcome(make: Callable[[Item], Iterable[Clip | Problem]], item: Item) -> Outcome:
    try:
        return list(make(item))
    except DataError as error:
        return error


def _nothing() -> None: ...


# --- files ---


@dataclass(frozen=True)
class Namesakes:
    """The videos and the annotations of one name, wherever they lie."""

    videos: tuple[PurePosixPath, ...]
    annotations: tuple[PurePosixPath, ...]

    def pair(self) -> tuple[PurePosixPath, PurePosixPath]:
        """The video and its annotation.

        Raises AnnotationError where one lacks, or where nothing says which belongs to which.
        """
        for paths, lacking, others in (
            (self.videos, "video (.mp4)", self.annotations),
            (self.annotations, "annotation (.xml)", self.videos),
        ):
            if not paths:
                remedy = "Fetch the part of the download that holds it, or take this file out"
                raise AnnotationError(str(others[0]), f"there is no {lacking} of its name", remedy)
            if len(paths) > 1:
                problem = f"the same name stands again in {paths[1].parent}"
                raise AnnotationError(str(paths[0]), problem, "Keep one of the two")
        return self.videos[0], self.annotations[0]


def by_name(paths: Iterable[PurePosixPath]) -> list[Namesakes]:
    """Files sorted by name, whatever its case. Annotations are .xml."""
    groups: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        groups[path.stem.casefold()].append(path)
    return [namesakes(group) for _, group in sorted(groups.items())]


def namesakes(paths: Iterable[PurePosixPath]) -> Namesakes:
    videos: list[PurePosixPath] = []
    annotations: list[PurePosixPath] = []
    for path in paths:
        (annotations if path.suffix.lower() == ".xml" else videos).append(path)
    return Namesakes(tuple(videos), tuple(annotations))


def without_copies(material: Material, files: Namesakes) -> Namesakes:
    """One of those that are the same byte for byte, rather unpacked than in a zip."""
    return Namesakes(_distinct(material, files.videos), _distinct(material, files.annotations))


def _distinct(material: Material, paths: tuple[PurePosixPath, ...]) -> tuple[PurePosixPath, ...]:
    if len(paths) < 2:
        return paths
    first: dict[str, PurePosixPath] = {}
    for path in sorted(paths, key=lambda path: (is_packed(path), path)):
        first.setdefault(material.facts(path).sha256, path)
    return tuple(first.values())


def is_packed(path: PurePosixPath) -> bool:
    """Whether it is a member of a zip."""
    return any(folder.suffix.lower() == zips.SUFFIX for folder in path.parents)


# --- events ---


def label_of(event: str, place: str, known: Collection[str], label_map: Mapping[str, str]) -> str:
    """The label that data.label_map gives an event.

    place: for errors to name; known: events of this data set that it may leave out.
    Raises UnmappedError for such an event, AnnotationError for one that nobody knows.
    """
    if event in label_map:
        return label_map[event]
    shown = event[:_SHOWN]
    if event in known:
        problem = f"data.label_map has no label for the event {shown!r}"
        raise UnmappedError(place, problem, f"Add {shown}: <label> to data.label_map to use it")
    events = sorted({*known, *label_map})
    near = difflib.get_close_matches(shown, events, n=1, cutoff=0.5)
    nearest = f"the nearest known is {near[0]}" if near else f"known are {', '.join(events)}"
    remedy = f"Correct it, or add it to data.label_map; {nearest}"
    raise AnnotationError(place, f"unknown event {shown!r}", remedy)


# --- clips ---


def video_clip(
    path: PurePosixPath,
    facts: VideoFacts,
    *,
    take: str,
    store: str = "",
    camera: str = "",
    actors: str = "",
    split: str,
    annotation: tuple[PurePosixPath, Facts] | None = None,
    spans: tuple[Span, ...],
) -> Clip:
    return Clip(
        clip_id=path.stem,
        path=str(path),
        sha256=facts.sha256,
        bytes=facts.bytes,
        fps=facts.info.fps,
        n_frames=facts.info.n_frames,
        width=facts.info.width,
        height=facts.info.height,
        take=take,
        store=store,
        camera=camera,
        actors=actors,
        split=split,
        annotation=str(annotation[0]) if annotation else "",
        annotation_sha256=annotation[1].sha256 if annotation else "",
        spans=spans,
    )


def whole_clip(label: str, duration_s: float) -> tuple[Span, ...]:
    """The spans of a clip that shows ``label`` from end to end; see clips.main_label for normal."""
    return () if label == NORMAL else (Span(0.0, duration_s, label),)


def unusual_rates(clips: Collection[Clip]) -> Iterator[Problem]:
    """Clips whose frame rate is not that of most clips."""
    rates = Counter(clip.fps for clip in clips)
    if len(rates) < 2:
        return
    usual = max(rates, key=lambda fps: (rates[fps], fps))
    for clip in clips:
        if abs(clip.fps / usual - 1) > _SAME_RATE:
            problem = (
                f"{float(clip.fps):.4g} frames a second, but most clips have {float(usual):.4g}"
            )
            yield Problem(clip.path, problem, "See that it is the original video")


def _copies(clips: Iterable[Clip]) -> Iterator[Problem]:
    """Each clip but the first of those that are the same byte for byte."""
    first: dict[str, str] = {}
    for clip in sorted(clips, key=lambda clip: clip.path):
        if (other := first.setdefault(clip.sha256, clip.path)) != clip.path:
            remedy = "Take one of the two out, or both may come to stand in train and test"
            yield Problem(clip.path, f"byte for byte the same as {other}", remedy)


def _with_unique_ids(clips: list[Clip]) -> list[Clip]:
    """Clips that share a clip_id get their folder in front, and if need be a number behind.

    Case does not tell ids apart, because they become names of files.
    """
    clips = [replace(clip, clip_id=_short(clip.clip_id)) for clip in clips]
    clips.sort(key=lambda clip: clip.path)
    stems = Counter(clip.clip_id.casefold() for clip in clips)
    taken = {stem for stem, n in stems.items() if n == 1}
    unique = []
    for clip in clips:
        clip_id = clip.clip_id
        if stems[clip_id.casefold()] > 1:
            folders = PurePosixPath(clip.path).parent.parts
            clip_id = _free(_short("-".join([*folders, clip_id])), taken)
            taken.add(clip_id.casefold())
        unique.append(replace(clip, clip_id=clip_id))
    return sorted(unique, key=lambda clip: clip.clip_id)


def _short(name: str) -> str:
    """As long as a file's name may be with a suffix added; the rest is told by a hash."""
    whole = name.encode()
    if len(whole) <= _LONGEST_ID:
        return name
    return f"{whole[:_LONGEST_ID].decode(errors='ignore')}-{sha256(whole).hexdigest()[:8]}"


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain([name], numbered) if n.casefold() not in taken)
