"""Who does what, of the clips of a split, by their landmarks on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from yololstm.actors import actors
from yololstm.clips import NORMAL, Clip, Span
from yololstm.console import progress
from yololstm.landmarks import Landmarks
from yololstm.scoring import Casts
from yololstm.storage import landmarks_files, read_landmarks


def read_seen(
    clips: Sequence[Clip], folder: Path, task: str
) -> Iterator[tuple[Clip, Landmarks | None]]:
    """Each clip with its landmarks, where there are any, as they are asked for; task: what
    progress is called."""
    files = landmarks_files(folder)
    with progress(task, total=len(clips), unit="clips") as advance:
        for clip in clips:
            yield clip, read_landmarks(files[clip.clip_id]) if clip.clip_id in files else None
            advance(1)


def read_casts(clips: Sequence[Clip], folder: Path) -> Casts:
    """Who does what, in the clips that have landmarks. Spans without a box are everybody's."""
    pointing = [clip for clip in clips if any(_points(span) for span in clip.spans)]
    return {
        (clip.clip_id, span): actors(landmarks, span)
        for clip, landmarks in read_seen(pointing, folder, "actors")
        if landmarks is not None
        for span in clip.spans
        if _points(span)
    }


def unseen(clips: Sequence[Clip], folder: Path) -> frozenset[str]:
    """The clip_id of those without landmarks: extraction left them out, so nobody looked at them.
    Where nobody was found in a clip, its landmarks say so."""
    return frozenset({clip.clip_id for clip in clips} - set(landmarks_files(folder)))


def _points(span: Span) -> bool:
    return span.label != NORMAL and span.box is not None
