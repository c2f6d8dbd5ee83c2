"""``yololstm export``: models that run without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from yololstm.cli.choices import CHECKPOINT, DETECTOR, detector_weights, extract_and_crf
from yololstm.console import exit_on_error

if TYPE_CHECKING:
    from yololstm.exporting import Sample
    from yololstm.trained import Checkpoint

EXPORT: Final = Path("data/export")
BEHAVIOUR: Final = "behaviour.onnx"
DETECTED: Final = "detector.onnx"
_WINDOWS: Final = Path("data/windows")
_IMAGES: Final = Path("data/raw/sample_boxes/images/val")


@exit_on_error
def export(
    out: Annotated[Path, typer.Option(help="gets behaviour.onnx and detector.onnx")] = EXPORT,
    checkpoint: Annotated[Path, typer.Option(help="the trained classifier")] = CHECKPOINT,
    detector: Annotated[
        str, typer.Option(help="a .pt file, or the folder that holds one")
    ] = DETECTOR,
    imgsz: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="longer side of what the detector sees",
            show_default="params.yaml, else its own",
        ),
    ] = None,
    windows: Annotated[
        Path | None,
        typer.Option(
            help="a folder of the segment stage, or a file of landmarks, to compare on",
            show_default=f"{_WINDOWS}, else random ones",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="a folder of images, to compare on", show_default=f"{_IMAGES}, else random ones"
        ),
    ] = None,
    only: Annotated[
        Literal["behaviour", "detector"] | None, typer.Option(help="one of both")
    ] = None,
) -> None:
    """Write the models as ONNX, for yololstm run --runtime onnx.

    Each is compared with what PyTorch says; one that differs is an error, and is not written.
    """
    from yololstm import checkpoint as checkpoints
    from yololstm import exporting

    if only != "detector":
        trained = checkpoints.load(checkpoint)
        compared = _windows(windows, trained, checkpoint)
        path = out / BEHAVIOUR
        worst = exporting.export_behaviour(path, trained, checkpoint, compared)
        typer.echo(f"{path}  differs from PyTorch by at most {worst:.1e} on {compared.told}")
    if only != "behaviour":
        weights, side = detector_weights(detector), extract_and_crf(imgsz=imgsz)[0].imgsz
        compared = _images(images)
        path = out / DETECTED
        confidence, pixels = exporting.export_detector(path, weights, side, compared)
        differ = f"{confidence:.1e} in confidence and {pixels:.1e} pixels"
        typer.echo(f"{path}  differs from PyTorch by at most {differ} on {compared.told}")


def _windows(chosen: Path | None, trained: Checkpoint, path: Path) -> Sample:
    from yololstm import exporting
    from yololstm.errors import CheckpointError

    if chosen is not None:
        return exporting.windows_of(chosen, trained, path)
    try:
        if _WINDOWS.is_dir():
            return exporting.windows_of(_WINDOWS, trained, path)
    except CheckpointError:
        pass  # They are of another training.
    return exporting.random_windows(trained)


def _images(chosen: Path | None) -> Sample:
    from yololstm import exporting

    if chosen is None and not _IMAGES.is_dir():
        return exporting.random_images()
    return exporting.images_of(chosen or _IMAGES)
