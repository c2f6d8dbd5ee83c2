"""The layers of the package, and dvc.yaml's deps, held to what the code really imports."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import (
    ROOT,
    closure,
    file_of,
    imports,
    own_imports,
    package_modules,
    stage_files,
)

LAYERS = {
    0: "errors skeleton landmarks clips events boxes changes",
    1: (
        "tracking scaling actors windows segmentation splits naming leaks copies probes census page"
        " calibration choosing finishing intervals model_card operating scoring timelines"
        " augmentation models training inference trained evaluation drawing agreement quality"
        " smoothing identity outcomes robustness variation zones notifying blurring sample.body"
        " sample.acting sample.rendering sample.looks sample.shop sample.scenes sample.takes"
        " sample.annotation"
    ),
    2: (
        "console cluster video storage checkpoint params weights detector extraction rendering"
        " running catalogue indexing datasets cvat pose sample material safexml thumbnails finding"
        " remembering unpacking zips fitting keypoints reporting extractor fingerprint settings"
        " seeding landmark_store members casting detector_training detector_export yolo_data"
        " following sight sharing exporting runtime fetching inventory installed remote doctor"
        " streams moments packets keeping checked site database journal desk outbox webhook mqtt"
        " uploading recording bulletin feedback"
    ),
    3: "cli __main__ live monitor services web",
}
#: Vendor libraries, each imported by one module or package; av by one each for files, cameras and
#: clips of them.
VENDORS = {
    "mediapipe": "pose.mediapipe",
    "ultralytics": "detector",
    "trackers": "tracking",
    "onnx": "exporting",
    "onnxruntime": "runtime",
    "av": "video streams packets",
    "certifi": "streams",
    "distributed": "cluster",
    "safetensors": "checkpoint",
    "lxml": "safexml",
    "jinja2": "page",
    "pydantic": "params checked site",
    "typer": "cli",
    "pyarrow": "storage",
    "fsspec": "uploading",
    "sqlite3": "remembering database",
    "httpx": "webhook",
    "paho": "mqtt",
    "fastapi": "web",
    "starlette": "web",
    "uvicorn": "web",
    "prometheus_client": "web",
}
#: Packages whose modules are alternatives to each other.
ALTERNATIVES = ("datasets", "pose", "live")
MAX_STAGE_LINES = 45


def layer(module: str) -> int:
    """The layer of a module is its own, or else that of the package it is in."""
    name = module.removeprefix("yololstm").removeprefix(".")
    if not name:
        return 0
    for candidate in (name, name.split(".")[0]):
        for number, names in LAYERS.items():
            if candidate in names.split():
                return number
    raise AssertionError(f"{module} stands in no layer: add it to LAYERS in {__file__}")


@pytest.mark.parametrize("module", package_modules())
def test_module_imports_its_own_layer_or_lower(module: str) -> None:
    above = {m for m in own_imports(file_of(module)) if layer(m) > layer(module)}
    assert not above, f"{module} (L{layer(module)}) imports {above}"


def test_imports_have_no_cycle() -> None:
    graph = {module: own_imports(file_of(module)) for module in package_modules()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("package", ALTERNATIVES)
def test_alternatives_do_not_know_each_other(package: str) -> None:
    prefix = f"yololstm.{package}."
    siblings = [m for m in package_modules() if m.startswith(prefix)]
    for module in siblings:
        known = {m for m in own_imports(file_of(module)) if m in siblings}
        assert not known, f"{module} imports its sibling {known}"


def test_statistics_are_asked_of_one_library_where_results_are_judged() -> None:
    users = {m for m in package_modules() if "sklearn" in _vendors(m)}
    assert users <= {"yololstm.evaluation", "yololstm.probes"}


@pytest.mark.parametrize(("vendor", "owner"), VENDORS.items())
def test_vendor_is_imported_in_one_module(vendor: str, owner: str) -> None:
    users = {module for module in package_modules() if vendor in _vendors(module)}
    assert users
    owners = tuple(f"yololstm.{name}." for name in owner.split())
    assert all(f"{user}.".startswith(owners) for user in users)


def _vendors(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(file_of(module))}


def test_only_stages_and_cli_read_params() -> None:
    users = {m for m in package_modules() if "yololstm.params" in own_imports(file_of(m))}
    assert all(f"{user}.".startswith("yololstm.cli.") for user in users)


@pytest.mark.parametrize("module", package_modules())
def test_nothing_imports_stages(module: str) -> None:
    assert not {name for name in imports(file_of(module)) if name.split(".")[0] == "stages"}


@pytest.mark.parametrize("file", stage_files(), ids=lambda file: file.stem)
def test_stage_is_thin(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_STAGE_LINES


def pipelines() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Where each stage is defined, the script it runs and its definition."""
    for file in (ROOT / "dvc.yaml", ROOT / "crossvalidation" / "dvc.yaml"):
        for name, stage in yaml.safe_load(file.read_text(encoding="utf-8"))["stages"].items():
            definition = stage.get("do", stage)
            script = next(word for word in definition["cmd"].split() if word.endswith(".py"))
            yield f"{file.relative_to(ROOT)}: {name}", script, definition


def test_every_stage_is_in_a_pipeline() -> None:
    assert {script for _, script, _ in pipelines()} == {f"stages/{f.name}" for f in stage_files()}


@pytest.mark.parametrize(("where", "script", "stage"), list(pipelines()))
def test_dvc_deps_are_the_import_closure(where: str, script: str, stage: dict[str, Any]) -> None:
    """DVC does not follow Python imports (treeverse/dvc#9195): every file must be listed."""
    listed = {dep for dep in stage["deps"] if dep.endswith(".py")}
    needed = {path.relative_to(ROOT).as_posix() for path in closure(ROOT / script)}
    lines = "\n".join(f"      - {dep}" for dep in sorted(needed))
    assert listed == needed, f"deps of {where} should be:\n{lines}"


@pytest.mark.parametrize(
    ("dep", "stages"),
    [
        ("yololstm/drawing.py", {"render", "evaluate"}),
        ("yololstm/evaluation.py", {"evaluate"}),
        ("yololstm/operating.py", {"finish", "evaluate"}),
        ("yololstm/segmentation.py", {"segment", "train", "finish", "evaluate", "render"}),
        ("yololstm/tracking.py", {"extract"}),
    ],
)
def test_an_edit_reruns_no_more_than_it_must(dep: str, stages: set[str]) -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {name for name, stage in pipeline.items() if dep in stage["deps"]} == stages


@pytest.mark.parametrize(
    ("section", "stages"), [("segment", {"segment"}), ("events", {"finish", "evaluate"})]
)
def test_params_belong_to_no_other_stages(section: str, stages: set[str]) -> None:
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    users = {
        name
        for name, stage in pipeline.items()
        for param in stage["params"]
        if param.split(".")[0] == section
    }
    assert users == stages
