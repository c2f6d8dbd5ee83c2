"""Clips made longer and shorter, none encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from yololstm import video


def repeat(clip: Path, path: Path, times: int) -> None:
    """Write it again and again."""
    info = video.probe(clip)
    shown_s = info.n_frames / info.fps
    with _like(clip, path) as (out, stream):
        for number in range(times):
            for packet in _packets(clip):
                later = number * round(shown_s / packet.time_base)
                packet.pts, packet.dts = packet.pts + later, packet.dts + later
                packet.stream = stream
                out.mux(packet)


def cut(clip: Path, path: Path, until_s: float) -> None:
    """Write its beginning: what is decoded until then, and so all that it refers to."""
    with _like(clip, path) as (out, stream):
        for packet in _packets(clip):
            if packet.dts * packet.time_base >= until_s:
                return
            packet.stream = stream
            out.mux(packet)


@contextmanager
def _like(clip: Path, path: Path) -> Iterator[tuple[OutputContainer, VideoStream]]:
    with av.open(str(path), "w") as out:
        with av.open(str(clip)) as container:
            stream = out.add_stream_from_template(container.streams.video[0])
        yield out, stream


def _packets(clip: Path) -> Iterator[av.Packet]:
    with av.open(str(clip)) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.dts is not None:
                yield packet
