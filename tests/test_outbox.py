from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.told_events import NOON, after
from yololstm.database import Database, to_micros
from yololstm.errors import YololstmError
from yololstm.outbox import (
    LONGEST_WAIT,
    Backoff,
    Courier,
    Message,
    Outbox,
    Refused,
    Undelivered,
)

QUICK = Backoff(first_s=0.01, last_s=0.02, poll_s=0.02)
PATIENCE_S = 60


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "journal.db")
    yield made
    made.close()


@pytest.fixture
def outbox(database: Database) -> Outbox:
    return Outbox(database)


def put(outbox: Outbox, *keys: str, channel: str = "shop", slot: str = "") -> None:
    with outbox._database.writing() as connection:
        for key in keys:
            body, about = f"body of {key}".encode(), {"camera": "door"}
            outbox.put(connection, channel, key, body, about, slot=slot)
    outbox.wake()


def waiting(outbox: Outbox) -> list[str]:
    """The keys of what waits, in order."""
    with outbox._database.reading() as connection:
        query = "SELECT key FROM messages WHERE state = 'waiting' ORDER BY id"
        return [row["key"] for row in connection.execute(query)]


def grow_old(outbox: Outbox, key: str, age: timedelta) -> None:
    with outbox._database.writing() as connection:
        created = to_micros(datetime.now(UTC) - age)
        connection.execute("UPDATE messages SET created = ? WHERE key = ?", (created, key))


def claimed(outbox: Outbox, now: datetime = NOON, channel: str = "shop") -> Message:
    message = outbox.claim(channel, now)
    assert message is not None
    return message


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- the box ---


def test_messages_come_out_as_they_went_in(outbox: Outbox) -> None:
    put(outbox, "b", "a", "c")
    put(outbox, "z", channel="other")
    for key in ("b", "a", "c"):
        message = claimed(outbox)
        assert (message.channel, message.key, message.tries) == ("shop", key, 0)
        assert (message.body, message.about) == (f"body of {key}".encode(), {"camera": "door"})
        assert datetime.now(UTC) - message.created < timedelta(minutes=5)
        outbox.done(message)
    assert outbox.claim("shop", NOON) is None
    assert claimed(outbox, channel="other").key == "z"


def test_none_is_put_twice_nor_of_what_did_not_happen(outbox: Outbox) -> None:
    put(outbox, "a", "a")
    with pytest.raises(ZeroDivisionError), outbox._database.writing() as connection:
        outbox.put(connection, "shop", "b", b"")
        _ = 1 / 0
    outbox.done(claimed(outbox))
    put(outbox, "a")
    assert outbox.claim("shop", NOON) is None
    assert outbox.counts()["shop"]["sent"] == 1


def test_what_was_claimed_is_left_alone_until_its_lease_is_over(outbox: Outbox) -> None:
    other = Outbox(outbox._database)
    put(outbox, "a", "b")
    message = claimed(outbox)
    assert other.claim("shop", after(29)) is None
    outbox.renew(message, after(20))
    assert other.claim("shop", after(49)) is None
    again = claimed(other, after(51))
    assert again == message
    # Who was too slow does not put off what is another's now, but delivered is delivered.
    outbox.failed(message, "slow", after(999))
    outbox.release(message)
    assert outbox.claim("shop", after(52)) is None
    outbox.done(message)
    assert claimed(outbox, after(53)).key == "b"
    other.refused(again, "slower")
    assert outbox.counts(NOON)["shop"] | {"oldest_s": 0} == {
        **{"waiting": 1, "sent": 1, "refused": 0, "oldest_s": 0}
    }


def test_the_first_is_tried_again_before_those_behind_it(outbox: Outbox) -> None:
    put(outbox, "a", "b")
    outbox.failed(claimed(outbox), "busy", after(60))
    assert outbox.claim("shop", after(59)) is None
    message = claimed(outbox, after(60))
    assert (message.key, message.tries) == ("a", 1)
    outbox.failed(message, "busy", after(90))
    assert claimed(outbox, after(91)).tries == 2


def test_what_is_refused_is_set_aside(outbox: Outbox) -> None:
    put(outbox, "a", "b")
    outbox.refused(claimed(outbox), "never")
    assert claimed(outbox).key == "b"
    assert outbox.counts()["shop"]["refused"] == 1


