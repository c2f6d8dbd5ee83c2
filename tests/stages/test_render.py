from __future__ import annotations

import runpy
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tests.imports import ROOT
from yololstm import checkpoint, models, storage, video
from yololstm.clips import NORMAL, Clip, Span
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.scaling import BodyScaling
from yololstm.skeleton import N_JOINTS
from yololstm.trained import Checkpoint
from yololstm.windows import WindowSpec

LABELS = ("theft", "assault", "damage", NORMAL)
SPEC = WindowSpec(fps=3.0, length=4, hop=2, max_gap_s=1.0, min_valid=0.5)
FPS = Fraction(3)
N_FRAMES, WIDTH, HEIGHT = 12, 320, 240


def render(folder: Path) -> None:
    """The stage, in a folder that holds what the stages before it leave."""
    main = runpy.run_path(str(ROOT / "stages" / "render.py"))["main"]
    made = ("index.csv", "splits.csv", "landmarks", "checkpoint.safetensors")
    main("raw", *made, "renders", "private/renders")


def share(folder: Path, *roots: str) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["shareable"] = [*roots]
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def seen() -> Landmarks:
    rng = np.random.default_rng(1)
    return Landmarks(
        frame=np.arange(N_FRAMES, dtype=np.int32),
        time_s=np.arange(N_FRAMES) / 3,
        category=np.full(N_FRAMES, Category.PERSON, dtype=np.uint8),
        track=np.ones(N_FRAMES, dtype=np.int32),
        score=np.ones(N_FRAMES, dtype=np.float32),
        box=np.tile(np.array([60, 60, 140, 180], dtype=np.float32), (N_FRAMES, 1)),
        xy=rng.uniform(70, 130, (N_FRAMES, N_JOINTS, 2)).astype(np.float32),
        confidence=np.ones((N_FRAMES, N_JOINTS), dtype=np.float32),
        source=Source(WIDTH, HEIGHT, FPS, N_FRAMES, "test"),
    )


def clip(clip_id: str, label: str, *, path: str, split: str = "test") -> Clip:
    return Clip(
        clip_id=clip_id,
        path=path,
        sha256="",
        bytes=1,
        fps=FPS,
        n_frames=N_FRAMES,
        width=WIDTH,
        height=HEIGHT,
        take=clip_id,
        store="",
        camera="CA",
        actors="",
        split=split,
        annotation="",
        annotation_sha256="",
        spans=(Span(0, 4, label),),
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    share(tmp_path, "raw")
    clips = [
        clip("t", "theft", path="t.mp4"),
        clip("n", NORMAL, path="rows.csv#row=2-13"),
        clip("seen in training", "theft", path="x.mp4", split="train"),
        clip("left out by extract", "assault", path="gone.mp4"),
    ]
    storage.write_index(tmp_path / "index.csv", clips)
    storage.write_splits(tmp_path / "splits.csv", clips)
    (tmp_path / "raw").mkdir()
    with video.writing(tmp_path / "raw" / "t.mp4", FPS, WIDTH, HEIGHT) as writer:
        for _ in range(N_FRAMES):
            writer.write(np.full((HEIGHT, WIDTH, 3), 200, dtype=np.uint8))
    for name in ("t.parquet", "n.csv", "seen in training.parquet"):
        storage.write_landmarks(tmp_path / "landmarks" / name, seen())
    torch.manual_seed(0)
    state = dict(models.build("bilstm", len(LABELS)).state_dict())
    trained = Checkpoint("bilstm", {}, (state,), BodyScaling(), SPEC, LABELS)
    checkpoint.save(tmp_path / "checkpoint.safetensors", trained)
    return tmp_path


def test_test_clips_with_landmarks_are_drawn_with_or_without_video(folder: Path) -> None:
    render(folder)
    renders = sorted((folder / "renders").iterdir())
    assert [path.name for path in renders] == ["n.mp4", "t.mp4"]
    for path, light in zip(renders, (False, True), strict=True):
        assert video.probe(path) == video.VideoInfo(FPS, N_FRAMES, WIDTH, HEIGHT)
        first = next(video.read(path)).image
        assert (first[60:180, 200:].mean() > 150) == light


def test_the_same_input_gives_the_same_bytes(folder: Path) -> None:
    contents = []
    for _ in range(2):
        render(folder)
        contents.append([path.read_bytes() for path in sorted((folder / "renders").iterdir())])
    assert contents[0] == contents[1]


def test_pictures_that_may_not_be_handed_on_lie_elsewhere(folder: Path) -> None:
    render(folder)
    names = [path.name for path in sorted((folder / "renders").iterdir())]
    share(folder)
    (folder / "private" / "renders").mkdir(parents=True)
    (folder / "private" / "renders" / "of an earlier run.mp4").touch()
    render(folder)
    assert [path.name for path in sorted((folder / "private" / "renders").iterdir())] == names
    (note,) = (folder / "renders").iterdir()
    assert "are in private/renders on the machine" in note.read_text(encoding="utf-8")


def test_without_any_test_clip_it_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storage.write_index(folder / "index.csv", [])
    storage.write_splits(folder / "splits.csv", [])
    with pytest.raises(SystemExit) as stopped:
        render(folder)
    assert stopped.value.code == 1
    assert "error: index.csv: no test clip has landmarks" in capsys.readouterr().err
