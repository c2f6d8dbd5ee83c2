"""The outbox: messages that are owed to somebody, kept until they are delivered.

A message is put in the same transaction as what it tells of, so that there is none of what never
happened, and of nothing that happened is one missing. It is delivered at least once: whoever takes
it knows by its key whether they have it already. Those of a channel keep their order; the first is
tried again until it is through, but for one that its receiver will never take, which is set aside.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from yololstm.database import Connection, Database, from_micros, to_micros
from yololstm.errors import YololstmError

LONGEST_WAIT: Final = timedelta(hours=1)
"""Between two tries. What is due later than that was put off before the clock was set back."""
_SENT_KEPT: Final = timedelta(days=1)
_REFUSED_KEPT: Final = timedelta(days=30)
_PRUNED_EVERY_S: Final = 3600.0


class Refused(Exception):  # noqa: N818 - an answer, and none of ours
    """The receiver will never take this message: to try again is senseless. Its text holds no
    secrets."""


class Undelivered(Exception):  # noqa: N818
    """It was not taken this time. Its text holds no secrets."""

    def __init__(self, why: str, after_s: float = 0.0) -> None:
        """after_s: how long the receiver asks to be left alone."""
        super().__init__(why)
        self.after_s = after_s


@dataclass(frozen=True)
class Message:
    id: int
    """In the order in which they were put."""
    channel: str
    key: str
    """No other message of the channel has it; the same in every try."""
    body: bytes
    created: datetime
    """UTC."""
    tries: int
    """Before this one."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What the body need not say: for an address that is made from it."""


