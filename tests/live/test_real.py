"""Real video, watched as a camera's: the same events as in a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import drawn
from tests.live.program import check_same
from yololstm.cli import app


@pytest.mark.parametrize(
    ("name", "fps", "least"),
    [("aihub_clips/b_002_bag_30.mp4", 3, 1), ("video/two-people.mp4", 5, 0)],
)
def test_real_video_has_the_events_that_run_finds_in_it(
    at_work: Path, real_data: Path, name: str, fps: int, least: int
) -> None:
    """A clip of a shop; and two people for too short a time, and at another rate than windows."""
    drawn.needs_openvino()
    video = real_data / "data" / name
    options = [
        *("--detector", str(real_data / "models" / "yolo11n_int8_openvino_model")),
        *("--imgsz", "640", "--fps", str(fps)),
    ]
    watched = CliRunner().invoke(app, ["watch", str(video), *options])
    assert watched.exit_code == 0, watched.output
    ran = CliRunner().invoke(app, ["run", str(video), "--out", "real", *options])
    assert ran.exit_code == 0, ran.output
    said = json.loads((at_work / "real" / video.stem / "events.json").read_text())
    check_same(watched.stdout, said["events"])
    assert len(said["events"]) >= least
    assert said["tracks"]
