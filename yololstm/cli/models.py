"""``yololstm models``: what is there, how to get what is not, and whether it is right."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from yololstm.cli.choices import (
    BEHAVIOUR,
    CHECKPOINT,
    DETECTED,
    DETECTOR,
    EXPORT,
    MODELS,
    detector_params,
    extract_and_crf,
    pose_model,
)
from yololstm.console import exit_on_error
from yololstm.errors import CheckpointError, WeightsError
from yololstm.settings import Backend

if TYPE_CHECKING:
    from yololstm.inventory import Model
    from yololstm.params import Extract

app = typer.Typer(no_args_is_help=True, help="Fetch, list and verify the models that are needed.")


@app.command()
@exit_on_error
def fetch(
    backend: Annotated[
        Backend | None,
        typer.Option(help="who finds joints", show_default="params.yaml, else mediapipe"),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="published weights such as yolo11n.pt",
            show_default="what params.yaml names, if anything",
        ),
    ] = None,
    pose_weights: Annotated[
        str | None,
        typer.Option(
            help="of yolo-pose, such as yolo11n-pose.pt",
            show_default="params.yaml, else yolo11n-pose.pt",
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", envvar="YOLOLSTM_OFFLINE", help="fetch nothing: say what is not there"
        ),
    ] = False,
) -> None:
    """Fetch the models that are needed and can be fetched, unless they are there.

    Nothing else ever fetches one. The model of mediapipe is 35 MB from the package index; weights
    that are named as ultralytics publishes them come from its releases. Each is checked against the
    sha256 that yololstm knows of it, or that params.yaml says. Of other names nobody knows any:
    what comes first is trusted, and its sha256 is recorded, so that **verify** sees when it is
    another.
    """
    extract, _ = extract_and_crf(
        backend=backend,
        pose_weights=pose_weights,
    )
    typer.echo(_fetch_pose(extract, offline))
    name, sha256 = detector_params() if detector is None else (detector, "")
    if Path(name).suffix == ".pt":
        typer.echo(_fetch_detector(name, sha256, offline))


def _fetch_pose(extract: Extract, offline: bool) -> Path:
    from yololstm import fetching

    if extract.backend == "mediapipe":
        return fetching.pose_landmarker(MODELS, offline=offline)
    fetching.published(extract.pose_weights, extract.pose_sha256, MODELS, offline=offline)
    return pose_model(extract)


def _fetch_detector(name: str, sha256: str, offline: bool) -> Path:
    from yololstm import fetching, weights

    fetching.published(name, sha256, MODELS, offline=offline)
    return weights.resolve(name, sha256, MODELS)


@app.command("list")
@exit_on_error
def list_() -> None:
    """Show which models are there, with their sha256, and how to get those that are not."""
    from yololstm.inventory import verify

    for model in wanted():
        verdict = verify(model)
        role = f"{model.role:<16}"
        if verdict.problem:
            typer.echo(f"{role}not ready  {verdict.problem}")
        else:
            typer.echo(f"{role}{model.path}{_described(model.path)}")
        if verdict.sha256:
            typer.echo(f"{'':<16}sha256 {verdict.sha256}")


@app.command()
@exit_on_error
def verify() -> None:
    """Check each model against the checksum that it should have.

    That is what yololstm itself says of it, or params.yaml, dvc.lock, or a file beside it,
    NAME.sha256, as sha256sum writes it and as fetch does: "as when it was fetched". The exit status
    is 1 where a model that is needed is absent or nobody says what its checksum is, and where any
    is another than it should be.
    """
    from yololstm import inventory

    failed = False
    for model in wanted():
        verdict = inventory.verify(model)
        if verdict.problem:
            state, text = "WRONG" if verdict.sha256 else "ABSENT", str(verdict.problem)
        elif verdict.likeness:
            state, text = "ok", f"{model.path}, {verdict.likeness}"
        else:
            state, text = "UNKNOWN", f"{model.path}: nobody says what its checksum is. {_TRUST}"
        failed |= state == "WRONG" or (model.needed and state != "ok")
        typer.echo(f"{model.role:<16}{state:<9}{text}")
    if failed:
        raise typer.Exit(1)


_TRUST: Final = "If you trust it, sha256sum NAME > NAME.sha256 in its folder."


def pose() -> Model:
    """What finds joints, with the params.yaml of the working directory."""
    from yololstm import weights
    from yololstm.inventory import Model

    extract, _ = extract_and_crf()
    remedy = "Run yololstm models fetch"
    if extract.backend == "mediapipe":
        path = MODELS / weights.POSE_LANDMARKER
        return Model("pose", path, weights.POSE_LANDMARKER_SHA256, _OURS, remedy)
    name, sha256 = extract.pose_weights, extract.pose_sha256
    if not weights.is_published(name):
        return Model("pose", Path(name), sha256, _PARAMS, "Check extract.pose_weights")
    if sha256:
        return Model("pose", MODELS / name, sha256, _PARAMS, remedy)
    return replace(_published(MODELS / name), role="pose", remedy=remedy, needed=True)


def trained() -> list[Model]:
    """What run takes beside that, with torch."""
    from yololstm.inventory import Model

    remedy = f"dvc repro makes it, dvc pull {CHECKPOINT} gets it"
    classifier = Model("classifier", CHECKPOINT, remedy=remedy)
    if _backend_finds_persons():
        return [classifier]
    remedy = f"dvc repro detector makes it, dvc pull {DETECTOR} gets it"
    return [Model("detector", _weights_in(Path(DETECTOR)), remedy=remedy), classifier]


def exported() -> list[Model]:
    """The same without torch; no backend that finds persons runs so."""
    from yololstm.inventory import Model

    paths = (EXPORT / DETECTED, EXPORT / BEHAVIOUR)
    remedy = "yololstm export makes it"
    return [Model(path.name, path, remedy=remedy, needed=False) for path in paths]


def wanted() -> list[Model]:
    """What run takes, with torch or, where there are only exports, without; then, what else is
    there: exports, and what was fetched."""
    used, with_torch = pose(), trained()
    exports = [model for model in exported() if model.path.exists()]
    others = [_published(path) for path in sorted(MODELS.glob("*.pt")) if path != used.path]
    runs_without = len(exports) == len(exported()) and not _backend_finds_persons()
    if runs_without and not any(model.path.exists() for model in with_torch):
        return [used, *(replace(model, needed=True) for model in exports), *others]
    return [used, *with_torch, *exports, *others]


_OURS: Final = "yololstm itself"
_PARAMS: Final = "params.yaml"


def _backend_finds_persons() -> bool:
    from yololstm.settings import FIND_PERSONS

    return extract_and_crf()[0].backend in FIND_PERSONS


def _published(path: Path) -> Model:
    """Weights in MODELS."""
    from yololstm import weights
    from yololstm.inventory import Model

    sha256 = weights.PUBLISHED.get(path.name, "")
    return Model("fetched", path, sha256, _OURS, needed=False, is_fetched=True)


def _weights_in(folder: Path) -> Path:
    from yololstm import weights

    try:
        return weights.detector_weights(folder)
    except WeightsError:
        return folder / "weights.pt"


def _described(path: Path) -> str:
    """What a checkpoint says of itself, where there is torch to load it."""
    if path != CHECKPOINT or importlib.util.find_spec("torch") is None:
        return ""
    from yololstm import checkpoint as checkpoints

    try:
        loaded = checkpoints.load(path)
    except CheckpointError as error:
        return f"  not ready  {error}"
    spec = loaded.spec
    return (
        f"  {loaded.model}, {spec.length} steps at {spec.fps:g} a second,"
        f" {', '.join(loaded.labels)}"
    )
