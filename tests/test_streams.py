from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from tests.serving import MJPEG, camera, certified, sending, shade
from tests.shots import PATIENCE, PATIENCE_S, Told, opened, seen, until, until_break
from yololstm import streams, video
from yololstm.errors import ParamsError, VideoError
from yololstm.packets import FilePackets, Tape
from yololstm.streams import Patience, Stream, _Address, _Camera, _Clock, _Item, _Waiting

N_FRAMES, FPS = 40, Fraction(20)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    with video.writing(path, FPS, 128, 96) as writer:
        for i in range(N_FRAMES):
            writer.write(np.full((96, 128, 3), 20 + 5 * i, dtype=np.uint8))
    return path


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
        ("rtsp://admin:p[w@[fe80::1%eth0]:554/live", "rtsp://[fe80::1%eth0]:554/…"),
        ("rtsp://admin:\uff33ecret\uff03@10.0.0.5/x", "rtsp://10.0.0.5/…"),
        # Where a password may go on behind what looks like the host, that is not shown either.
        ("rtsp://admin:secret#1@10.0.0.5/x", "rtsp://…"),
        ("rtsp://admin:pa/ss@10.0.0.5/x", "rtsp://…"),
        ("rtsp://admin:p@ss/word@10.0.0.5/x", "rtsp://…"),
        ("rtsp://admin:what?ever@10.0.0.5/x", "rtsp://…"),
        ("rtsp://admin:12#34@10.0.0.5/x", "rtsp://…"),
        ("rtsp://admin:secret\uff2010.0.0.5/x", "rtsp://…"),
        ("rtsp://admin:secret", "rtsp://…"),
        ("rtsp://[admin", "rtsp://…"),
        ("http://cam/x?user=a@b&password=secret", "http://…"),
    ],
)
def test_no_password_is_shown(source: str, shown: str) -> None:
    assert streams.shown(source) == shown


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://admin:secret#1@10.0.0.5/x",
        "rtsp://admin:secret/1@10.0.0.5/x",
        "rtsp://admin:s@cret/1@10.0.0.5/x",
        "rtsp://admin:secret?1@camera:554",
        "rtsp://admin:1234#secret@10.0.0.5/x",
        "rtsp://admin:1234#secret@[fe80::1]/x",
        "rtsp://admin:secret\uff2010.0.0.5/x",
        "rtsp:///secret",
    ],
)
def test_an_address_that_a_password_cuts_short_is_refused(source: str) -> None:
    with pytest.raises(ParamsError, match="password write / as %2F") as refused:
        streams.open(source, 10)
    assert not any(part in str(refused.value) for part in ("secret", "cret", "1234"))


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://10.0.0.5/live@1",
        "rtsp://10.0.0.5:554/live@1.2",
        "rtsp://camera:554/live@1",
        "rtsp://camera/live@home.lan",
        "rtsp://admin:secret@10.0.0.5:554/live@1",
        "rtsp://admin:p@ss%2F%23[@10.0.0.5/x?a=b",
        "http://[fe80::1%eth0]:8080/x?to=a@b.example",
        "https://카메라.example/x",
    ],
)
def test_an_at_sign_may_stand_elsewhere(source: str) -> None:
    assert _Address.of_url(source, True).url == source


# --- what is held ---


class ByHand:
    """A source that gives what it is told to, and is silent for as long."""

    every = 10.0
    fps = Fraction(10)

    def __init__(self) -> None:
        self.given: SimpleQueue[_Item | Exception | str] = SimpleQueue()
        self.silent_at: float | None = None

    def items(self, tell: Any, stopped: threading.Event) -> Iterator[_Item]:
        while not isinstance(item := self.given.get(timeout=PATIENCE_S), str):
            if isinstance(item, Exception):
                raise item
            yield item

    def left_s(self) -> float | None:
        return None if self.silent_at is None else self.silent_at - time.monotonic()

    def packets(self, before_s: float) -> FilePackets:
        raise NotImplementedError


