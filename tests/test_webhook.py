from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.certificates import certificate
from tests.receiving import Answer, Post, receiver
from yololstm import __version__, site
from yololstm.database import Database
from yololstm.errors import ParamsError
from yololstm.outbox import Backoff, Courier, Message, Outbox, Refused, Undelivered
from yololstm.webhook import Webhook

SECRET = "geheimnis"
MESSAGE = Message(1, "shop", "one:start:1", '{"label": "절도"}'.encode(), datetime.now(UTC), 0)


def is_ours(post: Post, secret: str = SECRET) -> bool:
    """As the module's docstring has it."""
    parts = dict(part.split("=") for part in post.headers["X-Yololstm-Signature"].split(","))
    signed = parts["t"].encode() + b"." + post.body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    is_new = abs(time.time() - int(parts["t"])) < 300
    return is_new and hmac.compare_digest(expected, parts["v1"])


def fails(webhook: Webhook) -> Refused | Undelivered:
    with pytest.raises((Refused, Undelivered)) as told:
        webhook(MESSAGE)
    assert "geheim" not in f"{told.value}"
    assert "127.0.0.1" in f"{told.value}"
    assert told.value.__suppress_context__ or told.value.__context__ is None
    assert isinstance(told.value, Refused | Undelivered)
    return told.value


def test_a_post_says_what_it_is_and_who_sent_it() -> None:
    with receiver() as shop:
        Webhook(shop.url, SECRET)(MESSAGE)
        Webhook(shop.url)(MESSAGE)
        signed, plain = shop.posts
    assert signed.path == "/geheim?key=geheim"
    assert json.loads(signed.body) == {"label": "절도"}
    assert signed.headers["Content-Type"] == "application/json"
    assert signed.headers["Idempotency-Key"] == "one:start:1"
    assert signed.headers["User-Agent"] == f"yololstm/{__version__}"
    assert signed.headers["Authorization"].startswith("Basic ")
    assert is_ours(signed)
    assert not is_ours(signed, "another")
    assert "X-Yololstm-Signature" not in plain.headers


def test_a_receiver_of_a_site() -> None:
    with receiver() as shop:
        said = {"name": "shop", "kind": "webhook", "timeout_s": 3.0}
        webhook = Webhook.of(
            site.Webhook(**said, url=SecretStr(shop.url), secret=SecretStr(SECRET))
        )
        webhook(MESSAGE)
        assert is_ours(shop.posts[0])
    assert webhook._timeout_s == 3.0
    assert "geheim" not in repr(webhook) + webhook.shown


@pytest.mark.parametrize("status", [401, 402, 403, 404, 407, 408, 425, 429, 451, 500, 503, 599])
def test_what_may_go_better_comes_again(status: int) -> None:
    with receiver(lambda n: Answer(status)) as shop:
        told = fails(Webhook(shop.url, SECRET))
    assert isinstance(told, Undelivered)
    assert told.after_s == 0
    assert f"answered {status}" in str(told)


@pytest.mark.parametrize("status", [400, 405, 406, 410, 411, 413, 414, 415, 422, 431])
def test_what_never_will_is_refused(status: int) -> None:
    with receiver(lambda n: Answer(status)) as shop:
        told = fails(Webhook(shop.url, SECRET))
    assert isinstance(told, Refused)
    assert f"answered {status}" in str(told)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    """It may be of a network in which somebody must log in first."""
    with (
        receiver() as elsewhere,
        receiver(lambda n: Answer(status, (("Location", elsewhere.url),))) as shop,
    ):
        told = fails(Webhook(shop.url, SECRET))
        assert elsewhere.posts == []
    assert isinstance(told, Undelivered)
    assert f"answered {status}" in str(told)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_what_is_taken_is_delivered(status: int) -> None:
    with receiver(lambda n: Answer(status)) as shop:
        Webhook(shop.url)(MESSAGE)
        assert len(shop.taken) == 1


def test_who_is_not_known_is_sent_nothing_but_by_the_file_that_says_so(tmp_path: Path) -> None:
    ours, key = certificate(tmp_path / "ours")
    other, _ = certificate(tmp_path / "other")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(ours, key)
    with receiver(tls=tls) as shop:
        url = shop.url.replace("http:", "https:")
        for webhook in (Webhook(url), Webhook(url, ca_file=str(other))):
            assert isinstance(fails(webhook), Undelivered)
        assert shop.posts == []
        said = {"name": "shop", "kind": "webhook", "ca_file": str(ours)}
        Webhook.of(site.Webhook(**said, url=SecretStr(url)))(MESSAGE)
        assert [post.key for post in shop.posts] == [MESSAGE.key]


