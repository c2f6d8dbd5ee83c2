"""``yololstm watch``: events of one camera, as they happen."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from yololstm.cli.choices import (
    BEHAVIOUR,
    CHECKPOINT,
    DETECTED,
    DETECTOR,
    EXPORT,
    check_pose_weights,
    extract_and_crf,
)
from yololstm.cli.running import Runtime, _extractor, _model
from yololstm.console import exit_on_error
from yololstm.settings import Backend

if TYPE_CHECKING:
    from yololstm.streams import Stream

_EVERY_S: Final = 10.0


@exit_on_error
def watch(
    source: Annotated[
        str,
        typer.Argument(
            help="a file, the number of a webcam, or an rtsp, rtsps, http or https address",
            envvar="YOLOLSTM_SOURCE",
            show_default=False,
            show_envvar=True,
        ),
    ],
    camera: Annotated[
        str, typer.Option(help="what the camera is called", show_default="SOURCE, without secrets")
    ] = "",
    realtime: Annotated[
        bool, typer.Option("--realtime", help="play a file at its pace, as if it were a camera")
    ] = False,
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
            min=0.1, help="frames a second to look at", show_default="params.yaml, else 10"
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
    """Tell events as they happen.

    Writes a line of JSON to stdout whenever an event starts, goes on or ends. On stderr stands
    whether the camera is there, and how many frames were dropped where they come faster than they
    can be looked at. A camera that is lost is connected again; Ctrl-C ends it. What params.yaml in
    the working directory says under extract goes before the defaults below.
    """
    from yololstm import live, streams
    from yololstm.live.looking import refuse_ahead
    from yololstm.live.telling import Teller
    from yololstm.running import sufficient_fps

    extract, _ = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
        pose_sha256=None if pose_weights is None else "",
        fps=fps,
        imgsz=imgsz,
        max_persons=max_persons,
        min_confidence=min_confidence,
    )
    check_pose_weights(pose_weights, extract)
    refuse_ahead(extract.looking())
    name, stderr = camera or streams.shown(source), _steady_stderr()

    def tell(state: str, why: str = "") -> None:
        typer.echo(f"{name}: {state}{why and f' ({why})'}", file=stderr)

    model = _model(runtime, checkpoint)
    rate = extract.fps or sufficient_fps(model.classifier.spec)
    with (
        _extractor(runtime, extract, rate, detector) as extractor,
        streams.open(source, rate, realtime=realtime, on_state=tell) as stream,
        _stopped_by_signals(stream),
        _drops_told(stream, tell),
    ):
        for change in live.watch(stream, Teller(name), extractor, model.classifier):
            typer.echo(json.dumps(change.to_dict(), ensure_ascii=False))


def _steady_stderr() -> TextIO:
    """One that other threads can write to while mediapipe is kept from writing to the usual one."""
    try:
        return open(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")  # noqa: PTH123
    except io.UnsupportedOperation:  # it is no file
        return sys.stderr


@contextmanager
def _stopped_by_signals(stream: Stream) -> Iterator[None]:
    """Ctrl-C, or SIGTERM, ends the stream; a second one ends the program."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stream.stop()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _drops_told(stream: Stream, tell: Callable[[str], None]) -> Iterator[None]:
    """Every so often, where frames were dropped since."""
    over = threading.Event()

    def watch() -> None:
        before = stream.counts
        while not over.wait(_EVERY_S):
            now = stream.counts
            dropped, read = now.dropped - before.dropped, now.read - before.read
            if dropped:
                tell(f"dropped {dropped} of {read} frames in the last {_EVERY_S:.0f} s")
            before = now

    thread = threading.Thread(target=watch, name="drops", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
