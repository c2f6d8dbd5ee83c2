"""Figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Response
from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from yololstm.bulletin import Bulletin, Notice
from yololstm.outbox import Outbox
from yololstm.web.refusing import RESPONSES, content
from yololstm.web.watched import Monitor

_CAMERAS: Final = (
    ("read", CounterMetricFamily, "Frames that were due"),
    ("dropped", CounterMetricFamily, "Frames for which there was no time"),
    ("looked", CounterMetricFamily, "Frames that were looked at"),
    ("connections", CounterMetricFamily, "How often it became live"),
    ("fps", GaugeMetricFamily, "Frames looked at a second, of late"),
    ("delay_s", GaugeMetricFamily, "Seconds from a frame's arrival to what is known of it"),
)
_NAMES: Final = {
    "read": "frames_read",
    "dropped": "frames_dropped",
    "looked": "frames_looked_at",
    "delay_s": "delay_seconds",
}
_OUTBOX: Final = (
    ("waiting", "waiting", "Messages that wait to be delivered"),
    ("refused", "refused", "Messages that their receiver refused"),
    ("oldest_s", "oldest_seconds", "Age of the oldest message that waits"),
)


def router(monitor: Monitor, outbox: Outbox, bulletin: Bulletin) -> APIRouter:
    """Counts events from now on."""
    routes = APIRouter(responses=RESPONSES)
    registry = CollectorRegistry()
    registry.register(_Figures(monitor, outbox))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    names = ("camera", "label")
    events = Counter("yololstm_events", "Events since the start", names, registry=registry)

    def hear(notice: Notice) -> None:
        if notice.kind == "change" and notice.about["change"] == "start":
            events.labels(notice.about["camera"], notice.about["label"]).inc()

    bulletin.listen(hear)

    @routes.get("/metrics", response_class=Response, responses=content("text/plain"))
    def metrics() -> Response:
        """Prometheus' text format."""
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


class _Figures(Collector):
    """Taken when they are asked for."""

    def __init__(self, monitor: Monitor, outbox: Outbox) -> None:
        self._monitor = monitor
        self._outbox = outbox

    def describe(self) -> list[Metric]:
        """None: to register asks nobody for figures."""
        return []

    def collect(self) -> Iterator[Metric]:
        statuses = {name: camera.status() for name, camera in self._monitor.cameras.items()}
        up = GaugeMetricFamily("yololstm_camera_up", "Whether it is live", labels=["camera"])
        for name, status in statuses.items():
            up.add_metric([name], float(status.state == "live"))
        yield up
        for field, kind, about in _CAMERAS:
            named = f"yololstm_camera_{_NAMES.get(field, field)}"
            family = kind(named, about, labels=["camera"])
            for name, status in statuses.items():
                family.add_metric([name], float(getattr(status, field)))
            yield family
        counts = self._outbox.counts()
        for field, named, about in _OUTBOX:
            gauge = GaugeMetricFamily(f"yololstm_outbox_{named}", about, labels=["channel"])
            for channel, figures in counts.items():
                gauge.add_metric([channel], float(figures[field]))
            yield gauge
