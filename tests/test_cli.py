from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.datasets.trees import (
    MAKERS,
    aihub,
    aihub_name,
    annotation,
    event,
    put,
    put_pair,
)
from tests.drawn import untaught_pose
from tests.imports import ROOT
from yololstm import checkpoint, datasets, fetching, models, storage, video, weights
from yololstm.cli import app
from yololstm.clips import NORMAL
from yololstm.detector import ultralytics
from yololstm.scaling import BodyScaling
from yololstm.trained import Checkpoint
from yololstm.weights import POSE_LANDMARKER, POSE_LANDMARKER_SHA256
from yololstm.windows import WindowSpec

LABELS = ("theft", "assault", "damage", NORMAL)
SPEC = WindowSpec(fps=3.0, length=6, hop=2, max_gap_s=1.0, min_valid=0.5)
FPS = Fraction(15)
N_FRAMES, WIDTH, HEIGHT = 30, 320, 240


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_video(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with video.writing(path, FPS, WIDTH, HEIGHT) as writer:
        for i in range(N_FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), 90 + i, dtype=np.uint8))
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the right shape; it has learnt nothing."""
    torch.manual_seed(0)
    state = dict(models.build("bilstm", len(LABELS)).state_dict())
    path = tmp_path_factory.mktemp("trained") / "checkpoint.safetensors"
    checkpoint.save(path, Checkpoint("bilstm", {}, (state,), BodyScaling(), SPEC, LABELS))
    return path


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO that knows the words and finds nothing: it has learnt nothing."""
    yolo = ultralytics().YOLO(str(ROOT / "detectors" / "tiny.yaml"), task="detect")
    yolo.model.names = {0: "person", 1: "backpack", 2: "handbag"}
    path = tmp_path_factory.mktemp("detector") / "weights.pt"
    yolo.save(path)
    return path


