from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.serving import HEVC, MJPEG, Kind, camera
from yololstm import packets, storage, streams, video
from yololstm.errors import YololstmError
from yololstm.packets import FilePackets, Reel, Tape
from yololstm.streams import Patience
from yololstm.video import Frame, Image

FPS, GOP = 20, 10


def noise(i: int, side: int = 96) -> Image:
    """Tells its number, less than 100, by two shades; the right half is hard to compress."""
    rng = np.random.default_rng(i)
    image = rng.integers(0, 255, (side, 128, 3), dtype=np.uint8)
    image[:, :32], image[:, 32:64] = 20 + 22 * (i // 10 % 10), 20 + 22 * (i % 10)
    return image


def number(image: Image) -> int:
    tens, ones = ((image[8:-8, x + 8 : x + 24].mean() - 20) / 22 for x in (0, 32))
    return 10 * round(float(tens)) + round(float(ones))


def film(
    path: Path, n: int = 60, codec: str = "libx264", pix_fmt: str = "yuv420p", bf: int = 2
) -> Path:
    """n frames. bf: of H.264, B-frames in a row; frames are decoded in another order then."""
    path.write_bytes(filmed(FORMS.get(path.suffix, path.suffix[1:]), n, codec, pix_fmt, bf))
    return path


def damage(path: Path) -> Path:
    """Of an MP4, the first key frame: nothing can be decoded before the next one."""
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
    content, at, end = bytearray(path.read_bytes()), first.pos, first.pos + first.size
    while at < end:
        size = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4] & 31 == 5:
            content[at + 5 : at + 4 + size] = bytes([255] * (size - 1))
        at += 4 + size
    path.write_bytes(content)
    return path


FORMS = {".ts": "mpegts", ".mkv": "matroska"}


@functools.cache
def filmed(form: str, n: int, codec: str, pix_fmt: str, bf: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 96, pix_fmt
        stream.gop_size = GOP
        if codec == "libx264":
            stream.options = {"preset": "veryfast", "bf": str(bf), "sc_threshold": "0"}
            stream.options |= {"threads": "1", "b-adapt": "0"}
        for i in range(n):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise(i), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def coded(path: Path) -> list[bytes]:
    """Of H.264, without what tells where each part begins and without parameters, which may stand
    anywhere."""
    with av.open(str(path)) as container:
        has_sizes = container.format.name != "mpegts"
        return [units(bytes(p), has_sizes) for p in container.demux(video=0) if p.size]


def units(data: bytes, has_sizes: bool) -> bytes:
    parts: list[bytes] = []
    if has_sizes:
        while data:
            size = int.from_bytes(data[:4], "big")
            parts.append(data[4 : 4 + size])
            data = data[4 + size :]
    else:
        parts = [part.rstrip(b"\0") for part in data.split(b"\0\0\1")]
    return b"".join(part for part in parts if part and part[0] & 31 in (1, 5))


def check(path: Path) -> tuple[list[float], list[int]]:
    """A clip that plays in a browser, and from its first frame on. Returns times and numbers."""
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["h264"]
        assert container.streams.video[0].pix_fmt == "yuv420p"
        assert next(container.demux(video=0)).is_keyframe
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [float(frame.time) for frame in frames]
    assert times[0] == 0
    assert all(b > a for a, b in itertools.pairwise(times))
    return times, [number(frame.to_ndarray(format="rgb24")) for frame in frames]


def recorded(
    tape: Tape, source: Path, reel: Reel, end_s: float, *, is_timed: bool = True, jump: int = 0
) -> None:
    """All of a file goes over the tape, as if a camera sent it."""
    with av.open(str(source)) as container:
        for packet in container.demux(video=0):
            if packet.pts is not None and packet.pts * packet.time_base >= 1:
                packet.pts += jump
                packet.dts += jump
            tape.put(packet, is_timed=is_timed)
            for frame in packet.decode():
                assert frame.time is not None
                seen_s = frame.time - jump * (frame.time >= 1) * float(packet.time_base)
                tape.shown(frame.time if is_timed else None, 100 + seen_s)
            reel.pull(end_s)


# --- of a camera ---


@pytest.mark.parametrize("kind", [None, HEVC, MJPEG])
def test_a_cameras_clip_begins_at_a_key_frame_and_is_as_long_as_asked(
    tmp_path: Path, kind: Kind | None
) -> None:
    path = tmp_path / "day" / "clip.mp4"
    options = {} if kind is None else {"kind": kind}
    with (
        camera(lambda time_s: noise(int(time_s * FPS)), fps=FPS, **options) as filming,
        streams.open(filming.url, 10, patience=Patience(5.0)) as stream,
    ):
        reel = stream.packets(1.0).begin(path, 1.1, 1.5)
        for shot in stream:
            assert shot is not None
            assert reel.pull(1.9)
            if shot.frame.time_s > 2.1:
                break
        assert not path.exists()
        cut = reel.finish()
    assert cut is not None
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]
    times, numbers = check(path)
    assert 0.05 < cut.start_s <= 1.1 or kind is MJPEG  # a second from key to key
    assert 1.8 < cut.end_s <= 1.9 or kind is MJPEG
    assert times[-1] == pytest.approx(cut.end_s - cut.start_s, abs=0.06)
    assert len(numbers) == pytest.approx((cut.end_s - cut.start_s) * FPS, abs=4)
    filmed = (numbers[-1] - numbers[0]) % 100
    assert filmed == pytest.approx((cut.end_s - cut.start_s) * FPS, abs=3)
    if kind is None:
        sent = [units(data, has_sizes=False) for data in filming.sent]
        first = sent.index(coded(path)[0])
        assert coded(path) == sent[first : first + len(times)]


