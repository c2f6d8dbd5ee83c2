"""Compressed video as a camera sends it or a file holds it, and clips that are cut from it.

H.264 is put into MP4 as it came, from a key frame on; anything else is decoded and encoded. Only
pictures are taken: sound is nowhere kept, for nobody consented to be listened to.
"""

from __future__ import annotations

import fcntl
import heapq
import io
import itertools
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from yololstm import storage, video
from yololstm.errors import VideoError, YololstmError
from yololstm.video import Frame

_LATE_S: Final = 30.0
"""An event that is known later than so long after its start has less of what was before it."""
_MOST_BYTES: Final = 128_000_000
"""What a camera may hold in memory: what comes at 25 Mbit/s within 40 s."""
BREAK_S: Final = 10.0
"""A camera's clock that jumps by more was set,"""
BACK_S: Final = 0.5
"""as one that falls back by more."""
_SAME_S: Final = 1e-6
_AS_IT_CAME: Final = "h264"
_TIMED: Final = frozenset({"mp4", "matroska", "mpegts", "flv"})
"""Files that say when each packet is shown; others are read in order and counted."""
_BACK: Final = (0.0, 2.0, 10.0, 1e9)
"""Seconds before the key frame sought, to look for it: some files know no better where it is."""
_REORDERED: Final = 4
"""Frames that are decoded before one that is shown before them, at most."""
_RAW: Final = "rawvideo"
_QUALITY: Final = 90
MOST_FPS: Final = Fraction(30)
"""Of clips that are encoded."""
_ARRIVAL: Final = Fraction(1, 1_000_000)
"""Seconds a tick, where a camera has no clock."""


class Cut(NamedTuple):
    """What a clip shows, in seconds of its stream."""

    start_s: float
    """Of its first frame,"""
    end_s: float
    """and its last."""


class Reel(Protocol):
    """A clip in the making. Methods raise YololstmError where it cannot be written."""

    def pull(self, end_s: float) -> bool:
        """Put by what there is up to then, in order of decoding up to the first frame that is shown
        later. Does not wait. False where nothing is sent any more: the connection is over."""
        ...

    def finish(self) -> Cut | None:
        """Write what was put by as an MP4 that plays while it loads, from 0 s on; None, and no
        file, where that is no frame."""
        ...

    def drop(self) -> None:
        """Leave nothing behind."""
        ...


class Packets(Protocol):
    """What clips of one source can be cut from."""

    def begin(self, path: Path, start_s: float, about_s: float) -> Reel:
        """A clip that begins at the key frame at or before ``start_s``, or else the first one
        after it.

        about_s: when most of it happened. Where a camera was lost meanwhile, a clip is of one
        connection alone, the one in which that was.
        """
        ...


# --- of a camera ---


class Format(NamedTuple):
    """What packets are to be read with."""

    codec: str
    tick: Fraction
    """Seconds."""
    sample: bytes
    """A video of one packet, whose header has all that a decoder must know."""


class Packet(NamedTuple):
    data: bytes
    pts: int
    """In ticks of the camera's clock; when it is shown,"""
    dts: int | None
    """and decoded: None where nobody says."""
    is_key: bool


@dataclass(eq=False)
class _Run:
    """Packets of one connection and one clock, the oldest of which are forgotten."""

    format: Format
    packets: deque[Packet] = field(default_factory=deque)
    keys: deque[int] = field(default_factory=deque)
    """Their numbers, counted from the first packet there ever was."""
    forgotten: int = 0
    zero_s: float | None = None
    """Of the camera's clock, in ours; None while no frame was shown."""
    is_over: bool = False

    @property
    def end(self) -> int:
        return self.forgotten + len(self.packets)

    def at(self, packet: Packet) -> float:
        """When it is shown."""
        return float(packet.pts * self.format.tick) + (self.zero_s or 0.0)

    def begins_s(self) -> float:
        return self.at(self.packets[0])

    def ends_s(self) -> float:
        return self.at(self.packets[-1])

    def forget_a_group(self) -> int:
        """Up to the next key frame. Returns how many bytes that frees."""
        until = next((key for key in self.keys if key > self.forgotten), self.end)
        freed = 0
        while self.forgotten < until:
            freed += len(self.packets.popleft().data)
            self.forgotten += 1
        while self.keys and self.keys[0] < until:
            self.keys.popleft()
        return freed


