"""The detector of persons and bags: the weights that params name, or newly trained ones."""

from __future__ import annotations

import sys
from pathlib import Path

from yololstm import detector, storage, weights
from yololstm.console import exit_on_error, progress
from yololstm.params import load

CACHE = Path(".cache/models")


@exit_on_error
def main(out: str, report: str) -> None:
    params = load(Path("params.yaml")).detector
    metrics: dict[str, object]
    if params.weights:
        found = weights.resolve(params.weights, params.sha256, CACHE)
        weights.install(found, Path(out))
        metrics = {"trained": False, "weights": found.name, "sha256": detector.checksum(found)}
    else:
        with progress("detector", total=params.epochs, unit="epochs") as advance:
            average_precision = detector.train(
                weights.resolve(params.model, "", CACHE),
                Path(params.data, "data.yaml"),
                Path(out, "weights.pt"),
                epochs=params.epochs,
                patience=params.patience,
                batch=params.batch,
                imgsz=params.imgsz,
                seed=params.seed,
                on_epoch=lambda: advance(1),
            )
        metrics = {"trained": True, **average_precision}
    storage.write_json(Path(report), metrics)


if __name__ == "__main__":
    main(*sys.argv[1:])
