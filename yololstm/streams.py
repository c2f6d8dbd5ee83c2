"""Video as it comes: a file, a webcam or a network camera, read by a thread, through PyAV.

A camera is never waited for: where whoever takes its frames is slower than it, the oldest are
dropped and counted, and where it is lost it is connected anew until somebody stops. A file can be
read whole, or played at its own pace as if it were a camera.
"""

from __future__ import annotations

import errno
import math
import re
import socket
import ssl
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Protocol, Self, cast

import av
import certifi
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from yololstm import video
from yololstm.errors import ParamsError
from yololstm.packets import BACK_S, BREAK_S, FilePackets, Packets, Tape
from yololstm.video import Frame, Image

State = Literal["connecting", "live", "lost", "ended"]
SCHEMES: Final = ("rtsp", "rtsps", "http", "https")

_PROTOCOLS: Final = "rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,data"
"""What an address may lead on to; above all no file of this machine."""
_TLS_PORTS: Final = {"https": 443, "rtsps": 322}
_HOST: Final = re.compile(r"([\w.-]+|\[[\w.:%]+\])(?::(\d+))?")
"""A host, and perhaps a port."""
_HELD: Final = 4
"""Frames that wait to be taken: what a camera may be behind by."""
_COUNTED: Final = 0x80
"""AVFMT_NOTIMESTAMPS, of a format: pictures one after the other."""
_EARLY: Final = 0.1
"""As in video."""


class Shot(NamedTuple):
    frame: Frame
    """Its time goes on over lost connections, by the clock of this machine."""
    arrived: datetime
    """UTC."""


@dataclass(frozen=True)
class Patience:
    """How long a camera is waited for, all in seconds."""

    timeout_s: float = 10.0
    """Without an answer or a frame, until it counts as lost."""
    first_s: float = 1.0
    """From the loss to the next try, twice as long from try to try,"""
    last_s: float = 30.0
    """but never longer than this."""
    cut_s: float = 2.0
    """Without a picture, until nobody knows any more who is who."""


@dataclass(frozen=True)
class Counts:
    read: int = 0
    """Frames that were due, those that were dropped included."""
    dropped: int = 0


def open(
    source: str,
    fps: float,
    *,
    realtime: bool = False,
    patience: Patience | None = None,
    on_state: Callable[[State, str], None] | None = None,
    tls_verify: bool = True,
) -> Stream:
    """source: a file's path, the number of a webcam, or an address of SCHEMES.

    fps: at most so many frames a second, chosen as video.read does. realtime: play a file at its
    pace. on_state: told each new state, and why, by the thread that reads. tls_verify: a camera's
    certificate must be one that this machine trusts, where its address is of rtsps or https.
    Raises ParamsError for what is no source; VideoError for a file that is no video. A camera
    that is not there is lost.
    """
    tell = on_state or (lambda state, why: None)
    if device := re.fullmatch(r"(?:/dev/video)?(\d+)", source):
        address = _Address(f"/dev/video{device[1]}", format="v4l2")
    elif "://" in source:
        address = _Address.of_url(source, tls_verify)
    else:
        return Stream(_File(Path(source), fps, realtime), waits=not realtime, on_state=tell)
    return Stream(_Camera(address, fps, patience or Patience()), waits=False, on_state=tell)


def check(source: str) -> None:
    """Raises ParamsError for an address that no camera can have, without saying it."""
    if "://" in source:
        _Address.of_url(source, tls_verify=False)


def shown(source: str) -> str:
    """The source as it may be printed: passwords stand anywhere in addresses, so of one no more
    than the host is shown; and not even that where it could be a part of a password."""
    scheme, is_address, rest = source.partition("://")
    if not is_address:
        return source
    _, host, tail = _parted(rest)
    is_sure = "@" not in tail and _HOST.fullmatch(host)
    return f"{scheme}://{host}/…" if is_sure else f"{scheme}://…"


def _parted(rest: str) -> tuple[str, str, str]:
    """An address without its scheme: who asks, whom, and for what."""
    authority, *tail = re.split(r"[/?#]", rest, maxsplit=1)
    user, _, host = authority.rpartition("@")
    return user, host, "".join(tail)


def _check_host(rest: str) -> None:
    """Raises ParamsError, without the address, where a password ends it too early."""
    user, host, tail = _parted(rest)
    named = _HOST.fullmatch(host)
    # An @ may stand in a path. But what comes after it may be the host, and what seems to be one a
    # part of the user's name and password.
    could_be_user = (user or ":" in host) and not re.search(r"[.\[]", host)
    could_be_host = "@" in tail and re.match(r"\[|[\w-]+(\.|:\d)", tail.rpartition("@")[2])
    if not named or (could_be_user and could_be_host):
        problem = "no host can be made out in the address"
        remedy = "In user and password write / as %2F, ? as %3F, # as %23, @ as %40, % as %25"
        raise ParamsError("SOURCE", problem, remedy)