def test_the_latest_takes_the_place_of_the_one_that_waits(outbox: Outbox) -> None:
    put(outbox, "start")
    put(outbox, "a1", slot="a")
    put(outbox, "other")
    put(outbox, "b1", slot="b")
    put(outbox, "a1", slot="a", channel="till")
    put(outbox, "a2", "a3", slot="a")
    assert waiting(outbox) == ["start", "a3", "other", "b1", "a1"]
    outbox.done(claimed(outbox))
    latest = claimed(outbox)
    assert (latest.key, latest.body) == ("a3", b"body of a3")
    outbox.done(latest)
    put(outbox, "a3", slot="a")  # the channel had it
    assert waiting(outbox) == ["other", "b1", "a1"]
    assert outbox.counts()["shop"]["sent"] == 2


def test_what_is_being_delivered_is_not_replaced(outbox: Outbox) -> None:
    put(outbox, "a1", slot="a")
    first = claimed(outbox)
    put(outbox, "a2", "a3", slot="a")
    assert waiting(outbox) == ["a1", "a3"]
    outbox.failed(first, "busy", after(60))
    put(outbox, "a4", slot="a")
    assert waiting(outbox) == ["a4"]
    # It waits as long as the one would have whose place it took.
    assert outbox.claim("shop", after(59)) is None
    assert claimed(outbox, after(60)).tries == 1
    outbox.done(first)  # who was too slow does not settle another message
    assert waiting(outbox) == ["a4"]


def test_what_waits_for_nobody_is_set_aside(outbox: Outbox) -> None:
    put(outbox, "a", "b", channel="gone")
    put(outbox, "c")
    held = claimed(outbox, channel="gone")
    assert outbox.close_channels({"shop", "upload"}, NOON) == {"gone": 2}
    assert waiting(outbox) == ["c"]
    outbox.done(held)
    counts = outbox.counts()
    assert (counts["gone"]["refused"], counts["gone"]["sent"], counts["shop"]["refused"]) == (
        *(2, 0, 0),
    )
    assert counts["gone"]["oldest_s"] == 0
    with outbox._database.reading() as connection:
        rows = connection.execute("SELECT DISTINCT why FROM messages WHERE state = 'refused'")
        assert [row["why"] for row in rows] == ["it is no receiver any more"]
    assert outbox.close_channels(["shop"]) == {}
    outbox.prune(NOON + timedelta(days=31))
    put(outbox, "a", channel="gone")
    assert claimed(outbox, channel="gone").key == "a"


def test_a_clock_that_is_set_back_holds_up_nothing_for_long(outbox: Outbox) -> None:
    put(outbox, "a", "b")
    outbox.failed(claimed(outbox), "busy", after(60))
    back = NOON - timedelta(days=300)
    message = claimed(outbox, back)  # what was due in 300 days
    assert outbox.claim("shop", back) is None
    assert claimed(outbox, back - timedelta(days=1)) == message  # what was held until then


def test_what_was_settled_is_forgotten_after_a_while(outbox: Outbox) -> None:
    put(outbox, "sent", "refused", "waiting")
    outbox.done(claimed(outbox), NOON)
    outbox.refused(claimed(outbox), "never", NOON)

    def left() -> list[str]:
        with outbox._database.reading() as connection:
            rows = connection.execute("SELECT key FROM messages ORDER BY id")
            return [row["key"] for row in rows]

    outbox.prune(NOON + timedelta(hours=23))
    assert left() == ["sent", "refused", "waiting"]
    outbox.prune(NOON + timedelta(hours=25))
    assert left() == ["refused", "waiting"]
    outbox.prune(NOON + timedelta(days=29))
    assert left() == ["refused", "waiting"]
    outbox.prune(NOON + timedelta(days=31))
    assert left() == ["waiting"]
    counts = outbox.counts()["shop"]
    assert (counts["sent"], counts["refused"], counts["waiting"]) == (1, 1, 1)


def test_channels_are_counted(outbox: Outbox) -> None:
    assert outbox.counts() == {}
    put(outbox, "a", "b")
    now = datetime.now(UTC) + timedelta(seconds=100)
    counts = outbox.counts(now)["shop"]
    assert counts.pop("oldest_s") == pytest.approx(100, abs=30)
    assert counts == {"waiting": 2, "sent": 0, "refused": 0}
    outbox.done(claimed(outbox))
    outbox.done(claimed(outbox))
    assert outbox.counts() == {"shop": {"waiting": 0, "sent": 2, "refused": 0, "oldest_s": 0}}


