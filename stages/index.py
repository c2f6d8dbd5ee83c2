"""Look through the data set: which clips there are, what they show, and what has faults."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import datasets, indexing, sharing, storage
from yololstm.console import exit_on_error, progress, warn
from yololstm.material import Material
from yololstm.params import load


@exit_on_error
def main(root: str, index: str, report: str, page: str, private: str) -> None:
    params = load(Path("params.yaml"))
    data, labels = params.data, params.labels
    reader = datasets.reader(data.kind, data.label_map, labels)
    material = Material(Path(root), Path(".cache/material"))
    with progress("index", total=None, unit="files") as advance:
        found = indexing.examined(reader.read(material, lambda: advance(1)), labels)
    for problems in (found.unreadable, found.problems, found.unmapped, found.warnings):
        for line in indexing.told(problems):
            warn(line)
    reports = {"json": Path(report), "html": Path(page)}
    if sharing.is_shareable(Path(root), data.shareable):
        indexing.write_report(found, labels, material, **reports)
    else:
        indexing.write_report_in_two(found, labels, material, **reports, private=Path(private))
    clips = indexing.build(found, labels=labels, max_left_out=data.max_left_out)
    storage.write_index(Path(index), clips)
    print(indexing.summary(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
