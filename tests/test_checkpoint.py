from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from yololstm import checkpoint, models
from yololstm.checkpoint import Checkpoint, ResumeFile, forget
from yololstm.errors import CheckpointError
from yololstm.events import Rule
from yololstm.scaling import BodyScaling, MinMaxScaling
from yololstm.skeleton import JOINTS
from yololstm.training import Epoch, Snapshot
from yololstm.windows import WindowSpec

ARGS = {"hidden": 8, "dropout": 0.2}
LABELS = ("theft", "normal")


def trained(seed: int = 0) -> Checkpoint:
    torch.manual_seed(seed)
    return Checkpoint(
        model="bilstm",
        args=ARGS,
        members=tuple(dict(models.build("bilstm", 2, **ARGS).state_dict()) for _ in range(2)),
        scaling=MinMaxScaling((0.125,) * 26, (1920.0625,) * 26),
        spec=WindowSpec(3.0, 16, 4, 1.0, 0.5),
        labels=LABELS,
        mirrored=True,
        temperature=1.5,
        temperature_fitted=True,
        thresholds="f1",
        rule=Rule({"theft": 0.75}, leave=0.5, min_s=1.0, merge_gap_s=2.0, cool_down_s=3.0),
    )


def tensors(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {f"{i}.{k}": v for i, state in enumerate(checkpoint.members) for k, v in state.items()}


def tampered(path: Path, **changes: Any) -> Path:
    """A checkpoint whose metadata says something else; None takes a key away."""
    original = trained()
    metadata = {
        "format": 4,
        "model": original.model,
        "args": original.args,
        "scaling": original.scaling.to_dict(),
        "spec": asdict(original.spec),
        "joints": JOINTS,
        "labels": LABELS,
        "members": 2,
        "mirrored": True,
        "temperature": 1.0,
        "temperature_fitted": False,
        "thresholds": "default",
        "rule": asdict(original.rule),
        **changes,
    }
    kept = {key: value for key, value in metadata.items() if value is not None}
    save_file(tensors(original), path, {"yololstm": json.dumps(kept)})
    return path


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, trained())
    loaded = checkpoint.load(path)
    for name in (field.name for field in fields(Checkpoint) if field.name != "members"):
        assert getattr(loaded, name) == getattr(trained(), name), name
    assert len(loaded.members) == 2
    for ours, theirs in zip(loaded.members, trained().members, strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], v) for k, v in theirs.items())
    x, valid = torch.randn(3, 16, 26), torch.ones(3, 16, 13, dtype=torch.bool)
    nets = [c.network().eval() for c in (loaded, trained())]
    assert torch.equal(nets[0](x, valid), nets[1](x, valid))


def test_untouched_metadata_is_accepted(tmp_path: Path) -> None:
    """So that what the tests below refuse is refused for what they change."""
    assert checkpoint.load(tampered(tmp_path / "c.safetensors")).labels == LABELS


def test_same_checkpoint_same_bytes(tmp_path: Path) -> None:
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for path in (a, b):
        members = trained().members
        if path == b:
            members = tuple(dict(reversed(state.items())) for state in members)
        checkpoint.save(path, replace(trained(), members=members))
    assert a.read_bytes() == b.read_bytes()


def test_no_code_is_in_it(tmp_path: Path) -> None:
    """safetensors: 8 bytes of length, JSON, then numbers; one metadata key."""
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, replace(trained(), scaling=BodyScaling()))
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == ["yololstm"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": 3}, "format 3; this program reads format 4"),
        ({"format": None}, "format None"),
        ({"joints": JOINTS[::-1]}, "joints"),
        ({"labels": (*LABELS, "damage")}, "do not fit bilstm"),
        ({"model": "transformer"}, "do not fit transformer"),
        ({"model": "cnn_lstm", "args": {}}, "do not fit cnn_lstm"),
        ({"args": {"hidden": 9}}, "do not fit bilstm"),
        ({"args": {"width": 8}}, "do not fit bilstm"),
        ({"scaling": {"kind": "magic"}}, "metadata cannot be read"),
        ({"spec": {"fps": 3}}, "metadata cannot be read"),
        ({"members": 0}, r"do not fit bilstm \(no members\)"),
        ({"members": 3}, "do not fit bilstm"),
        ({"members": "two"}, "metadata cannot be read"),
        ({"mirrored": None}, "metadata cannot be read"),
        ({"temperature": "hot"}, "metadata cannot be read"),
        ({"temperature_fitted": None}, "metadata cannot be read"),
        ({"thresholds": "guessed"}, "metadata cannot be read"),
        ({"scaling": None}, "metadata cannot be read"),
        ({"rule": None}, "metadata cannot be read"),
        ({"rule": {"enter": {"theft": 2}}}, "metadata cannot be read"),
        ({"rule": {"patience": 2}}, "metadata cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    path = tampered(tmp_path / "c.safetensors", **changes)
    with pytest.raises(CheckpointError, match=problem) as caught:
        checkpoint.load(path)
    assert caught.value.problem.place == str(path)
    assert caught.value.problem.remedy


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04pickle" * 50])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        checkpoint.load(path)


def test_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    checkpoint.save(path, trained())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        checkpoint.load(path)


@pytest.mark.parametrize("metadata", [None, {"other": "{}"}, {"yololstm": "{"}, {"yololstm": "[]"}])
def test_foreign_metadata_is_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "c.safetensors"
    save_file(tensors(trained()), path, metadata)
    with pytest.raises(CheckpointError, match="metadata"):
        checkpoint.load(path)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.load(tmp_path / "none.safetensors")


SNAPSHOT = Snapshot(
    (Epoch(1, 0.1, 1.5, 0.25, 0.5, 1 / 3), Epoch(2, 0.1, 1.5, None, None, None)),
    {"model.weight": torch.rand(3), "optimizer.0.step": torch.tensor(7.0)},
)


def test_resume_file_gives_back_what_it_was_given(tmp_path: Path) -> None:
    kept = ResumeFile(tmp_path / "cache", {"seed": 1}, [])
    assert kept.load() is None
    kept.save(SNAPSHOT)
    again = ResumeFile(tmp_path / "cache", {"seed": 1}, []).load()
    assert again is not None
    assert again.history == SNAPSHOT.history
    assert all(torch.equal(again.tensors[k], v) for k, v in SNAPSHOT.tensors.items())
    kept.remove()
    assert not list((tmp_path / "cache").iterdir())


def test_resume_file_of_another_run_is_not_taken_up(tmp_path: Path) -> None:
    windows = tmp_path / "train.npz"
    windows.write_bytes(b"one")
    ResumeFile(tmp_path, {"seed": 1}, [windows]).save(SNAPSHOT)
    assert ResumeFile(tmp_path, {"seed": 1}, [windows]).load() is not None
    assert ResumeFile(tmp_path, {"seed": 2}, [windows]).load() is None
    windows.write_bytes(b"two")
    assert ResumeFile(tmp_path, {"seed": 1}, [windows]).load() is None


def test_all_resume_files_of_a_folder_are_forgotten(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("a", 2), ("b", 1)):
        ResumeFile(tmp_path / folder, {"seed": seed}, []).save(SNAPSHOT)
    (tmp_path / "a" / ".half-written").touch()
    forget(tmp_path / "a")
    forget(tmp_path / "none")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert ResumeFile(tmp_path / "b", {"seed": 1}, []).load() is not None
