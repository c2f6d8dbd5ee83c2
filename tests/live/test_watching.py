"""The whole of it, as a program: real networks, a real camera that is cut off, real signals."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from typer.testing import CliRunner

from tests import drawn, spotted
from tests.people import LABELS
from tests.serving import Camera, camera
from yololstm import checkpoint, models, streams, video
from yololstm.cli import app, watching
from yololstm.events import Rule
from yololstm.scaling import BodyScaling
from yololstm.trained import Checkpoint
from yololstm.windows import WindowSpec

PATIENCE_S: Final = 60
SPEC: Final = WindowSpec(fps=3.0, length=6, hop=2, max_gap_s=1.0, min_valid=0.3)
RULE: Final = Rule({"theft": 0.0, "assault": 1.0, "damage": 1.0}, cool_down_s=3)
"""Everything is theft."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in: models, and a clip with somebody in it."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / ".cache").mkdir()
    (folder / ".cache/models").symlink_to(drawn.pose_model().parent)
    torch.manual_seed(0)
    state = dict(models.build("bilstm", len(LABELS)).state_dict())
    made = Checkpoint("bilstm", {}, (state,), BodyScaling(), SPEC, LABELS, rule=RULE)
    (folder / "data/detector").mkdir(parents=True)
    checkpoint.save(folder / "data/checkpoint.safetensors", made)
    spotted.detector(folder / "data/detector/weights.pt")
    spotted.clip(folder)
    return folder


@pytest.fixture
def at_work(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shop)
    return shop


class Program:
    """``yololstm watch``, and what it has said so far."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "yololstm", "watch", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(drawn.ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Whoever runs the tests may have had it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        self._changes: queue.Queue[dict[str, Any]] = queue.Queue()
        self.stderr: list[str] = []
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._hear)]
        for thread in self._threads:
            thread.start()

    def next(self, state: str, event: str = "") -> dict[str, Any]:
        """The next such change; others before it are passed over.

        event: its id; any where none is given.
        """
        while True:
            change = self._changes.get(timeout=PATIENCE_S)
            if change["state"] == state and event in ("", change["id"]):
                return change

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE_S)
        for thread in self._threads:
            thread.join()
        return status

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._changes.put(json.loads(line))

    def _hear(self) -> None:
        assert self.process.stderr is not None
        self.stderr.extend(self.process.stderr)


@pytest.fixture
def filming(shop: Path) -> Iterator[Camera]:
    """Somebody who stands still."""
    frames = list(video.read(shop / "spotted.mp4"))
    with camera(lambda time_s: frames[len(frames) // 2].image, fps=8) as made:
        yield made


def test_a_camera_cut_off_in_an_event_is_watched_again(shop: Path, filming: Camera) -> None:
    program = Program(shop, filming.url, "--camera", "door", "--fps", "6")
    try:
        started = program.next("start")
        assert (started["camera"], started["label"], started["start_s"]) == ("door", "theft", 0.0)
        program.next("update", started["id"])
        filming.cut()
        ended = program.next("end", started["id"])
        assert ended["track"] == started["track"]
        assert ended["end_s"] <= ended["frame_s"] + 1
        filming.resume()
        again = program.next("start")
        assert again["id"] != started["id"]
        assert again["track"] > started["track"]
        assert again["start_s"] > ended["frame_s"] + 1
        assert program.end(signal.SIGINT) == 0
        program.next("end", again["id"])
    finally:
        program.process.kill()
    told = "".join(program.stderr)
    assert "geheim" not in told
    states = [line.split()[1] for line in program.stderr if "dropped" not in line]
    assert states[:3] == ["connecting", "live", "lost"], program.stderr
    assert states[-3:] == ["connecting", "live", "ended"], program.stderr


def test_it_can_be_ended_while_the_camera_is_away(shop: Path) -> None:
    program = Program(shop, "http://somebody:geheim@127.0.0.1:9/geheim")
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not any("lost" in line for line in program.stderr):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert program.end(signal.SIGTERM) == 0
    finally:
        program.process.kill()
    assert program.stderr[0] == "http://127.0.0.1:9/…: connecting\n"
    assert "geheim" not in "".join(program.stderr)


@pytest.mark.parametrize("options", [[], ["--fps", "2"], ["--realtime"]])
def test_a_file_has_the_events_that_run_finds_in_it(at_work: Path, options: list[str]) -> None:
    watched = CliRunner().invoke(app, ["watch", "spotted.mp4", *options])
    assert watched.exit_code == 0, watched.output
    changes = [json.loads(line) for line in watched.stdout.splitlines()]
    rest = [option for option in options if option != "--realtime"]
    ran = CliRunner().invoke(app, ["run", "spotted.mp4", "--out", "out", *rest])
    assert ran.exit_code == 0, ran.output
    found = json.loads((at_work / "out/spotted/events.json").read_text())["events"]
    ended = sorted(
        (change for change in changes if change["state"] == "end"),
        key=lambda change: (change["start_s"], change["track"]),
    )
    assert len(ended) == len(found) > 0
    for change, event in zip(ended, found, strict=True):
        for name in ("label", "track", "start_s", "end_s"):
            assert change[name] == event[name]
        assert change["probability"] == pytest.approx(event["probability"], abs=2e-6)
    assert watched.stderr.splitlines() == ["spotted.mp4: live", "spotted.mp4: ended"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("nowhere.mp4", "nowhere.mp4: no such file"),
        ("data/checkpoint.safetensors", "not a video"),
        ("ftp://a:geheim@b/c", "ftp:// is not known"),
    ],
)
def test_what_cannot_be_watched_is_told(at_work: Path, source: str, told: str) -> None:
    done = CliRunner().invoke(app, ["watch", source])
    assert done.exit_code == 1
    assert told in done.stderr
    assert "geheim" not in done.output


def test_what_looks_ahead_is_refused_before_anything_is_loaded(at_work: Path) -> None:
    params = (drawn.ROOT / "params.yaml").read_text(encoding="utf-8")
    (at_work / "params.yaml").write_text(params.replace("detect_every: 1", "detect_every: 2"))
    try:
        done = CliRunner().invoke(app, ["watch", "nowhere.mp4"])
    finally:
        (at_work / "params.yaml").unlink()
    assert done.exit_code == 1
    assert "extract.detect_every: it looks ahead" in done.stderr


def test_drops_are_told_now_and_then_and_nothing_else(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_EVERY_S", 0.5)
    said: list[str] = []
    with streams.open(str(shop / "spotted.mp4"), 10, realtime=True) as stream:
        with watching._drops_told(stream, said.append):
            time.sleep(4)
        with watching._drops_told(stream, said.append):
            assert len(list(zip(range(4), stream, strict=False))) == 4
    assert 1 <= len(said) <= 8
    told = re.compile(r"dropped \d+ of \d+ frames in the last \d+ s")
    assert all(map(told.fullmatch, said)), said
