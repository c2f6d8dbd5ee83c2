"""Run benchmarks, all or those that are named: print a table, write benchmarks/out/NAME.json.

Needs `make repro` first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import extract, hour, index, latency, segment, store, train
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError
from yololstm.storage import write_json

OUT = Path(__file__).parent / "out"
ALL = {
    one.__name__.rpartition(".")[2]: one
    for one in (index, extract, store, hour, segment, train, latency)
}


@exit_on_error
def main(*names: str) -> None:
    for name in names:
        if name not in ALL:
            raise ParamsError(name, "no such benchmark", f"There are {', '.join(ALL)}")
    for name in names or ALL:
        result = ALL[name].measure()
        write_json(OUT / f"{name}.json", result)
        print(name)
        for what, figure in result.items():
            print(f"  {what:48} {figure:12.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
