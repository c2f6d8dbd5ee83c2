"""Options that several commands have: how video is looked at, and with which models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from yololstm.cli.choices import BEHAVIOUR, CHECKPOINT, DETECTED, DETECTOR, EXPORT
from yololstm.settings import Backend

Runtime = Literal["torch", "onnx"]

CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        help="the trained classifier",
        show_default=f"{CHECKPOINT}; of onnx {EXPORT / BEHAVIOUR}",
    ),
]
DetectorOption = Annotated[
    str | None,
    typer.Option(
        help="a .pt file, an OpenVINO folder, the folder of either, yolo11n.pt; of onnx a file",
        show_default=f"{DETECTOR}; of onnx {EXPORT / DETECTED}",
    ),
]
RuntimeOption = Annotated[
    Runtime,
    typer.Option(help="what runs the models; onnx: those of yololstm export, without torch"),
]
BackendOption = Annotated[
    Backend | None,
    typer.Option(
        help="who finds joints; yolo-pose takes no detector",
        show_default="params.yaml, else mediapipe",
    ),
]
PoseWeightsOption = Annotated[
    str | None,
    typer.Option(
        help="of yolo-pose: a .pt file, an OpenVINO folder, yolo11n-pose.pt",
        show_default="params.yaml, else yolo11n-pose.pt",
    ),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        help="frames a second to look at, and of run to show",
        show_default="params.yaml, else 10",
    ),
]
ImgszOption = Annotated[
    int | None,
    typer.Option(
        min=32,
        help="longer side of what the detector sees",
        show_default="params.yaml, else its own",
    ),
]
MaxPersonsOption = Annotated[
    int | None,
    typer.Option(
        min=1, help="largest persons of a frame to look at", show_default="params.yaml, else 6"
    ),
]
MinConfidenceOption = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="smallest one of a detection", show_default="params.yaml, else 0.4"
    ),
]