class Outbox:
    """From any thread. Raises what Database raises."""

    def __init__(self, database: Database, lease_s: float = 30.0) -> None:
        """lease_s: so long a message that was claimed is left alone, for nobody can see whether who
        has it still lives; longer where they ``renew`` it."""
        self.lease_s = lease_s
        self._database = database
        self._holder = uuid.uuid4().hex
        self._news = threading.Condition()
        self._n_news = 0

    def put(
        self,
        connection: Connection,
        channel: str,
        key: str,
        body: bytes,
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Within the caller's transaction, after which ``wake`` is due. A key that the channel has
        already is left out."""
        connection.execute(
            "INSERT INTO messages (channel, key, body, about, created) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (channel, key) DO NOTHING",
            (channel, key, body, json.dumps(dict(about or {})), to_micros(datetime.now(UTC))),
        )

    def wake(self) -> None:
        """Whoever waits for messages looks again."""
        with self._news:
            self._n_news += 1
            self._news.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Until ``wake`` was called more often than that, or the time is over. Returns how often it
        was."""
        with self._news:
            self._news.wait_for(lambda: self._n_news != seen, timeout_s)
            return self._n_news

    def claim(self, channel: str, now: datetime) -> Message | None:
        """The first that waits, for the caller alone; None where there is none, it is not due yet,
        or somebody else has it."""
        values = {
            **{"channel": channel, "holder": self._holder, "now": to_micros(now)},
            "held": to_micros(now + timedelta(seconds=self.lease_s)),
            "late": to_micros(now + LONGEST_WAIT),
        }
        with self._database.reading() as connection:
            if connection.execute(_FREE, values).fetchone() is None:
                return None
        with self._database.writing() as connection:
            row = connection.execute(_FREE, values).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE messages SET holder = :holder, held = :held WHERE id = :id",
                {**values, "id": row["id"]},
            )
        return _message(row)

    def renew(self, message: Message, now: datetime) -> None:
        """It is still being delivered."""
        held = to_micros(now + timedelta(seconds=self.lease_s))
        self._update(message, "held = :held", held=held)

    def release(self, message: Message) -> None:
        """Nobody has tried to deliver it, and anybody may."""
        self._update(message, "holder = '', held = 0")

    def done(self, message: Message, now: datetime | None = None) -> None:
        self._settle(message, "sent", "", now)

    def refused(self, message: Message, why: str, now: datetime | None = None) -> None:
        """It is set aside, and holds up none behind it. why: without secrets, as in ``failed``."""
        self._settle(message, "refused", why, now)

    def failed(self, message: Message, why: str, retry_at: datetime) -> None:
        """It stays the first of its channel. retry_at: at most LONGEST_WAIT from now."""
        change = "tries = tries + 1, why = :why, due = :due, holder = '', held = 0"
        self._update(message, change, why=why, due=to_micros(retry_at))

    def is_waiting(self, channel: str, key: str) -> bool:
        """Whether such a message is still to be delivered."""
        query = "SELECT 1 FROM messages WHERE channel = ? AND key = ? AND state = 'waiting'"
        with self._database.reading() as connection:
            return connection.execute(query, (channel, key)).fetchone() is not None

    def counts(self, now: datetime | None = None) -> dict[str, dict[str, float]]:
        """Of each channel that ever had a message: how many wait, how many were sent and refused
        since the database was made, and the age of the oldest that waits, 0 where none does."""
        at = to_micros(now or datetime.now(UTC))
        with self._database.reading() as connection:
            rows = [dict(row) for row in connection.execute(_COUNTS)]
        return {
            row.pop("channel"): {
                **{name: row[name] for name in ("waiting", "sent", "refused")},
                "oldest_s": max(0, at - (row["oldest"] or at)) / 1e6,
            }
            for row in rows
        }

    def prune(self, now: datetime) -> None:
        """What was sent a day ago is forgotten, and what was refused 30 days ago."""
        kept = {"sent": _SENT_KEPT, "refused": _REFUSED_KEPT}
        with self._database.writing() as connection:
            connection.executemany(
                "DELETE FROM messages WHERE state = ? AND settled < ?",
                [(state, to_micros(now - age)) for state, age in kept.items()],
            )

    def _settle(self, message: Message, state: str, why: str, now: datetime | None) -> None:
        """Once, whoever of several comes first."""
        change = (
            "UPDATE messages SET state = ?, why = ?, settled = ?, tries = tries + 1, holder = '',"
            " held = 0 WHERE id = ? AND state = 'waiting'"
        )
        values = (state, why, to_micros(now or datetime.now(UTC)), message.id)
        with self._database.writing() as connection:
            if connection.execute(change, values).rowcount:
                connection.execute(
                    f"INSERT INTO tallies (channel, {state}) VALUES (?, 1)"
                    f" ON CONFLICT (channel) DO UPDATE SET {state} = {state} + 1",
                    (message.channel,),
                )

    def _update(self, message: Message, change: str, **values: object) -> None:
        """Where it is still the caller's."""
        mine = "id = :id AND state = 'waiting' AND holder = :holder"
        with self._database.writing() as connection:
            connection.execute(
                f"UPDATE messages SET {change} WHERE {mine}",
                {**values, "id": message.id, "holder": self._holder},
            )


_FREE: Final = """
    SELECT * FROM (
        SELECT * FROM messages WHERE channel = :channel AND state = 'waiting' ORDER BY id LIMIT 1
    )
    WHERE NOT (due > :now AND due <= :late) AND NOT (held > :now AND held <= :late)
"""
_COUNTS: Final = """
    SELECT
        channel,
        coalesce(n, 0) AS waiting,
        coalesce(sent, 0) AS sent,
        coalesce(refused, 0) AS refused,
        oldest
    FROM (SELECT channel FROM tallies UNION SELECT channel FROM messages WHERE state = 'waiting')
    LEFT JOIN tallies USING (channel)
    LEFT JOIN (
        SELECT channel, count(*) AS n, min(created) AS oldest
        FROM messages WHERE state = 'waiting' GROUP BY channel
    ) USING (channel)
"""


