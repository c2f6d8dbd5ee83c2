"""The extract stage, run in a project's root and told its paths as DVC does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from distributed import Client

from tests import drawn
from tests.datasets import trees
from tests.elsewhere import Elsewhere
from tests.elsewhere import elsewhere as elsewhere
from tests.stages import running
from tests.stages.running import Done
from yololstm import datasets, extraction, extractor, storage
from yololstm.clips import Clip
from yololstm.detector_training import train

RAW, INDEX, DETECTOR = Path("data/raw"), Path("data/index.csv"), Path("data/detector")
OUT, REPORT = Path("data/landmarks"), Path("data/reports/extract.json")


class Project:
    """A project's root with a detector, and with the pose model where it is looked for."""

    def __init__(self, root: Path, weights: Path) -> None:
        self.root = root
        (root / DETECTOR).mkdir(parents=True)
        (root / DETECTOR / "weights.pt").write_bytes(weights.read_bytes())
        (root / ".cache").mkdir()
        (root / ".cache" / "models").symlink_to(drawn.pose_model().parent)

    def index(self, kind: str) -> list[Clip]:
        clips = datasets.reader(kind, {"theft": "theft"}).read(trees.material(RAW)).clips
        storage.write_index(INDEX, clips)
        return clips

    def shop(self, n: int = 4) -> list[Clip]:
        for number in range(n):
            trees.put_video(RAW / "theft" / f"{number}.mp4")
        return self.index("folder")

    def extract(
        self,
        *,
        workers: int = 1,
        format: str = "parquet",
        source: str = "video",
        backend: str = "mediapipe",
        cluster: str = "",
        **data: Any,
    ) -> Done:
        params = yaml.safe_load((drawn.ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["data"] |= {"kind": "folder"} | data
        params["extract"] |= {"workers": workers, "format": format, "source": source}
        params["extract"] |= {"backend": backend, "cluster": cluster}
        Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        extractor.opened.cache_clear()  # what a new process would not have
        return running.run("extract", self.root, [*map(str, (RAW, INDEX, DETECTOR, OUT, REPORT))])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has learned nothing: it sees nobody anywhere."""
    folder = tmp_path_factory.mktemp("weights")
    train(
        drawn.ROOT / "detectors" / "tiny.yaml",
        drawn.squares(folder / "data"),
        folder / "weights.pt",
        **{"epochs": 1, "patience": 1, "batch": 4, "imgsz": 64, "seed": 0},
    )
    return folder / "weights.pt"


@pytest.fixture
def project(
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path, weights)


def test_clips_of_nobody(project: Project) -> None:
    """Over two processes: nobody appears, which is no fault."""
    clips = project.shop()
    OUT.mkdir()
    (OUT / "stale.parquet").touch()
    assert project.extract(workers=2).returncode == 0
    report = storage.read_json(REPORT)
    assert (report["clips"], report["nobody"], report["frames"]) == (4, 4, 4 * trees.N_FRAMES)
    assert report["left_out"] == []
    assert report["pose"] == {"official": {}, "label": {}}
    assert {path.stem for path in OUT.iterdir()} == {clip.clip_id for clip in clips}
    for path in OUT.iterdir():
        landmarks = storage.read_landmarks(path)
        assert len(landmarks) == 0
        assert landmarks.source.n_frames == trees.N_FRAMES


def test_clips_by_a_cluster_elsewhere(project: Project, elsewhere: Elsewhere) -> None:
    project.shop(n=2)
    for host in ("127.0.0.1", "127.0.0.2"):
        elsewhere.join(host)
    with Client(elsewhere.address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    done = project.extract(cluster=elsewhere.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2 clips; 0 left out; nobody in 2. Give detector.weights")
    report = storage.read_json(REPORT)
    assert (report["clips"], report["frames"]) == (2, 2 * trees.N_FRAMES)
    assert len(list(OUT.iterdir())) == 2


def test_cluster_with_other_code(
    project: Project, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here it is the one that gives work which says that it has other code."""
    project.shop(n=1)
    elsewhere.join("127.0.0.1")
    monkeypatch.setattr(extraction.Recipe, "names", ("other", "other"))
    done = project.extract(cluster=elsewhere.address)
    assert done.returncode == 1
    assert done.stderr.startswith("error: worker on ")
    assert "its code, libraries or weights are not those" in done.stderr


def test_landmarks_of_earlier_clips_do_not_stay_unnoticed(project: Project) -> None:
    """Here in a folder that is not ours to empty, for it is a link."""
    project.shop(n=1)
    Path("elsewhere").mkdir()
    OUT.symlink_to(Path("elsewhere").absolute())
    trees.put(Path("elsewhere/stale.parquet"), "stale")
    done = project.extract()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: data/landmarks: it is a link. Delete the link")
    assert Path("elsewhere/stale.parquet").exists()


def test_landmarks_that_the_data_set_brings(project: Project) -> None:
    tree = trees.landmarks_csv(RAW)
    clips = project.index(tree.kind)
    assert project.extract(kind=tree.kind, workers=2, format="csv").returncode == 0
    reader = tree.reader()
    for clip in clips:
        written = storage.read_landmarks(OUT / f"{clip.clip_id}.csv")
        own = reader.landmarks(tree.material, clip)
        assert own is not None
        np.testing.assert_array_equal(written.xy, own.xy)
    assert storage.read_json(REPORT)["clips"] == len(clips)


def test_annotated_keypoints_in_place_of_poses(project: Project) -> None:
    """No detector and no pose model is needed; a clip without keypoints holds nobody."""
    tree = trees.aihub(RAW)
    bare = trees.aihub_name(12, 9)
    trees.put_pair(RAW, bare, trees.annotation(trees.event("theft")))
    clips = project.index(tree.kind)
    Path(".cache/models").unlink()
    (DETECTOR / "weights.pt").unlink()
    assert project.extract(kind=tree.kind, source="annotations").returncode == 0
    report = storage.read_json(REPORT)
    assert (report["clips"], report["nobody"]) == (len(clips), 1)
    assert report["pose"] == {"official": {}, "label": {}}
    for clip in clips:
        written = storage.read_landmarks(OUT / f"{clip.clip_id}.parquet")
        assert len(written) == (0 if clip.clip_id == bare else 2)
        assert (written.source.fps, written.source.n_frames) == (clip.fps, clip.n_frames)


def test_a_data_set_without_keypoints_has_none_to_take(project: Project) -> None:
    project.shop(n=1)
    done = project.extract(source="annotations")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "extract.source: a data set of kind folder brings no keypoints" in done.stderr


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(trees.mp4_bytes()[:-200], "it is not the file that was indexed", id="changed"),
        pytest.param(None, "no such file", id="gone"),
    ],
)
def test_faulty_clip_is_left_out(project: Project, content: bytes | None, problem: str) -> None:
    project.shop()
    victim = RAW / "theft" / "1.mp4"
    if content is None:
        victim.unlink()
    else:
        victim.write_bytes(content)
    done = project.extract(max_left_out=0.25)
    assert done.returncode == 0
    warning, summary = done.stderr.splitlines()
    assert warning.startswith(f"warning: theft/1.mp4: {problem}")
    assert summary.startswith(f"warning: extract: 1 of 4 clips are left out (1: {problem}")
    report = storage.read_json(REPORT)
    assert [problem["place"] for problem in report["left_out"]] == ["theft/1.mp4"]
    assert report["clips"] == len(list(OUT.iterdir())) == 3
    done = project.extract(max_left_out=0.2)
    assert done.returncode == 1
    assert "1 of 4 clips are left out, more than data.max_left_out" in done.stderr
    assert len(storage.read_json(REPORT)["left_out"]) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("zero", b""), ("text", b"not a video"), ("cut", trees.mp4_bytes()[:-300])],
)
def test_file_that_is_no_video(project: Project, name: str, content: bytes) -> None:
    """Even where the index holds it, as it stands."""
    (clip,) = project.shop(n=1)
    (RAW / clip.path).write_bytes(content)
    storage.write_index(INDEX, [replace(clip, bytes=len(content))])
    done = project.extract()
    assert done.returncode == 1
    assert "error: extract: none of 1 clips is left, for example theft/0.mp4: " in done.stderr