class Tape:
    """The last of a camera's packets. One thread puts them, others cut clips of them; they wait for
    each other no longer than a list of them is copied."""

    def __init__(self, before_s: float, most_bytes: int = _MOST_BYTES) -> None:
        """before_s: how long before an event clips begin."""
        self._kept_s = before_s + _LATE_S
        self._most_bytes = most_bytes
        self._runs: deque[_Run] = deque()
        self._bytes = 0
        self._untimed: av.Packet[VideoStream] | None = None
        """The first one over RTSP, which has no time: a frame before the next."""
        self._changing = threading.Lock()

    def begin(self, path: Path, start_s: float, about_s: float) -> Reel:
        return _TapeReel(self, path, start_s, about_s)

    # By the thread that reads.

    def disconnect(self) -> None:
        """What comes now is of another connection."""
        with self._changing:
            self._end_run()
            self._untimed = None

    def put(self, packet: av.Packet[VideoStream], *, is_timed: bool) -> None:
        """is_timed: by the camera; else packets are when they arrive."""
        is_raw = packet.stream.codec_context.name == _RAW
        data = _jpeg(packet) if is_raw and packet.size else bytes(packet)
        if not data:
            return
        tick, pts = packet.time_base, packet.dts if packet.pts is None else packet.pts
        with self._changing:
            run = self._runs[-1] if self._runs and not self._runs[-1].is_over else None
            if is_timed and pts is None and run is None and self._untimed is None:
                self._untimed = packet
                return
            if not is_timed or pts is None:
                tick, pts = _ARRIVAL, int(time.monotonic() / _ARRIVAL)
            dts = packet.dts if is_timed else pts
            if run is None or run.format.tick != tick or _jumps(run, pts if dts is None else dts):
                self._end_run()
                run = _Run(_format_of(packet, tick, is_raw))
                self._runs.append(run)
                first, self._untimed = self._untimed, None
                # Where the next one is not decoded when it is shown, it may not be the next shown.
                if first is not None and dts == pts:
                    at = pts - round(1 / (packet.stream.average_rate or 25) / tick)
                    self._append(run, bytes(first), at, at, first.is_keyframe)
            self._append(run, data, pts, dts, packet.is_keyframe or is_raw)
            self._forget()

    def _append(self, run: _Run, data: bytes, pts: int, dts: int | None, is_key: bool) -> None:
        if is_key:
            run.keys.append(run.end)
        run.packets.append(Packet(data, pts, dts, is_key))
        self._bytes += len(data)

    def shown(self, camera_s: float | None, time_s: float) -> None:
        """A frame came of what was put.

        camera_s: by the camera's clock; None where it has none. time_s: by ours.
        """
        with self._changing:
            run = next((run for run in reversed(self._runs) if _has(run, camera_s)), None)
            if run is None:
                return
            if camera_s is None:
                camera_s = float(run.packets[-1].pts * run.format.tick)
            if run.zero_s is None:
                run.zero_s = time_s - camera_s
            elif abs(run.zero_s - (time_s - camera_s)) > BACK_S and run is self._runs[-1]:
                self._end_run()

    # By those who cut clips.

    def run_about(self, time_s: float) -> _Run | None:
        """The one with this time, or else the last one before it, or the first there is."""
        with self._changing:
            known = [run for run in self._runs if run.zero_s is not None and run.packets]
            before = [run for run in known if run.begins_s() <= time_s]
        return next(iter(before[-1:] or known), None)

    def entry(self, run: _Run, start_s: float) -> int | None:
        """Number of the packet to begin at; None where it is still to come."""
        with self._changing:
            if not run.is_over and run.packets and run.ends_s() < start_s:
                return None
            at = {key: run.at(run.packets[key - run.forgotten]) for key in run.keys}
        before = [key for key, time_s in at.items() if time_s <= start_s]
        return max(before, default=min(at, default=None))

    def since(self, run: _Run, number: int, end_s: float) -> tuple[int, list[Packet], bool]:
        """From a packet on up to the first that is shown after ``end_s``, which is left; or from
        the next key frame on, where it is forgotten.

        Returns the number of the first, the packets, and whether more may come.
        """
        with self._changing:
            if number < run.forgotten:
                number = next(iter(run.keys), run.end)
            rest = itertools.islice(run.packets, number - run.forgotten, None)
            found = list(itertools.takewhile(lambda packet: run.at(packet) <= end_s, rest))
            return number, found, not run.is_over

    def _end_run(self) -> None:
        if self._runs:
            self._runs[-1].is_over = True

    def _forget(self) -> None:
        newest = self._runs[-1]
        while self._bytes > self._most_bytes or self._is_old(self._runs[0], newest):
            self._bytes -= self._runs[0].forget_a_group()
            if not self._runs[0].packets and self._runs[0] is not newest:
                self._runs.popleft()
            if not newest.packets:
                return

    def _is_old(self, run: _Run, newest: _Run) -> bool:
        """Whether its first group is not needed any more."""
        if newest.zero_s is None or not newest.packets:
            return False
        if run.zero_s is None and run is not newest:
            return True
        old_s = newest.ends_s() - self._kept_s
        following = next((key for key in run.keys if key > run.forgotten), None)
        if following is None:
            return run is not newest and (not run.packets or run.ends_s() < old_s)
        return run.at(run.packets[following - run.forgotten]) <= old_s


