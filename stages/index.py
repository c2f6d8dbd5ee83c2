"""Look through the data set: which clips there are, what they show, and what has faults."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import datasets, indexing, storage
from yololstm.console import exit_on_error, progress, warn
from yololstm.params import load


@exit_on_error
def main(root: str, index: str, report: str) -> None:
    params = load(Path("params.yaml"))
    data = params.data
    reader = datasets.reader(data.kind, data.label_map, params.labels)
    with progress("index", total=None, unit="files") as advance:
        found = reader.read(Path(root), lambda: advance(1))
    for problem in (*found.problems, *found.unmapped):
        warn(problem)
    clips = indexing.build(
        found,
        labels=params.labels,
        val_share=data.val_share,
        test_share=data.test_share,
        seed=data.seed,
        max_left_out=data.max_left_out,
    )
    for gap in indexing.gaps(clips, params.labels, "val"):
        warn(gap)
    storage.write_index(Path(index), clips)
    storage.write_json(Path(report), indexing.report(found, clips))
    print(indexing.summary(found, clips))


if __name__ == "__main__":
    main(*sys.argv[1:])