def test_no_detector_or_pose_model(project: Project) -> None:
    project.shop(n=1)
    Path(".cache/models").unlink()
    done = project.extract()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Run yololstm models fetch" in done.stderr
    (DETECTOR / "weights.pt").unlink()
    done = project.extract()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Run the detector stage" in done.stderr


def test_yolo_pose_needs_nothing_but_its_own_weights(project: Project) -> None:
    clips = project.shop(n=2)
    Path(".cache/models").unlink()
    (DETECTOR / "weights.pt").unlink()
    done = project.extract(backend="yolo-pose")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "yolo11n-pose.pt: it has not been fetched" in done.stderr
    assert "Run yololstm models fetch --backend yolo-pose" in done.stderr
    drawn.untaught_pose(Path()).rename("yolo11n-pose.pt")
    assert project.extract(backend="yolo-pose").returncode == 0
    for clip in clips:
        backend = storage.read_landmarks(OUT / f"{clip.clip_id}.parquet").source.backend
        assert "yolo11n-pose.pt" in backend
        assert "mediapipe" not in backend


def test_detector_that_is_damaged_stops_the_stage(project: Project) -> None:
    project.shop()
    (DETECTOR / "weights.pt").write_bytes(b"damaged")
    done = project.extract(max_left_out=1.0)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no YOLO weights" in done.stderr