@pytest.mark.parametrize(
    ("asked", "after_s"),
    [
        *[("7", 7), (" 0.5 ", 0.5), ("-3", 0), ("99999999", 3600), ("inf", 0), ("nan", 0)],
        *[("soon", 0), ("", 0), ("Mon, 01 Jan 1990 00:00:00 GMT", 0)],
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3600),
    ],
)
def test_a_receiver_says_when_to_come_again(asked: str, after_s: float) -> None:
    with receiver(lambda n: Answer(429, (("Retry-After", asked),))) as shop:
        told = fails(Webhook(shop.url))
    assert isinstance(told, Undelivered)
    assert told.after_s == after_s


def test_a_date_to_come_again_at() -> None:
    at = datetime.now(UTC) + timedelta(minutes=10)
    answer = Answer(503, (("Retry-After", format_datetime(at, usegmt=True)),))
    with receiver(lambda n: answer) as shop:
        told = fails(Webhook(shop.url))
    assert isinstance(told, Undelivered)
    assert 500 < told.after_s <= 600


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://somebody:geheim@127.0.0.1:{server.getsockname()[1]}/geheim"


def test_who_does_not_answer_is_not_waited_for(silent: str) -> None:
    began = time.monotonic()
    told = fails(Webhook(silent, timeout_s=0.3))
    assert isinstance(told, Undelivered)
    assert "no answer" in str(told)
    assert time.monotonic() - began < 30


def test_who_answers_byte_by_byte_is_not_waited_for() -> None:
    with receiver(lambda n: Answer(204, trickle_s=60)) as shop:
        began = time.monotonic()
        told = fails(Webhook(shop.url, timeout_s=0.5))
        assert time.monotonic() - began < 30
    assert isinstance(told, Undelivered)
    assert "no answer in 0.5 s" in str(told)


def test_who_hangs_up_or_is_not_there_is_tried_again() -> None:
    with receiver(lambda n: Answer(0)) as shop:
        dropped = fails(Webhook(shop.url))
    absent = fails(Webhook(shop.url))
    for told in (dropped, absent):
        assert isinstance(told, Undelivered)
        assert "no answer" in str(told)


@pytest.mark.parametrize(
    "url", ["", "geheim", "ftp://a/geheim", "http://", "http://geheim:99999999", "https:///geheim"]
)
def test_what_is_no_address_is_told_without_it(url: str) -> None:
    with pytest.raises(ParamsError, match="no address of http") as told:
        Webhook(url)
    assert "geheim" not in str(told.value)


def test_nothing_is_logged_of_an_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver() as shop:
        Webhook(shop.url, SECRET)(MESSAGE)
    assert "geheim" not in caplog.text


def test_a_receiver_that_is_down_for_long_gets_all_in_order_and_each_once(tmp_path: Path) -> None:
    """It fails in every way there is, is gone, and comes back in the same place."""
    database = Database(tmp_path / "journal.db")
    outbox = Outbox(database)
    keys = [f"{i:02}" for i in range(12)]
    with database.writing() as connection:
        for key in keys:
            outbox.put(connection, "shop", key, key.encode())
    worse = [
        *(Answer(503), Answer(0), Answer(204), Answer(429, (("Retry-After", "0.2"),))),
        *(Answer(204), Answer(204, trickle_s=60), Answer(500), Answer(204)),
    ]
    with receiver(lambda n: worse[n] if n < len(worse) else Answer(503)) as shop:
        webhook = Webhook(shop.url, SECRET, timeout_s=0.5)
        quick = Backoff(first_s=0.01, last_s=0.05, poll_s=0.02)
        courier = Courier(outbox, "shop", webhook, backoff=quick)
        courier.start()
        before = shop.wait(4)
    tries = threading.Event()
    while not tries.wait(0.02):  # it is gone
        with database.reading() as connection:
            (row,) = connection.execute("SELECT max(tries) FROM messages WHERE state = 'waiting'")
        if row[0] > 5:
            tries.set()
    with receiver(port=shop.port) as again:
        after = again.wait(len(keys) - 3)  # one came twice
        courier.stop()
    database.close()
    # The one whose answer trickled was taken all the same, and came again.
    taken = [post.key for post in (*before, *after)]
    assert sorted(set(taken)) == keys
    assert taken == sorted(taken)
    assert len(taken) <= len(keys) + 1
    assert all(is_ours(post) for post in (*before, *after, *shop.posts))
    waited = [b.at - a.at for a, b in zip(shop.posts, shop.posts[1:], strict=False)]
    assert waited[3] > 0.19
