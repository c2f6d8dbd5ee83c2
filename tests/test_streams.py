from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.serving import MJPEG, camera
from yololstm import streams, video
from yololstm.errors import ParamsError, VideoError
from yololstm.packets import Tape
from yololstm.streams import Patience, Shot, Stream, _Clock

PATIENCE = Patience(timeout_s=3.0, first_s=0.1, last_s=0.4, cut_s=0.6)
N_FRAMES, FPS = 40, Fraction(20)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with video.writing(path, FPS, 128, 96) as writer:
        for i in range(N_FRAMES):
            writer.write(np.full((96, 128, 3), 20 + 5 * i, dtype=np.uint8))
    return path


class Told:
    """The states of a stream, as they are told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def __call__(self, state: str, why: str) -> None:
        self.said.append((state, why))

    @property
    def states(self) -> list[str]:
        return [state for state, _ in self.said]


def until(shots: Iterator[Shot | None], time_s: float) -> list[Shot | None]:
    taken: list[Shot | None] = []
    for shot in shots:
        taken.append(shot)
        if shot is not None and shot.frame.time_s >= time_s:
            break
    return taken


def seen(taken: list[Shot | None]) -> list[Shot]:
    return [shot for shot in taken if shot is not None]


# --- files ---


@pytest.mark.parametrize("fps", [100.0, 7.0])
def test_a_file_is_read_as_everywhere_else(clip: Path, fps: float) -> None:
    told = Told()
    with streams.open(str(clip), fps, on_state=told) as stream:
        assert stream.rate() == min(FPS, Fraction(fps))
        got = seen(list(stream))
    expected = list(video.read(clip, fps))
    assert [(s.frame.index, s.frame.time_s) for s in got] == [
        (frame.index, frame.time_s) for frame in expected
    ]
    for shot, frame in zip(got, expected, strict=True):
        np.testing.assert_array_equal(shot.frame.image, frame.image)
    assert (stream.counts.read, stream.counts.dropped) == (len(expected), 0)
    assert told.states == ["live", "ended"]


def test_whoever_is_slow_misses_nothing_of_a_file(clip: Path) -> None:
    with streams.open(str(clip), 100) as stream:
        time.sleep(0.2)
        assert stream.counts.read <= 6  # it waits
        assert len(list(stream)) == N_FRAMES


def test_a_file_can_be_played_as_a_camera_films(clip: Path) -> None:
    began = time.monotonic()
    with streams.open(str(clip), 100, realtime=True) as stream:
        got = []
        for shot in stream:
            got.append(shot)
            time.sleep(0.15)  # three frames
    assert time.monotonic() - began > N_FRAMES / FPS * 0.9
    assert stream.counts.read == N_FRAMES
    assert stream.counts.dropped == N_FRAMES - len(got) > N_FRAMES / 3
    times = [shot.frame.time_s for shot in seen(got)]
    assert times == sorted(times)
    assert times[-1] == pytest.approx((N_FRAMES - 1) / FPS)


def test_a_file_that_breaks_off_is_told_after_what_there_is_of_it(
    clip: Path, tmp_path: Path
) -> None:
    whole, broken = clip.read_bytes(), tmp_path / "broken.mp4"
    broken.write_bytes(whole[:-40] + bytes(40))
    with streams.open(str(broken), 100) as stream:
        shots = iter(stream)
        next(shots)
        with pytest.raises(VideoError, match="to its end"):
            list(shots)
    assert 1 < stream.counts.read < N_FRAMES


@pytest.mark.parametrize("content", [None, b"", b"no video" * 100])
def test_what_is_no_video_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "some.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=r"some\.mp4"):
        streams.open(str(path), 10)


def test_a_file_can_be_left_at_any_time(clip: Path) -> None:
    with streams.open(str(clip), 100) as stream:
        next(iter(stream))
    assert stream.state == "ended"
    assert not stream._thread.is_alive()
    assert list(stream) == []


@pytest.mark.parametrize("source", ["ftp://x/y", "concat:a|b://c", "file:///etc/passwd"])
def test_other_addresses_are_refused(source: str) -> None:
    with pytest.raises(ParamsError, match="rtsp, rtsps, http, https"):
        streams.open(source, 10)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("0", "0"),
        ("rtsp://admin:p@ss@10.0.0.5:554/live?token=1", "rtsp://10.0.0.5:554/…"),
        ("http://cam/user=admin&password=x", "http://cam/…"),
    ],
)
def test_no_password_is_shown(source: str, shown: str) -> None:
    assert streams.shown(source) == shown


# --- cameras ---


def test_a_camera_that_is_cut_off_is_found_again_and_time_goes_on() -> None:
    told = Told()
    with camera() as filming, opened(filming.url, told) as stream:
        shots = iter(stream)
        before = until(shots, 1.0)
        assert stream.rate() == 10
        filming.cut()
        lost_at = time.monotonic()
        while next(shots) is not None:
            pass
        assert 0.3 < time.monotonic() - lost_at < 3
        time.sleep(0.5)
        filming.resume()
        after = until(shots, 4.0)
        gap_s = seen(after)[0].frame.time_s - seen(before)[-1].frame.time_s
        assert 1.0 < gap_s < 3.0
    times = [shot.frame.time_s for shot in seen(before + after)]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert None not in after
    assert told.states[:3] == ["connecting", "live", "lost"]
    assert told.states[-3:] == ["lost", "connecting", "live"]
    assert len(told.states) <= 16  # it does not hammer
    assert "geheim" not in str(told.said)


def test_a_short_break_cuts_nothing() -> None:
    with camera() as filming, opened(filming.url, Told()) as stream:
        shots = iter(stream)
        until(shots, 0.5)
        filming.cut()
        time.sleep(0.15)
        filming.resume()
        assert None not in until(shots, 2.0)
        assert filming.asked >= 2


def test_whoever_is_slow_sees_the_newest_and_the_rest_is_counted() -> None:
    with camera() as filming, opened(filming.url, Told()) as stream:
        until(iter(stream), 3.0)
        assert stream.counts.dropped == 0
        taken = []
        for shot in stream:
            assert shot is not None
            taken.append(shot)
            time.sleep(0.4)
            if len(taken) == 6:
                break
        counts = stream.counts
        behind_s = time.time() - taken[-1].arrived.timestamp()
    assert counts.dropped > 8
    assert behind_s < 1.0 + 0.4


def test_pictures_without_times_are_when_they_come() -> None:
    with camera(fps=8, kind=MJPEG) as filming, opened(filming.url, Told()) as stream:
        began = time.monotonic()
        last = seen(until(iter(stream), 1.5))[-1].frame
        assert time.monotonic() - began > 1.3
    assert 8 <= last.index <= 20  # and not 25 a second, as is guessed


def test_nothing_is_held_where_nobody_asked() -> None:
    with camera() as filming, opened(filming.url, Told()) as stream:
        until(iter(stream), 0.3)
        assert isinstance(stream._source, streams._Camera)
        assert stream._source._tape is None
        tape = stream.packets(1.0)
        until(iter(stream), 0.9)
        assert isinstance(tape, Tape)
        assert tape._bytes > 0


def test_a_camera_that_is_not_there_is_waited_for() -> None:
    told = Told()
    with opened("http://somebody:geheim@127.0.0.1:9/", told) as stream:
        time.sleep(1.2)
        assert stream.state in ("lost", "connecting")
    assert ("lost", "Connection refused") in told.said
    assert 4 <= len(told.said) <= 12
    assert list(stream) == []


def test_a_camera_that_falls_silent_is_lost() -> None:
    silent = threading.Event()

    def picture(time_s: float) -> video.Image:
        if time_s > 1:
            silent.wait(10)
        return np.zeros((96, 128, 3), dtype=np.uint8)

    told = Told()
    with camera(picture) as filming, opened(filming.url, told, timeout_s=0.5) as stream:
        while next(iter(stream)) is not None:
            pass
        assert "lost" in told.states
        silent.set()


def test_stopping_does_not_wait_for_a_camera() -> None:
    with camera() as filming:
        stream = opened(filming.url, Told())
        next(iter(stream))
        filming.cut()
        began = time.monotonic()
        threading.Timer(0.2, stream.stop).start()
        assert len(list(stream)) < 10
        stream.close()
        assert time.monotonic() - began < 2


def opened(url: str, told: Told, timeout_s: float = 3.0) -> Stream:
    patience = Patience(timeout_s, PATIENCE.first_s, PATIENCE.last_s, PATIENCE.cut_s)
    return streams.open(url, 10, patience=patience, on_state=told)


# --- the clock ---


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    return at


def test_time_is_the_cameras_own_from_its_first_frame(now: list[float]) -> None:
    clock = _Clock()
    clock.connect()
    assert [clock.at(50 + k / 3) for k in range(3)] == pytest.approx([0, 1 / 3, 2 / 3])
    assert clock.at(50.5) is None  # late


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -2.0])
def test_a_camera_may_set_its_clock(now: list[float], jump: float) -> None:
    clock = _Clock()
    clock.connect()
    clock.at(5000.0)
    now[0] += 0.1
    assert clock.at(5000.1 + jump) == pytest.approx(0.1)
    now[0] += 0.1
    assert clock.at(5000.2 + jump) == pytest.approx(0.2)


def test_a_connections_first_frame_without_a_time_is_left_out(now: list[float]) -> None:
    clock = _Clock()
    for connected_at in (0.0, 30.0):
        clock.connect()
        assert clock.at(None) is None
        assert clock.at(7.0) == pytest.approx(connected_at)
        now[0] += 30


def test_time_goes_on_by_our_clock_where_the_camera_has_none(now: list[float]) -> None:
    clock = _Clock()
    clock.connect()
    clock.at(7.0)
    now[0] += 30
    clock.connect()
    assert clock.at(3.0) == pytest.approx(30.0)
    now[0] += 1
    assert clock.at(None) == pytest.approx(31.0)