def test_it_waits_longer_from_try_to_try() -> None:
    backoff = Backoff()
    for chance, share in ((0.0, 0.5), (1.0, 1.0)):
        delays = [backoff.delay_s(tries, chance) for tries in (0, 1, 2, 5, 6, 10**9)]
        assert delays == [share * wait for wait in (1, 2, 4, 32, 60, 60)]


# --- couriers ---


class Deliveries:
    """What comes through, and what is in its way."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.tried: list[str] = []
        self.through: list[str] = []

    def __call__(self, message: Message) -> None:
        self.tried.append(message.key)
        if self.faults:
            raise self.faults.pop(0)
        self.through.append(message.key)


def test_a_courier_delivers_what_waits_and_what_comes(outbox: Outbox) -> None:
    deliveries, closed = Deliveries(), threading.Event()
    put(outbox, "a", "b")
    slow = Backoff(poll_s=PATIENCE_S * 2)  # it is woken
    courier = Courier(outbox, "shop", deliveries, close=closed.set, backoff=slow)
    courier.start()
    until(lambda: deliveries.through == ["a", "b"])
    put(outbox, "c")
    until(lambda: deliveries.through == ["a", "b", "c"])
    courier.stop()
    assert closed.is_set()
    put(outbox, "d")
    assert outbox.counts()["shop"]["waiting"] == 1


def test_a_courier_keeps_the_order_whatever_goes_wrong(outbox: Outbox) -> None:
    said: list[str] = []
    geheim = RuntimeError("https://somebody:geheim@there")
    deliveries = Deliveries(Undelivered("no answer"), geheim, OSError(), Refused("it said 404"))
    put(outbox, "a", "b", "c")
    courier = Courier(outbox, "shop", deliveries, say=said.append, backoff=QUICK)
    courier.start()
    until(lambda: deliveries.through == ["b", "c"])
    courier.stop()
    assert deliveries.tried == ["a", "a", "a", "a", "b", "c"]
    assert said == ["shop: no answer: it is tried again", "shop: it said 404: a is set aside"]
    with outbox._database.reading() as connection:
        rows = list(connection.execute("SELECT tries, why FROM messages ORDER BY id"))
    assert [tuple(row) for row in rows] == [(4, "it said 404"), (1, ""), (1, "")]


def test_each_outage_is_told(outbox: Outbox) -> None:
    said: list[str] = []
    away = [Undelivered("no answer"), Undelivered("no answer")]
    deliveries = Deliveries(*away, Refused("it said 410"), *away)
    put(outbox, "a", "b")
    courier = Courier(outbox, "shop", deliveries, say=said.append, backoff=QUICK)
    courier.start()
    until(lambda: len(said) == 4)
    courier.stop()
    failing = "shop: no answer: it is tried again"
    assert said == [failing, "shop: it said 410: a is set aside", failing, "shop: delivered again"]


def test_nothing_ends_a_courier(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither whom it tells nor what it does not know of."""
    said: list[str] = []

    def say(told: str) -> None:
        said.append(told)
        raise OSError("the terminal is gone")

    claim, troubles = Outbox.claim, [RuntimeError("geheim"), YololstmError("a", "b", "c")]

    def troubled(self: Outbox, channel: str, now: datetime) -> Message | None:
        if troubles:
            raise troubles.pop()
        return claim(self, channel, now)

    monkeypatch.setattr(Outbox, "claim", troubled)
    deliveries = Deliveries(Undelivered("no answer"), Refused("it said 410"))
    put(outbox, "a", "b")
    courier = Courier(outbox, "shop", deliveries, say=say, backoff=QUICK)
    courier.start()
    until(lambda: deliveries.through == ["b"])
    courier.stop()
    assert said == [
        *("shop: a: b. c.", "shop: RuntimeError", "shop: no answer: it is tried again"),
        "shop: it said 410: a is set aside",
    ]