def waiting(index: int) -> _Waiting:
    picture = np.zeros((2, 2, 3), dtype=np.uint8)
    return _Waiting(index, index / 10, lambda: picture, datetime.now(UTC))


def given(*items: _Item) -> list[int | None]:
    """The frames that are left of items which nobody took while they came."""
    source = ByHand()
    stream = Stream(source, waits=False, on_state=Told())
    for item in (*items, "over"):
        source.given.put(item)
    stream._thread.join(PATIENCE_S)
    left = [None if shot is None else shot.frame.index for shot in stream]
    frames = sum(item is not None for item in items)
    kept = sum(one is not None for one in left)
    assert (stream.counts.read, stream.counts.dropped) == (frames, frames - kept)
    return left


def test_the_newest_are_kept_and_the_rest_is_counted() -> None:
    assert given(*map(waiting, range(20))) == [16, 17, 18, 19]
    assert given(*map(waiting, range(3))) == [0, 1, 2]


def test_every_break_is_given_once() -> None:
    assert given(waiting(0), None, None, waiting(1), None) == [0, None, 1, None]
    assert given(None, waiting(0)) == [0]


def test_breaks_of_what_was_dropped_do_not_pile_up() -> None:
    items = itertools.chain.from_iterable((waiting(i), None) for i in range(50))
    assert given(*items) == [None, 46, None, 47, None, 48, None, 49, None]


def test_who_waits_is_given_a_break_as_soon_as_nothing_was_seen_for_too_long() -> None:
    source = ByHand()
    stream = Stream(source, waits=False, on_state=Told())
    late = threading.Timer(PATIENCE_S, stream.close)
    late.start()
    shots = iter(stream)
    source.silent_at = time.monotonic() - 1  # but nothing was seen yet
    source.given.put(waiting(0))
    assert next(shots) is not None
    assert next(shots) is None
    threading.Timer(0.1, source.given.put, [waiting(1)]).start()
    source.silent_at = time.monotonic() + 0.3
    began = time.monotonic()
    assert next(shots) is not None  # and no second one before it
    assert next(shots) is None
    assert time.monotonic() - began >= 0.29
    source.given.put("over")
    assert list(shots) == []
    late.cancel()


def test_whatever_ends_the_thread_is_raised_after_what_there_was() -> None:
    source = ByHand()
    stream = Stream(source, waits=False, on_state=Told())
    source.given.put(waiting(0))
    source.given.put(ZeroDivisionError("a fault"))
    shots = iter(stream)
    assert next(shots) is not None
    with pytest.raises(ZeroDivisionError, match="a fault"):
        next(shots)


# --- cameras ---


def test_a_camera_that_is_cut_off_is_found_again_and_time_goes_on() -> None:
    told = Told()
    with camera() as filming, opened(filming.url, told) as stream:
        shots = iter(stream)
        before = until(shots, 0.6)
        assert stream.rate() == 10
        filming.cut()
        cut_at = time.monotonic()
        before += until_break(shots)
        assert time.monotonic() - cut_at > 1.0
        assert "live" not in told.states[3:]
        filming.resume()
        after = until(shots, before_s(before) + 2)
        away_s = told.at[-1] - cut_at
        gap_s = seen(after)[0].frame.time_s - before_s(before)
        assert away_s - 0.5 < gap_s < away_s + 5
    times = [shot.frame.time_s for shot in seen(before + after)]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    assert told.states[:3] == ["connecting", "live", "lost"]
    assert told.states[-3:] == ["lost", "connecting", "live"]
    assert "geheim" not in str(told.said)


def before_s(taken: list[Any]) -> float:
    return seen(taken)[-1].frame.time_s


def test_a_short_break_cuts_nothing() -> None:
    told, patience = Told(), Patience(PATIENCE_S, 0.1, 0.4, cut_s=PATIENCE_S)
    with camera() as filming, opened(filming.url, told, patience) as stream:
        shots = iter(stream)
        until(shots, 0.5)
        filming.cut()
        told.await_("lost")
        filming.resume()
        told.await_("live", 2)
        assert None not in until(shots, 1.5)