@pytest.fixture(scope="session")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO-pose that has learnt nothing, as if it were published."""
    folder = tmp_path_factory.mktemp("release")
    return untaught_pose(folder).rename(folder / "untaught-pose.pt")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the pose model and nothing else."""
    pose_model = ROOT / ".cache" / "models" / POSE_LANDMARKER
    if not pose_model.is_file():
        pytest.skip("the pose model is not there: run yololstm models fetch")
    cache = tmp_path / ".cache" / "models"
    cache.mkdir(parents=True)
    (cache / POSE_LANDMARKER).symlink_to(pose_model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_videos_become_annotated_videos_landmarks_and_events(
    home: Path, trained: Path, detector: Path
) -> None:
    videos = [write_video(home / folder / "shop.mp4") for folder in ("a", "b")]
    broken = home / "broken.mp4"
    broken.write_bytes(videos[0].read_bytes()[:2000])
    options = ("--checkpoint", trained, "--detector", detector, "--out", "out", "--imgsz", 320)
    result = invoke("run", videos[0], broken, home / "gone.mp4", videos[1], *options)

    assert result.exit_code == 1
    assert f"error: {broken}: " in result.stderr
    assert f"error: {home / 'gone.mp4'}: no such file. Check the path" in result.stderr
    assert f"2 of 4 videos failed: {broken}, {home / 'gone.mp4'}" in result.stderr
    assert "shop.mp4: 0 persons, 0 windows, 0 events -> out/shop\n" in result.stdout
    assert sorted(path.name for path in Path("out").iterdir()) == ["shop", "shop-2"]
    for folder in (Path("out/shop"), Path("out/shop-2")):
        assert sorted(path.name for path in folder.iterdir()) == [
            *("annotated.mp4", "events.json", "landmarks.parquet"),
        ]
        info = video.probe(folder / "annotated.mp4")
        assert info == video.VideoInfo(Fraction(10), 20, WIDTH, HEIGHT)
        assert len(storage.read_landmarks(folder / "landmarks.parquet")) == 0
        said = storage.read_json(folder / "events.json")
        assert (said["video"], said["labels"]) == ("shop.mp4", list(LABELS))
        assert said["checkpoint_sha256"] == storage.sha256(trained)
        assert said["events"] == said["tracks"] == []


def test_params_say_what_options_do_not(home: Path, trained: Path, detector: Path) -> None:
    shop = write_video(home / "shop.mp4")
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    changed, n = re.subn(r"(extract:(?:\n  .*)*?\n  fps:)\n", r"\1 3.0\n", text)
    assert n == 1
    (home / "params.yaml").write_text(changed, encoding="utf-8")
    options = ("--checkpoint", trained, "--detector", detector.parent, "--out", "out")

    rates = []
    for more in ((), ("--fps", 5)):
        assert invoke("run", shop, *options, *more).exit_code == 0
        rates.append(storage.read_json(Path("out/shop/events.json"))["frames"]["fps"])
    assert rates == [3.0, 5.0]

    (home / "params.yaml").write_text(changed + "\nodd: 1\n", encoding="utf-8")
    result = invoke("run", shop, *options)
    assert result.exit_code == 1
    assert "params.yaml: odd: unknown key" in result.stderr


def test_what_is_absent_is_named_with_its_remedy(home: Path, trained: Path, detector: Path) -> None:
    shop = write_video(home / "shop.mp4")
    result = invoke("run", shop, "--out", "out", "--detector", detector)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: data/checkpoint.safetensors: no such file. ")

    result = invoke("run", shop, "--out", "out", "--checkpoint", trained)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: data/detector: no detector weights. ")

    (home / ".cache" / "models" / POSE_LANDMARKER).unlink()
    result = invoke("run", shop, "--out", "out", "--checkpoint", trained, "--detector", detector)
    assert result.exit_code == 1
    assert "Run yololstm models fetch." in result.stderr
    assert not Path("out").exists()


def test_models_are_listed_where_they_are(home: Path, trained: Path, detector: Path) -> None:
    before = invoke("models", "list").stdout.splitlines()
    assert before[0].endswith(f".cache/models/{POSE_LANDMARKER}")
    assert before[1].strip() == f"sha256 {POSE_LANDMARKER_SHA256}"
    assert "not ready  data/detector/weights.pt: " in before[2]
    assert "not ready  data/checkpoint.safetensors: " in before[3]
    assert len(before) == 4

    Path("data/detector").mkdir(parents=True)
    shutil.copy(detector, "data/detector/weights.pt")
    shutil.copy(trained, "data/checkpoint.safetensors")
    after = invoke("models", "list").stdout.splitlines()
    assert after[2].endswith("data/detector/weights.pt")
    assert after[3].strip() == f"sha256 {storage.sha256(detector)}"
    assert "bilstm, 6 steps at 3 a second, theft, assault, damage, normal" in after[4]


def test_models_are_verified_against_what_is_said_of_them(
    home: Path, trained: Path, detector: Path
) -> None:
    def states() -> list[str]:
        result = invoke("models", "verify")
        found = [line.split()[1] for line in result.stdout.splitlines()]
        assert result.exit_code == int(set(found[:3]) != {"ok"} or "WRONG" in found)
        return found

    assert states() == ["ok", "ABSENT", "ABSENT"]
    Path("data/detector").mkdir(parents=True)
    shutil.copy(detector, "data/detector/weights.pt")
    shutil.copy(trained, "data/checkpoint.safetensors")
    assert states() == ["ok", "UNKNOWN", "UNKNOWN"]
    for path in (Path("data/detector/weights.pt"), Path("data/checkpoint.safetensors")):
        weights.record(path)
    assert states() == ["ok", "ok", "ok"]
    with Path("data/checkpoint.safetensors").open("ab") as file:
        file.write(b"?")
    assert states() == ["ok", "ok", "WRONG"]
    weights.record(Path("data/checkpoint.safetensors"))
    (home / ".cache/models/yolo11n.pt").write_bytes(b"damaged")
    (home / ".cache/models/other.pt").write_bytes(b"nobody knows")
    assert states() == ["ok", "ok", "ok", "UNKNOWN", "WRONG"]
    weights.record(home / ".cache/models/other.pt")
    told = invoke("models", "verify").stdout
    assert "data/checkpoint.safetensors, as checkpoint.safetensors.sha256 says\n" in told
    assert "ok       .cache/models/other.pt, as when it was fetched\n" in told


def test_exports_are_verified_where_there_is_nothing_else(home: Path) -> None:
    Path("data/export").mkdir(parents=True)
    for name in ("detector.onnx", "behaviour.onnx"):
        Path("data/export", name).write_bytes(b"a model")
    result = invoke("models", "verify")
    assert result.exit_code == 1
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["ok", "UNKNOWN", "UNKNOWN"]
    for path in Path("data/export").glob("*.onnx"):
        weights.record(path)
    assert invoke("models", "verify").exit_code == 0

    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace("  backend: mediapipe", "  backend: yolo-pose"))
    result = invoke("models", "verify")
    assert result.exit_code == 1
    assert "classifier      ABSENT" in result.stdout, "torch alone runs yolo-pose"


