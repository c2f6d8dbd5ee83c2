"""``yololstm watch``: events of one camera, as they happen."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from yololstm.cli.choices import check_pose_weights, extract_and_crf
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
from yololstm.errors import ParamsError

if TYPE_CHECKING:
    from yololstm.moments import Moment
    from yololstm.services import Services
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
    site: Annotated[
        Path | None,
        typer.Option(help="a site.yaml: who is told of events, and what is recorded of them"),
    ] = None,
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
    """Tell events as they happen.

    Writes a line of JSON to stdout whenever an event starts, goes on or ends. On stderr stands
    whether the camera is there, and how many frames were dropped where they come faster than they
    can be looked at. A camera that is lost is connected again; Ctrl-C ends it. What params.yaml in
    the working directory says under extract goes before the defaults below. Of a site, its cameras
    and its page are left to yololstm serve.
    """
    from yololstm import live, streams
    from yololstm.changes import Teller
    from yololstm.live.looking import refuse_ahead
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
    name, stderr = camera or streams.shown(source), steady_stderr()

    def tell(state: str, why: str = "") -> None:
        typer.echo(f"{name}: {state}{why and f' ({why})'}", file=stderr)

    model = load_model(runtime, checkpoint)
    rate = extract.fps or sufficient_fps(model.classifier.spec)
    with (
        _services(site, name, partial(typer.echo, file=stderr)) as services,
        load_extractor(runtime, extract, rate, detector) as extractor,
        streams.open(source, rate, realtime=realtime, on_state=tell) as stream,
        _stopped_by_signals(stream),
        _drops_told(stream, tell),
        _taking(services, name, model.classifier.labels, stream) as take,
    ):
        zones = tuple if services is None else partial(services.journal.zones, name)
        teller = Teller(name, uuid.uuid4())
        for moment in live.watch(stream, teller, extractor, model.classifier, zones):
            take(moment)
            for change in moment.changes:
                typer.echo(json.dumps(change.to_dict(), ensure_ascii=False))


@contextmanager
def _services(
    path: Path | None, camera: str, say: Callable[[str], None]
) -> Iterator[Services | None]:
    if path is None:
        yield None
        return
    from yololstm import site
    from yololstm.services import Services

    if not re.fullmatch(site.NAME, camera):
        problem = f"{camera!r} stands in paths and addresses"
        raise ParamsError("--camera", problem, "Name it in letters, digits, - and _")
    with Services(site.load(path), say) as services, services.watching(camera):
        yield services


@contextmanager
def _taking(
    services: Services | None, camera: str, labels: tuple[str, ...], stream: Stream
) -> Iterator[Callable[[Moment], None]]:
    if services is None:
        yield lambda moment: None
        return
    with services.taking(camera, labels, stream) as take:
        yield take


def steady_stderr() -> TextIO:
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
