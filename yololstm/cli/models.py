"""``yololstm models``: what is there, and how to get what is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

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
from yololstm.errors import YololstmError

app = typer.Typer(no_args_is_help=True, help="Fetch and list the models that are needed.")


@app.command()
@exit_on_error
def fetch(
    backend: Annotated[
        Backend | None,
        typer.Option(help="who finds joints", show_default="params.yaml, else mediapipe"),
    ] = None,
) -> None:
    """Fetch the pose model that extract needs, unless it is there.

    That of mediapipe is 35 MB from the package index; extract.pose_weights of yolo-pose, where
    they are the name of published weights, come from the releases of ultralytics.
    """
    typer.echo(pose_model(extract_and_crf(backend=backend)[0], fetching=True))


@app.command("list")
def list_() -> None:
    """Show which models are there, and how to get those that are not."""
    typer.echo(f"pose        {_state(lambda: str(pose_model(extract_and_crf()[0])))}")
    typer.echo(f"detector    {_state(lambda: str(detector_weights(DETECTOR)))}")
    typer.echo(f"classifier  {_state(_classifier)}")


def _state(find: Callable[[], str]) -> str:
    try:
        return find()
    except YololstmError as error:
        return f"not ready  {error}"


def _classifier() -> str:
    from yololstm import checkpoint as checkpoints

    loaded = checkpoints.load(CHECKPOINT)
    spec = loaded.spec
    return (
        f"{CHECKPOINT}  {loaded.model}, {spec.length} steps at {spec.fps:g} a second,"
        f" {', '.join(loaded.labels)}"
    )
