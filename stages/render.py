"""Draw landmarks, labels and a timeline on some of the test clips."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import checkpoint, params
from yololstm.choosing import choose
from yololstm.clips import Clip
from yololstm.console import exit_on_error, progress
from yololstm.errors import EmptyError
from yololstm.inference import Classifier
from yololstm.material import Material
from yololstm.rendering import Annotation, annotate, replay
from yololstm.storage import landmarks_files, read_clips, read_landmarks
from yololstm.video import SUFFIXES


@exit_on_error
def main(root: str, index: str, splits: str, landmarks: str, trained: str, out: str) -> None:
    settings = params.load(Path("params.yaml")).render
    classifier = Classifier.from_checkpoint(checkpoint.load(Path(trained)))
    found = landmarks_files(Path(landmarks))
    clips = read_clips(Path(index), Path(splits))
    test = [clip for clip in clips if clip.split == "test" and clip.clip_id in found]
    if not test:
        raise EmptyError(index, "no test clip has landmarks", "Run the index and extract stages")
    material = Material(Path(root), Path(".cache/material"))
    for clip in choose(test, settings.clips):
        annotation = Annotation.of(read_landmarks(found[clip.clip_id]), classifier, clip.spans)
        _draw(material, clip, annotation, Path(out, f"{clip.clip_id}.mp4"), settings.crf)


def _draw(material: Material, clip: Clip, annotation: Annotation, out: Path, crf: int) -> None:
    with progress(f"render {clip.clip_id}", total=clip.n_frames, unit="frames") as advance:
        if Path(clip.path).suffix.lower() in SUFFIXES:
            with material.local(clip.path) as video:
                annotate(video, annotation, out, crf=crf, on_frame=lambda: advance(1))
        else:
            replay(annotation, out, crf=crf, on_frame=lambda: advance(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
