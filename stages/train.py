"""Train classifiers of windows, one a seed; killed, it goes on when run again."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import params, scaling, training
from yololstm.checkpoint import Checkpoint, save
from yololstm.console import exit_on_error, warn
from yololstm.finishing import finish
from yololstm.members import Job, train_all
from yololstm.storage import read_clips, read_json, read_windows, write_rows


@exit_on_error
def main(index: str, splits: str, windows: str, checkpoint: str, history: str) -> None:
    settings, folder = params.load(Path("params.yaml")), Path(windows)
    options, labels = settings.train, tuple(settings.labels)
    args = {} if options.dropout is None else {"dropout": options.dropout}
    device, cache = training.pick_device(options.device).type, Path(".cache/train")
    rest = options.model_dump(exclude={"model", "dropout", "device", "seeds"})
    fits = [training.Settings(**rest, seed=seed) for seed in options.seeds]
    jobs = [Job(options.model, args, labels, fit, device, folder, cache) for fit in fits]
    results = train_all(jobs)
    training.make_repeatable(seed=0)
    val, clips = read_windows(folder / "val.npz"), read_clips(Path(index), Path(splits))
    fitted = scaling.from_dict(read_json(folder / "scaling.json"))
    weights = tuple(result.state for result in results)
    mirrored = "mirror" in options.augment
    trained = Checkpoint(options.model, args, weights, fitted, val.spec, labels, mirrored)
    ready, warnings = finish(trained, val, clips, **settings.events.model_dump())
    for warning in warnings:
        warn(warning)
    save(Path(checkpoint), ready)
    runs = zip(options.seeds, results, strict=True)
    rows = [(seed, *epoch) for seed, result in runs for epoch in result.history]
    write_rows(Path(history), ("seed", *training.Epoch._fields), rows)
    for job in jobs:
        job.resume_file().remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