def test_a_break_does_not_wait_for_a_camera_that_is_slow_to_come_back() -> None:
    told, patience = Told(), Patience(PATIENCE_S, 0.1, 0.4, cut_s=0.5)
    with camera() as filming, opened(filming.url, told, patience) as stream:
        shots = iter(stream)
        until(shots, 0.5)
        filming.slow_s = 1.2
        filming.cut()
        told.await_("lost")
        filming.resume()
        until_break(shots)
        assert told.states[-1] in ("lost", "connecting")  # and not live
        filming.slow_s = 0
        assert next(shots) is not None
        assert told.states[-1] == "live"


def test_a_camera_that_falls_silent_breaks_off_before_it_is_lost() -> None:
    silent = threading.Event()

    def picture(time_s: float) -> video.Image:
        if time_s > 0.5:
            silent.wait(PATIENCE_S)
        return shade(time_s)

    told, patience = Told(), Patience(PATIENCE_S, 0.1, 0.4, cut_s=0.5)
    with camera(picture) as filming, opened(filming.url, told, patience) as stream:
        shots = iter(stream)
        until_break(shots)
        assert told.states == ["connecting", "live"]
        silent.set()
        assert next(shots) is not None
        assert told.states == ["connecting", "live"]


def test_a_camera_that_falls_silent_is_lost() -> None:
    silent = threading.Event()

    def picture(time_s: float) -> video.Image:
        if time_s > 0.5:
            silent.wait(PATIENCE_S)
        return shade(time_s)

    told = Told()
    with camera(picture) as filming, opened(filming.url, told, Patience(0.5, 0.1, 0.4, 0.2)):
        told.await_("lost")
        silent.set()
    assert told.why("lost")[0] == "nothing came for 0.5 s"


def test_whoever_was_busy_is_told_of_a_break_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    looking = _Camera(_Address(""), 10, Patience(cut_s=2.0))
    shown = [(k / 10, av.VideoFrame(2, 2, "rgb24")) for k in (0, 1, 2, 30, 31, 32)]
    monkeypatch.setattr(looking, "_frames", lambda stopped: iter(shown))
    items = list(itertools.islice(looking.items(Told(), threading.Event()), 7))
    assert [item and round(item.time_s, 1) for item in items] == [0, 0.1, 0.2, None, 3.0, 3.1, 3.2]


def test_sound_does_not_hide_that_nothing_is_shown(now: list[float]) -> None:
    def demux() -> Iterator[Any]:
        for k in range(40):
            now[0] += 0.5
            yield SimpleNamespace(stream=SimpleNamespace(index=int(k > 10)))

    looking, stream = _Camera(_Address(""), 10, PATIENCE), SimpleNamespace(index=0)
    packets = looking._packets(SimpleNamespace(demux=demux), stream)  # type: ignore[arg-type]
    assert [packet.stream.index for packet in itertools.islice(packets, 11)] == [0] * 11
    with pytest.raises(OSError, match="no picture") as silent:
        next(packets)
    assert looking._why(silent.value) == "nothing came for 5 s"


