"""params.yaml, checked: types, ranges, and no key that nobody reads.

Only the stages and the command line read params; everything below them takes plain values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from yololstm import checked
from yololstm.checked import Section
from yololstm.clips import IGNORED, NORMAL
from yololstm.settings import Backend
from yololstm.windows import WindowSpec

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Data(Section):
    kind: Literal["aihub", "aihub_outdoor", "folder", "landmarks_csv"]
    root: str
    shareable: list[str]
    label_map: dict[str, str]
    split: Literal["take", "store", "camera"]
    held_out: str
    official: bool
    val_share: Share
    test_share: Share
    seed: Natural
    max_left_out: Share


class Sample(Section):
    seed: Natural
    takes: Positive
    seconds: Annotated[float, Field(ge=8)]
    fps: Positive
    width: Annotated[int, Field(ge=320, multiple_of=2)]
    height: Annotated[int, Field(ge=240, multiple_of=2)]
    detector_images: Positive


class Detector(Section):
    weights: str
    sha256: str
    model: str
    data: str
    epochs: Positive
    patience: Natural
    batch: Positive
    imgsz: Annotated[int, Field(ge=32, multiple_of=32)]
    seed: Natural
    export: Literal["none", "openvino", "openvino-int8"]


class Extract(Section):
    source: Literal["video", "annotations"]
    backend: Backend
    pose_weights: str
    pose_sha256: str
    fps: PositiveFloat | None
    format: Literal["parquet", "csv"]
    max_persons: Positive
    imgsz: Annotated[int, Field(ge=32, multiple_of=32)] | None
    min_confidence: Share
    detect_every: Annotated[int, Field(ge=1, le=30)]
    rejoin_s: Annotated[float, Field(ge=0)]
    still_s: Annotated[float, Field(ge=0)]
    smoothing: Literal["none", "one_euro", "savgol"]
    workers: Natural
    timeout_s: PositiveFloat
    cluster: Annotated[str, Field(pattern=r"^([a-z]+://.+)?$")]
    store_gb: Annotated[float, Field(ge=0)]

    def looking(self) -> dict[str, Any]:
        """What says how video is looked at."""
        names = {"backend", "fps", "max_persons", "imgsz", "min_confidence", "detect_every"}
        return self.model_dump(include=names | {"rejoin_s", "still_s", "smoothing"})


class Leaks(Section):
    near: Share
    near_share: Share
    max_probe: Share


class Segment(Section):
    fps: PositiveFloat
    length: Annotated[int, Field(ge=2)]
    hop: Positive
    max_gap_s: Annotated[float, Field(ge=0)]
    min_valid: Share
    min_share: Share
    min_quality: Share
    scaling: Literal["minmax", "body"]

    def spec(self) -> WindowSpec:
        return WindowSpec(self.fps, self.length, self.hop, self.max_gap_s, self.min_valid)


class Train(Section):
    model: Literal["stacked_lstm", "cnn_lstm", "lstm", "bilstm"]
    epochs: Positive
    patience: Positive
    batch: Positive
    learning_rate: PositiveFloat
    weight_decay: Annotated[float, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)] | None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_weights: bool
    augment: list[Literal["mirror", "rotate", "scale"]]
    precision: Literal["auto", "float32", "bfloat16"]
    seeds: Annotated[list[Natural], Field(min_length=1)]
    device: Literal["auto", "cpu", "cuda"]

    @field_validator("augment", "seeds")
    @classmethod
    def _once_each(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError(f"something stands twice in {values}")
        return values


class Events(Section):
    false_alarms_per_hour: PositiveFloat
    leave: Share
    min_s: Annotated[float, Field(ge=0)]
    merge_gap_s: Annotated[float, Field(ge=0)]
    cool_down_s: Annotated[float, Field(ge=0)]


class Evaluate(Section):
    clip_share: Annotated[float, Field(gt=0, le=1)]
    robustness_clips: Positive


class Render(Section):
    clips: Positive
    crf: Annotated[int, Field(ge=0, le=51)]


class Params(Section):
    labels: Annotated[list[str], Field(min_length=2)]
    data: Data
    sample: Sample
    detector: Detector
    extract: Extract
    segment: Segment
    leaks: Leaks
    train: Train
    events: Events
    evaluate: Evaluate
    render: Render

    @model_validator(mode="after")
    def _labels_agree(self) -> Params:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: a label stands twice")
        if IGNORED in self.labels:
            raise ValueError(f"labels: {IGNORED} is for events that are no label")
        if "none" in self.labels:
            raise ValueError("labels: none is for clips of which nothing is said")
        unknown = set(self.data.label_map.values()) - {*self.labels, NORMAL, IGNORED}
        if unknown:
            raise ValueError(f"data.label_map: {sorted(unknown)} not among labels")
        return self


def load(path: Path) -> Params:
    """Raises ParamsError naming the key, and the nearest known one where it is unknown."""
    content = checked.read(path, "Run from the repository's root")
    return checked.validate(path, content, Params, "See the comments beside it")
