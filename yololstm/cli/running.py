"""``yololstm run``: events in videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from yololstm.cli.choices import (
    CHECKPOINT,
    DETECTOR,
    Backend,
    detector_weights,
    extract_and_crf,
    pose_model,
)
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError, YololstmError


@exit_on_error
def run(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO", show_default=False)],
    out: Annotated[Path, typer.Option(help="gets a folder for each video", show_default=False)],
    checkpoint: Annotated[Path, typer.Option(help="the trained classifier")] = CHECKPOINT,
    detector: Annotated[
        str, typer.Option(help="a .pt file, an OpenVINO folder, the folder of either, yolo11n.pt")
    ] = DETECTOR,
    backend: Annotated[
        Backend | None,
        typer.Option(
            help="who finds joints; yolo-pose takes no detector",
            show_default="params.yaml, else mediapipe",
        ),
    ] = None,
    pose_weights: Annotated[
        str | None,
        typer.Option(
            help="of yolo-pose: a .pt file, an OpenVINO folder, yolo11n-pose.pt",
            show_default="params.yaml, else yolo11n-pose.pt",
        ),
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="frames a second to look at and to show",
            show_default="params.yaml, else 10",
        ),
    ] = None,
    imgsz: Annotated[
        int | None,
        typer.Option(
            min=32,
            help="longer side of what the detector sees",
            show_default="params.yaml, else 640",
        ),
    ] = None,
    max_persons: Annotated[
        int | None,
        typer.Option(
            min=1, help="largest persons of a frame to look at", show_default="params.yaml, else 6"
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="smallest one of a detection", show_default="params.yaml, else 0.4"
        ),
    ] = None,
) -> None:
    """Find events in videos.

    Writes OUT/NAME/annotated.mp4, landmarks.parquet and events.json. What
    params.yaml in the working directory says under extract goes before the defaults below. One
    that cannot be read does not stop the others; the exit status is then 1.
    """
    from yololstm import checkpoint as checkpoints
    from yololstm.extractor import Extractor
    from yololstm.inference import Classifier
    from yololstm.running import Runner, folders, sufficient_fps
    from yololstm.settings import FIND_PERSONS, ExtractionSettings
    from yololstm.storage import sha256

    extract, crf = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
        pose_sha256=None if pose_weights is None else "",
        fps=fps,
        imgsz=imgsz,
        max_persons=max_persons,
        min_confidence=min_confidence,
    )
    if pose_weights is not None and extract.backend != "yolo-pose":
        problem = f"{extract.backend} does not use them"
        raise ParamsError("--pose-weights", problem, "Add --backend yolo-pose")
    loaded = checkpoints.load(checkpoint)
    rate = extract.fps or sufficient_fps(loaded.spec)
    settings = ExtractionSettings(
        weights=None if extract.backend in FIND_PERSONS else detector_weights(detector),
        pose_model=pose_model(extract, fetching=pose_weights is not None),
        **extract.looking() | {"fps": rate},
    )
    with Extractor(settings) as extractor:
        runner = Runner(
            extractor=extractor,
            fps=rate,
            classifier=Classifier.from_checkpoint(loaded),
            checkpoint_sha256=sha256(checkpoint),
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
