"""A network camera over RTSP, from a server that others have written, cut off and found again."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
import pytest

from tests.live.program import PATIENCE_S, Program
from tests.serving import Camera, camera, certified
from tests.shots import Told, opened, seen, until, until_break
from yololstm import video
from yololstm.streams import Patience

PYTHON: Final = "/usr/bin/python3"
"""Of the system: that is where GStreamer's bindings are."""
NEEDED: Final = "import gi; gi.require_version('GstRtspServer', '1.0')"
TLS: Final = "from gi.repository import Gio; exit(not Gio.TlsBackend.get_default().supports_tls())"
PASSWORD: Final = "geheim/#1?@[ü%25"


class Server:
    """One that is killed, and started again where it was."""

    def __init__(self, film: Path, *certificate: Path) -> None:
        """certificate: and its key; with them it speaks TLS."""
        self._film = film
        self._certificate = certificate
        self._port = "0"
        self.resume()

    @property
    def url(self) -> str:
        scheme = "rtsps" if self._certificate else "rtsp"
        who = f"somebody:{quote(PASSWORD, safe='')}"
        return f"{scheme}://{who}@127.0.0.1:{self._port}/stream1?key=geheim"

    def resume(self) -> None:
        command = [PYTHON, Path(__file__).with_name("rtsp.py"), self._film, self._port]
        self._process = subprocess.Popen(
            [*command, "somebody", PASSWORD, *self._certificate], stdout=subprocess.PIPE, text=True
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
def serving(rtsp: None) -> Iterator[Callable[..., Server]]:
    started = []

    def serve(film: Path, *certificate: Path) -> Server:
        started.append(Server(film, *certificate))
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


def test_what_it_films_comes_at_its_pace(serving: Callable[..., Server], shades: Path) -> None:
    with opened(serving(shades).url) as stream:
        assert stream.rate() == 10
        shots = seen(until(iter(stream), 4.0))
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
    serving: Callable[..., Server], shades: Path
) -> None:
    told, server = Told(), serving(shades)
    with opened(server.url, told) as stream:
        shots = iter(stream)
        before = until(shots, 1.0)
        server.cut()
        before += until_break(shots)
        server.resume()
        told.await_("live", 2)
        after = until(shots, seen(before)[-1].frame.time_s + 2)
    times = [shot.frame.time_s for shot in seen([*before, *after])]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert told.states[:3] == ["connecting", "live", "lost"]
    assert told.states[-3:] == ["lost", "connecting", "live"]
    assert "geheim" not in str(told.said)


def test_one_that_falls_silent_is_lost(serving: Callable[..., Server], shades: Path) -> None:
    told, server = Told(), serving(shades)
    with opened(server.url, told, Patience(1.5, 0.1, 0.4, 0.6)) as stream:
        shots = iter(stream)
        next(shots)
        server.freeze()
        until_break(shots)
        assert told.states == ["connecting", "live"]
        told.await_("lost", 2)
    assert set(told.why("lost")) == {"nothing came for 1.5 s"}


def test_who_does_not_know_the_password_is_told_so(
    serving: Callable[..., Server], shades: Path
) -> None:
    told = Told()
    with opened(serving(shades).url.replace("geheim", "guess", 1), told):
        told.await_("lost", 2)
    why = told.why("lost")[0]
    assert "401" in why
    assert "guess" not in str(told.said)


@pytest.fixture
def certificate(rtsp: None, tmp_path: Path) -> tuple[Path, Path]:
    if subprocess.run([PYTHON, "-c", TLS], capture_output=True, timeout=PATIENCE_S).returncode:
        pytest.skip("GStreamer's RTSP server cannot speak TLS: Debian's glib-networking")
    if not shutil.which("openssl"):
        pytest.skip("the program openssl is not installed")
    return certified(tmp_path)


def test_over_tls_only_who_is_vouched_for_is_asked(
    serving: Callable[..., Server],
    shades: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, server = Told(), serving(shades, *certificate)
    with opened(server.url, told):
        told.await_("lost")
    assert told.why("lost")[0] == "its certificate is not trusted: self-signed certificate"
    with opened(server.url, tls_verify=False) as stream:
        assert next(iter(stream)) is not None
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with opened(server.url) as stream:
        assert next(iter(stream)) is not None


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
