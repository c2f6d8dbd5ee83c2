"""Draw landmarks, labels and a timeline on some of the test clips."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import checkpoint, params, sharing
from yololstm.choosing import choose
from yololstm.clips import Clip
from yololstm.console import exit_on_error, progress
from yololstm.errors import EmptyError
from yololstm.material import Material
from yololstm.rendering import Annotation, annotate, replay
from yololstm.storage import landmarks_files, read_clips, read_landmarks
from yololstm.video import SUFFIXES


@exit_on_error
def main(root: str, *paths: str) -> None:
    index, splits, landmarks, trained, shared, private = map(Path, paths)
    classifier = checkpoint.load(trained).classifier()
    settings, found = params.load(Path("params.yaml")), landmarks_files(landmarks)
    clips = [clip for clip in read_clips(index, splits) if clip.clip_id in found]
    if not (test := [clip for clip in clips if clip.split == "test"]):
        raise EmptyError(index, "no test clip has landmarks", "Run the index and extract stages")
    material = Material(Path(root), Path(".cache/material"))
    out = sharing.folder_for_pictures(material.root, settings.data.shareable, shared, private)
    for clip in choose(test, settings.render.clips):
        annotation = Annotation.of(read_landmarks(found[clip.clip_id]), classifier, clip.spans)
        _draw(material, clip, annotation, out / f"{clip.clip_id}.mp4", settings.render.crf)


def _draw(material: Material, clip: Clip, annotation: Annotation, out: Path, crf: int) -> None:
    with progress(f"render {clip.clip_id}", total=clip.n_frames, unit="frames") as advance:
        if Path(clip.path).suffix.lower() in SUFFIXES:
            with material.local(clip.path) as video:
                annotate(video, annotation, out, crf=crf, on_frame=lambda: advance(1))
        else:
            replay(annotation, out, crf=crf, on_frame=lambda: advance(1))


if __name__ == "__main__":
    main(*sys.argv[1:])
