"""Fail where train and test share a take, a clip or a person; tell what gives labels away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from yololstm import copies, leaks, params, probes, storage
from yololstm.clips import SPLITS, Clip
from yololstm.console import exit_on_error, progress, warn


@exit_on_error
def main(index: str, splits: str, landmarks: str, windows: str, report: str) -> None:
    settings = params.load(Path("params.yaml"))
    limits = settings.leaks
    clips = [c for c in storage.read_clips(Path(index), Path(splits)) if c.split in SPLITS]
    cut = {split: storage.read_windows(Path(windows, f"{split}.npz")) for split in SPLITS}
    prints = list(_fingerprints(clips, Path(landmarks)))
    probed = probes.measure(cut["train"], cut["test"], clips)
    found = {
        **leaks.between_splits(clips, cut),
        "near_identical": copies.near_identical(prints, limits.near, limits.near_share),
        "probes": probes.too_good(probed, limits.max_probe),
    }
    doubts = [*leaks.shortcuts(clips, settings.labels), *probes.warnings(probed)]
    counts = {"clips": len(clips), "clips_compared": sum(p.is_comparable for p in prints)}
    storage.write_json(Path(report), leaks.report(found, doubts) | counts | {"probes": probed})
    for doubt in doubts:
        warn(doubt)
    leaks.check(found)


def _fingerprints(clips: list[Clip], folder: Path) -> Iterator[copies.Fingerprint]:
    found = storage.landmarks_files(folder)
    with progress("leaks", total=len(clips), unit="clips") as advance:
        for clip in clips:
            advance(1)
            if clip.clip_id in found:
                yield copies.fingerprint(clip, storage.read_landmarks(found[clip.clip_id]))


if __name__ == "__main__":
    main(*sys.argv[1:])
