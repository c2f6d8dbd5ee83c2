"""``yololstm watch``: events of one camera, as they happen."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

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
from yololstm.errors import ParamsError

if TYPE_CHECKING:
    from yololstm.changes import Change
    from yololstm.moments import Moment
    from yololstm.monitor import Camera, Status
    from yololstm.services import Services
    from yololstm.streams import Stream

_EVERY_S: Final = 10.0
_POLL_S: Final = 0.5


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
    verify: Annotated[
        bool,
        typer.Option(help="the certificate of rtsps or https must be one that is trusted"),
    ] = True,
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
    from yololstm import streams
    from yololstm.live.looking import refuse_ahead
    from yololstm.monitor import Camera, Parts
    from yololstm.running import sufficient_fps

    extract, _ = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
        fps=fps,
        imgsz=imgsz,
        max_persons=max_persons,
        min_confidence=min_confidence,
    )
    refuse_ahead(extract.looking())
    name, say = camera or streams.shown(source), steady_say()
    classifier = load_model(runtime, checkpoint).classifier
    rate = extract.fps or sufficient_fps(classifier.spec)
    with (
        services_of(site, name, classifier.labels, say) as services,
        load_extractor(runtime, extract, rate, detector) as extractor,
    ):
        watched = Camera(
            Parts(
                name,
                lambda on_state: streams.open(
                    source, rate, realtime=realtime, on_state=on_state, tls_verify=verify
                ),
                lambda: nullcontext(extractor),
                classifier,
                partial(_telling, services, name, classifier.labels),
                tuple if services is None else partial(services.journal.zones, name),
            ),
            StatesSaid(say),
            say,
        )
        with _stopped_by_signals(watched):
            watched.start()
            # A signal of which another thread takes notice does not wake this one.
            while not watched.join(_POLL_S):
                pass
    if watched.error is not None:
        raise watched.error


class StatesSaid:
    """Says each new state of a camera; and now and then, how many frames were dropped since."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._before: dict[str, Status] = {}
        self._counted: dict[str, tuple[float, Status]] = {}

    def __call__(self, status: Status) -> None:
        name, now = status.camera, time.monotonic()
        if name not in self._before or self._before[name].state != status.state:
            self._say(f"{name}: {status.state}{status.why and f' ({status.why})'}")
        self._before[name] = status
        at, counted = self._counted.setdefault(name, (now, status))
        if now - at < _EVERY_S:
            return
        self._counted[name] = now, status
        dropped, read = status.dropped - counted.dropped, status.read - counted.read
        if dropped:
            self._say(f"{name}: dropped {dropped} of {read} frames in the last {now - at:.0f} s")


def steady_say() -> Callable[[str], None]:
    """What says a line on stderr, from any thread, also while mediapipe is kept from writing there.
    Where nobody can hear it any more, it says nothing."""
    stderr = sys.stderr
    with suppress(io.UnsupportedOperation):  # it is no file
        stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")

    def say(told: str) -> None:
        with suppress(OSError, ValueError):
            typer.echo(told, file=stderr)

    return say


@contextmanager
def services_of(
    path: Path | None, camera: str, labels: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[Services | None]:
    """What a site keeps, for one camera; None where there is no site."""
    if path is None:
        yield None
        return
    from yololstm import site
    from yololstm.services import Services

    if not re.fullmatch(site.NAME, camera):
        problem = f"{camera!r} stands in paths and addresses"
        raise ParamsError("--camera", problem, "Name it in letters, digits, - and _")
    here = site.load(path)
    site.check_labels(here, labels, path)
    with Services(here, say) as services, services.watching(camera):
        yield services


@contextmanager
def _telling(
    services: Services | None, camera: str, labels: tuple[str, ...], stream: Stream
) -> Iterator[Callable[[Moment], None]]:
    """A line for each change, once it is where it outlives this process."""
    taking = nullcontext(_nothing) if services is None else services.taking(camera, labels, stream)
    with taking as take:

        def tell(moment: Moment) -> None:
            take(moment)
            for change in moment.changes:
                _write(change)

        yield tell


def _write(change: Change) -> None:
    try:
        typer.echo(json.dumps(change.to_dict(), ensure_ascii=False))
    except OSError as error:
        problem = f"it cannot be written to ({error.strerror})"
        raise ParamsError("stdout", problem, "Start it again with somebody who reads") from error


def _nothing(moment: Moment) -> None: ...


@contextmanager
def _stopped_by_signals(camera: Camera) -> Iterator[None]:
    """Ctrl-C, or SIGTERM, ends the camera; a second one ends the program."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        camera.stop()

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