def test_frames_come_in_another_order_than_they_are_decoded_in(tmp_path: Path) -> None:
    source, path = film(tmp_path / "some.ts"), tmp_path / "clip.mp4"
    tape = Tape(1.0)
    reel = tape.begin(path, 100.8, 101.0)
    recorded(tape, source, reel, 102.2)
    cut = reel.finish()
    assert cut is not None
    times, numbers = check(path)
    assert numbers[0] % GOP == 0
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert times == pytest.approx([i / FPS for i in range(len(times))])
    assert cut.start_s <= 100.8 < cut.start_s + GOP / FPS
    assert 102.2 - 4 / FPS < cut.end_s <= 102.2
    assert set(coded(path)) <= set(coded(source))


def test_nobody_need_say_when_frames_are_decoded(tmp_path: Path) -> None:
    source, path = film(tmp_path / "some.ts"), tmp_path / "clip.mp4"
    tape = Tape(1.0)
    reel = tape.begin(path, 100.8, 101.0)
    with av.open(str(source)) as container:
        for packet in container.demux(video=0):
            packet.dts = None
            tape.put(packet, is_timed=True)
            for frame in packet.decode():
                assert frame.pts is not None
                tape.shown(float(frame.pts * packet.time_base), 100.0 + frame.pts / 90_000)
    assert reel.pull(102.2)
    assert reel.finish() is not None
    times, numbers = check(path)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert times == pytest.approx([i / FPS for i in range(len(times))])


def test_a_clip_ends_where_a_camera_sets_its_clock(tmp_path: Path) -> None:
    source = film(tmp_path / "some.ts")
    tape = Tape(1.0)
    reel = tape.begin(tmp_path / "clip.mp4", 100.0, 100.5)
    other = tape.begin(tmp_path / "other.mp4", 100.0, 101.9)
    recorded(tape, source, reel, 103.0, jump=90_000 * 3600)
    assert not reel.pull(103.0)
    assert other.pull(103.0)
    cut = reel.finish()
    assert cut is not None and cut.end_s < 101
    assert check(tmp_path / "clip.mp4")[1][-1] < FPS
    cut = other.finish()
    assert cut is not None
    assert check(tmp_path / "other.mp4")[1][-1] > 2 * FPS
    assert 100.9 < cut.start_s < cut.end_s < 103


