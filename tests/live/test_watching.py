"""The whole of it, as a program: real networks, real signals."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import drawn
from tests.live.program import PATIENCE_S, Program, check_same
from yololstm import streams
from yololstm.cli import app, watching


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
