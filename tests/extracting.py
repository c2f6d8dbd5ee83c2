"""A project of the extract stage alone, run as DVC runs it: as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

from tests import drawn
from tests.datasets import trees
from yololstm import datasets, storage
from yololstm.detector_training import train

PATIENCE_S: Final = 90


def blind_detector(folder: Path) -> Path:
    """Weights that have learned nothing: they see nobody anywhere."""
    train(
        drawn.ROOT / "detectors" / "tiny.yaml",
        drawn.squares(folder / "data"),
        folder / "weights.pt",
        **{"epochs": 1, "patience": 1, "batch": 4, "imgsz": 64, "seed": 0},
    )
    return folder / "weights.pt"


class Project:
    """A project's root, with a detector that sees nobody anywhere."""

    def __init__(self, root: Path, weights: Path, n_clips: int) -> None:
        self.root = root
        trees.put(root / "data/detector/weights.pt", weights.read_bytes())
        (root / ".cache").mkdir()
        (root / ".cache" / "models").symlink_to(drawn.pose_model().parent)
        params = yaml.safe_load((drawn.ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["data"]["kind"] = "folder"
        params["extract"] |= {"workers": 2, "imgsz": 64}
        trees.put(root / "params.yaml", yaml.safe_dump(params))
        self.index(n_clips)

    def index(self, n_clips: int) -> None:
        for number in range(n_clips):
            trees.put_video(self.root / "data/raw/theft" / f"{number}.mp4")
        reader = datasets.reader("folder", {"theft": "theft"})
        self.clips = reader.read(trees.material(self.root / "data/raw")).clips
        storage.write_index(self.root / "data/index.csv", self.clips)

    @property
    def command(self) -> list[str]:
        paths = "data/raw data/index.csv data/detector data/landmarks data/reports/extract.json"
        return [sys.executable, str(drawn.ROOT / "stages/extract.py"), *paths.split()]

    def start(self, *before: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*before, *self.command],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(drawn.ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # Whoever runs the tests may have had it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )

    def run(self, *before: str) -> tuple[int, str]:
        process = self.start(*before)
        _, said = process.communicate(timeout=2 * PATIENCE_S)
        return process.returncode, said

    def shards(self) -> dict[Path, int]:
        """Which files lie in the store; another number is another file."""
        files = (self.root / ".cache/landmarks").glob("*/*[0-9a-f]")
        return {path: path.stat().st_ino for path in files if not path.name.startswith(".")}

    def is_whole(self) -> bool:
        report = storage.read_json(self.root / "data/reports/extract.json")
        landmarks = [
            storage.read_landmarks(path) for path in (self.root / "data/landmarks").iterdir()
        ]
        return len(landmarks) == report["clips"] == len(self.clips)
