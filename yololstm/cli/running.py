"""``yololstm run``: events in videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from yololstm.cli.choices import (
    BEHAVIOUR,
    CHECKPOINT,
    DETECTED,
    DETECTOR,
    EXPORT,
    check_pose_weights,
    detector_weights,
    extract_and_crf,
    pose_model,
)
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError, YololstmError
from yololstm.settings import Backend

if TYPE_CHECKING:
    from yololstm.extractor import Extractor
    from yololstm.inference import Classifier
    from yololstm.params import Extract

Runtime = Literal["torch", "onnx"]


@exit_on_error
def run(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO", show_default=False)],
    out: Annotated[Path, typer.Option(help="gets a folder for each video", show_default=False)],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="the trained classifier",
            show_default=f"{CHECKPOINT}; of onnx {EXPORT / BEHAVIOUR}",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="a .pt file, an OpenVINO folder, the folder of either, yolo11n.pt; of onnx a file",
            show_default=f"{DETECTOR}; of onnx {EXPORT / DETECTED}",
        ),
    ] = None,
    runtime: Annotated[
        Runtime,
        typer.Option(help="what runs the models; onnx: those of yololstm export, without torch"),
    ] = "torch",
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
            show_default="params.yaml, else its own",
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
    from yololstm.running import Runner, folders, sufficient_fps

    extract, crf = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
        pose_sha256=None if pose_weights is None else "",
        fps=fps,
        imgsz=imgsz,
        max_persons=max_persons,
        min_confidence=min_confidence,
    )
    check_pose_weights(pose_weights, extract)
    model = _model(runtime, checkpoint)
    rate = extract.fps or sufficient_fps(model.classifier.spec)
    with _extractor(runtime, extract, rate, detector) as extractor:
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


class _Model(NamedTuple):
    classifier: Classifier
    checkpoint_sha256: str
    """Of the checkpoint, also where it was exported."""


def _model(runtime: Runtime, path: Path | None) -> _Model:
    if runtime == "onnx":
        from yololstm.runtime import load_behaviour

        exported = load_behaviour(path or EXPORT / BEHAVIOUR)
        return _Model(exported.classifier, exported.checkpoint_sha256)
    from yololstm import checkpoint as checkpoints
    from yololstm.storage import sha256

    path = path or CHECKPOINT
    _refuse_exported("--checkpoint", path)
    return _Model(checkpoints.load(path).classifier(), sha256(path))


def _extractor(runtime: Runtime, extract: Extract, fps: float, detector: str | None) -> Extractor:
    from yololstm.extractor import Extractor
    from yololstm.pose import open_backend
    from yololstm.settings import FIND_PERSONS, ExtractionSettings
    from yololstm.sight import TopDown

    finds_persons = extract.backend in FIND_PERSONS
    looking = extract.looking() | {"fps": fps}
    if runtime == "torch":
        _refuse_exported("--detector", Path(detector or DETECTOR))
        weights = None if finds_persons else detector_weights(detector or DETECTOR)
        return Extractor(ExtractionSettings(weights, pose_model(extract), **looking))
    if finds_persons:
        problem = f"{extract.backend} runs by torch alone"
        raise ParamsError("--runtime", problem, "Add --backend mediapipe, or --runtime torch")
    from yololstm.runtime import OnnxDetector

    settings = ExtractionSettings(None, pose_model(extract), **looking)
    path = Path(detector) if detector else EXPORT / DETECTED
    finder = OnnxDetector(path, settings.imgsz, settings.min_confidence)
    return Extractor(settings, TopDown(finder, open_backend(settings.backend, settings.pose_model)))


def _refuse_exported(option: str, path: Path) -> None:
    if path.suffix == ".onnx":
        raise ParamsError(option, f"{path} is exported", "Add --runtime onnx")


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
