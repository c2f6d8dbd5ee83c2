"""Train classifiers of windows, one a seed; killed, it goes on when run again."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import members, params, scaling, training
from yololstm.checkpoint import Checkpoint, forget, save
from yololstm.console import exit_on_error, warn
from yololstm.members import Job
from yololstm.storage import read_json, read_windows, write_rows


@exit_on_error
def main(windows: str, trained: str, history: str) -> None:
    settings, folder = params.load(Path("params.yaml")), Path(windows)
    options, labels = settings.train, tuple(settings.labels)
    args = {} if options.dropout is None else {"dropout": options.dropout}
    device, cache = training.pick_device(options.device).type, members.cache_of(Path(trained))
    rest = options.model_dump(exclude={"model", "dropout", "device", "seeds"})
    fits = [training.Settings(**rest, seed=seed) for seed in options.seeds]
    jobs = [Job(options.model, args, labels, fit, device, folder, cache) for fit in fits]
    results = members.train_all(jobs)
    val = read_windows(folder / "val.npz")
    fitted = scaling.from_dict(read_json(folder / "scaling.json"))
    if not (val.y >= 0).any():
        warn("no window in val has a label: all epochs were trained, and the last is kept")
    weights, mirrored = tuple(result.state for result in results), fits[0].mirrored
    made = Checkpoint(options.model, args, weights, fitted, val.spec, labels, mirrored)
    save(Path(trained), made)
    runs = zip(options.seeds, results, strict=True)
    rows = [(seed, *epoch) for seed, result in runs for epoch in result.history]
    write_rows(Path(history), ("seed", *training.Epoch._fields), rows)
    forget(cache)


if __name__ == "__main__":
    main(*sys.argv[1:])