def test_a_model_that_is_there_is_not_fetched_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLOLSTM_OFFLINE", "1")
    result = invoke("models", "fetch")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.strip() == f".cache/models/{POSE_LANDMARKER}"


def test_models_of_the_backend_that_is_asked_for(
    home: Path, trained: Path, untaught: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """yolo-pose takes neither the detector nor the landmarker, and says what it lacks itself."""
    (home / ".cache" / "models" / POSE_LANDMARKER).unlink()
    shop = write_video(home / "shop.mp4")
    chosen = ("--backend", "yolo-pose", "--pose-weights", untaught.name)
    asked = ("run", shop, "--out", "out", "--checkpoint", trained, *chosen)
    result = invoke(*asked)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: .cache/models/untaught-pose.pt: it has not been fetched"
    )
    remedy = "Run yololstm models fetch --backend yolo-pose --pose-weights untaught-pose.pt."
    assert remedy in result.stderr

    monkeypatch.setattr(fetching, "RELEASE", untaught.parent.as_uri())
    monkeypatch.setenv("YOLOLSTM_OFFLINE", "1")
    result = invoke("models", "fetch", *chosen)
    assert result.exit_code == 1
    assert f"Put the file of {untaught.as_uri()} there by hand." in result.stderr
    monkeypatch.delenv("YOLOLSTM_OFFLINE")
    result = invoke("models", "fetch", *chosen)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == ".cache/models/untaught-pose.pt"
    result = invoke(*asked, "--imgsz", 64)
    assert result.exit_code == 0, result.stderr
    backend = storage.read_json(Path("out/shop/events.json"))["frames"]["backend"]
    assert "untaught-pose.pt" in backend
    assert "mediapipe" not in backend


def test_detector_that_is_named_is_fetched_by_one_command_and_no_other(
    home: Path, trained: Path, detector: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = write_video(home / "shop.mp4")
    monkeypatch.setattr(fetching, "RELEASE", detector.parent.as_uri())
    asked = ("run", shop, "--out", "out", "--checkpoint", trained, "--detector", detector.name)
    result = invoke(*asked)
    assert result.exit_code == 1
    assert "Run yololstm models fetch --detector weights.pt." in result.stderr
    assert sorted(path.name for path in Path(".cache/models").iterdir()) == [POSE_LANDMARKER]

    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    named = text.replace("  weights: ''", f"  weights: {detector.name}", 1)
    (home / "params.yaml").write_text(named, encoding="utf-8")
    result = invoke("models", "fetch")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1] == ".cache/models/weights.pt"
    result = invoke(*asked, "--imgsz", 320)
    assert result.exit_code == 0, result.stderr


def test_pose_weights_of_another_backend_are_refused(home: Path, trained: Path) -> None:
    for command in (("run", "a.mp4", "--out", "out"), ("models", "fetch")):
        result = invoke(*command, "--pose-weights", "own.pt")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: --pose-weights: mediapipe does not use them. ")
    assert invoke("run", "a.mp4", "--out", "out", "--backend", "openpose").exit_code == 2


