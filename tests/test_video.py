from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yololstm import video
from yololstm.errors import VideoError
from yololstm.storage import atomic


def grey(level: int, width: int = 64, height: int = 48) -> video.Image:
    return np.full((height, width, 3), level, dtype=np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve frames at 3 fps, each brighter than the one before."""
    path = tmp_path / "clip.mp4"
    with video.writing(path, Fraction(3), 64, 48) as writer:
        for i in range(12):
            writer.write(grey(20 * i))
    return path


def variable_rate(path: Path, times_ms: Sequence[int], **options: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {name.replace("_", "-"): value for name, value in options.items()}
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for time in times_ms:
            frame = av.VideoFrame.from_ndarray(grey(100 + time % 100), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def cut_off(path: Path, cut: Path, n_s: int) -> None:
    """The first seconds, without encoding anew."""
    with av.open(str(path)) as source, av.open(str(cut), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        assert stream.time_base is not None
        shift = round(n_s / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                target.mux(packet)


def test_probe_reads_the_header(clip: Path) -> None:
    assert video.probe(clip) == video.VideoInfo(Fraction(3), 12, 64, 48)


def test_frames_come_back_in_order_with_their_times(clip: Path) -> None:
    frames = list(video.read(clip))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 3 for i in range(12)])
    levels = [frame.image.mean() for frame in frames]
    assert levels == pytest.approx([20 * i for i in range(12)], abs=4)


def test_rational_rate_survives(tmp_path: Path) -> None:
    path = tmp_path / "ntsc.mp4"
    with video.writing(path, Fraction(30000, 1001), 64, 48) as writer:
        for _ in range(30):
            writer.write(grey(90))
    assert video.probe(path).fps == Fraction(30000, 1001)
    assert video.frame_times(path)[29] == pytest.approx(29 * 1001 / 30000, abs=1e-4)


@pytest.mark.parametrize(
    ("fps", "expected"),
    [(None, range(12)), (3, range(12)), (1, (0, 3, 6, 9)), (2, (0, 2, 3, 5, 6, 8, 9, 11))],
)
def test_sampling_takes_the_first_frame_of_each_tick(
    clip: Path, fps: float | None, expected: range | tuple[int, ...]
) -> None:
    assert [frame.index for frame in video.read(clip, fps)] == list(expected)


def test_time_is_presentation_time_where_the_rate_varies(tmp_path: Path) -> None:
    path = tmp_path / "phone.mp4"
    times_ms = [0, 33, 66, 500, 533, 2000]
    variable_rate(path, times_ms)
    expected = [time / 1000 for time in times_ms]
    assert [frame.time_s for frame in video.read(path)] == pytest.approx(expected, abs=1e-3)
    assert video.frame_times(path) == pytest.approx(expected, abs=1e-3)
    assert [frame.index for frame in video.read(path, fps=2)] == [0, 3, 5]


def test_sampling_forgives_time_stamps_in_whole_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with video.writing(path, Fraction(30), 64, 48) as writer:
        for _ in range(30):
            writer.write(grey(90))
    assert [frame.index for frame in video.read(path, fps=30)] == list(range(30))
    assert [frame.index for frame in video.read(path, fps=10)] == list(range(0, 30, 3))


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    """Whatever lies in memory that was used before."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (30, 40, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    seen = set()
    for n in range(20):
        rng.bytes(100_000 * n)
        path = tmp_path / "clip.mp4"
        with video.writing(path, Fraction(3), 320, 240) as writer:
            for i in range(24):
                writer.write(np.roll(image, 3 * i, axis=1))
        seen.add(path.read_bytes())
    assert len(seen) == 1


def test_written_file_plays_in_a_browser(clip: Path) -> None:
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_odd_sizes_lose_a_row_and_a_column(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with video.writing(path, Fraction(3), 65, 49) as writer:
        writer.write(grey(90, 65, 49))
    assert (video.probe(path).width, video.probe(path).height) == (64, 48)


def test_clip_cut_without_encoding_anew_is_read(clip: Path, tmp_path: Path) -> None:
    """Packets before the cut stay in the file, marked in its edit list as not to be shown."""
    cut = tmp_path / "cut.mp4"
    cut_off(clip, cut, 1)
    times = [frame.time_s for frame in video.read(cut)]
    assert 0 < len(times) < 12
    assert video.probe(cut).n_frames == len(times)
    assert video.frame_times(cut) == pytest.approx(times, abs=1e-3)


STEADY_MS = range(0, 1980, 33)
UNSTEADY_MS = [33 * i + 400 * (i // 13) + i % 7 for i in range(60)]


class Decoding:
    """How many frames come out of the decoder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n = 0
        decode = video._decode

        def counting(*args: Any) -> Iterator[Any]:
            for shown in decode(*args):
                self.n += 1
                yield shown

        monkeypatch.setattr(video, "_decode", counting)

    def during(self, call: Callable[[], object]) -> int:
        self.n = 0
        call()
        return self.n


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Decoding:
    return Decoding(monkeypatch)


def shown(frames: Iterable[video.Frame]) -> list[tuple[int, float, bytes]]:
    return [(frame.index, frame.time_s, frame.image.tobytes()) for frame in frames]


def moving(path: Path, times_ms: Sequence[int], codec: str, **options: str) -> None:
    """A picture that tells frames apart."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (12, 16, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    flags = {"movflags": options.pop("movflags", "+faststart")} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=flags) as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {name.replace("_", "-"): value for name, value in options.items()}
        if codec != "mpeg4":
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i, time in enumerate(times_ms):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 2 * i, axis=1), format="rgb24")
            if codec != "mpeg4":
                frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


B_FRAMES = {"g": "10", "bf": "3", "b_adapt": "0", "sc_threshold": "0"}
KINDS = {
    "no B-frames": (".mp4", "libx264", {"g": "10", "bf": "0"}),
    "B-frames": (".mp4", "libx264", B_FRAMES),
    "open groups": (".mp4", "libx264", {**B_FRAMES, "x264_params": "open-gop=1"}),
    "no key frames": (".mp4", "libx264", {"x264_params": "intra-refresh=1:keyint=10"}),
    "fragments": (".mp4", "libx264", {**B_FRAMES, "movflags": "+frag_keyframe+empty_moov"}),
    "Matroska": (".mkv", "libx264", B_FRAMES),
    "broadcast": (".ts", "libx264", B_FRAMES),
    "HEVC": (".mp4", "libx265", {"x265_params": "keyint=10:open-gop=1:bframes=3:log-level=none"}),
    "MPEG-4": (".avi", "mpeg4", {"g": "10", "bf": "2"}),
    "VP9": (".webm", "libvpx-vp9", {"g": "10", "deadline": "realtime"}),
    "VP8": (".webm", "libvpx", {"g": "10", "auto_alt_ref": "1", "lag_in_frames": "10"}),
}


@pytest.mark.parametrize("times_ms", [STEADY_MS, UNSTEADY_MS], ids=["steady", "unsteady"])
@pytest.mark.parametrize("kind", KINDS)
def test_reading_from_a_time_on_gives_the_frames_that_are_there(
    tmp_path: Path, kind: str, times_ms: Sequence[int]
) -> None:
    suffix, codec, options = KINDS[kind]
    path = tmp_path / f"clip{suffix}"
    moving(path, times_ms, codec, **options)
    for fps in (None, 7):
        frames = list(video.read(path, fps))
        assert len({frame.image.tobytes() for frame in frames}) == len(frames) > 11
        for start_s in (0.001, frames[11].time_s, 1.32, 1e9):
            expected = [frame for frame in frames if frame.time_s >= start_s]
            assert shown(video.read(path, fps, start_s)) == shown(expected)


@pytest.mark.parametrize("kind", ["no B-frames", "B-frames", "open groups", "Matroska", "HEVC"])
def test_few_frames_before_that_time_are_decoded(
    tmp_path: Path, kind: str, decoding: Decoding
) -> None:
    suffix, codec, options = KINDS[kind]
    path = tmp_path / f"clip{suffix}"
    moving(path, UNSTEADY_MS, codec, **options)
    late_s = UNSTEADY_MS[55] / 1000 - 0.001
    assert decoding.during(lambda: next(video.read(path, start_s=late_s))) <= 21
    assert next(video.read(path, start_s=late_s)).index == 55


def test_reading_from_a_time_on_in_a_clip_that_was_cut(tmp_path: Path, decoding: Decoding) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    moving(whole, STEADY_MS, "libx264", **B_FRAMES)
    cut_off(whole, cut, 1)
    frames = list(video.read(cut))
    assert 20 < len(frames) < 40
    for start_s in (0.1, 0.3, 0.8):
        expected = [frame for frame in frames if frame.time_s >= start_s]
        assert shown(video.read(cut, start_s=start_s)) == shown(expected)
    assert decoding.during(lambda: next(video.read(cut, start_s=0.8))) <= 21


def test_clip_that_lacks_its_first_key_frame_is_read_from_a_time_on(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.ts", tmp_path / "torn.ts"
    moving(whole, STEADY_MS, "libx264", **B_FRAMES)
    content = whole.read_bytes()
    torn.write_bytes(content[len(content) // 8 // 188 * 188 :])
    frames = list(video.read(torn))
    for start_s in (0.1, 0.5, 1.0):
        expected = [frame for frame in frames if frame.time_s >= start_s]
        assert shown(video.read(torn, start_s=start_s)) == shown(expected) != []


def test_clip_that_breaks_off_is_read_from_a_time_on(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    moving(path, STEADY_MS, "libx264", **B_FRAMES)
    path.write_bytes(path.read_bytes()[:-2000])
    frames = video.read(path, start_s=1.0)
    assert next(frames).time_s == pytest.approx(1.0, abs=0.04)
    with pytest.raises(VideoError, match=r"cut short|decoded to its end"):
        list(frames)
    with pytest.raises(VideoError, match=r"cut short|decoded to its end"):
        list(video.read(path, start_s=1e9))


# --- ahead ---


def decoding_threads() -> int:
    return sum(thread.name.startswith("decode") for thread in threading.enumerate())


@pytest.mark.parametrize("fps", [None, 7])
@pytest.mark.parametrize("kind", ["B-frames", "Matroska", "VP9"])
def test_reading_ahead_gives_the_same_frames(tmp_path: Path, kind: str, fps: float | None) -> None:
    suffix, codec, options = KINDS[kind]
    path = tmp_path / f"clip{suffix}"
    moving(path, UNSTEADY_MS, codec, **options)
    for n in (1, 4, 100):
        assert shown(video.read_ahead(path, fps, n)) == shown(video.read(path, fps))
    assert decoding_threads() == 0


def test_no_more_than_asked_for_is_read_ahead(clip: Path, decoding: Decoding) -> None:
    with closing(video.read_ahead(clip, n=3)) as frames:
        next(frames)
        deadline = time.monotonic() + 60
        while decoding.n < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert decoding.n == 4


def test_who_stops_early_leaves_no_thread(clip: Path) -> None:
    with closing(video.read_ahead(clip)) as frames:
        next(frames)
        assert decoding_threads() == 1
    assert decoding_threads() == 0
    with pytest.raises(ZeroDivisionError), closing(video.read_ahead(clip)) as frames:
        for frame in frames:
            frame.index // 0
    assert decoding_threads() == 0


def test_program_that_does_not_read_on_ends(clip: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from yololstm import video;"
        "frames = video.read_ahead(Path(sys.argv[1])); print(next(frames).index)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(clip)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_fault_comes_after_the_frames_before_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    moving(path, STEADY_MS, "libx264", **B_FRAMES)
    path.write_bytes(path.read_bytes()[:-2000])

    def until_it_breaks(frames: Iterable[video.Frame]) -> tuple[list[int], str]:
        seen = []
        with pytest.raises(VideoError) as fault:
            seen.extend(frame.index for frame in frames)
        return seen, str(fault.value)

    seen, fault = until_it_breaks(video.read_ahead(path))
    assert (seen, fault) == until_it_breaks(video.read(path))
    assert len(seen) > 30
    assert decoding_threads() == 0
    absent = tmp_path / "absent.mp4"
    assert until_it_breaks(video.read_ahead(absent)) == until_it_breaks(video.read(absent))


# --- headers ---


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("times_ms", [range(0, 800, 33), [0, 33, 66, 500, 533, 2000, 2040, 2500]])
def test_packets_tell_the_times_that_decoding_gives(
    tmp_path: Path, suffix: str, times_ms: Sequence[int]
) -> None:
    """Packets are stored in order of decoding, which is another where frames look ahead."""
    path = tmp_path / f"clip{suffix}"
    variable_rate(path, times_ms, bf="3", b_adapt="0")
    with av.open(str(path)) as container:
        stored = [p.pts for p in container.demux(video=0) if p.pts is not None]
    assert stored != sorted(stored)
    times = [frame.time_s for frame in video.read(path)]
    info, found = video.survey(path)
    assert found.time_s == pytest.approx(times, abs=1e-9)
    assert found.time_s == pytest.approx([ms / 1000 for ms in times_ms], abs=1e-3)
    assert info.n_frames == len(times_ms)


def test_survey_finds_what_probe_and_frame_times_find(clip: Path) -> None:
    info, times = video.survey(clip)
    assert info == video.probe(clip)
    assert times.ticks.tolist() == [i * times.ticks[1] for i in range(12)]
    assert times.ticks[1] * times.tick == Fraction(1, 3)
    np.testing.assert_array_equal(times.time_s, video.frame_times(clip))


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("mpeg4", ".mp4"), ("mpeg4", ".avi"), ("libx264", ".ts"), ("libvpx-vp9", ".mp4")],
)
def test_header_is_understood_whatever_the_codec(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(grey(10 * i), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = video.VideoInfo(Fraction(10), 20, 64, 48)
    assert video.survey(path)[0] == info
    assert replace(video.probe(path), n_frames=20) == info


def test_size_is_that_of_the_decoded_picture(clip: Path) -> None:
    """Which the header of the container may get wrong."""
    assert video.probe(clip).width == 64
    content = clip.read_bytes()
    size = (64).to_bytes(2, "big") + (48).to_bytes(2, "big")
    wrong = (80).to_bytes(2, "big") + (60).to_bytes(2, "big")
    start = content.index(size, content.index(b"avc1", content.index(b"stsd")))
    clip.write_bytes(content[:start] + wrong + content[start + 4 :])
    assert next(video.read(clip)).image.shape == (48, 64, 3)
    assert (video.probe(clip).width, video.probe(clip).height) == (64, 48)


def test_words_in_another_encoding_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=3)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.metadata["title"] = "ABCDEFGH"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(grey(90), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"ABCDEFGH" in content
    path.write_bytes(content.replace(b"ABCDEFGH", "절도절도".encode("cp949")))
    assert video.probe(path).n_frames == 1


def test_unknown_codec_is_named(clip: Path) -> None:
    content = clip.read_bytes()
    assert content.count(b"avc1\0\0\0\0") == 1
    clip.write_bytes(content.replace(b"avc1\0\0\0\0", b"zzzz\0\0\0\0"))
    with pytest.raises(VideoError, match="a format that is not known"):
        video.probe(clip)


@given(st.data())
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_read_or_refused(clip: Path, data: st.DataObject) -> None:
    sound = clip.read_bytes()
    content = bytearray(sound)
    header = st.integers(content.index(b"moov"), content.index(b"mdat"))
    for place in data.draw(st.lists(header, min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    damaged = clip.with_name("damaged.mp4")
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))])
    with suppress(VideoError):
        info, times = video.survey(damaged)
        assert len(times.ticks) <= info.n_frames
        assert (np.diff(times.ticks) >= 0).all()
        assert info.fps > 0


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file"):
        video.probe(tmp_path / "absent.mp4")


def test_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "zero.mp4"
    path.touch()
    with pytest.raises(VideoError, match=r"zero\.mp4: the file is empty"):
        video.probe(path)


def test_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("this is no video" * 100)
    with pytest.raises(VideoError, match=r"notes\.mp4: not a video"):
        video.probe(path)


def test_file_without_video_stream_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(VideoError, match="no video stream"):
        video.probe(path)


def test_cut_off_body_is_found_without_decoding(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-60])
    with pytest.raises(VideoError, match="cut short"):
        video.probe(clip)


def test_cut_off_body_gives_its_frames_then_the_error(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-60])
    seen = 0
    with pytest.raises(VideoError, match=r"cut short|decoded to its end"):
        for _ in video.read(clip):
            seen += 1
    assert 0 < seen < 12


def test_writing_through_atomic_leaves_nothing_behind_on_failure(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with (
        pytest.raises(RuntimeError),
        atomic(target) as temporary,
        video.writing(temporary, Fraction(3), 64, 48) as writer,
    ):
        writer.write(grey(50))
        raise RuntimeError("power cut")
    assert list(tmp_path.iterdir()) == []


def test_real_clips_are_read(real_data: Path) -> None:
    path = real_data / "data/aihub_clips/b_001_bag_30.mp4"
    assert video.probe(path) == video.VideoInfo(Fraction(3), 30, 1920, 1080)
    assert [frame.index for frame in video.read(path, fps=1)] == list(range(0, 30, 3))