def test_nothing_is_told_of_a_camera_that_never_showed_a_frame(tmp_path: Path) -> None:
    reel = Tape(1.0).begin(tmp_path / "clip.mp4", 0.0, 0.0)
    assert reel.pull(5.0)
    assert reel.finish() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("before_s", "most_bytes"), [(-29.0, 10**9), (5.0, 120_000)])
def test_what_is_old_or_too_much_is_forgotten(
    tmp_path: Path, before_s: float, most_bytes: int
) -> None:
    source = film(tmp_path / "some.ts")
    tape = Tape(before_s, most_bytes)
    recorded(tape, source, tape.begin(tmp_path / "none.mp4", 0.0, 0.0), -1.0)
    held = [packet for run in tape._runs for packet in run.packets]
    assert held[0].is_key
    assert sum(len(packet.data) for packet in held) == tape._bytes <= most_bytes
    assert GOP < len(held) < 45
    reel = tape.begin(tmp_path / "clip.mp4", 100.0, 102.5)
    reel.pull(110.0)
    cut = reel.finish()
    assert cut is not None and cut.start_s > 100.5
    assert check(tmp_path / "clip.mp4")[1][-1] == 59


def test_who_is_slow_goes_on_at_the_next_key_frame(tmp_path: Path) -> None:
    source, path = film(tmp_path / "some.ts"), tmp_path / "clip.mp4"
    tape = Tape(-29.2)
    reel, slow = tape.begin(path, 100.0, 100.0), tmp_path / "short.ts"
    film(slow, 20)
    recorded(tape, source, reel, 100.4)
    assert reel.pull(110.0)
    assert reel.finish() is not None
    numbers = check(path)[1]
    assert numbers[-1] == 59
    gap = next(b for a, b in itertools.pairwise(numbers) if b != a + 1)
    assert gap % GOP == 0


def test_a_webcams_raw_pictures_are_held_small(tmp_path: Path) -> None:
    source = film(tmp_path / "raw.nut", 40, "rawvideo", "yuv420p")
    tape = Tape(5.0)
    reel = tape.begin(tmp_path / "clip.mp4", 100.5, 101.0)
    recorded(tape, source, reel, 101.5)
    assert tape._bytes < 0.8 * source.stat().st_size
    cut = reel.finish()
    assert cut is not None
    assert check(tmp_path / "clip.mp4")[1] == list(range(10, 31))
    assert (cut.start_s, cut.end_s) == pytest.approx((100.5, 101.5))


def test_a_first_packet_without_a_time_is_a_frame_before_the_next(tmp_path: Path) -> None:
    source = film(tmp_path / "some.ts", 20, bf=0)
    tape = Tape(5.0)
    with av.open(str(source)) as container:
        for i, packet in enumerate(container.demux(video=0)):
            if i == 0:
                packet.pts = packet.dts = None
            tape.put(packet, is_timed=True)
    (run,) = tape._runs
    assert run.packets[0].is_key
    assert run.packets[1].dts - run.packets[0].dts == 90_000 // FPS


# --- of a file ---


@pytest.mark.parametrize("name", ["some.mp4", "some.mkv", "some.ts"])
@pytest.mark.parametrize(("start_s", "end_s"), [(-2.0, 0.9), (1.2, 2.2), (2.0, 99.0)])
def test_a_files_clip_is_a_copy_of_its_packets(
    tmp_path: Path, name: str, start_s: float, end_s: float
) -> None:
    source, path = film(tmp_path / name), tmp_path / "clip.mp4"
    reel = FilePackets(source).begin(path, start_s, 1.0)
    assert reel.pull(end_s)
    cut = reel.finish()
    assert cut is not None
    times, numbers = check(path)
    first = int(max(start_s, 0) * FPS) // GOP * GOP
    assert numbers == list(range(first, first + len(numbers)))
    assert cut.start_s == pytest.approx(first / FPS, abs=1e-3)
    assert cut.end_s == pytest.approx(numbers[-1] / FPS, abs=1e-3)
    assert min(end_s, 2.95) - 4 / FPS < cut.end_s <= end_s
    assert times[-1] == pytest.approx(cut.end_s - cut.start_s, abs=1e-3)
    assert set(coded(path)) <= set(coded(source))


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("some.avi", "mpeg4", "yuv420p"), ("some.mkv", "mjpeg", "yuvj420p")],
)
def test_what_cannot_be_copied_is_encoded(
    tmp_path: Path, name: str, codec: str, pix_fmt: str
) -> None:
    source, path = film(tmp_path / name, codec=codec, pix_fmt=pix_fmt), tmp_path / "clip.mp4"
    reel = FilePackets(source).begin(path, 1.2, 1.5)
    reel.pull(2.2)
    cut = reel.finish()
    assert cut is not None
    assert tuple(cut) == pytest.approx((1.2, 2.2), abs=1e-3)
    assert check(path)[1] == list(range(24, 45))