# --- data check ---


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", MAKERS)
def test_sound_data_set_is_shown_and_reported(desk: Path, kind: str) -> None:
    tree = MAKERS[kind](desk / "root")
    result = invoke("data", "check", tree.root, "--kind", kind)
    assert result.exit_code == 0, result.stderr
    last = result.stdout.splitlines()[-1]
    assert re.fullmatch(
        rf"{tree.n_clips} clips of \d+ takes; 0 left out -> data/check/check.html", last
    )
    assert re.search(r"store +┃ camera +┃ theft ┃ assault ┃ damage ┃ normal ┃", result.stdout)
    assert storage.read_json(Path("data/check/check.json"))["clips"] == tree.n_clips
    page = Path("data/check/check.html").read_text(encoding="utf-8")
    assert ("data:image/jpeg;base64," in page) == (kind not in datasets.WITHOUT_VIDEO)
    for written in Path("data/check").iterdir():
        assert str(desk) not in written.read_text(encoding="utf-8")


def test_faults_are_shown_and_make_the_check_fail(desk: Path) -> None:
    tree = aihub(desk / "root")
    for i in range(25):
        put(tree.root / "Training" / f"lone{i:02}.xml", annotation())
    put(tree.root / tree.victim, "<annotation/>")
    result = invoke("data", "check", tree.root, "--out", "told")
    assert result.exit_code == 1
    assert "\n26 left out for faults\n  Training/" in result.stdout
    assert f"  {tree.victim}:1: its root is <annotation>" in result.stdout
    assert "  and 6 more such, which the report lists" in result.stdout
    assert "; 26 left out -> told/check.html" in result.stdout
    assert result.stderr == ""
    report = storage.read_json(Path("told/check.json"))
    assert len(report["problems"]) == report["left_out_for_faults"] == 26
    page = Path("told/check.html").read_text(encoding="utf-8")
    assert all(f"lone{i:02}.xml" in page for i in range(25))


def test_what_cannot_be_opened_is_shown_and_makes_the_check_fail(desk: Path) -> None:
    tree = aihub(desk / "root")
    put(tree.root / "TS_12.zip", b"")
    result = invoke("data", "check", tree.root)
    assert result.exit_code == 1
    assert "\n1 not opened, with all that they hold\n  TS_12.zip: the zip is" in result.stdout
    assert "; 0 left out; 1 not opened -> data/check/check.html" in result.stdout
    assert result.stderr == (
        "error: TS_12.zip: the zip is empty, so that nobody knows what is missing."
        " Download it again, or take it out of the data.\n"
    )
    assert "TS_12.zip" in Path("data/check/check.html").read_text(encoding="utf-8")


def test_what_is_merely_unmapped_or_doubtful_does_not_fail(desk: Path) -> None:
    tree = aihub(desk / "root")
    put_pair(tree.root, aihub_name(7), annotation(event("fall")))
    put_pair(tree.root, aihub_name(12, 0, "CC"), annotation())
    result = invoke("data", "check", tree.root)
    assert result.exit_code == 0
    assert "\n1 left out without a label\n" in result.stdout
    assert "has no label for the event 'fall'" in result.stdout
    assert "normal to CC; theft to CA, CB" in result.stdout


