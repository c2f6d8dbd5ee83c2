"""``yololstm doctor``: whether this machine has what it takes."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from yololstm.cli import models
from yololstm.cli.choices import extract_and_crf
from yololstm.console import exit_on_error
from yololstm.errors import ParamsError

if TYPE_CHECKING:
    from yololstm.doctor import Finding

CACHES = (Path(".cache/models"), Path(".cache/landmarks"), Path(".dvc/cache"))


@exit_on_error
def doctor() -> None:
    """Show what is installed, what it runs on, and what is not there, with its remedy.

    The exit status is 1 where neither runtime of **yololstm run** has all it needs.
    """
    from yololstm import doctor as doctors
    from yololstm.inventory import verify

    system = f"{platform.system()} {platform.machine()}"
    version = importlib.metadata.version("yololstm")
    typer.echo(f"yololstm {version}, Python {platform.python_version()}, {system}")
    # First, because all that follows takes packages.
    for finding in doctors.packages():
        _show(finding)
    _show(doctors.device())
    _show(film := doctors.codecs())
    _show(params := _params())
    runtimes = []
    if params.state != "lacking":
        pose = verify(models.pose())
        trained, exported = (
            [verify(model) for model in found] for found in (models.trained(), models.exported())
        )
        for verdict in (pose, *trained, *(one for one in exported if one.sha256)):
            _show(doctors.model(verdict))
        backend, can_film = extract_and_crf()[0].backend, film.state == "ok"
        runtimes = [
            doctors.runtime("torch", backend, [pose, *trained], can_film),
            doctors.runtime("onnx", backend, [pose, *exported], can_film),
        ]
    for finding in (doctors.caches(CACHES), doctors.dvc_remote(Path()), *runtimes):
        _show(finding)
    if all(finding.state == "lacking" for finding in runtimes):
        raise typer.Exit(1)


def _params() -> Finding:
    from yololstm.doctor import Finding
    from yololstm.params import load

    path = Path("params.yaml")
    if not path.exists():
        return Finding("params.yaml", "note", "none here: defaults count")
    try:
        load(path)
    except ParamsError as error:
        return Finding("params.yaml", "lacking", str(error))
    return Finding("params.yaml", "ok", "valid")


def _show(finding: Finding) -> None:
    mark = {"ok": "ok", "lacking": "LACKS", "note": "-"}[finding.state]
    typer.echo(f"{mark:<6}{finding.topic:<15}{finding.text}")
