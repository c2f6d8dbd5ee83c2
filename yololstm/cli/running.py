"""``yololstm run``: events in videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yololstm.cli.choices import extract_and_crf
from yololstm.cli.loading import load_extractor, load_model
from yololstm.cli.options import (
    BackendOption,
    CheckpointOption,
    DetectorOption,
    FpsOption,
    ImgszOption,
    MaxPersonsOption,
    MinConfidenceOption,
    PoseWeightsOption,
    RuntimeOption,
)
from yololstm.console import exit_on_error
from yololstm.errors import YololstmError


@exit_on_error
def run(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO", show_default=False)],
    out: Annotated[Path, typer.Option(help="gets a folder for each video", show_default=False)],
    checkpoint: CheckpointOption = None,
    detector: DetectorOption = None,
    runtime: RuntimeOption = "torch",
    backend: BackendOption = None,
    pose_weights: PoseWeightsOption = None,
    fps: FpsOption = None,
    imgsz: ImgszOption = None,
    max_persons: MaxPersonsOption = None,
    min_confidence: MinConfidenceOption = None,
) -> None:
    """Find events in videos.

    Writes OUT/NAME/annotated.mp4, landmarks.parquet and events.json. What
    params.yaml in the working directory says under extract goes before the defaults below. One
    that cannot be read does not stop the others; the exit status is then 1.
    """
    from yololstm.running import Runner, folders, sufficient_fps

    extract, crf = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
        fps=fps,
        imgsz=imgsz,
        max_persons=max_persons,
        min_confidence=min_confidence,
    )
    model = load_model(runtime, checkpoint)
    rate = extract.fps or sufficient_fps(model.classifier.spec)
    with load_extractor(runtime, extract, rate, detector) as extractor:
        runner = Runner(
            extractor=extractor,
            fps=rate,
            classifier=model.classifier,
            checkpoint_sha256=model.checkpoint_sha256,
            crf=crf,
        )
        failed = []
        for path, folder in zip(videos, folders(videos, out), strict=True):
            try:
                typer.echo(_told(runner.run(path, folder), folder))
            except YololstmError as error:
                typer.echo(f"error: {error}", err=True)
                failed.append(str(path))
    if failed:
        typer.echo(f"{len(failed)} of {len(videos)} videos failed: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _told(report: dict[str, Any], folder: Path) -> str:
    found, windows = report["events"], report["windows"]
    counts = f"{len(report['tracks'])} persons, {windows['count']} windows, {len(found)} events"
    lines = [f"{report['video']}: {counts} -> {folder}"]
    if not windows["count"]:
        seconds = windows["length"] / windows["fps"]
        lines.append(f"  nobody was in view for the {seconds:.1f} s of a window")
    lines += [
        f"  {event['start_s']:.1f} to {event['end_s']:.1f} s  person {event['track']}"
        f"  {event['label']} {event['probability']:.2f}"
        for event in found
    ]
    return "\n".join(lines)
