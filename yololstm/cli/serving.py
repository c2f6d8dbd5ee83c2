"""``yololstm serve``: the cameras of a site, and the page that shows them."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
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
from yololstm.cli.watching import StatesSaid, steady_say
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError

if TYPE_CHECKING:
    from yololstm import site
    from yololstm.extractor import Extractor
    from yololstm.inference import Classifier
    from yololstm.monitor import Parts, Status
    from yololstm.services import Services

TOKEN_VARIABLE: Final = "YOLOLSTM_TOKEN"
_TOKEN: Final = "token"
_LEAST_TOKEN: Final = 16
"""Characters: whoever guesses it sees everything."""


@exit_on_error
def serve(
    path: Annotated[
        Path, typer.Argument(metavar="SITE", help="a site.yaml", show_default=True)
    ] = Path("site.yaml"),
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
    """Watch the cameras of a site, and show them on a web page.

    Who opens the page is asked for a token: YOLOLSTM_TOKEN, or else what stands in the file token
    of the site's folder, which is made at the first start. How video is looked at is said as for
    yololstm watch, for all cameras alike. Ctrl-C ends it.
    """
    from yololstm import site, web
    from yololstm.live.looking import refuse_ahead
    from yololstm.monitor import Camera, Monitor
    from yololstm.running import sufficient_fps
    from yololstm.services import Services

    here = site.load(path)
    if not here.cameras:
        raise ParamsError(f"{path}: cameras", "there are none", "Name one: docs/live.md tells how")
    extract, _ = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
        fps=fps,
        imgsz=imgsz,
        max_persons=max_persons,
        min_confidence=min_confidence,
    )
    refuse_ahead(extract.looking())
    classifier = load_model(runtime, checkpoint).classifier
    rate = extract.fps or sufficient_fps(classifier.spec)
    opening = partial(load_extractor, runtime, extract, rate, detector)
    site.check_labels(here, classifier.labels, path)
    say = steady_say()
    with ExitStack() as opened:
        services = opened.enter_context(Services(here, say))
        for name in here.cameras:
            opened.enter_context(services.watching(name))
        said = StatesSaid(say)

        def tell(status: Status) -> None:
            services.bulletin.post("camera", status.to_dict())
            said(status)

        cameras = [
            Camera(_parts(name, camera, rate, opening, classifier, services), tell, say)
            for name, camera in here.cameras.items()
        ]
        monitor = Monitor(cameras, classifier.labels)
        page = web.create(
            monitor=monitor,
            journal=services.journal,
            outbox=services.outbox,
            bulletin=services.bulletin,
            folder=services.folder,
            token=_token(services.folder, say),
            hosts=(here.web.host, *here.web.names),
            proxies=here.web.proxies,
            channels=[
                *(receiver.name for receiver in here.notify),
                *(["upload"] if here.upload else []),
            ],
            records=here.record is not None,
        )
        server = web.Server(page, here.web.host, here.web.port)
        opened.callback(monitor.stop)
        monitor.start()
        web.serve(server, partial(_ready, say))


def _parts(
    name: str,
    camera: site.Camera,
    fps: float,
    opening: Callable[[], Extractor],
    classifier: Classifier,
    services: Services,
) -> Parts:
    from yololstm import streams
    from yololstm.monitor import Parts

    source = camera.source.get_secret_value()
    return Parts(
        name,
        lambda on_state: streams.open(
            source, fps, realtime=camera.realtime, on_state=on_state, tls_verify=camera.verify
        ),
        opening,
        classifier,
        partial(services.taking, name, classifier.labels),
        partial(services.journal.zones, name),
    )


def _token(folder: Path, say: Callable[[str], None]) -> str:
    """Raises ParamsError for one that can be guessed."""
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        place, remedy = TOKEN_VARIABLE, f"Give it {_LEAST_TOKEN} characters or more"
    else:
        place, remedy = str(file := folder / _TOKEN), "Delete the file, and another one is made"
        with suppress(FileExistsError):
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as opened:  # noqa: PTH123
                opened.write(secrets.token_urlsafe(24) + "\n")
        token = file.read_text(encoding="utf-8").strip()
        say(f"the token stands in {file}")
    if len(token) < _LEAST_TOKEN:
        raise ParamsError(place, "it is too short to be a secret", remedy)
    return token


def _ready(say: Callable[[str], None], host: str, port: int) -> None:
    # 0.0.0.0 and :: are no addresses that a browser can open.
    host = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{host}]" if ":" in host else host
    say(f"http://{shown}:{port}")