class Stream:
    """Shots, one by one; None where so long nothing was seen that nobody knows who is who.

    A thread reads from when it is made to when it is closed. Iterating raises VideoError, after the
    frames that could be decoded, where a file breaks off; and whatever else ends the thread.
    """

    def __init__(
        self, source: _Source, *, waits: bool, on_state: Callable[[State, str], None]
    ) -> None:
        """waits: the thread waits for whoever takes the frames; else it drops the oldest."""
        self._source = source
        self._waits = waits
        self._on_state = on_state
        self._state: State = "connecting"
        self._counts = Counts()
        self._held: deque[_Item] = deque()
        self._is_cut = True
        """Since the last frame was held nothing was seen for too long; or there was none."""
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="stream", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def state(self) -> State:
        return self._state

    @property
    def counts(self) -> Counts:
        return self._counts

    def rate(self) -> Fraction:
        """Of the frames, at most. Waits for the first one, which is when a camera tells."""
        with self._changed:
            self._changed.wait_for(lambda: self._counts.read or self._state == "ended")
        asked = Fraction(self._source.every).limit_denominator(1000)
        return min(self._source.fps or asked, asked)

    def packets(self, before_s: float) -> Packets:
        """What clips can be cut from that begin so long before an event: what a camera sends from
        now on is held in memory, as much of it as that takes. Ask once."""
        return self._source.packets(before_s)

    def __iter__(self) -> Iterator[Shot | None]:
        while True:
            with self._changed:
                self._await()
                if not self._held:
                    break
                item = self._held.popleft()
                self._changed.notify_all()
            yield None if item is None else item.shot()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Read no more: what is held can still be taken. From any thread or signal handler."""
        self._stopped.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Waits for the thread, but no longer than a moment for a camera that does not answer."""
        self.stop()
        with self._changed:
            self._held.clear()
            self._set("ended")
        self._thread.join(timeout=1.0)

    def _await(self) -> None:
        """Until there is something to take, or nothing will come. For who holds the lock."""
        while not self._held and self._state != "ended":
            left_s = None if self._is_cut else self._source.left_s()
            if left_s is not None and left_s <= 0:
                self._cut()
            else:
                self._changed.wait(left_s)

    def _cut(self) -> None:
        if not self._is_cut:
            self._held.append(None)
        self._is_cut = True

    def _read(self) -> None:
        try:
            for item in self._source.items(self._tell, self._stopped):
                self._put(item)
                if self._stopped.is_set():
                    break
        except Exception as error:  # noqa: BLE001 - whoever takes the frames is told
            self._error = error
        finally:
            self._tell("ended", "")

    def _put(self, item: _Item) -> None:
        with self._changed:
            if self._waits:
                self._changed.wait_for(lambda: len(self._held) < _HELD or self._stopped.is_set())
            if self._state == "ended":
                return
            if item is None:
                self._cut()
            else:
                dropped = not self._waits and self._drop_oldest()
                self._counts = Counts(self._counts.read + 1, self._counts.dropped + dropped)
                self._held.append(item)
                self._is_cut = False
            self._changed.notify_all()

    def _drop_oldest(self) -> bool:
        """Where too many are held. Of two breaks that it stood between, one is left."""
        if sum(item is not None for item in self._held) < _HELD:
            return False
        at = 1 if self._held[0] is None else 0
        del self._held[at]
        if at == 1 and self._held[at] is None:
            del self._held[at]
        return True

    def _tell(self, state: State, why: str) -> None:
        with self._changed:
            if state == self._state and state != "connecting":
                return
            is_over = self._state == "ended"
            self._set(state)
        if is_over:
            return
        try:
            self._on_state(state, why)
        except Exception:  # noqa: BLE001 - the camera goes on
            traceback.print_exc()

    def _set(self, state: State) -> None:
        if self._state != "ended":
            self._state = state
        self._changed.notify_all()


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A frame that nobody has taken yet: its picture is made when somebody does."""

    index: int
    time_s: float
    image: Callable[[], Image]
    arrived: datetime

    def shot(self) -> Shot:
        return Shot(Frame(self.index, self.time_s, self.image()), self.arrived)


_Item = _Waiting | None
_Tell = Callable[[State, str], None]


class _Source(Protocol):
    every: float
    """So many frames a second are taken, at most."""
    fps: Fraction | None
    """Its own; None where it does not say, or not yet."""

    def items(self, tell: _Tell, stopped: threading.Event) -> Iterator[_Item]:
        """In the thread that reads. Ends with the source, or soon after ``stopped`` is set."""
        ...

    def left_s(self) -> float | None:
        """Seconds until nothing was seen for too long, at most 0 once that is so; None where it
        cannot be, or nothing was seen yet. From any thread."""
        ...

    def packets(self, before_s: float) -> Packets: ...


class _File:
    def __init__(self, path: Path, fps: float, realtime: bool) -> None:
        self._path = path
        self.every = fps
        self._realtime = realtime
        self.fps: Fraction | None = video.probe(path).fps

    def items(self, tell: _Tell, stopped: threading.Event) -> Iterator[_Item]:
        tell("live", "")
        began = time.monotonic()
        for frame in video.read(self._path, self.every):
            if self._realtime and stopped.wait(began + frame.time_s - time.monotonic()):
                return
            yield _Waiting(frame.index, frame.time_s, _always(frame.image), datetime.now(UTC))

    def left_s(self) -> float | None:
        return None

    def packets(self, before_s: float) -> Packets:
        return FilePackets(self._path)


@dataclass(frozen=True)
class _Address:
    url: str
    format: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    trusted: str = ""
    """A file with whose certificates are trusted; "" where anybody's is."""

    @classmethod
    def of_url(cls, url: str, tls_verify: bool) -> Self:
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        if scheme not in SCHEMES:
            problem = f"{scheme}:// is not known"
            raise ParamsError("SOURCE", problem, f"Give an address of {', '.join(SCHEMES)}")
        _check_host(rest)
        # To find the rate in more frames takes a second, and so does catching up with it.
        options = {"protocol_whitelist": _PROTOCOLS, "fpsprobesize": "3", "tls_verify": "0"}
        if scheme.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
        trusted = _trusted() if tls_verify else ""
        if trusted:
            options |= {"tls_verify": "1", "ca_file": trusted}
        return cls(url, options=tuple(options.items()), trusted=trusted)

    def open(self, timeout_s: float) -> InputContainer:
        try:
            return av.open(
                self.url,
                format=self.format,
                container_options=dict(self.options),
                metadata_errors="replace",
                timeout=timeout_s,
            )
        except av.FFmpegError as error:
            if error.errno == errno.EIO and (fault := self._fault(timeout_s)):
                raise OSError(None, f"its certificate is not trusted: {fault}") from error
            raise

    def _fault(self, timeout_s: float) -> str:
        """Of the camera's certificate, which av does not tell; "" where there is none."""
        scheme, _, rest = self.url.partition("://")
        named = _HOST.fullmatch(_parted(rest)[1])
        if not self.trusted or scheme.lower() not in _TLS_PORTS or named is None:
            return ""
        host, port = named[1].strip("[]"), int(named[2] or _TLS_PORTS[scheme.lower()])
        try:
            context = ssl.create_default_context(cafile=self.trusted)
            with (
                socket.create_connection((host, port), timeout_s) as connection,
                context.wrap_socket(connection, server_hostname=host),
            ):
                return ""
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except (OSError, ValueError, OverflowError):
            return ""