class _TapeReel:
    def __init__(self, tape: Tape, path: Path, start_s: float, about_s: float) -> None:
        self._tape = tape
        self._path = path
        self._start_s = start_s
        self._about_s = about_s
        self._run: _Run | None = None
        self._next: int | None = None
        self._spool: _Spool | None = None

    def pull(self, end_s: float) -> bool:
        self._run = self._run or self._tape.run_about(self._about_s)
        if self._run is None:
            return True
        if self._next is None:
            self._next = self._tape.entry(self._run, self._start_s)
        if self._next is None:
            return not self._run.is_over
        first, packets, goes_on = self._tape.since(self._run, self._next, end_s)
        self._next = first + len(packets)
        if packets and self._spool is None:
            self._spool = _Spool(self._path, self._run.format)
        for packet in packets:
            assert self._spool is not None
            self._spool.write(packet)
        return goes_on

    def finish(self) -> Cut | None:
        if self._spool is None or self._run is None:
            return None
        ends = self._spool.finish()
        return None if ends is None else Cut(*map(self._run.at, ends))

    def drop(self) -> None:
        if self._spool is not None:
            self._spool.drop()


def _has(run: _Run, camera_s: float | None) -> bool:
    """Whether a frame of that time is of its packets."""
    if not run.packets:
        return False
    if camera_s is None:
        return not run.is_over
    low, high = (float(run.packets[i].pts * run.format.tick) for i in (0, -1))
    return low - BACK_S <= camera_s <= high + BACK_S


def _jumps(run: _Run, at: int) -> bool:
    """at: when a packet is decoded, or else shown."""
    if not run.packets:
        return False
    last = run.packets[-1]
    ahead_s = float((at - (last.pts if last.dts is None else last.dts)) * run.format.tick)
    return not -BACK_S <= ahead_s <= BREAK_S


def _format_of(packet: av.Packet[VideoStream], tick: Fraction, is_raw: bool) -> Format:
    held = io.BytesIO()
    with av.open(held, "w", format="nut") as container:
        if is_raw:
            context, codec = packet.stream.codec_context, "mjpeg"
            size = {"width": context.width, "height": context.height}
            _write_one(container, container.add_mux_stream(codec, **size), _jpeg(packet))
        else:
            codec = packet.stream.codec_context.name
            _write_one(container, container.add_stream_from_template(packet.stream), bytes(packet))
    return Format(codec, tick, held.getvalue())


def _write_one(container: OutputContainer, stream: Stream, data: bytes) -> None:
    packet = av.Packet(data)
    packet.pts = packet.dts = 0
    packet.time_base, packet.is_keyframe, packet.stream = Fraction(1, 1000), True, stream
    container.mux(packet)


def _jpeg(packet: av.Packet[VideoStream]) -> bytes:
    """A webcam's pictures as they are would fill the memory within seconds."""
    for frame in packet.decode():
        image = frame.to_ndarray(format="bgr24")
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return encoded.tobytes()
    return b""


