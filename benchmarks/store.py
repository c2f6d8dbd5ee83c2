"""What it costs to add one clip to a thousand that are extracted, by `dvc repro`."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import yaml

from benchmarks.extract import settings_of
from yololstm import storage
from yololstm.clips import Clip
from yololstm.extraction import Recipe
from yololstm.landmark_store import LandmarkStore
from yololstm.landmarks import Landmarks
from yololstm.outcomes import Outcome
from yololstm.params import load

N_CLIPS = 1_000
HERE = Path.cwd()
_STAGE = (
    str(HERE / "stages" / "extract.py"),
    *["raw", "index.csv", "detector", "data/landmarks", "extract.json"],
)
_REPRO = ("-m", "dvc", "repro", "--quiet")
_EXTRACT = """
import sys
from pathlib import Path
from benchmarks.extract import settings_of
from yololstm.extractor import Extractor
with Extractor(settings_of(Path.cwd())) as extractor:
    extractor.extract(Path(sys.argv[1]))
"""


def measure() -> dict[str, float]:
    """Seconds, by the clock and of one core, of all processes that are started. The clip is one of
    the sample; the others have its landmarks."""
    params = load(Path("params.yaml"))
    clip = storage.read_index(Path("data/index.csv"))[0]
    landmarks = storage.read_landmarks(Path("data/landmarks", f"{clip.clip_id}.parquet"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _lay_out(root, Path(params.data.root))
        recipe = Recipe(params.data.kind, settings_of(HERE))
        known = [_known(clip, number) for number in range(N_CLIPS)]
        _store(root, recipe, known, landmarks)
        storage.write_index(root / "index.csv", known)
        rows: dict[str, float] = {}
        _time(rows, "1000 stored, dvc repro", root, *_REPRO)
        _commit(root)
        storage.write_index(root / "index.csv", [*known, clip])
        _time(rows, "1 new, dvc repro", root, *_REPRO)
        report = storage.read_json(root / "extract.json")
        assert (report["clips"], report["left_out"]) == (N_CLIPS + 1, [])
        _time(rows, "1001 stored, stage alone", root, *_STAGE)
        _time(rows, "1 extracted, bare", HERE, "-c", _EXTRACT, f"{params.data.root}/{clip.path}")
    for kind in ("s", "CPU s"):
        anything_else = rows[f"1 new, dvc repro: {kind}"] - rows[f"1 extracted, bare: {kind}"]
        rows[f"1 new, anything else: {kind}"] = anything_else
    return rows


def _known(clip: Clip, number: int) -> Clip:
    """Another file, which is never opened."""
    name = f"known-{number}"
    return replace(clip, clip_id=name, path=f"{name}.mp4", sha256=sha256(name.encode()).hexdigest())


def _lay_out(root: Path, data: Path) -> None:
    """A project of the extract stage alone."""
    (root / ".cache").mkdir()
    (root / ".cache" / "models").symlink_to(HERE / ".cache" / "models")
    (root / "params.yaml").symlink_to(HERE / "params.yaml")
    (root / "raw").symlink_to(HERE / data)
    (root / "detector").symlink_to(HERE / "data" / "detector")
    (root / "data").mkdir()
    stage = {
        "cmd": shlex.join([sys.executable, *_STAGE]),
        "deps": ["index.csv"],
        "outs": ["data/landmarks", "extract.json"],
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"extract": stage}}))
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    _run(root, "-m", "dvc", "init", "--quiet")


def _commit(root: Path) -> None:
    """So that a clip that is not stored is looked for in the last commit."""
    author = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    files = ["dvc.yaml", "dvc.lock", "index.csv"]
    for command in (["add", *files], [*author, "commit", "-qm", "extracted"]):
        subprocess.run(["git", *command], cwd=root, check=True)


def _store(root: Path, recipe: Recipe, clips: Sequence[Clip], landmarks: Landmarks) -> None:
    store = LandmarkStore(root / ".cache" / "landmarks", limit=10**12)
    for clip in clips:
        key = recipe.key(clip)
        made = replace(landmarks, source=replace(landmarks.source, key=key))
        store.put(key, storage.landmarks_to_parquet(made))
        store.put(recipe.outcome_key(clip), Outcome.of(clip, made).to_json())


def _time(rows: dict[str, float], what: str, folder: Path, *arguments: str) -> None:
    start, cpu_s = time.perf_counter(), _cpu_s()
    _run(folder, *arguments)
    rows[f"{what}: s"] = time.perf_counter() - start
    rows[f"{what}: CPU s"] = _cpu_s() - cpu_s


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"},
        check=True,
    )
