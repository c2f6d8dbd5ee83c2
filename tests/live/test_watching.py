"""The whole of it, as a program: real networks, real signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import drawn
from tests.live.program import PATIENCE_S, Program, check_same
from yololstm import streams
from yololstm.cli import app, watching
from yololstm.monitor import Status


@pytest.mark.parametrize("to_another_thread", [False, True])
def test_it_can_be_ended_while_the_camera_is_away(shop: Path, to_another_thread: bool) -> None:
    program = Program(shop, "http://somebody:geheim@127.0.0.1:9/geheim")
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not any("lost" in line for line in program.stderr):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert program.end(signal.SIGTERM, to_another_thread=to_another_thread) == 0
    finally:
        program.process.kill()
    assert program.stderr[0] == "http://127.0.0.1:9/…: connecting\n"
    assert "geheim" not in "".join(program.stderr)


@pytest.mark.parametrize("options", [[], ["--fps", "2"], ["--realtime"]])
def test_a_file_has_the_events_that_run_finds_in_it(
    at_work: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that a machine with other work to do drops none when it plays the file.
    monkeypatch.setattr(streams, "_HELD", 100)
    watched = CliRunner().invoke(app, ["watch", "spotted.mp4", *options])
    assert watched.exit_code == 0, watched.output
    rest = [option for option in options if option != "--realtime"]
    ran = CliRunner().invoke(app, ["run", "spotted.mp4", "--out", "out", *rest])
    assert ran.exit_code == 0, ran.output
    found = json.loads((at_work / "out/spotted/events.json").read_text())["events"]
    check_same(watched.stdout, found)
    assert found
    assert watched.stderr.splitlines() == [
        f"spotted.mp4: {state}" for state in ("connecting", "live", "ended")
    ]


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


def test_drops_are_told_now_and_then_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    said: list[str] = []
    states = watching.StatesSaid(said.append)
    since = datetime.now(UTC)
    for at_s, read, dropped in (
        (0, 0, 0),
        (10, 100, 0),
        (14, 140, 9),
        (20, 200, 30),
        (30, 300, 30),
    ):
        now[0] = float(at_s)
        states(Status("door", since, "live", read=read, dropped=dropped))
    states(Status("till", since, "lost", "it ended"))
    assert said == [
        "door: live",
        "door: dropped 30 of 100 frames in the last 10 s",
        "till: lost (it ended)",
    ]


def test_nobody_hears_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stderr", full)
        say = watching.steady_say()
    say("it is full")


def test_who_reads_no_more_ends_it(shop: Path) -> None:
    command = f"{sys.executable} -m yololstm watch spotted.mp4 > /dev/full"
    env = {**os.environ, "PYTHONPATH": str(drawn.ROOT)}
    done = subprocess.run(
        command, shell=True, cwd=shop, env=env, stderr=subprocess.PIPE, timeout=PATIENCE_S
    )
    assert done.returncode == 1
    assert b"error: stdout: it cannot be written to" in done.stderr


def test_a_camera_of_a_site_has_a_name_for_paths(at_work: Path) -> None:
    (at_work / "site.yaml").write_text("folder: live\n")
    done = CliRunner().invoke(app, ["watch", "spotted.mp4", "--site", "site.yaml"])
    assert done.exit_code == 1
    assert "--camera: 'spotted.mp4' stands in paths and addresses" in done.stderr
    assert not (at_work / "live").exists()
