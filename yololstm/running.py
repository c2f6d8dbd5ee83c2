"""One video through everything: landmarks, windows, events, and a video that shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from yololstm import video
from yololstm.console import progress
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.rendering import Annotation, annotate
from yololstm.storage import write_json, write_landmarks
from yololstm.video import VideoInfo
from yololstm.windows import WindowSpec

_LEAST_FPS: Final = 10.0


def sufficient_fps(spec: WindowSpec) -> float:
    """Frames a second worth looking at: as many as windows have steps, and enough for the tracker
    to see who is who, and for the eye to see motion."""
    return max(_LEAST_FPS, spec.fps)


def folders(videos: Sequence[Path], out: Path) -> list[Path]:
    """A folder below ``out`` for each video, named by its stem; alike ones are numbered.

    They differ on file systems that ignore case, too.
    """
    taken: set[str] = set()
    chosen = []
    for path in videos:
        name, number = path.stem, 2
        while name.casefold() in taken:
            name, number = f"{path.stem}-{number}", number + 1
        taken.add(name.casefold())
        chosen.append(out / name)
    return chosen


@dataclass(frozen=True)
class Runner:
    """What is loaded once, for any number of videos one after the other."""

    extractor: Extractor
    fps: float
    """The extractor's."""
    classifier: Classifier
    checkpoint_sha256: str
    crf: int

    def run(self, path: Path, folder: Path) -> dict[str, Any]:
        """Write annotated.mp4, landmarks.parquet and events.json, and return what the last says.

        Each replaces what an earlier run left. Raises VideoError, before anything is written.
        """
        expected = _frames_to_look_at(video.probe(path), self.fps)
        with progress(f"{path.name}  looking", expected, "frames") as advance:
            landmarks = self.extractor.extract(path, on_frame=lambda: advance(1))
        annotation = Annotation.of(landmarks, self.classifier)
        drawn = folder / "annotated.mp4"
        with progress(f"{path.name}  drawing", landmarks.source.n_frames, "frames") as advance:
            annotate(path, annotation, drawn, crf=self.crf, on_frame=lambda: advance(1))
        report = {
            "video": path.name,
            "checkpoint_sha256": self.checkpoint_sha256,
            **summary(annotation),
        }
        write_landmarks(folder / "landmarks.parquet", landmarks)
        write_json(folder / "events.json", report)
        return report


def summary(annotation: Annotation) -> dict[str, Any]:
    """The events of a clip, and what they were made of, in values that JSON can say."""
    source, predictions = annotation.landmarks.source, annotation.predictions
    return {
        "labels": list(annotation.labels),
        "events": [asdict(event) for event in annotation.events],
        "rule": asdict(annotation.rule),
        "frames": {"count": source.n_frames, "fps": float(source.fps), "backend": source.backend},
        "windows": {"count": len(predictions), **asdict(annotation.spec)},
        "tracks": [_track(annotation, track) for track, _ in annotation.landmarks.tracks()],
    }


def _track(annotation: Annotation, track: int) -> dict[str, Any]:
    people = annotation.landmarks.persons()
    seen = people.time_s[people.track == track]
    probability = annotation.predictions.probability[annotation.predictions.track == track]
    mean = probability.mean(axis=0).tolist() if len(probability) else []
    return {
        "track": track,
        "start_s": seen[0],
        "end_s": seen[-1],
        "windows": len(probability),
        "probability": dict(zip(annotation.labels, mean, strict=False)),
    }


def _frames_to_look_at(info: VideoInfo, fps: float) -> int:
    return math.ceil(info.n_frames * min(1.0, fps / float(info.fps)))
