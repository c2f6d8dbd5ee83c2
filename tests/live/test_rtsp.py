"""A network camera over RTSP, from a server that others have written, cut off and found again."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.live.program import PATIENCE_S, Program
from tests.serving import Camera, camera
from yololstm import streams, video
from yololstm.streams import Patience, Shot, Stream

PYTHON: Final = "/usr/bin/python3"
"""Of the system: that is where GStreamer's bindings are."""
NEEDED: Final = "import gi; gi.require_version('GstRtspServer', '1.0')"
PATIENCE: Final = Patience(timeout_s=5.0, first_s=0.1, last_s=0.4, cut_s=0.6)


class Server:
    """One that is killed, and started again where it was."""

    def __init__(self, film: Path) -> None:
        self._film = film
        self._port = "0"
        self.resume()

    @property
    def url(self) -> str:
        return f"rtsp://somebody:geheim@127.0.0.1:{self._port}/stream1?key=geheim"

    def resume(self) -> None:
        command = [PYTHON, Path(__file__).with_name("rtsp.py"), self._film, self._port]
        self._process = subprocess.Popen(
            [*command, "somebody", "geheim"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._port = self._process.stdout.readline().strip()
        assert self._port, "the server has not started"

    def cut(self) -> None:
        self._process.kill()
        self._process.communicate()

    def freeze(self) -> None:
        """Keeps the connection, and shows nothing more."""
        self._process.send_signal(signal.SIGSTOP)


@pytest.fixture(scope="session")
def rtsp() -> None:
    """Skips where there is no such server."""
    try:
        done = subprocess.run([PYTHON, "-c", NEEDED], capture_output=True, timeout=PATIENCE_S)
    except FileNotFoundError:
        pytest.skip(f"no {PYTHON}, for which Debian has GStreamer's RTSP server")
    if done.returncode:
        pytest.skip("no GStreamer RTSP server: Debian's python3-gi, gir1.2-gst-rtsp-server-1.0")


@pytest.fixture
def serving(rtsp: None) -> Iterator[Callable[[Path], Server]]:
    started = []

    def serve(film: Path) -> Server:
        started.append(Server(film))
        return started[-1]

    yield serve
    for server in started:
        server.cut()


def filmed(path: Path, images: list[video.Image], fps: int) -> Path:
    height, width = images[0].shape[:2]
    with video.writing(path, Fraction(fps), width, height) as writer:
        for image in images:
            writer.write(image)
    return path


@pytest.fixture(scope="module")
def shades(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds, each darker than the next."""
    images = [np.full((96, 128, 3), 60 * (1 + i // 20), dtype=np.uint8) for i in range(60)]
    return filmed(tmp_path_factory.mktemp("shades") / "shades.mp4", images, 20)


class Told:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def __call__(self, state: str, why: str) -> None:
        self.said.append((state, why))

    def await_(self, state: str, n: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while [one for one, _ in self.said].count(state) < n:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)


def opened(url: str, told: Told, patience: Patience = PATIENCE) -> Stream:
    return streams.open(url, 10, patience=patience, on_state=told)


def until(shots: Iterator[Shot | None], time_s: float) -> list[Shot | None]:
    taken: list[Shot | None] = []
    for shot in shots:
        taken.append(shot)
        if shot is not None and shot.frame.time_s >= time_s:
            break
    return taken


def test_what_it_films_comes_at_its_pace(serving: Callable[[Path], Server], shades: Path) -> None:
    with opened(serving(shades).url, Told()) as stream:
        assert stream.rate() == 10
        shots = [shot for shot in until(iter(stream), 4.0) if shot is not None]
    times = np.array([shot.frame.time_s for shot in shots])
    index = np.array([shot.frame.index for shot in shots])
    np.testing.assert_allclose(times, index / 20, atol=2e-3)
    arrived = np.array([shot.arrived.timestamp() for shot in shots])
    # Those that came while it was being connected come at once; of those later some may be dropped.
    later = times > 2
    assert later.sum() > 10
    assert np.ptp(arrived[later]) > 0.7 * np.ptp(times[later])
    shade = np.array([shot.frame.image.mean() for shot in shots])
    steps = times[1:][np.abs(np.diff(shade)) > 20]
    # A second of each of three shades, over and over.
    assert len(steps) >= 2
    np.testing.assert_allclose(np.diff(steps[-3:]), 1.0, atol=0.35)


def test_times_go_on_after_it_was_killed_and_started_again(
    serving: Callable[[Path], Server], shades: Path
) -> None:
    told, server = Told(), serving(shades)
    with opened(server.url, told) as stream:
        shots = iter(stream)
        before = until(shots, 1.0)
        server.cut()
        while next(shots) is not None:
            pass
        server.resume()
        told.await_("live", 2)
        after = until(shots, 3.0)
    assert None not in (*before, *after)
    times = [shot.frame.time_s for shot in (*before, *after) if shot is not None]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    states = [state for state, _ in told.said]
    assert states[:3] == ["connecting", "live", "lost"]
    assert states[-3:] == ["lost", "connecting", "live"]
    assert "geheim" not in str(told.said)


def test_one_that_falls_silent_is_lost(serving: Callable[[Path], Server], shades: Path) -> None:
    told, server = Told(), serving(shades)
    with opened(server.url, told, Patience(1.5, 0.1, 0.4, 0.6)) as stream:
        shots = iter(stream)
        next(shots)
        server.freeze()
        while next(shots) is not None:
            pass
        assert "lost" in [state for state, _ in told.said]
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_who_does_not_know_the_password_is_told_so(
    serving: Callable[[Path], Server], shades: Path
) -> None:
    told = Told()
    with opened(serving(shades).url.replace("geheim@", "guess@"), told):
        told.await_("lost", 2)
    why = dict(told.said)["lost"]
    assert "401" in why
    assert "guess" not in str(told.said)


@pytest.fixture
def filming(
    shop: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Server | Camera]:
    """Somebody who stands still: over RTSP, or where that cannot be, over HTTP."""
    frames = list(video.read(shop / "spotted.mp4"))
    still = frames[len(frames) // 2].image
    try:
        serve = request.getfixturevalue("serving")
    except pytest.skip.Exception as missing:
        print(f"over HTTP: {missing}", file=sys.stderr)
        with camera(lambda _: still, fps=8) as made:
            yield made
    else:
        yield serve(filmed(tmp_path / "still.mp4", [still] * 16, 8))


def test_a_camera_cut_off_in_an_event_is_watched_again(
    shop: Path, filming: Server | Camera
) -> None:
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
