"""A real broker of MQTT on this machine, and somebody who listens to it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE_S = 60


class Heard(NamedTuple):
    topic: str
    body: bytes
    key: str
    qos: int


class Broker:
    """mosquitto, on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, *lines: str) -> None:
        """lines: of its configuration."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("the program mosquitto is not installed")
        self._program = program
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._configuration = folder / "mosquitto.conf"
        common = [f"listener {self.port} 127.0.0.1", "user root"]
        self._configuration.write_text("\n".join([*common, *lines, ""]))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._configuration)], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert self._process.poll() is None, "mosquitto ended"
            assert time.monotonic() < deadline
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE_S)

    @contextmanager
    def listening(self, topic: str = "#") -> Iterator[SimpleQueue[Heard]]:
        """Where the broker keeps what it knows, nothing is missed while it is away."""
        heard: SimpleQueue[Heard] = SimpleQueue()
        ready: SimpleQueue[None] = SimpleQueue()
        client = Client(
            CallbackAPIVersion.VERSION2, client_id="listener", protocol=MQTTProtocolVersion.MQTTv5
        )
        staying = Properties(PacketTypes.CONNECT)
        staying.SessionExpiryInterval = 3600
        client.username_pw_set("listener", "listener")
        client.on_connect = lambda *_: client.subscribe(topic, qos=1) and None
        client.on_subscribe = lambda *_: ready.put(None)
        client.on_message = lambda client, userdata, message: heard.put(
            Heard(
                message.topic,
                message.payload,
                dict(message.properties.UserProperty)["key"],
                message.qos,
            )
        )
        client.connect("127.0.0.1", self.port, clean_start=False, properties=staying)
        client.loop_start()
        try:
            ready.get(timeout=PATIENCE_S)
            yield heard
        finally:
            client.disconnect()
            client.loop_stop()


@contextmanager
def broker(folder: Path, *lines: str) -> Iterator[Broker]:
    running = Broker(folder, *(lines or ("allow_anonymous true",)))
    try:
        yield running
    finally:
        running.stop()
