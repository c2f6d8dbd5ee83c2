"""The detector of persons and bags: the weights that params name, or newly trained ones."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from yololstm import detector, storage, weights
from yololstm.console import exit_on_error, progress
from yololstm.detector_export import average_precision, export
from yololstm.detector_training import train
from yololstm.params import load

CACHE = Path(".cache/models")


@exit_on_error
def main(out: str, report: str) -> None:
    params = load(Path("params.yaml")).detector
    data, kind = Path(params.data, "data.yaml"), params.export
    metrics: dict[str, object]
    with tempfile.TemporaryDirectory(prefix="yololstm-detector-") as folder:
        if params.weights:
            found = weights.resolve(params.weights, params.sha256, CACHE)
            metrics = {"trained": False, "weights": found.name, "sha256": detector.checksum(found)}
        else:
            model, found = weights.resolve(params.model, "", CACHE), Path(folder, "weights.pt")
            options = params.model_dump(include={"epochs", "patience", "batch", "imgsz", "seed"})
            with progress("detector", total=params.epochs, unit="epochs") as advance:
                precision = train(model, data, found, **options, on_epoch=lambda: advance(1))
            metrics = {"trained": True, **precision}
        if kind != "none":
            exported = export(found, Path(folder), kind, params.imgsz, data)
            metrics["exported"] = {
                name: average_precision(path, data, params.imgsz)
                for name, path in (("pt", found), (kind, exported))
            }
            found = exported
        weights.install(found, Path(out))
    storage.write_json(Path(report), metrics)


if __name__ == "__main__":
    main(*sys.argv[1:])