class _Spool:
    """A file that packets are put by in: the clip itself, or what it is to be encoded from. It is
    nobody else's to read, and while its lock is held it is no killed writer's."""

    def __init__(self, path: Path, form: Format) -> None:
        self._path = path
        self._is_clip = form.codec == _AS_IT_CAME
        self._tick = form.tick
        self._first: Packet | None = None
        self._last: Packet | None = None
        self._dts = 0
        self._n = 0
        self._shown: list[int] = []
        """When packets are, of which nobody says when they are decoded."""
        kind = "mp4" if self._is_clip else "nut"
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                dir=path.parent, prefix=storage.UNFINISHED, suffix=f".{kind}"
            )
            self._file, self._lock = Path(name), handle
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._open(kind, form)
            except BaseException:
                self._leave()
                raise

    def _open(self, kind: str, form: Format) -> None:
        options = {"movflags": "+faststart"} if self._is_clip else {}
        self._container = av.open(str(self._file), "w", format=kind, options=options)
        with av.open(io.BytesIO(form.sample)) as sample:
            self._stream = self._container.add_stream_from_template(
                sample.streams.video[0], time_base=form.tick
            )

    def write(self, packet: Packet) -> None:
        """The first one is a key frame; what is shown before it cannot be decoded without what
        came before."""
        self._first = self._first or packet
        zero = self._first.pts
        if packet.pts < zero:
            return
        due = self._decoded(packet) - zero
        dts = due if self._last is None else max(due, self._dts + 1)
        made = av.Packet(packet.data)
        made.dts, made.pts = dts, max(packet.pts - zero, dts)
        made.duration = 0 if self._last is None else dts - self._dts
        made.time_base, made.is_keyframe, made.stream = self._tick, packet.is_key, self._stream
        self._dts, self._n = dts, self._n + 1
        self._last = packet if self._last is None else max(self._last, packet, key=_pts)
        with _written(self._path):
            self._container.mux(made)

    def _decoded(self, packet: Packet) -> int:
        """When it is to be, which is not later than it is shown."""
        assert self._first is not None
        if self._first.dts is not None:
            return packet.pts if packet.dts is None else packet.dts
        heapq.heappush(self._shown, packet.pts)
        if len(self._shown) > _REORDERED:
            return heapq.heappop(self._shown)
        return self._first.pts - _REORDERED + self._n

    def finish(self) -> tuple[Packet, Packet] | None:
        """The first and the last one shown; None, and no file, where nothing can be shown."""
        assert self._first is not None and self._last is not None
        with _written(self._path):
            self._container.close()
            if self._is_clip:
                self._file.replace(self._path)
            else:
                length_s = (self._last.pts - self._first.pts) * self._tick
                encode(self._path, frames(self._file), _rate(self._n, length_s))
            self._leave()
        return (self._first, self._last) if self._path.exists() else None

    def drop(self) -> None:
        with suppress(av.FFmpegError, OSError):
            self._container.close()
        self._leave()

    def _leave(self) -> None:
        """Once, or twice after trouble."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _pts(packet: Packet) -> int:
    return packet.pts


# --- of a file ---


class FilePackets:
    """A file is there as a whole: clips are cut when they are finished."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, path: Path, start_s: float, about_s: float) -> Reel:
        return _FileReel(self._path, path, max(start_s, 0.0))