def test_who_does_not_bear_to_be_told_disturbs_no_camera(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Told()

    def tell(state: str, why: str) -> None:
        told(state, why)
        raise BrokenPipeError("nobody reads")

    with camera() as filming, opened(filming.url, tell) as stream:  # type: ignore[arg-type]
        until(iter(stream), 0.5)
    assert told.states[:2] == ["connecting", "live"]
    assert "lost" not in told.states
    assert "nobody reads" in capsys.readouterr().err
    with streams.open(str(clip), 100, on_state=tell) as stream:
        assert len(list(stream)) == N_FRAMES


def test_a_camera_of_an_unknown_format_is_lost_and_tried_again(tmp_path: Path) -> None:
    with video.writing(path := tmp_path / "clip.mkv", FPS, 64, 48) as writer:
        for _ in range(20):
            writer.write(np.zeros((48, 64, 3), dtype=np.uint8))
    content = path.read_bytes()
    assert content.count(b"V_MPEG4/ISO/AVC") == 1
    told = Told()
    with sending(content.replace(b"V_MPEG4", b"V_NONE0")) as url, opened(url, told):
        told.await_("lost", 2)
    assert set(told.why("lost")) == {"its video is in a format that is not known"}
    assert "live" not in told.states


def test_pictures_without_times_are_when_they_come() -> None:
    with camera(fps=8, kind=MJPEG) as filming, opened(filming.url) as stream:
        last = seen(until(iter(stream), 1.2))[-1].frame
    # And not 25 a second, as is guessed.
    assert 4 * last.time_s < last.index < 14 * last.time_s


def test_nothing_is_held_where_nobody_asked() -> None:
    with camera() as filming, opened(filming.url) as stream:
        until(iter(stream), 0.3)
        assert isinstance(stream._source, _Camera)
        assert stream._source._tape is None
        tape = stream.packets(1.0)
        until(iter(stream), 0.9)
        assert isinstance(tape, Tape)
        assert tape._bytes > 0


def test_a_camera_that_is_not_there_is_waited_for_longer_and_longer() -> None:
    told = Told()
    with opened("http://somebody:geheim@127.0.0.1:9/", told) as stream:
        told.await_("lost", 4)
        assert stream.state in ("lost", "connecting")
    assert set(told.why("lost")) == {"Connection refused"}
    at = [at for at, (state, _) in zip(told.at, told.said, strict=True) if state == "lost"]
    for waited_s, least_s in zip(np.diff(at), (0.1, 0.2, 0.4), strict=False):
        assert waited_s >= least_s - 0.01
    assert list(stream) == []


def test_stopping_does_not_wait_for_a_camera() -> None:
    told, patience = Told(), Patience(2 * PATIENCE_S, 2 * PATIENCE_S, 2 * PATIENCE_S, 1.0)
    with camera() as filming, opened(filming.url, told, patience) as stream:
        next(iter(stream))
        filming.cut()
        told.await_("lost")
        began = time.monotonic()
        threading.Timer(0.1, stream.stop).start()
        assert len(list(stream)) < 10
    assert time.monotonic() - began < PATIENCE_S / 2


def test_closing_does_not_wait_for_a_camera_that_does_not_answer() -> None:
    told = Told()
    with camera() as filming:
        filming.slow_s = 5.0
        with opened(filming.url, told, Patience(2 * PATIENCE_S)):
            told.await_("connecting")
            began = time.monotonic()
        assert time.monotonic() - began < 4.0


# --- certificates ---


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        pytest.skip("the program openssl is not installed")
    return certified(tmp_path_factory.mktemp("certificate"))


def test_a_camera_whose_certificate_nobody_vouches_for_is_told_nothing(
    certificate: tuple[Path, Path],
) -> None:
    told = Told()
    with camera(certificate=certificate) as filming, opened(filming.url, told):
        told.await_("lost", 2)
        assert filming.asked == 0
    assert set(told.why("lost")) == {"its certificate is not trusted: self-signed certificate"}
    assert "geheim" not in str(told.said)


def test_certificates_need_not_be_verified(certificate: tuple[Path, Path]) -> None:
    with (
        camera(certificate=certificate) as filming,
        opened(filming.url, tls_verify=False) as stream,
    ):
        assert next(iter(stream)) is not None


def test_a_certificate_can_be_trusted(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with camera(certificate=certificate) as filming:
        with opened(filming.url, told) as stream:
            assert next(iter(stream)) is not None
        with opened(filming.url.replace("127.0.0.1", "localhost"), told):
            told.await_("lost")
    assert "mismatch" in told.why("lost")[0]


def test_there_are_certificates_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", "nowhere")
    content = Path(streams._trusted()).read_text(encoding="utf-8")
    assert content.count("BEGIN CERTIFICATE") > 50


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
