"""Run every benchmark: print a table, write benchmarks/out/NAME.json. Needs `make repro` first."""

from __future__ import annotations

from pathlib import Path

from benchmarks import extract, index, segment, store, train
from yololstm.console import exit_on_error
from yololstm.storage import write_json

OUT = Path(__file__).parent / "out"


@exit_on_error
def main() -> None:
    for benchmark in (index, extract, store, segment, train):
        name, result = benchmark.__name__.rpartition(".")[2], benchmark.measure()
        write_json(OUT / f"{name}.json", result)
        print(name)
        for what, figure in result.items():
            print(f"  {what:48} {figure:12.2f}")


if __name__ == "__main__":
    main()