class _FileReel:
    def __init__(self, source: Path, path: Path, start_s: float) -> None:
        self._source = source
        self._path = path
        self._start_s = self._end_s = start_s

    def pull(self, end_s: float) -> bool:
        self._end_s = end_s
        return True

    def finish(self) -> Cut | None:
        try:
            return self._copied() or self._encoded()
        except (av.FFmpegError, OSError) as error:
            raise _unwritten(self._path, error) from error

    def drop(self) -> None:
        """There is nothing yet."""

    def _copied(self) -> Cut | None:
        """None where the packets cannot be put into a clip as they are."""
        with self._opened() as (container, stream):
            if stream.codec_context.name != _AS_IT_CAME:
                return None
            if _TIMED.isdisjoint(container.format.name.split(",")):
                return None
            zero_s = next((f.time for f in container.decode(stream) if f.time is not None), 0.0)
        with self._opened() as (container, stream):
            spool: _Spool | None = None
            try:
                for packet in self._entered(container, stream, zero_s):
                    if packet.pts is None:
                        continue
                    if spool is None:
                        form = _format_of(packet, packet.time_base, is_raw=False)
                        spool = _Spool(self._path, form)
                    spool.write(Packet(bytes(packet), packet.pts, packet.dts, packet.is_keyframe))
                if spool is None or (ends := spool.finish()) is None:
                    return None
                spool = None
                return Cut(*(float(end.pts * packet.time_base) - zero_s for end in ends))
            finally:
                if spool is not None:
                    spool.drop()

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        with av.open(str(self._source), metadata_errors="replace") as container:
            yield container, container.streams.video[0]

    def _entered(
        self, container: InputContainer, stream: VideoStream, zero_s: float
    ) -> Iterator[av.Packet[VideoStream]]:
        """From the key frame on that the clip begins with, to its end."""
        begin_s, end_s = self._start_s + zero_s + _SAME_S, self._end_s + zero_s + _SAME_S
        first_s = (container.start_time or 0) / av.time_base
        for back_s in _BACK:
            container.seek(int(max(begin_s - back_s, first_s - 1) * av.time_base))
            packets = itertools.takewhile(
                lambda packet: _due_s(packet) <= end_s, _sound(container.demux(stream))
            )
            group = list(itertools.islice((p for p in packets if p.is_keyframe), 1))
            if group and _due_s(group[0]) <= begin_s:
                break
        for packet in packets:
            if packet.is_keyframe and _due_s(packet) <= begin_s:
                group = []
            group.append(packet)
            if _due_s(packet) > begin_s:
                break
        yield from group
        yield from packets

    def _encoded(self) -> Cut | None:
        info, seen = video.probe(self._source), list[float]()

        def chosen() -> Iterator[Frame]:
            with suppress(VideoError):  # it breaks off: what there is
                for frame in video.read(self._source, start_s=self._start_s):
                    if frame.time_s > self._end_s:
                        return
                    seen.append(frame.time_s)
                    yield replace(frame, time_s=frame.time_s - seen[0])

        encode(self._path, chosen(), min(info.fps, MOST_FPS))
        return Cut(seen[0], seen[-1]) if seen else None


def _due_s(packet: av.Packet[VideoStream]) -> float:
    """When it is shown, or else decoded, by the clock of the file."""
    ticks = next((at for at in (packet.pts, packet.dts) if at is not None), 0)
    return float(ticks * packet.time_base)


def _sound(packets: Iterable[av.Packet[VideoStream]]) -> Iterator[av.Packet[VideoStream]]:
    """Those with something in them, up to where the file breaks off."""
    with suppress(av.FFmpegError):
        for packet in packets:
            if packet.size:
                yield packet


# --- decoding and encoding ---


def frames(path: Path) -> Iterator[Frame]:
    """As video.read, but what was damaged on its way from a camera is left out, and 0 s is when the
    first packet is shown, whether or not it can be decoded."""
    zero_s: float | None = None
    index = -1
    with av.open(str(path), metadata_errors="replace") as container:
        for packet in container.demux(container.streams.video[0]):
            if zero_s is None:
                zero_s = _due_s(packet)
            with suppress(av.InvalidDataError):
                for frame in packet.decode():
                    if frame.time is None:
                        continue
                    index += 1
                    image = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                    yield Frame(index, frame.time - zero_s, image)


def encode(path: Path, shown: Iterable[Frame], fps: Fraction) -> None:
    """Writes frames at a steady rate from 0 s on, each for as long as it was shown, and black
    before the first; no file where there is none. Raises YololstmError where it cannot be
    written."""
    remaining = iter(shown)
    first = next(remaining, None)
    if first is None:
        return
    height, width = first.image.shape[:2]
    with (
        _written(path),
        storage.atomic(path) as temporary,
        video.writing(temporary, fps, width, height) as writer,
    ):
        n, before = 0, replace(first, image=np.zeros_like(first.image))
        for frame in itertools.chain([first], remaining):
            # It is shown from the nearest tick on.
            due = round(frame.time_s * fps)
            while n < due:
                writer.write(before.image)
                n += 1
            before = frame if frame.image.shape == first.image.shape else before
        writer.write(before.image)


def _rate(n: int, length_s: Fraction) -> Fraction:
    """Of n frames, in whole frames a second."""
    fps = round((n - 1) / length_s) if length_s > 0 else 1
    return min(Fraction(max(fps, 1)), MOST_FPS)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: Exception) -> YololstmError:
    why = getattr(error, "strerror", None) or type(error).__name__
    return YololstmError(path, f"it cannot be written ({why})", "See whether there is room")