def test_what_is_too_old_is_set_aside_and_told_once(outbox: Outbox) -> None:
    said: list[str] = []
    keep, deliveries = timedelta(hours=72), Deliveries()
    put(outbox, "a", "b", "c", channel="shop")
    for key, hours in (("a", 73), ("b", 80), ("c", 71)):
        grow_old(outbox, key, timedelta(hours=hours))
    courier = Courier(outbox, "shop", deliveries, say=said.append, backoff=QUICK, keep=keep)
    courier._try(claimed(outbox))
    assert waiting(outbox) == ["c"]
    put(outbox, "d")
    grow_old(outbox, "c", 2 * keep)
    courier._try(claimed(outbox))
    told = "shop: what is older than 72 h is set aside: 2 so far"
    assert (said, waiting(outbox), deliveries.tried) == ([told], ["d"], [])
    courier._try(claimed(outbox))
    assert deliveries.through == ["d"]
    put(outbox, "e")
    grow_old(outbox, "e", 2 * keep)
    courier._try(claimed(outbox))
    assert said == [told, told.replace("2 so far", "1 so far")]
    assert outbox.counts()["shop"]["refused"] == 4


@pytest.mark.parametrize(("asked_s", "waits_s"), [(0.0, 0.02), (100.0, 100.0), (1e9, 3600.0)])
def test_a_receiver_is_left_alone_as_long_as_it_asks(
    outbox: Outbox, asked_s: float, waits_s: float
) -> None:
    deliveries = Deliveries(Undelivered("later", asked_s))
    put(outbox, "a")
    courier = Courier(outbox, "shop", deliveries, backoff=QUICK)
    began = datetime.now(UTC)
    courier._try(claimed(outbox, began))
    with outbox._database.reading() as connection:
        (row,) = connection.execute("SELECT due FROM messages")
    over = datetime.fromtimestamp(row["due"] / 1e6, UTC) - timedelta(seconds=waits_s)
    assert began - timedelta(seconds=0.02) <= over <= datetime.now(UTC)
    assert LONGEST_WAIT.total_seconds() == 3600


def test_a_slow_delivery_keeps_its_lease(database: Database) -> None:
    outbox, other = Outbox(database, lease_s=0.3), Outbox(database)
    put(outbox, "a")
    begun, go_on = threading.Event(), threading.Event()

    def deliver(message: Message) -> None:
        begun.set()
        assert go_on.wait(PATIENCE_S)

    courier = Courier(outbox, "shop", deliver, backoff=QUICK)
    courier.start()
    assert begun.wait(PATIENCE_S)
    with database.reading() as connection:
        (first,) = connection.execute("SELECT held FROM messages")

    def held() -> int:
        with database.reading() as connection:
            (row,) = connection.execute("SELECT held FROM messages")
        return int(row["held"])

    until(lambda: held() > first["held"] + 300_000)
    assert other.claim("shop", datetime.fromtimestamp(held() / 1e6 - 0.1, UTC)) is None
    go_on.set()
    courier.stop()
    assert outbox.counts()["shop"]["sent"] == 1


def test_a_database_in_trouble_is_told_and_tried_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    claim, troubles = Outbox.claim, [YololstmError("journal.db", "it is full", "Make room")]

    def troubled(self: Outbox, channel: str, now: datetime) -> Message | None:
        if troubles:
            raise troubles.pop()
        return claim(self, channel, now)

    monkeypatch.setattr(Outbox, "claim", troubled)
    deliveries = Deliveries()
    put(outbox, "a")
    courier = Courier(outbox, "shop", deliveries, say=said.append, backoff=QUICK)
    courier.start()
    until(lambda: deliveries.through == ["a"])
    courier.stop()
    assert said == ["shop: journal.db: it is full. Make room."]


def deliver_all(path: Path, log: Path, n: int) -> None:
    """As a process: delivers until all are through, and logs each as begun and done."""
    database = Database(path)
    outbox = Outbox(database)

    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")

    def deliver(message: Message) -> None:
        write(f"begun {message.key}")
        time.sleep(0.002)
        write(f"done {message.key}")

    courier = Courier(outbox, "shop", deliver, backoff=QUICK)
    courier.start()
    until(lambda: outbox.counts()["shop"]["sent"] == n)
    courier.stop()
    database.close()


def test_two_processes_do_not_deliver_the_same(outbox: Outbox, tmp_path: Path) -> None:
    keys = [f"{i:02}" for i in range(40)]
    put(outbox, *keys)
    log = tmp_path / "log"
    made = multiprocessing.get_context("fork")
    arguments = (outbox._database.path, log, len(keys))
    outbox._database.close()  # it is not theirs
    both = [made.Process(target=deliver_all, args=arguments) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(PATIENCE_S)
    assert [one.exitcode for one in both] == [0, 0]
    lines = [f"{what} {key}" for key in keys for what in ("begun", "done")]
    assert log.read_text().splitlines() == lines
