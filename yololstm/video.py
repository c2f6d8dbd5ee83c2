"""Video in and out, through PyAV. Time is presentation time; the first frame is at 0 s.

Images are (H, W, 3) uint8, RGB.
"""

from __future__ import annotations

import functools
import itertools
from bisect import bisect_left
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.index import IndexEntries
from av.video.stream import VideoStream
from numpy.typing import NDArray

from yololstm.errors import VideoError

Image = NDArray[np.uint8]

# In ticks. Many containers round time stamps to whole milliseconds.
_EARLY = 0.1

#: Codecs that make one frame of each packet, so that packets tell which frame is which.
_FRAME_A_PACKET = frozenset({"h264", "hevc", "mpeg4"})

#: Codecs whose parameters, which stand in the container's header, tell the size of the picture.
_SIZE_IN_HEADER = frozenset({"h264", "hevc", "mpeg4"})

LIBRARY = f"av {av.__version__}"
"""Another one may find other times in the same file."""

SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".webm", ".ts"})


@dataclass(frozen=True)
class VideoInfo:
    """What the header of a file says, without decoding."""

    fps: Fraction
    n_frames: int
    width: int
    height: int


@dataclass(frozen=True)
class Frame:
    index: int
    """Counted in decoded frames from 0, those left out by sampling included."""
    time_s: float
    image: Image


@dataclass(frozen=True, eq=False)
class FrameTimes:
    """When each frame is shown."""

    ticks: NDArray[np.int64]
    """(n_frames,) ascending from 0."""
    tick: Fraction
    """Seconds."""

    @property
    def time_s(self) -> NDArray[np.float64]:
        return self.ticks * np.float64(self.tick)


def probe(path: Path) -> VideoInfo:
    """Raises VideoError where the file is absent, empty, not a video, or cut short."""
    with _opened_unread(path) as (container, stream):
        return _info(path, container, stream)


def frame_times(path: Path) -> NDArray[np.float64]:
    """(n_frames,) presentation times in seconds from 0, read from the packets without decoding."""
    return survey(path)[1].time_s


def survey(path: Path) -> tuple[VideoInfo, FrameTimes]:
    """What ``probe`` finds, but with frames that were counted, and when each of them is shown.

    All packets are read, because an index says when they are decoded, not when they are shown; none
    is decoded. Raises VideoError as ``probe`` does.
    """
    with _opened_unread(path) as (container, stream):
        info = _info(path, container, stream)
        try:
            shown = [p.pts for p in container.demux(stream) if p.size and not p.is_discard]
        except av.FFmpegError as error:
            raise _broken(path, f"its packets cannot be read ({error.strerror})") from error
        pts = np.array(sorted(at for at in shown if at is not None), dtype=np.int64)
        if not len(pts) or not stream.time_base:
            raise _broken(path, "it holds no frame")
        return replace(info, n_frames=len(shown)), FrameTimes(pts - pts[0], stream.time_base)


def read(path: Path, fps: float | None = None, start_s: float = 0.0) -> Iterator[Frame]:
    """Decode frames in order of presentation.

    fps: at most so many frames a second: the first frame at or after each tick of that rate.
    start_s: of these the ones at or after this time; of what comes before little is decoded.
    Raises VideoError, after the frames that could be decoded, where the file breaks off.
    """
    last_tick = -1
    for index, time_s, frame in _decoded(path, start_s):
        tick = index if fps is None else int(time_s * fps + _EARLY)
        if tick > last_tick:
            last_tick = tick
            if time_s >= start_s:
                image = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                yield Frame(index, time_s, image)


def read_ahead(path: Path, fps: float | None = None, n: int = 4) -> Generator[Frame]:
    """As ``read``, but in a thread, which decodes up to n frames before they are asked for.

    Close it, as contextlib.closing does, where it is left before its end: that ends the thread.
    """
    frames = read(path, fps)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as thread:
        due = deque(thread.submit(next, frames, None) for _ in range(n))
        try:
            while (frame := due.popleft().result()) is not None:
                due.append(thread.submit(next, frames, None))
                yield frame
        finally:
            for one in due:
                one.cancel()


