"""``yololstm export``: models that run without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from yololstm.cli.choices import (
    BEHAVIOUR,
    CHECKPOINT,
    DETECTED,
    DETECTOR,
    EXPORT,
    detector_weights,
    extract_and_crf,
)
from yololstm.cli.options import ImgszOption
from yololstm.console import exit_on_error
from yololstm.errors import CheckpointError, DataError, EmptyError

if TYPE_CHECKING:
    from yololstm.exporting import Sample

_WINDOWS: Final = Path("data/windows")
_IMAGES: Final = Path("data/raw/sample_boxes/images/val")


@exit_on_error
def export(
    out: Annotated[Path, typer.Option(help="gets behaviour.onnx and detector.onnx")] = EXPORT,
    checkpoint: Annotated[Path, typer.Option(help="the trained classifier")] = CHECKPOINT,
    detector: Annotated[
        str, typer.Option(help="a .pt file, or the folder that holds one")
    ] = DETECTOR,
    imgsz: ImgszOption = None,
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
    if only != "detector":
        typer.echo(_export_behaviour(out / BEHAVIOUR, checkpoint, windows))
    if only != "behaviour":
        typer.echo(_export_detector(out / DETECTED, detector, imgsz, images))


def _export_behaviour(path: Path, checkpoint: Path, windows: Path | None) -> str:
    from yololstm import checkpoint as checkpoints
    from yololstm import exporting

    trained = checkpoints.load(checkpoint)
    sample = _sample(
        windows,
        _WINDOWS,
        lambda source: exporting.windows_of(source, trained, checkpoint),
        lambda: exporting.random_windows(trained),
    )
    worst = exporting.export_behaviour(path, trained, checkpoint, sample)
    return f"{path}  differs from PyTorch by at most {worst:.1e} on {sample.told}"


def _export_detector(path: Path, detector: str, imgsz: int | None, images: Path | None) -> str:
    from yololstm import exporting

    weights, side = detector_weights(detector), extract_and_crf(imgsz=imgsz)[0].imgsz
    sample = _sample(images, _IMAGES, exporting.images_of, exporting.random_images)
    confidence, pixels = exporting.export_detector(path, weights, side, sample)
    differ = f"{confidence:.1e} in confidence and {pixels:.1e} pixels"
    return f"{path}  differs from PyTorch by at most {differ} on {sample.told}"


def _sample(
    chosen: Path | None,
    usual: Path,
    read: Callable[[Path], Sample],
    make: Callable[[], Sample],
) -> Sample:
    """Of what was chosen, else of the folder that the pipeline makes. Random ones where that is not
    there; and where it is of no use, which is told."""
    if chosen is not None:
        return read(chosen)
    if not usual.is_dir():
        return make()
    try:
        return read(usual)
    except (CheckpointError, DataError, EmptyError) as error:
        sample = make()
        place, problem = error.problem.place, error.problem.problem
        typer.echo(f"compared on {sample.told}, for {place}: {problem}", err=True)
        return sample
