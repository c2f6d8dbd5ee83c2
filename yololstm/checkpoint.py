"""Checkpoints: one safetensors file, and nothing in it that runs code when it is loaded."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from yololstm import augmentation, models, scaling, training
from yololstm.errors import CheckpointError
from yololstm.events import Rule
from yololstm.skeleton import JOINTS
from yololstm.storage import atomic, read_json, read_windows, sha256
from yololstm.trained import Checkpoint, Thresholds
from yololstm.training import Epoch, Snapshot
from yololstm.windows import Windows, WindowSpec

__all__ = ["Checkpoint", "ResumeFile", "forget", "load", "read_split", "save"]

FORMAT: Final = 4
# One key only: safetensors writes several in an order that changes from run to run.
_KEY: Final = "yololstm"


def save(path: Path, checkpoint: Checkpoint) -> None:
    """The same checkpoint gives the same bytes."""
    metadata = {
        "format": FORMAT,
        "model": checkpoint.model,
        "args": checkpoint.args,
        "scaling": checkpoint.scaling.to_dict(),
        "spec": asdict(checkpoint.spec),
        "joints": JOINTS,
        "labels": checkpoint.labels,
        "members": len(checkpoint.members),
        "mirrored": checkpoint.mirrored,
        "temperature": checkpoint.temperature,
        "temperature_fitted": checkpoint.temperature_fitted,
        "rule": asdict(checkpoint.rule),
        "thresholds": checkpoint.thresholds,
    }
    members = enumerate(checkpoint.members)
    tensors = {f"{i}.{name}": value for i, state in members for name, value in state.items()}
    _write(path, tensors, metadata)


def load(path: Path) -> Checkpoint:
    """Raises CheckpointError where it is damaged, of another format, or does not fit together."""
    tensors, metadata = _read(path)
    if (found := metadata.get("format")) != FORMAT:
        raise _other(path, f"format {found}; this program reads format {FORMAT}")
    if tuple(metadata.get("joints", ())) != JOINTS:
        raise _other(path, "trained on other joints, or on ours in another order")
    try:
        checkpoint = _parse(metadata, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"its metadata cannot be read ({error!r})") from error
    try:
        checkpoint.network()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise _other(path, f"its weights do not fit {checkpoint.model} ({reason:.120})") from error
    return checkpoint


def read_split(split: str, folder: Path, trained: Checkpoint, path: Path) -> Windows:
    """The windows of a split. path: of the checkpoint.

    Raises DataError, and CheckpointError where it was trained on others than those of the folder.
    """
    windows, fitted = read_windows(folder / f"{split}.npz"), read_json(folder / "scaling.json")
    if (windows.spec, fitted) != (trained.spec, trained.scaling.to_dict()):
        problem = f"trained on other windows than {folder}"
        raise CheckpointError(path, problem, "Run the train stage again")
    return windows


def _parse(metadata: Mapping[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    return Checkpoint(
        model=str(metadata["model"]),
        args=dict(metadata["args"]),
        members=tuple(_member(tensors, i) for i in range(metadata["members"])),
        scaling=scaling.from_dict(metadata["scaling"]),
        spec=WindowSpec(**metadata["spec"]),
        labels=tuple(metadata["labels"]),
        mirrored=bool(metadata["mirrored"]),
        temperature=float(metadata["temperature"]),
        temperature_fitted=bool(metadata["temperature_fitted"]),
        rule=Rule(**metadata["rule"]),
        thresholds=_thresholds(metadata["thresholds"]),
    )


def _thresholds(found: Thresholds) -> Thresholds:
    if found not in get_args(Thresholds):
        raise ValueError(f"thresholds {found!r}")
    return found


def _member(tensors: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    start = f"{number}."
    return {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}


class ResumeFile:
    """Where a run of training is kept until it has ended, so that it can go on after a kill.

    Its name is the fingerprint of all that the run depends on; no other run takes it up.
    """

    def __init__(self, folder: Path, settings: object, files: Iterable[Path]) -> None:
        """settings: anything that JSON can say; files: what the run reads."""
        code = [Path(str(module.__file__)) for module in (models, training, augmentation)]
        known = [settings, torch.__version__, *(sha256(path) for path in [*files, *code])]
        name = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
        self._path = folder / f"{name}.safetensors"

    def save(self, snapshot: Snapshot) -> None:
        _write(self._path, snapshot.tensors, {"history": snapshot.history})

    def load(self) -> Snapshot | None:
        """None where there is none, or a damaged one: training then starts anew."""
        if not self._path.exists():
            return None
        try:
            tensors, value = _read(self._path)
            return Snapshot(tuple(Epoch(*row) for row in value["history"]), tensors)
        except (CheckpointError, KeyError, TypeError):
            self.remove()
            return None

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def forget(folder: Path) -> None:
    """All resume files of a folder, and what a kill left of them, whatever run they are of."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, tensors: dict[str, Tensor], value: dict[str, Any]) -> None:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with atomic(path) as temporary:
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, {_KEY: text})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise CheckpointError(
            path, "no such file", "Run the stages train and finish, or check the path"
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, f"not a safetensors file ({error})") from error
    if text is None:
        raise _damaged(path, "it has no metadata of ours")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise _damaged(path, f"its metadata cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise _damaged(path, "its metadata is not an object")
    return tensors, value


def _other(path: Path, problem: str) -> CheckpointError:
    remedy = "Run the stages train and finish again, or use the program's version that wrote it"
    return CheckpointError(path, problem, remedy)


def _damaged(path: Path, problem: str) -> CheckpointError:
    return CheckpointError(
        path, problem, "Fetch the file again, or run the stages train and finish again"
    )