def _trusted() -> str:
    """A file with the certificates that this machine trusts, or else those that browsers do."""
    paths = ssl.get_default_verify_paths()
    candidates = (paths.cafile, paths.capath and f"{paths.capath}/ca-certificates.crt")
    return next((one for one in candidates if one and Path(one).is_file()), certifi.where())


class _Camera:
    def __init__(self, address: _Address, fps: float, patience: Patience) -> None:
        self._address = address
        self.every = fps
        self._patience = patience
        self._clock = _Clock()
        self._heard = 0.0
        """Monotonic: when a packet came, or it was connected."""
        self.fps: Fraction | None = None
        self._tape: Tape | None = None

    def packets(self, before_s: float) -> Packets:
        self._tape = Tape(before_s)
        return self._tape

    def left_s(self) -> float | None:
        return self._clock.left_s(self._patience.cut_s)

    def items(self, tell: _Tell, stopped: threading.Event) -> Iterator[_Item]:
        index, last_tick, last_s = -1, -1, math.inf
        delay_s = self._patience.first_s
        while not stopped.is_set():
            tell("connecting", "")
            why = "it ended"
            try:
                for camera_s, frame in self._frames(stopped):
                    tell("live", "")
                    delay_s = self._patience.first_s
                    time_s = self._clock.at(camera_s)
                    if time_s is None:
                        continue
                    if time_s - last_s > self._patience.cut_s:
                        yield None
                    last_s = time_s
                    if self._tape is not None:
                        self._tape.shown(camera_s, time_s)
                    index += 1
                    tick = int(time_s * self.every + _EARLY)
                    if tick > last_tick:
                        last_tick = tick
                        yield _Waiting(index, time_s, _picture(frame), datetime.now(UTC))
            except (av.FFmpegError, OSError) as error:
                why = self._why(error)
            if self._tape is not None:
                self._tape.disconnect()
            if stopped.is_set():
                return
            tell("lost", why)
            stopped.wait(delay_s)
            delay_s = min(2 * delay_s, self._patience.last_s)

    def _why(self, error: av.FFmpegError | OSError) -> str:
        # What av does when its time is up depends on where it was.
        is_late = time.monotonic() - self._heard >= self._patience.timeout_s
        if isinstance(error, av.ExitError) or (error.errno is not None and is_late):
            return f"nothing came for {self._patience.timeout_s:g} s"
        return error.strerror or type(error).__name__

    def _frames(self, stopped: threading.Event) -> Iterator[tuple[float | None, av.VideoFrame]]:
        """Of one connection, each with when it is by the camera's clock; None where it has none."""
        self._heard = time.monotonic()
        with self._address.open(self._patience.timeout_s) as container:
            if not container.streams.video:
                raise OSError(None, "it has no video")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise OSError(None, "its video is in a format that is not known")
            # Threads that take a frame each would hold as many back.
            stream.thread_type = "SLICE"
            self.fps = stream.average_rate or stream.guessed_rate or None
            self._clock.connect()
            # Without time stamps, frames are counted and taken to come at a rate that is guessed.
            is_timed = not container.format.flags & _COUNTED
            whole = False
            for packet in self._packets(container, stream):
                if stopped.is_set():
                    return
                if self._tape is not None:
                    self._tape.put(packet, is_timed=is_timed)
                for frame in _decoded(packet):
                    whole = whole or not frame.is_corrupt
                    if whole:
                        yield frame.time if is_timed else None, frame

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream]]:
        """Those of its video. Sound that goes on does not hide that there is none."""
        self._heard = time.monotonic()
        for packet in container.demux():
            if packet.stream.index == stream.index:
                self._heard = time.monotonic()
                yield cast("av.Packet[VideoStream]", packet)
            elif time.monotonic() - self._heard > self._patience.timeout_s:
                raise OSError(errno.ETIMEDOUT, "no picture came")


