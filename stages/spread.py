"""Gather the metrics of several runs, such as folds: their mean and how far they spread."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm.console import exit_on_error
from yololstm.storage import read_json, write_json
from yololstm.variation import over_runs


@exit_on_error
def main(report: str, *metrics: str) -> None:
    write_json(Path(report), over_runs([read_json(Path(name)) for name in metrics]))


if __name__ == "__main__":
    main(*sys.argv[1:])
