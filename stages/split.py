"""Part the clips into those to learn from and those to measure on; a fold of several if asked."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import leaks, splits, storage
from yololstm.clips import Clip
from yololstm.console import exit_on_error, warn
from yololstm.params import Data, load


@exit_on_error
def main(index: str, out: str, report: str, fold: str = "", folds: str = "") -> None:
    """fold, folds: a number from 0 and how many there are, for cross-validation."""
    params = load(Path("params.yaml"))
    clips = _placed(storage.read_index(Path(index)), params.data, fold, folds)
    missing = splits.check(clips, params.labels, "take" if folds else params.data.split)
    leaks.check({"torn_takes": leaks.torn_takes(clips), "identical": leaks.identical(clips)})
    for doubt in (*missing, *leaks.shortcuts(clips, params.labels)):
        warn(doubt)
    storage.write_splits(Path(out), clips)
    storage.write_json(Path(report), splits.report(clips))
    print(splits.summary(clips))


def _placed(clips: list[Clip], data: Data, fold: str, folds: str) -> list[Clip]:
    if folds:
        number, n = int(fold), int(folds)
        return splits.fold(clips, number, n, val_share=data.val_share, seed=data.seed)
    return splits.assign(
        clips,
        by=data.split,
        held_out=data.held_out,
        official=data.official,
        val_share=data.val_share,
        test_share=data.test_share,
        seed=data.seed,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
