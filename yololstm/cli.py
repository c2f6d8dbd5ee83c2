"""The command line. What is slow to import is imported by the command that needs it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from yololstm.console import exit_on_error
from yololstm.errors import ParamsError, YololstmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from yololstm.census import Census
    from yololstm.params import Extract

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
models = typer.Typer(no_args_is_help=True, help="Fetch and list the models that are needed.")
app.add_typer(models, name="models")
data = typer.Typer(no_args_is_help=True, help="Look at a data set before anything is made of it.")
app.add_typer(data, name="data")

Backend = Literal["mediapipe", "yolo-pose"]

CACHE: Final = Path(".cache/models")
MATERIAL: Final = Path(".cache/material")
DETECTOR: Final = "data/detector"
CHECKPOINT: Final = Path("data/checkpoint.safetensors")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.metadata.version("yololstm"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Shop CCTV in, named abnormal behaviour out."""


@app.command()
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

    extract, crf = _params(
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
        weights=None if extract.backend in FIND_PERSONS else _detector(detector),
        pose_model=_pose_model(extract, fetching=pose_weights is not None),
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


@data.command()
@exit_on_error
def check(
    root: Annotated[Path, typer.Argument(metavar="ROOT", show_default=False)],
    kind: Annotated[
        str | None,
        typer.Option(
            help="aihub, aihub_outdoor, folder, landmarks_csv",
            show_default="params.yaml, else aihub",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="gets check.json and check.html")] = Path("data/check"),
) -> None:
    """Look for faults in a data set.

    Reads ROOT as the index stage does, with the labels and data.label_map of params.yaml in the
    working directory where there is one. Shows what was found, and writes OUT/check.json and a
    page with pictures, OUT/check.html. The exit status is 1 where something has faults, so that
    it would be left out.
    """
    from rich.console import Console

    from yololstm import census, datasets, indexing
    from yololstm.console import progress
    from yololstm.material import Material

    usual_kind, label_map, labels = _data_params()
    reader = datasets.reader(kind or usual_kind, label_map, labels)
    material = Material(root, MATERIAL)
    with progress("check", total=None, unit="files") as advance:
        found = indexing.examined(reader.read(material, lambda: advance(1)), labels)
    page = out / "check.html"
    indexing.write_report(found, labels, material, json=out / "check.json", html=page)
    Console(markup=False, highlight=False, emoji=False).print(
        _table(census.count(found.clips, labels))
    )
    for title, problems in (
        ("not opened, with all that they hold", found.unreadable),
        ("left out for faults", found.problems),
        ("left out without a label", found.unmapped),
        ("to be looked at", found.warnings),
    ):
        for i, line in enumerate(indexing.told(problems)):
            typer.echo(f"  {line}" if i else f"{len(problems)} {title}\n  {line}")
    typer.echo(f"{indexing.summary(found)} -> {page}")
    indexing.build(found, labels=labels, max_left_out=1.0)
    if found.problems:
        raise typer.Exit(1)


def _table(counted: Census) -> Table:
    """Clips by store and camera, and by label; then what they come to."""
    from rich.table import Table

    table = Table("store", "camera")
    for label in (*counted.labels, "all"):
        table.add_column(label, justify="right")
    for view, numbers in counted.views.items():
        table.add_row(*view, *_cells(numbers, counted.labels), f"{sum(numbers.values())}")
    table.add_section()
    whole, tallies = counted.whole, counted.labels.values()
    for name, values in (
        ("clips", [f"{tally.clips}" for tally in (*tallies, whole)]),
        ("takes", [f"{tally.takes}" for tally in (*tallies, whole)]),
        ("hours", [f"{tally.hours:.2f}" for tally in (*tallies, whole)]),
    ):
        table.add_row(name, "", *values)
    return table


def _cells(numbers: Mapping[str, int], labels: Mapping[str, object]) -> list[str]:
    return [f"{numbers[label]}" if label in numbers else "-" for label in labels]


@models.command()
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
    typer.echo(_pose_model(_params(backend=backend)[0], fetching=True))


@models.command("list")
def list_() -> None:
    """Show which models are there, and how to get those that are not."""
    typer.echo(f"pose        {_state(lambda: str(_pose_model(_params()[0])))}")
    typer.echo(f"detector    {_state(lambda: str(_detector(DETECTOR)))}")
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


def _detector(choice: str) -> Path:
    from yololstm.detector import OPENVINO_SUFFIX
    from yololstm.weights import detector_weights, resolve

    path = Path(choice)
    if path.suffix == ".pt" or path.name.endswith(OPENVINO_SUFFIX):
        return resolve(choice, "", CACHE)
    return detector_weights(path)


def _pose_model(extract: Extract, *, fetching: bool = False) -> Path:
    from yololstm.weights import fetch_pose_model, pose_model

    get = fetch_pose_model if fetching else pose_model
    return get(extract.backend, extract.pose_weights, extract.pose_sha256, CACHE)


def _params(**options: object) -> tuple[Extract, int]:
    """extract and render.crf of the params.yaml in the working directory, where there is one.

    options: what goes before the values of extract, where it is not None.
    """
    from yololstm.params import Extract, load

    path = Path("params.yaml")
    if path.exists():
        params = load(path)
        extract, crf = params.extract, params.render.crf
    else:
        extract, crf = Extract.model_validate(_EXTRACT), 23
    given = {key: value for key, value in options.items() if value is not None}
    return extract.model_copy(update=given), crf


_EXTRACT: Final[Mapping[str, object]] = {
    **{"source": "video", "backend": "mediapipe", "format": "parquet"},
    **{"pose_weights": "yolo11n-pose.pt", "pose_sha256": ""},
    **{"fps": None, "max_persons": 6, "imgsz": 640, "min_confidence": 0.4},
    **{"detect_every": 1, "rejoin_s": 0, "still_s": 0, "smoothing": "none"},
    **{"workers": 1, "timeout_s": 300, "cluster": "", "store_gb": 1},
}


def _data_params() -> tuple[str, Mapping[str, str], Sequence[str]]:
    """Kind, label map and labels: of the params.yaml in the working directory, if there is one."""
    from yololstm.clips import NORMAL
    from yololstm.params import load

    path = Path("params.yaml")
    if path.exists():
        params = load(path)
        return params.data.kind, params.data.label_map, params.labels
    label_map = {"theft": "theft", "fight": "assault", "broken": "damage"}
    return "aihub", label_map, (*label_map.values(), NORMAL)


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
