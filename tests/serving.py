"""A network camera on this machine: MPEG-TS over HTTP, as it happens, to whoever asks."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from yololstm.video import Image


class Kind(NamedTuple):
    form: str
    content_type: str
    codec: str
    pix_fmt: str
    options: dict[str, str]


FAST = {"preset": "ultrafast", "tune": "zerolatency"}
H264 = Kind("mpegts", "video/mp2t", "libx264", "yuv420p", {**FAST, "threads": "1"})
HEVC = Kind("mpegts", "video/mp2t", "libx265", "yuv420p", {**FAST, "x265-params": "log-level=0"})
MJPEG = Kind("mpjpeg", "multipart/x-mixed-replace;boundary=ffmpeg", "mjpeg", "yuvj420p", {})


class Camera:
    """Films from when it is made on. Only who knows the password sees it."""

    def __init__(
        self,
        picture: Callable[[float], Image],
        fps: int,
        kind: Kind = H264,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """picture: what it sees, by seconds since it was made. certificate: and its key; with them
        it speaks TLS."""
        self._picture = picture
        self._fps = fps
        self._began = time.monotonic()
        self._on = threading.Event()
        self._on.set()
        self.asked = 0
        self.slow_s = 0.0
        """Before it answers."""
        self.sent: list[bytes] = []
        """Packets, to whoever."""
        self._kind = kind
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.asked += 1
                time.sleep(camera.slow_s)
                with suppress(OSError, av.FFmpegError):
                    if not camera._on.is_set():
                        self.send_error(503)
                        return
                    self.send_response(200)
                    self.send_header("Content-Type", kind.content_type)
                    self.end_headers()
                    camera._film(self.wfile)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        if certificate is not None:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        where = f"somebody:geheim@127.0.0.1:{self._server.server_port}"
        return f"{self._scheme}://{where}/geheim?key=geheim"

    def cut(self) -> None:
        """Ends what it shows, and shows nothing to who comes back."""
        self._on.clear()

    def resume(self) -> None:
        self._on.set()

    def close(self) -> None:
        self.cut()
        self._server.shutdown()
        self._server.server_close()

    def _film(self, file: Any) -> None:
        with av.open(file, "w", format=self._kind.form) as container:
            image = self._picture(0.0)
            stream = container.add_stream(self._kind.codec, rate=self._fps)
            stream.height, stream.width = image.shape[:2]
            stream.pix_fmt = self._kind.pix_fmt
            stream.options = dict(self._kind.options)
            stream.gop_size = self._fps
            first = int((time.monotonic() - self._began) * self._fps)
            n = first
            while self._on.is_set():
                due = self._began + n / self._fps
                time.sleep(max(0.0, due - time.monotonic()))
                frame = av.VideoFrame.from_ndarray(self._picture(n / self._fps), format="rgb24")
                frame.pts = n - first
                packets = stream.encode(frame)
                self.sent += map(bytes, packets)
                container.mux(packets)
                n += 1


@contextmanager
def camera(
    picture: Callable[[float], Image] | None = None,
    fps: int = 20,
    kind: Kind = H264,
    certificate: tuple[Path, Path] | None = None,
) -> Iterator[Camera]:
    filming = Camera(picture or shade, fps, kind, certificate)
    try:
        yield filming
    finally:
        filming.close()


def shade(time_s: float) -> Image:
    """Tells its time: each second is a shade, which comes again every 8 s."""
    return np.full((96, 128, 3), 20 + 28 * (int(time_s) % 8), dtype=np.uint8)


@contextmanager
def sending(content: bytes) -> Iterator[str]:
    """The address of a server that sends it to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody vouches for, and its key. Needs openssl."""
    made = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=camera"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return made