@dataclass(frozen=True)
class Backoff:
    """How long a message waits for its next try, all in seconds."""

    first_s: float = 1.0
    """After the first try, twice as long from try to try,"""
    last_s: float = 60.0
    """but never longer than this."""
    poll_s: float = 1.0
    """How often it is looked for messages of other processes."""

    def delay_s(self, tries: int, chance: float) -> float:
        """tries: so far. chance: 0..1, so that those who lost a receiver at one moment do not all
        come back at another."""
        return min(self.last_s, self.first_s * 2.0 ** min(tries, 32)) * (0.5 + 0.5 * chance)


class Courier:
    """Delivers the messages of one channel, one after the other, in a thread of its own."""

    def __init__(
        self,
        outbox: Outbox,
        channel: str,
        deliver: Callable[[Message], None],
        *,
        say: Callable[[str], None] = lambda told: None,
        close: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
    ) -> None:
        """deliver: returns once the receiver has the message, and raises Refused, Undelivered, or
        anything else, which counts as Undelivered. say: told when messages begin to fail, when one
        is refused, and when they are through again. close: called by the thread at its end.
        """
        self.channel = channel
        self._outbox = outbox
        self._deliver = deliver
        self._say = say
        self._close = close
        self._backoff = backoff or Backoff()
        self._random = random.Random()
        self._is_failing = False
        self._pruned_at = -_PRUNED_EVERY_S
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"courier {channel}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Waits for the message that is being delivered, but no longer than that: what is left
        stays for the next session."""
        self._stopped.set()
        self._outbox.wake()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        troubles, news = 0, 0
        while not self._stopped.is_set():
            try:
                self._prune()
                message = self._outbox.claim(self.channel, datetime.now(UTC))
                if message is not None:
                    self._try(message)
                troubles = 0
            except YololstmError as error:
                self._say(f"{self.channel}: {error}")
                troubles += 1
                self._stopped.wait(self._backoff.delay_s(troubles, self._random.random()))
                continue
            if message is None:
                news = self._outbox.wait(news, self._backoff.poll_s)
        self._close()

    def _try(self, message: Message) -> None:
        if self._stopped.is_set():
            self._outbox.release(message)
            return
        try:
            with _Renewal(self._outbox, message):
                self._deliver(message)
        except Refused as error:
            self._outbox.refused(message, str(error))
            self._say(f"{self.channel}: {error}: {message.key} is set aside")
        except Undelivered as error:
            self._put_off(message, str(error), error.after_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is still owed
            self._put_off(message, type(error).__name__, 0.0)
        else:
            self._outbox.done(message)
            if self._is_failing:
                self._say(f"{self.channel}: delivered again")
            self._is_failing = False

    def _put_off(self, message: Message, why: str, after_s: float) -> None:
        delay_s = self._backoff.delay_s(message.tries, self._random.random())
        wait = min(LONGEST_WAIT, timedelta(seconds=max(delay_s, after_s)))
        self._outbox.failed(message, why, datetime.now(UTC) + wait)
        if not self._is_failing:
            self._say(f"{self.channel}: {why}: it is tried again")
        self._is_failing = True

    def _prune(self) -> None:
        if time.monotonic() - self._pruned_at >= _PRUNED_EVERY_S:
            self._pruned_at = time.monotonic()
            self._outbox.prune(datetime.now(UTC))


class _Renewal:
    """Renews a lease from a thread, for as long as a delivery takes."""

    def __init__(self, outbox: Outbox, message: Message) -> None:
        self._outbox = outbox
        self._message = message
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._outbox.lease_s / 3):
            try:
                self._outbox.renew(self._message, datetime.now(UTC))
            except YololstmError:
                continue  # the next one may do; without any it is delivered twice


def _message(row: Any) -> Message:
    return Message(
        row["id"],
        row["channel"],
        row["key"],
        row["body"],
        from_micros(row["created"]),
        row["tries"],
        json.loads(row["about"]),
    )