class _Clock:
    """Presentation time that goes on, from 0 at the first frame, whatever a camera's clock does."""

    def __init__(self) -> None:
        self._zero_s: float | None = None
        """Of the camera's clock, in ours; None after it was connected."""
        self._last_s: float | None = None
        self._seen = 0.0
        """Monotonic, of the last frame."""
        self._is_new = True

    def connect(self) -> None:
        self._zero_s = None
        self._is_new = True

    def at(self, camera_s: float | None) -> float | None:
        """Ours, at a frame that has just come; None for one that is not later than the last.

        camera_s: its own time; None where it has none. The first one over RTSP has none: when it
        was before the next one is not known, so None as well.
        """
        was_new, self._is_new = self._is_new, False
        if was_new and camera_s is None:
            return None
        now = time.monotonic()
        due_s = 0.0 if self._last_s is None else self._last_s + max(now - self._seen, 1e-3)
        time_s = due_s if camera_s is None else self._continued(camera_s, due_s)
        if self._last_s is not None and time_s <= self._last_s:
            return None
        self._seen, self._last_s = now, time_s
        return time_s

    def _continued(self, camera_s: float, due_s: float) -> float:
        ahead_s = 0.0 if self._zero_s is None else camera_s + self._zero_s - due_s
        last_s = -math.inf if self._last_s is None else self._last_s
        if self._zero_s is None or abs(ahead_s) > BREAK_S or due_s + ahead_s < last_s - BACK_S:
            self._zero_s = due_s - camera_s
        return camera_s + self._zero_s

    def left_s(self, patience_s: float) -> float | None:
        """Until nothing was seen for so long; None where nothing was seen yet."""
        return None if self._last_s is None else self._seen + patience_s - time.monotonic()


def _decoded(packet: av.Packet[VideoStream]) -> Iterable[av.VideoFrame]:
    """A packet that was damaged on its way is left out."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, av.VideoFrame)]
    except av.InvalidDataError:
        return []


def _picture(frame: av.VideoFrame) -> Callable[[], Image]:
    return lambda: frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def _always(image: Image) -> Callable[[], Image]:
    return lambda: image
