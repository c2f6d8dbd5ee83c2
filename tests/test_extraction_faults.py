"""What becomes of an extraction when its processes die, hang, are stopped, or find no room.

Processes really die here, and clips are really decoded.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests import drawn
from tests.datasets import trees
from tests.extracting import PATIENCE_S, Project, blind_detector
from yololstm import datasets, storage, video
from yololstm.clips import Clip
from yololstm.cluster import Workers, still_at_work
from yololstm.extraction import Extracted, Extraction, Job, Recipe
from yololstm.landmark_store import LandmarkStore, read
from yololstm.landmarks import Landmarks, Source
from yololstm.outcomes import Outcome
from yololstm.settings import ExtractionSettings

needs_dvc = pytest.mark.skipif(
    importlib.util.find_spec("dvc") is None, reason="DVC is not installed"
)

# --- a clip that is deadly ---


def look(job: Job) -> Extracted:
    """Decodes a clip, as if nobody were in it. On the second frame of some, something happens."""
    attempts = job.material.cache / f"attempts at {job.clip.clip_id}"
    attempts.mkdir(parents=True, exist_ok=True)
    (attempts / str(os.getpid())).touch()
    with job.material.local(job.clip.path) as path:
        for frame in video.read(path):
            still_at_work()
            if frame.index == 1:
                _happens(job.clip.clip_id, len(list(attempts.iterdir())))
    clip = job.clip
    nobody = Landmarks.empty(Source(clip.width, clip.height, clip.fps, clip.n_frames, "nobody"))
    return Extracted(Outcome.of(clip, nobody), storage.landmarks_to_parquet(nobody))


def _happens(what: str, attempt: int) -> None:
    match what:
        case "segfaults":
            faulthandler.disable()
            os.kill(os.getpid(), signal.SIGSEGV)
        case "aborts":
            os.abort()
        case "hangs":
            time.sleep(PATIENCE_S)
        case "killed once" if attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "slow":
            for _ in range(6):
                time.sleep(1)
                still_at_work()


def shop(root: Path, names: list[str]) -> list[Clip]:
    for name in names:
        trees.put_video(root / "raw" / "theft" / f"{name}.mp4")
    reader = datasets.reader("folder", {"theft": "theft"})
    return reader.read(trees.material(root / "raw")).clips


def batch(root: Path) -> Extraction:
    files = {name: trees.put(root / name, name) for name in ("weights", "pose_model")}
    settings = ExtractionSettings(
        **files, backend="mediapipe", fps=None, max_persons=6, imgsz=320, min_confidence=0.4
    )
    return Extraction(
        recipe=Recipe("folder", settings),
        material=trees.material(root / "raw"),
        store=LandmarkStore(root / "store", limit=10**9),
        out=root / "out",
        format="parquet",
        extract=look,
    )


def attempts(root: Path, name: str) -> int:
    return len(list((root / "cache" / f"attempts at {name}").iterdir()))


def test_deadly_clips_are_tried_twice_and_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ["a", "aborts", "b", "c", "hangs", "killed once", "segfaults", "slow"]
    clips = shop(tmp_path, names)
    outcomes, left_out = batch(tmp_path).run(clips, Workers(2, timeout_s=4))
    well = ["a", "b", "c", "killed once", "slow"]
    assert [outcome.clip.clip_id for outcome in outcomes] == well
    said = "the process died over it, or gave no frame for 4 s, each time it was tried"
    assert {problem.place: problem.problem for problem in left_out} == dict.fromkeys(
        ("theft/aborts.mp4", "theft/hangs.mp4", "theft/segfaults.mp4"), said
    )
    tried = {name: attempts(tmp_path, name) for name in names}
    twice = dict.fromkeys(("aborts", "hangs", "killed once", "segfaults"), 2)
    assert tried == dict.fromkeys(names, 1) | twice
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == well
    *told, summary = capfd.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in told] == ["warning"] * 3
    assert summary == f"warning: extract: 3 of 8 clips are left out (3: {said})"


# --- the stage, as DVC runs it ---


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blind_detector(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def project(tmp_path: Path, weights: Path) -> Project:
    return Project(tmp_path, weights, n_clips=8)


def until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def running(project: Project, n_shards: int) -> Iterator[subprocess.Popen[str]]:
    """The stage, once so many files lie in the store."""
    process = project.start()
    try:
        until(lambda: len(project.shards()) >= n_shards or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stderr is not None
        process.stderr.close()


def in_group(leader: int) -> dict[int, str]:
    """Living processes of a group, with their command lines."""
    found = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            state, _, group = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def test_killed_worker_loses_nothing(project: Project) -> None:
    with running(project, n_shards=2) as process:
        workers = [p for p, line in in_group(process.pid).items() if "spawn_main" in line]
        os.kill(max(workers), signal.SIGKILL)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (0, "")
    assert project.is_whole()


@pytest.mark.parametrize(
    ("stop", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)]
)
def test_stopped_stage_goes_on_where_it_was(
    project: Project, stop: signal.Signals, code: int
) -> None:
    """As by the machine, and as by Ctrl-C, which reaches all processes of a terminal."""
    with running(project, n_shards=4) as process:
        (os.kill if stop == signal.SIGKILL else os.killpg)(process.pid, stop)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == code
        assert code != 130 or said == "interrupted\n"
        until(lambda: not in_group(process.pid))
    kept = project.shards()
    assert project.run() == (0, "")
    assert project.is_whole()
    assert kept.items() <= project.shards().items()


def test_full_disk(project: Project, tmp_path: Path) -> None:
    """A store of 40 KB that nobody else sees, copied out before it is gone."""
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    store = project.root / ".cache/landmarks"
    store.mkdir()
    mount = f"mount -t tmpfs -o size=40k none '{store}'"
    if subprocess.run([*alone, mount], check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    copy = tmp_path / "copy"
    script = f'{mount} && "$@"; code=$?; cp -r "{store}" "{copy}"; exit $code'
    code, said = project.run(*alone, script, "sh")
    assert code == 1
    assert said.startswith(f"error: {store}/"), said
    assert "it cannot be written (No space left on device). Make room there" in said
    assert said.count("\n") == 1
    shards = list(copy.glob("*/*"))
    assert len(shards) > 1
    assert all(read(path) for path in shards)
    shutil.copytree(copy, store, dirs_exist_ok=True)
    kept = project.shards()
    assert project.run() == (0, "")
    assert project.is_whole()
    assert kept.items() <= project.shards().items()


def test_two_at_once_share_a_store(project: Project, weights: Path, tmp_path: Path) -> None:
    other = Project(tmp_path / "other", weights, n_clips=8)
    (project.root / ".cache/landmarks").mkdir()
    (other.root / ".cache/landmarks").symlink_to(project.root / ".cache/landmarks")
    processes = [one.start() for one in (project, other)]
    for process in processes:
        _, said = process.communicate(timeout=2 * PATIENCE_S)
        assert (process.returncode, said) == (0, "")
    files = [
        {path.name: path.read_bytes() for path in (one.root / "data/landmarks").iterdir()}
        for one in (project, other)
    ]
    assert project.is_whole()
    assert files[0] == files[1]
    assert all(read(path) for path in project.shards())


# --- two at once, by DVC ---


def under_dvc(project: Project) -> Project:
    """With a pipeline of the extract stage alone."""
    outs = ["data/landmarks", "data/reports/extract.json"]
    stage = {"cmd": shlex.join(project.command), "deps": ["data/index.csv"], "outs": outs}
    trees.put(project.root / "dvc.yaml", yaml.safe_dump({"stages": {"extract": stage}}))
    trees.put(project.root / ".gitignore", "")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=project.root, check=True)
    return project


def repro(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(drawn.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, errors = process.communicate(timeout=2 * PATIENCE_S)
    return process.returncode, said, errors


@needs_dvc
def test_second_repro_in_one_repository_is_refused(project: Project) -> None:
    """By DVC, which names the first. The first goes on, and a third has nothing to do."""
    first = repro(under_dvc(project))
    until(lambda: len(project.shards()) >= 2 or first.poll() is not None)
    assert first.poll() is None
    code, _, errors = ended(repro(project))
    assert code == 255
    assert errors.startswith(f"ERROR: failed to reproduce 'extract': '{project.root / 'data'}/")
    assert "' is busy, it is being blocked by:" in errors
    assert f"(PID {first.pid}): " in errors
    assert ended(first)[0] == 0
    assert project.is_whole()
    code, said, _ = ended(repro(project))
    assert code == 0
    assert "Stage 'extract' didn't change, skipping" in said


@needs_dvc
def test_repro_in_two_clones_that_share_a_store(weights: Path, tmp_path: Path) -> None:
    clones = [Project(tmp_path / name, weights, n_clips=3) for name in ("one", "other")]
    (tmp_path / "store").mkdir()
    for clone in clones:
        (clone.root / ".cache/landmarks").symlink_to(tmp_path / "store")
    for process in [repro(under_dvc(clone)) for clone in clones]:
        code, _, errors = ended(process)
        assert code == 0, errors
    assert all(clone.is_whole() for clone in clones)
    locks = [yaml.safe_load((clone.root / "dvc.lock").read_text()) for clone in clones]
    assert locks[0]["stages"]["extract"]["outs"] == locks[1]["stages"]["extract"]["outs"]
    assert all(read(path) for path in clones[0].shards())
