"""MQTT: a message as a publication of QoS 1, in MQTT 5, through paho.

It is delivered once the broker has acknowledged it. The same message may come again: its key is the
user property ``key``.
"""

from __future__ import annotations

import socket
import ssl
import time
import uuid
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from yololstm import notifying
from yololstm.outbox import Message, Refused, Undelivered

if TYPE_CHECKING:
    from yololstm import site

_KEEPALIVE_S: Final = 30
_PARTING_S: Final = 1.0
_NOW: Final = (0x80, 0x83, 0x87, 0x97)
"""Acknowledgements that refuse for the time being: no reason, a reason of the broker's own, rights
that somebody may still give, and a quota that is used up."""


class Mqtt:
    """One connection for all messages; made with the first, and anew where it was lost."""

    def __init__(
        self,
        host: str,
        port: int = 1883,
        *,
        topic: str = notifying.TOPICS["event"],
        tls: bool = False,
        ca_file: str = "",
        username: str = "",
        password: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        """topic: with {camera} and {label} in the place of those of the message. tls: the broker's
        certificate is checked against the system's, or those of ca_file alone. timeout_s: for each
        answer of the broker.

        Raises ParamsError for a topic that cannot be published to, OSError where ca_file cannot be
        read.
        """
        self.shown = f"{host}:{port}"
        self._host = host
        self._port = port
        notifying.check_topic("topic", topic)
        self._topic = topic
        self._tls = ssl.create_default_context(cafile=ca_file or None) if tls else None
        self._login = (username, password)
        self._timeout_s = timeout_s
        self._link: _Link | None = None

    @classmethod
    def of(cls, receiver: site.Mqtt) -> Self:
        return cls(
            receiver.host,
            receiver.port,
            topic=receiver.topic,
            tls=receiver.tls,
            ca_file=receiver.ca_file,
            username=receiver.username,
            password=receiver.password.get_secret_value(),
            timeout_s=receiver.timeout_s,
        )

    def __call__(self, message: Message) -> None:
        """Raises Refused or Undelivered. From one thread at a time."""
        try:
            if self._link is None or not self._link.is_up():
                self.close()
                self._link = self._connected()
            self._publish(self._link, message)
        except Undelivered:
            # What paho still has of the message it would send once more.
            self.close()
            raise

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None

    def _connected(self) -> _Link:
        link = _Link()
        if self._tls is not None:
            link.client.tls_set_context(self._tls)
        if self._login[0]:
            link.client.username_pw_set(*self._login)
        link.client.connect_timeout = self._timeout_s
        try:
            link.client.connect(self._host, self._port, keepalive=_KEEPALIVE_S)
        except (OSError, ValueError) as error:
            link.close()
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Undelivered(f"{self.shown}: no connection ({why})") from None
        link.client.loop_start()
        reason = link.next("connected", self._timeout_s)
        if reason is None or reason.is_failure:
            link.close()
            why = "no answer" if reason is None else str(reason)
            raise Undelivered(f"{self.shown}: no connection ({why})")
        return link

    def _publish(self, link: _Link, message: Message) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = ("key", message.key)
        info = link.client.publish(
            notifying.topic_of(self._topic, message.about),
            message.body,
            qos=1,
            properties=properties,
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Undelivered(f"{self.shown}: the connection was lost")
        reason = link.next("published", self._timeout_s, info.mid)
        if reason is None:
            raise Undelivered(f"{self.shown}: no acknowledgement")
        if reason.is_failure:
            told = f"{self.shown}: {reason}"
            raise Undelivered(told) if reason.value in _NOW else Refused(told)


class _Told(NamedTuple):
    what: str
    mid: int
    reason: ReasonCode | None


class _Link:
    """A connection, and what its thread was told by the broker. Lost, it is not made again."""

    def __init__(self) -> None:
        self._told: SimpleQueue[_Told] = SimpleQueue()
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"yololstm-{uuid.uuid4().hex[:12]}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        self.client.on_connect = self._on_connect
        self.client.on_publish = self._on_publish
        self.client.on_disconnect = self._on_disconnect

    def is_up(self) -> bool:
        return self.client.is_connected()

    def next(self, what: str, timeout_s: float, mid: int = 0) -> ReasonCode | None:
        """What the broker says to that; None where the time is over or the connection is lost."""
        deadline = time.monotonic() + timeout_s
        with suppress(Empty):
            while True:
                told = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
                if told.what == "lost":
                    return None
                if (told.what, told.mid) == (what, mid):
                    return told.reason
        return None

    def close(self) -> None:
        """Its thread ends with the socket, whether or not the broker answers."""
        if self.is_up():
            self.client.disconnect()
            self.next("lost", _PARTING_S)
        opened = self.client.socket()
        if isinstance(opened, socket.socket):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def _on_connect(
        self,
        client: Client,
        userdata: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._told.put(_Told("connected", 0, reason))

    def _on_publish(
        self,
        client: Client,
        userdata: Any,
        mid: int,
        reason: ReasonCode,
        properties: Properties,
    ) -> None:
        self._told.put(_Told("published", mid, reason))

    def _on_disconnect(
        self,
        client: Client,
        userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._told.put(_Told("lost", 0, None))
