"""Train a classifier of windows; killed, it goes on from its last epoch when run again."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import models, params, scaling, training
from yololstm.checkpoint import Checkpoint, ResumeFile, save
from yololstm.console import exit_on_error, progress, warn
from yololstm.finishing import finish
from yololstm.storage import read_clips, read_json, read_windows, write_rows


@exit_on_error
def main(index: str, splits: str, windows: str, checkpoint: str, history: str) -> None:
    settings = params.load(Path("params.yaml"))
    options, labels = settings.train, tuple(settings.labels)
    files = [Path(windows, name) for name in ("train.npz", "val.npz", "scaling.json")]
    (train, val), clips = map(read_windows, files[:2]), read_clips(Path(index), Path(splits))
    known, fitted = val[val.y >= 0], scaling.from_dict(read_json(files[2]))
    device = training.pick_device(options.device)
    training.make_repeatable(options.seed)
    args = {} if options.dropout is None else {"dropout": options.dropout}
    model = models.build(options.model, len(labels), **args)
    fit = training.Settings(**options.model_dump(exclude={"model", "dropout", "device"}))
    kept = ResumeFile(Path(".cache/train"), [vars(options), labels, device.type], files)
    with progress("train", total=fit.epochs, unit="epochs") as advance:

        def keep(_: training.Epoch, snapshot: training.TakeSnapshot) -> None:
            kept.save(snapshot())
            advance(1)

        result = training.train(model, train, known, fit, fitted.centre, device, keep, kept.load())
    trained = Checkpoint(options.model, args, result.state, fitted, train.spec, labels)
    ready, warnings = finish(trained, val, clips, **settings.events.model_dump())
    for warning in warnings:
        warn(warning)
    save(Path(checkpoint), ready)
    write_rows(Path(history), training.Epoch._fields, result.history)
    kept.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
