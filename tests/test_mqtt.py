from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub
from pydantic import SecretStr

from tests.brokers import PATIENCE_S, Broker, broker
from tests.certificates import certificate
from yololstm import site
from yololstm.database import Database
from yololstm.errors import ParamsError
from yololstm.mqtt import Mqtt
from yololstm.notifying import topic_of
from yololstm.outbox import Backoff, Courier, Message, Outbox, Undelivered


def message(n: int = 1, label: str = "theft") -> Message:
    about = {"camera": "door", "label": label}
    return Message(n, "shop", f"one:update:{n}", b'{"n": %d}' % n, datetime.now(UTC), 0, about)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Broker]:
    with broker(tmp_path) as running:
        yield running


def opened(port: int, **said: object) -> Mqtt:
    return Mqtt("127.0.0.1", port, timeout_s=5.0, **said)


def test_messages_are_published_over_one_connection(shop: Broker) -> None:
    with shop.listening("yololstm/#") as heard:
        mqtt = opened(shop.port)
        mqtt(message(1))
        link = mqtt._link
        mqtt(message(2, "절도/+#"))
        assert mqtt._link is link
        first, second = (heard.get(timeout=PATIENCE_S) for _ in range(2))
        mqtt.close()
    assert first == ("yololstm/door/theft", b'{"n": 1}', "one:update:1", 1)
    assert second[:2] == ("yololstm/door/절도%2F%2B%23", b'{"n": 2}')


def test_a_receiver_of_a_site(shop: Broker) -> None:
    said = {"name": "shop", "kind": "mqtt", "host": "127.0.0.1", "port": shop.port}
    mqtt = Mqtt.of(site.Mqtt(**said, topic="shop/{camera}", password=SecretStr("geheim")))
    with shop.listening() as heard:
        mqtt(message())
        assert heard.get(timeout=PATIENCE_S).topic == "shop/door"
    mqtt.close()
    mqtt(message())  # it can be opened again
    mqtt.close()
    assert "geheim" not in repr(mqtt)


def test_a_broker_that_was_away_is_connected_again(shop: Broker) -> None:
    mqtt = opened(shop.port)
    mqtt(message(1))
    shop.stop()
    for _ in range(2):
        with pytest.raises(Undelivered, match=rf"^127\.0\.0\.1:{shop.port}: "):
            mqtt(message(2))
    shop.start()
    with shop.listening() as heard:
        mqtt(message(2))
        assert heard.get(timeout=PATIENCE_S).key == "one:update:2"
        mqtt(message(3))
        assert heard.get(timeout=PATIENCE_S).key == "one:update:3"  # the second not once more
    mqtt.close()


def test_whoever_may_not_publish_is_told(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.touch(mode=0o600)
    for name in ("camera", "listener"):
        password = "geheim" if name == "camera" else name
        done = subprocess.run(["mosquitto_passwd", "-b", users, name, password], check=False)
        assert done.returncode == 0
    rules = tmp_path / "rules"
    rules.touch(mode=0o600)
    rules.write_text("user camera\ntopic write yololstm/#\nuser listener\ntopic read #\n")
    with broker(tmp_path, f"password_file {users}", f"acl_file {rules}") as guarded:
        with pytest.raises(Undelivered, match=r"no connection .*Not authorized"):
            opened(guarded.port)(message())
        with pytest.raises(Undelivered, match="no connection") as told:
            opened(guarded.port, username="camera", password="geheimer")(message())
        assert "geheim" not in str(told.value)
        login = {"username": "camera", "password": "geheim"}
        elsewhere = opened(guarded.port, topic="elsewhere", **login)
        with pytest.raises(Undelivered, match="Not authorized"):
            elsewhere(message())
        mqtt = opened(guarded.port, **login)
        with guarded.listening() as heard:
            mqtt(message())
            assert heard.get(timeout=PATIENCE_S).topic == "yololstm/door/theft"
        for one in (elsewhere, mqtt):
            one.close()


def test_a_broker_is_known_by_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, key = certificate(tmp_path / "ours")
    other, _ = certificate(tmp_path / "other")
    with broker(tmp_path, f"certfile {ours}", f"keyfile {key}", "allow_anonymous true") as guarded:
        for unknown in ("", str(other)):
            with pytest.raises(Undelivered, match="no connection"):
                opened(guarded.port, tls=True, ca_file=unknown)(message())
        said = {"name": "shop", "kind": "mqtt", "host": "127.0.0.1", "port": guarded.port}
        mqtt = Mqtt.of(site.Mqtt(**said, tls=True, ca_file=str(ours)))
        monkeypatch.setenv("SSL_CERT_FILE", str(ours))
        for one in (mqtt, opened(guarded.port, tls=True)):
            one(message())
            one.close()


def test_a_broker_that_says_nothing_is_not_waited_for() -> None:
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mqtt = Mqtt("127.0.0.1", silent.getsockname()[1], timeout_s=0.3)
        began = time.monotonic()
        for _ in range(3):
            with pytest.raises(Undelivered, match="no answer"):
                mqtt(message())
        assert time.monotonic() - began < 30
    until(lambda: threading.active_count() <= threads)


def test_all_come_through_in_order_while_the_broker_is_away(tmp_path: Path) -> None:
    database = Database(tmp_path / "journal.db")
    outbox = Outbox(database)

    def put(*keys: str) -> None:
        with database.writing() as connection:
            for key in keys:
                about = {"camera": "door", "label": "theft"}
                outbox.put(connection, "shop", key, b"", about)
        outbox.wake()

    def tries() -> int:
        with database.reading() as connection:
            (row,) = connection.execute("SELECT max(tries) FROM messages WHERE state = 'waiting'")
        return row[0] or 0

    lines = ("allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/")
    with broker(tmp_path, *lines) as shop, shop.listening() as heard:
        mqtt = opened(shop.port)
        quick = Backoff(first_s=0.01, last_s=0.05, poll_s=0.02)
        courier = Courier(outbox, "shop", mqtt, close=mqtt.close, backoff=quick)
        courier.start()
        put("a", "b")
        keys = [heard.get(timeout=PATIENCE_S).key for _ in range(2)]
        shop.stop()
        put("c", "d", "e")
        until(lambda: tries() > 5)
        shop.start()
        while keys[-1] != "e":
            keys.append(heard.get(timeout=PATIENCE_S).key)
        until(lambda: outbox.counts()["shop"]["waiting"] == 0)
        courier.stop()
    assert list(dict.fromkeys(keys)) == ["a", "b", "c", "d", "e"]
    database.close()


@pytest.mark.parametrize("topic", ["", "a/+/b", "#", "{camara}/x", "{}", "a\0b"])
def test_a_topic_that_cannot_be_published_to_is_refused(topic: str) -> None:
    with pytest.raises(ParamsError, match="topic"):
        Mqtt("127.0.0.1", topic=topic)


@settings(max_examples=50)
@given(st.text(max_size=20), st.text(max_size=20))
def test_no_value_leaves_its_level(camera: str, label: str) -> None:
    topic = topic_of("a/{camera}/b/{label}", {"camera": camera, "label": label})
    assert topic_matches_sub("a/+/b/+", topic)
    assert not set("+#\0") & set(topic)
    assert topic.count("/") == 3


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
