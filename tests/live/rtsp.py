"""A network camera that speaks RTSP: a program for a Python that has GStreamer's RTSP server.

    /usr/bin/python3 rtsp.py VIDEO PORT USER PASSWORD [CERTIFICATE KEY]

plays the H.264 in the file over and over, as it is, to whoever knows the password, each from its
beginning; with a certificate and its key, over TLS. PORT 0: one that is free. When it can be asked
it prints the port.
"""

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

ROLE = "somebody"
RIGHTS = ("media.factory.access", "media.factory.construct")
SHOWN = "( appsrc name=film format=time max-buffers=8 ! h264parse ! rtph264pay name=pay0 pt=96 )"


def frames(path: str) -> tuple[list[Any], Any]:
    """The file's coded frames, and their caps."""
    reading = Gst.parse_launch(
        "filesrc name=file ! qtdemux ! h264parse config-interval=-1"
        " ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
    )
    reading.get_by_name("file").set_property("location", path)
    reading.set_state(Gst.State.PLAYING)
    out, found, caps = reading.get_by_name("out"), [], None
    while sample := out.emit("pull-sample"):
        found.append(sample.get_buffer())
        caps = sample.get_caps()
    reading.set_state(Gst.State.NULL)
    return found, caps


def endlessly(film: list[Any]) -> Iterator[Any]:
    length = sum(frame.duration for frame in film)
    for round_ in itertools.count():
        for frame in film:
            again = frame.copy_deep()
            again.pts, again.dts = frame.pts + round_ * length, frame.dts + round_ * length
            yield again


def main(path: str, port: str, user: str, password: str, *certificate: str) -> None:
    Gst.init(None)
    film, caps = frames(path)

    def configure(_: Any, media: Any) -> None:
        source = media.get_element().get_by_name_recurse_up("film")
        source.set_property("caps", caps)
        left = endlessly(film)
        source.connect("need-data", lambda *_: source.emit("push-buffer", next(left)))

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(SHOWN)
    factory.connect("media-configure", configure)
    rights = GstRtspServer.RTSPPermissions()
    rights.add_role(ROLE)
    for right in RIGHTS:
        rights.add_permission_for_role(ROLE, right, True)
    factory.set_permissions(rights)

    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*certificate))
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
    server.set_auth(auth)
    server.get_mount_points().add_factory("/stream1", factory)
    if not server.attach(None):
        raise SystemExit(f"port {port} is taken")
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
