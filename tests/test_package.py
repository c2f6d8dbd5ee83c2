"""The wheel, away from the repository: what it takes, what it does, and what it says it lacks.

Environments are made of links to the packages of this one, so that what an environment should not
have is really absent. With YOLOLSTM_NETWORK set, real ones are installed from the package index
too: gigabytes, for minutes (make wheel-check).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import drawn, venvs
from tests.imports import ROOT
from tests.venvs import run
from yololstm import checkpoint, installed, models, storage
from yololstm.clips import NORMAL
from yololstm.detector import ultralytics
from yololstm.scaling import BodyScaling
from yololstm.trained import Checkpoint
from yololstm.weights import POSE_LANDMARKER
from yololstm.windows import WindowSpec

LABELS = ("theft", "assault", "damage", NORMAL)
PINS, ONNX_PINS = ROOT / "requirements.txt", ROOT / "requirements-onnx.txt"
RUN = ("run", "shop.mp4", "--out", "out", "--imgsz", "320")
needs_network = pytest.mark.skipif(
    not os.environ.get("YOLOLSTM_NETWORK"), reason="YOLOLSTM_NETWORK is not set: no package index"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and a source distribution, made from a copy."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, source)
    for name in ("yololstm", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, capture_output=True, check=True)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that is no repository: a clip, and the models that a run takes where they
    are looked for. They are those of the pipeline where these are here, or have learnt nothing."""
    folder = tmp_path_factory.mktemp("away")
    for part in (".cache/models", "data/detector"):
        (folder / part).mkdir(parents=True)
    shutil.copy(drawn.pose_model(), folder / ".cache" / "models" / POSE_LANDMARKER)
    drawn.film_one(folder / "tree")
    next((folder / "tree").rglob("*.mp4")).rename(folder / "shop.mp4")
    names = ("data/detector/weights.pt", "data/checkpoint.safetensors")
    weights, trained = (folder / name for name in names)
    if all((ROOT / name).exists() for name in names):
        for name in names:
            shutil.copy(ROOT / name, folder / name)
        return folder
    yolo = ultralytics().YOLO(str(ROOT / "detectors" / "tiny.yaml"), task="detect")
    yolo.model.names = {0: "person", 1: "backpack", 2: "handbag"}
    yolo.save(weights)
    state = dict(models.build("bilstm", len(LABELS)).state_dict())
    spec = WindowSpec(fps=3.0, length=6, hop=2, max_gap_s=1.0, min_valid=0.5)
    checkpoint.save(trained, Checkpoint("bilstm", {}, (state,), BodyScaling(), spec, LABELS))
    return folder


@pytest.fixture(scope="module")
def pythons(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Environments by what they hold beside the wheel."""
    base, export = venvs.closure(venvs.named()), venvs.closure(venvs.named("export"))
    made = {
        name: venvs.made(tmp_path_factory.mktemp(name), names)
        for name, names in (
            ("base", base),
            ("export", base | export),
            ("onnx", venvs.pins(ONNX_PINS)),
        )
    }
    for python in made.values():
        venvs.install(python, wheel)
    return made


def film(python: Path, away: Path, *options: object) -> None:
    """Run on the clip, and look at what it left."""
    done = run(python, away, *RUN, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("shop.mp4: ")
    left = sorted(path.name for path in (away / "out" / "shop").iterdir())
    assert left == ["annotated.mp4", "events.json", "landmarks.parquet"]
    said = storage.read_json(away / "out" / "shop" / "events.json")
    assert said["checkpoint_sha256"] == storage.sha256(away / "data" / "checkpoint.safetensors")
    shutil.rmtree(away / "out")


def test_what_the_distributions_hold(built: Path, wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "yololstm").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "yololstm/py.typed" in sources
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if name.startswith("yololstm/")} == sources
    assert "LICENSE" in {name.rpartition("/")[2] for name in names}
    (archived,) = built.glob("*.tar.gz")
    with tarfile.open(archived) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert sources | {"LICENSE", "README.md", "pyproject.toml"} <= inside
    assert not any(name.startswith(("tests", "stages", "data")) for name in inside)


def test_videos_are_looked_at_with_what_running_takes_and_no_more(
    pythons: Mapping[str, Path], away: Path
) -> None:
    film(pythons["base"], away)


def test_what_an_extra_brings_is_named_where_it_is_missing(
    pythons: Mapping[str, Path], away: Path
) -> None:
    for name, command, remedy in (
        ("base", ("data", "check", "."), "pip install '.[pipeline]' in its clone"),
        ("base", ("export",), "pip install '.[export]' in its clone"),
        ("onnx", ("export",), "; yololstm run --runtime onnx does without"),
        ("onnx", RUN, "; yololstm run --runtime onnx does without"),
    ):
        done = run(pythons[name], away, *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(
            rf"error: \w+: it is not installed\. .*{re.escape(remedy)}.*\.\n", done.stderr
        )


def test_videos_are_looked_at_without_torch(pythons: Mapping[str, Path], away: Path) -> None:
    done = run(pythons["export"], away, "export")
    assert done.returncode == 0, done.stderr
    film(pythons["onnx"], away, "--runtime", "onnx")
    done = run(pythons["onnx"], away, "doctor")
    assert done.returncode == 0, done.stdout
    assert "LACKS run, torch     lacks safetensors, torch, torchvision, ultralytics" in done.stdout
    assert "ok    run, onnx      ready: yololstm run VIDEO --out OUT --runtime onnx" in done.stdout


def test_pins_without_torch_are_all_that_it_takes_and_are_the_pins_of_all() -> None:
    everything, few = venvs.pins(PINS), venvs.pins(ONNX_PINS)
    assert few.items() <= everything.items()
    assert set(few) == venvs.closure(set(venvs.named()) - installed.TORCH)
    assert not {"torch", "torchvision", "ultralytics", "safetensors"} & set(few)


def test_everything_that_pyproject_names_is_pinned() -> None:
    extras = ("pipeline", "s3", "ssh", "export", "openvino", "dev")
    direct = {*venvs.named(), *(name for extra in extras for name in venvs.named(extra))}
    pinned = set(venvs.pins(PINS))
    assert venvs.closure(direct - {"yololstm"}) - {"pip"} <= pinned


# --- from the package index ---


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """The python of an empty environment, which does not stay: it grows to gigabytes."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    yield tmp_path / "venv" / "bin" / "python"
    shutil.rmtree(tmp_path / "venv")


@needs_network
def test_wheel_with_all_that_it_asks_for(wheel: Path, away: Path, fresh: Path) -> None:
    subprocess.run([fresh, "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    film(fresh, away)


@needs_network
def test_wheel_without_torch(
    wheel: Path, away: Path, pythons: Mapping[str, Path], fresh: Path
) -> None:
    for asked in (["-r", str(ONNX_PINS)], ["--no-deps", str(wheel)]):
        subprocess.run([fresh, "-m", "pip", "install", "--quiet", *asked], check=True)
    done = run(pythons["export"], away, "export")
    assert done.returncode == 0, done.stderr
    film(fresh, away, "--runtime", "onnx")