def test_a_file_that_breaks_off_gives_what_there_is(tmp_path: Path) -> None:
    source = film(tmp_path / "some.ts")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    reel = FilePackets(source).begin(tmp_path / "clip.mp4", 0.5, 1.0)
    reel.pull(3.0)
    cut = reel.finish()
    assert cut is not None
    assert 1.0 < cut.end_s < 2.0


# --- decoding and encoding ---


def test_frames_stay_as_long_as_they_were_shown(tmp_path: Path) -> None:
    shown = [0.0, 0.1, 0.5, 0.52, 0.9]
    frames = [Frame(i, time_s, noise(i)) for i, time_s in enumerate(shown)]
    packets.encode(tmp_path / "clip.mp4", frames, Fraction(10))
    assert check(tmp_path / "clip.mp4")[1] == [0, 1, 1, 1, 1, 3, 3, 3, 3, 4]
    packets.encode(tmp_path / "none.mp4", [], Fraction(10))
    assert not (tmp_path / "none.mp4").exists()


def test_damaged_packets_are_left_out(tmp_path: Path) -> None:
    source = film(tmp_path / "some.mkv", codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(source.read_bytes())
    at = len(content) // 2
    content[at : at + 6000] = bytes(6000)
    source.write_bytes(content)
    found = [number(frame.image) for frame in packets.frames(source)]
    assert 40 < len(found) <= 60
    assert (found[0], found[-1]) == (0, 59)


def test_times_are_from_the_first_packet_on_whether_or_not_it_can_be_decoded(
    tmp_path: Path,
) -> None:
    source = damage(film(tmp_path / "some.mp4"))
    found = {round(frame.time_s * FPS): number(frame.image) for frame in packets.frames(source)}
    assert found == {i: i for i in range(GOP, 60)}


def test_what_is_encoded_begins_with_its_first_packet_black_until_it_can_be_decoded(
    tmp_path: Path,
) -> None:
    source, path = damage(film(tmp_path / "some.mp4")), tmp_path / "clip.mp4"
    packets.encode(path, packets.frames(source), Fraction(FPS))
    times, numbers = check(path)
    assert len(times) == 60
    assert numbers[GOP:] == list(range(GOP, 60))
    shown = [frame.image.mean() for frame in video.read(path)]
    assert max(shown[:GOP]) < 5 < 50 < min(shown[GOP:])


def test_a_spool_that_cannot_be_begun_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(YololstmError, match="cannot be written"):
        packets._Spool(tmp_path / "clip.mp4", packets.Format("h264", Fraction(1, 90_000), b"junk"))
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "day").write_text("no folder")
    source = film(tmp_path / "some.ts", 20)
    tape = Tape(5.0)
    recorded(tape, source, tape.begin(tmp_path / "none.mp4", 0.0, 0.0), -1.0)
    reel = tape.begin(tmp_path / "day" / "clip.mp4", 100.0, 100.0)
    with pytest.raises(YololstmError, match="cannot be written"):
        reel.pull(101.0)
    reel.drop()
    kept: Iterator[Path] = tmp_path.iterdir()
    assert not [file for file in kept if file.name.startswith(storage.UNFINISHED)]
    assert video.probe(source).n_frames == 20