def test_what_params_say_of_the_data_counts(desk: Path) -> None:
    tree = MAKERS["folder"](desk / "root")
    put(tree.root / "arson" / "001.mp4", (tree.root / tree.victim).read_bytes())
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("  kind: aihub", "  kind: folder"),
        ("- damage\n", "- damage\n- fire\n"),
        ("    theft: theft", "    arson: fire\n    theft: theft"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    Path("params.yaml").write_text(text, encoding="utf-8")
    assert invoke("data", "check", tree.root).exit_code == 0
    labels = storage.read_json(Path("data/check/check.json"))["labels"]
    assert (labels["fire"]["clips"], labels["theft"]["clips"]) == (1, 10)

    Path("params.yaml").unlink()
    result = invoke("data", "check", tree.root, "--kind", "folder")
    assert result.exit_code == 1
    assert "arson/001.mp4: folder 'arson' is no label." in result.stdout


def test_pictures_are_not_put_where_git_would_take_them(desk: Path) -> None:
    tree = MAKERS["folder"](desk / "data/raw/user")
    asked = ("data", "check", tree.root, "--kind", "folder", "--out")
    assert invoke(*asked, "anywhere").exit_code == 0
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path(".gitignore").write_text("/data/check\n")
    for out in ("told", desk / "deep/er/told", "data/check/../told"):
        result = invoke(*asked, out)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: --out: git would take ")
        assert "pictures of" in result.stderr
        assert "Name a folder that git ignores" in result.stderr
    assert not Path("told").exists()
    with tempfile.TemporaryDirectory() as outside:
        Path("away").symlink_to(outside)
        for out in ("data/check", outside, "away/told"):
            assert invoke(*asked, out).exit_code == 0


def test_pictures_that_may_be_shared_are_put_anywhere(desk: Path) -> None:
    tree = MAKERS["folder"](desk / "data/raw/sample")
    subprocess.run(["git", "init", "--quiet"], check=True)
    asked = ("data", "check", tree.root, "--kind", "folder", "--out", "told")
    assert invoke(*asked).exit_code == 0
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    changed = text.replace("shareable:\n  - data/raw/sample\n", "shareable: []\n")
    assert changed != text
    Path("params.yaml").write_text(changed, encoding="utf-8")
    assert invoke(*asked).stderr.startswith("error: --out: ")


def test_where_there_is_no_git_nothing_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = MAKERS["landmarks_csv"](desk / "user")
    subprocess.run(["git", "init", "--quiet"], check=True)
    monkeypatch.setenv("PATH", str(desk))
    result = invoke("data", "check", tree.root, "--kind", "landmarks_csv", "--out", "told")
    assert result.exit_code == 0, result.stderr


def test_root_that_cannot_be_read_is_an_error(desk: Path) -> None:
    result = invoke("data", "check", "nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: nowhere: no such folder. ")
    assert invoke("data", "check", ".", "--kind", "odd").stderr.startswith("error: data.kind: ")
    assert list(desk.iterdir()) == []


def test_folder_without_clips_is_an_error_with_a_page(desk: Path) -> None:
    (desk / "root").mkdir()
    result = invoke("data", "check", "root")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: data.root: no clip was found. ")
    assert storage.read_json(Path("data/check/check.json"))["clips"] == 0
    assert "0</strong>" in Path("data/check/check.html").read_text(encoding="utf-8")


def test_options_out_of_range_are_refused() -> None:
    result = invoke("run", "a.mp4", "--out", "out", "--min-confidence", 2)
    assert result.exit_code == 2


def test_it_runs_as_a_module_and_tells_its_version() -> None:
    command = [sys.executable, "-m", "yololstm", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


def test_help_waits_for_no_heavy_library() -> None:
    code = "import sys, yololstm.cli; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "cv2", "ultralytics", "mediapipe", "pandas", "numpy", "pydantic"}


def test_persons_in_a_real_video_are_found_and_keep_their_numbers(
    home: Path, trained: Path, real_data: Path
) -> None:
    result = invoke(
        *("run", real_data / "data" / "video" / "two-people.mp4", "--out", "out", "--fps", 5),
        *("--checkpoint", trained),
        *("--detector", real_data / "models" / "yolo11n_int8_openvino_model"),
    )
    assert result.exit_code == 0, result.stderr
    said = json.loads(Path("out/two-people/events.json").read_text(encoding="utf-8"))
    assert len(said["tracks"]) == 2
    assert all(t["end_s"] - t["start_s"] > 2 and t["windows"] for t in said["tracks"])
    drawn = [frame.image for frame in video.read(Path("out/two-people/annotated.mp4"))]
    assert len(drawn) == said["frames"]["count"] == 13