class VideoWriter:
    """H.264, yuv420p, header first: a file that plays in a browser while it loads."""

    def __init__(self, path: Path, fps: Fraction, width: int, height: int, crf: int = 23) -> None:
        """Odd sizes lose their last column or row, which yuv420p cannot hold."""
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        stream = self._container.add_stream("libx264", rate=fps)
        stream.width, stream.height = width // 2 * 2, height // 2 * 2
        stream.pix_fmt = "yuv420p"
        # The same frames give the same bytes: more threads, or x264's look at the frames to come
        # (which in pictures less than 640 wide reads memory that nobody has set), would differ.
        stream.options = {
            **{"crf": str(crf), "preset": "veryfast"},
            **{"threads": "1", "rc-lookahead": "0"},
        }
        self._stream = stream

    def write(self, image: Image) -> None:
        """image: (H, W, 3) RGB of the size given, or larger by the odd row or column."""
        cut = np.ascontiguousarray(image[: self._stream.height, : self._stream.width])
        frame = av.VideoFrame.from_ndarray(cut, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


@contextmanager
def writing(
    path: Path, fps: Fraction, width: int, height: int, crf: int = 23
) -> Iterator[VideoWriter]:
    writer = VideoWriter(path, fps, width, height, crf)
    try:
        yield writer
    finally:
        writer.close()


def _info(path: Path, container: InputContainer, stream: VideoStream) -> VideoInfo:
    fps = stream.average_rate or stream.guessed_rate
    width, height = _size(path, container, stream)
    if not fps or not width or not height:
        raise _broken(path, "its header names no frame rate or size")
    entries = stream.index_entries
    _check_complete(path, entries)
    # An edit list can leave packets in the file that are never shown: a clip cut without
    # encoding it anew has them before its first key frame.
    hidden = sum(entry.is_discard for entry in entries)
    n_frames = stream.frames - hidden or _count_by_duration(container, stream, Fraction(fps))
    return VideoInfo(Fraction(fps), n_frames, width, height)


@contextmanager
def _opened_unread(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """As ``_opened``, but MP4 and MOV without decoding a frame: their header has all but the size
    of the picture, which see ``_size`` for."""
    with _opened(path, {"codec_whitelist": "none"}) as opened:
        if _is_mp4(opened[0]):
            yield opened
            return
    with _opened(path) as opened:
        yield opened


def _is_mp4(container: InputContainer) -> bool:
    return "mp4" in container.format.name.split(",")


@dataclass(frozen=True)
class _PictureHeader:
    """Videos of one camera and encoder share it."""

    codec: str
    parameters: bytes
    size: tuple[int, int]
    """As the container has it, which is not always what decoding gives."""
    path: Path = field(compare=False)


def _size(path: Path, container: InputContainer, stream: VideoStream) -> tuple[int, int]:
    """Width and height of the decoded picture, for which the first of its kind is decoded."""
    size = (stream.width, stream.height)
    if not _is_mp4(container):
        return size
    context = stream.codec_context
    header = _PictureHeader(context.name, bytes(context.extradata or b""), size, path)
    if header.parameters and header.codec in _SIZE_IN_HEADER:
        return _decoded_size(header)
    return _decoded_size.__wrapped__(header)


@functools.lru_cache(maxsize=1024)
def _decoded_size(header: _PictureHeader) -> tuple[int, int]:
    with _opened(header.path) as (_, stream):
        return stream.width, stream.height


@contextmanager
def _opened(
    path: Path, options: dict[str, str] | None = None
) -> Iterator[tuple[InputContainer, VideoStream]]:
    if not path.is_file():
        raise VideoError(path, "no such file", "Check the path, or run the index stage again")
    if path.stat().st_size == 0:
        raise _broken(path, "the file is empty")
    try:
        container = av.open(str(path), container_options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise _broken(path, f"not a video that can be opened ({error.strerror})") from error
    with container:
        if not container.streams.video:
            raise _broken(path, "it has no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise _broken(path, "it is in a format that is not known")
        yield container, stream


# --- decoding ---


class _Shown(NamedTuple):
    """A frame, and when it is shown by the clock of the file: in ticks, and in seconds."""

    pts: int
    time: float
    frame: av.VideoFrame


def _decoded(path: Path, start_s: float) -> Iterator[tuple[int, float, av.VideoFrame]]:
    """Index, time and frame: of all frames; or, where the packets tell which they are, of those
    from the last before ``start_s`` on, because sampling has to know it."""
    entry = _entry(path, start_s) if start_s > 0 else None
    if entry is not None:
        with _opened(path) as (container, stream):
            if (entered := _entered(path, container, stream, entry)) is not None:
                for index, shown in enumerate(entered, entry.last):
                    yield index, shown.time - entry.zero_s, shown.frame
                _check_complete(path, stream.index_entries)
                return
    with _opened(path) as (container, stream):
        zero_s: float | None = None
        for index, shown in enumerate(_decode(path, container, stream)):
            zero_s = shown.time if zero_s is None else zero_s
            yield index, shown.time - zero_s, shown.frame
        if zero_s is None:
            raise _broken(path, "it holds no frame")
        _check_complete(path, stream.index_entries)


def _decode(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[_Shown]:
    stream.thread_type = "AUTO"
    # As many as there are cores would each hold pictures, in every process, of which there may be
    # as many as cores.
    stream.codec_context.thread_count = 2
    try:
        for frame in _frames(container, stream):
            if frame.pts is None or frame.time is None:
                raise _broken(path, "a frame has no presentation time")
            if frame.rotation:
                raise VideoError(
                    path,
                    f"it is stored lying down, to be turned by {frame.rotation} degrees",
                    "Encode it upright: ffmpeg -i IN OUT.mp4",
                )
            yield _Shown(frame.pts, frame.time, frame)
    except av.FFmpegError as error:
        raise _broken(path, f"it cannot be decoded to its end ({error.strerror})") from error


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """container.decode(), but where the file breaks off the frames in flight come out first."""
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        with suppress(av.FFmpegError):
            yield from stream.decode(None)
        raise


class _Packet(NamedTuple):
    pts: int
    dts: int
    """When it is decoded; where nobody says, when it is shown."""
    is_key: bool
    is_shown: bool
    """Others are decoded only because shown ones need them."""


@dataclass(frozen=True, eq=False)
class _Entry:
    """A packet to begin at, and what decoding should give up to the frame before the time sought.

    dts: of the packet. pts: of the frames from its own on. last: the index of the last of them.
    zero_s: when frame 0 is shown, by the clock of the file.
    """

    dts: int
    pts: list[int]
    last: int
    zero_s: float


def _entry(path: Path, start_s: float) -> _Entry | None:
    """None where packets do not tell which frames there are, or where nothing would be gained."""
    with _opened_unread(path) as (container, stream):
        packets, tick = _packets(container, stream), stream.time_base
    pts = sorted(packet.pts for packet in packets if packet.is_shown)
    if not tick or not pts or len({*pts}) < len(pts):
        return None
    # Frames before the first key frame may come out of the decoder, or may not.
    if not packets[0].is_key or packets[0].pts > pts[0]:
        return None
    times_s = [float((at - pts[0]) * tick) for at in pts]
    last = max(bisect_left(times_s, start_s) - 1, 0)
    keys = [p for p in packets if p.is_key and p.is_shown and pts[0] < p.pts <= pts[last]]
    if not keys:
        return None
    key = max(keys, key=lambda packet: packet.pts)
    return _Entry(key.dts, pts[bisect_left(pts, key.pts) : last + 1], last, float(pts[0] * tick))


def _packets(container: InputContainer, stream: VideoStream) -> list[_Packet]:
    """In order of decoding; none where they would not tell which frames there are."""
    if stream.codec_context.name not in _FRAME_A_PACKET:
        return []
    packets: list[_Packet] = []
    try:
        for packet in container.demux(stream):
            if packet.size:
                if packet.pts is None:
                    return []
                dts = packet.pts if packet.dts is None else packet.dts
                packets.append(_Packet(packet.pts, dts, packet.is_keyframe, not packet.is_discard))
    except av.FFmpegError:
        return []
    return packets


def _entered(
    path: Path, container: InputContainer, stream: VideoStream, entry: _Entry
) -> Iterator[_Shown] | None:
    """Frames from the last before the time sought on; None where others come than should."""
    try:
        container.seek(entry.dts, stream=stream)
        frames = _decode(path, container, stream)
        due = itertools.dropwhile(lambda shown: shown.pts < entry.pts[0], frames)
        for pts, shown in zip(entry.pts, due, strict=False):
            if shown.pts != pts:
                return None
            if pts == entry.pts[-1]:
                return itertools.chain([shown], due)
    except (av.FFmpegError, VideoError):
        return None
    return None


def _check_complete(path: Path, entries: IndexEntries) -> None:
    if entries and (last := max(e.pos + e.size for e in entries)) > path.stat().st_size:
        raise _broken(path, f"cut short: {path.stat().st_size} of at least {last} bytes")


def _count_by_duration(container: InputContainer, stream: VideoStream, fps: Fraction) -> int:
    if stream.duration is not None and stream.time_base is not None:
        return round(stream.duration * stream.time_base * fps)
    return round(Fraction(container.duration or 0, av.time_base) * fps)


def _broken(path: Path, problem: str) -> VideoError:
    return VideoError(path, problem, "Fetch the file again, or take it out of the data")
