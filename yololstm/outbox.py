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
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
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
        *,
        slot: str = "",
    ) -> None:
        """Within the caller's transaction, after which ``wake`` is due. A key that the channel has
        already is left out.

        slot: what the message is the latest of. It takes the place, and the tries, of one of that
        channel and slot which waits and which nobody is delivering; "": of none.
        """
        values = {
            **{"channel": channel, "key": key, "body": body, "slot": slot},
            **{"about": json.dumps(dict(about or {})), "created": to_micros(datetime.now(UTC))},
        }
        if connection.execute(_KNOWN, values).fetchone() is not None:
            return
        replaced = [row["id"] for row in connection.execute(_SLOT, values)]
        if not replaced:
            connection.execute(_PUT, values)
            return
        first, *others = replaced
        connection.execute(_REPLACE, {**values, "id": first})
        # More than one where the first was claimed, in vain, when the second came.
        connection.executemany("DELETE FROM messages WHERE id = ?", [(id,) for id in others])

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

    def troubles(self) -> dict[str, str]:
        """Why the first that waits was not taken, of each channel; or else, why the last one was
        set aside that is not forgotten yet."""
        with self._database.reading() as connection:
            return {row["channel"]: row["why"] for row in connection.execute(_TROUBLES)}

    def close_channels(self, known: Collection[str], now: datetime | None = None) -> dict[str, int]:
        """What waits for others than those is set aside, as if refused: nobody delivers it, and if
        their name ever came back it would be news of long ago. Returns how many of each it were."""
        query = "SELECT DISTINCT channel FROM messages WHERE state = 'waiting'"
        with self._database.writing() as connection:
            waiting = [row["channel"] for row in connection.execute(query)]
            return {
                channel: _set_aside(connection, channel, "it is no receiver any more", now=now)
                for channel in waiting
                if channel not in known
            }

    def expire(self, channel: str, before: datetime, why: str, now: datetime | None = None) -> int:
        """What was put before that and still waits is set aside, as if refused. Returns how many it
        were."""
        with self._database.writing() as connection:
            return _set_aside(connection, channel, why, before, now)

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
            " held = 0 WHERE id = ? AND key = ? AND state = 'waiting'"
        )
        values = (state, why, to_micros(now or datetime.now(UTC)), message.id, message.key)
        with self._database.writing() as connection:
            if n := connection.execute(change, values).rowcount:
                _tally(connection, message.channel, state, n)

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
_KNOWN: Final = "SELECT 1 FROM messages WHERE channel = :channel AND key = :key"
_SLOT: Final = """
    SELECT id FROM messages
    WHERE channel = :channel AND slot = :slot AND slot <> '' AND state = 'waiting' AND holder = ''
    ORDER BY id
"""
_PUT: Final = """
    INSERT INTO messages (channel, key, body, about, created, slot)
    VALUES (:channel, :key, :body, :about, :created, :slot)
"""
_REPLACE: Final = "UPDATE messages SET key = :key, body = :body, about = :about WHERE id = :id"
_TROUBLES: Final = """
    SELECT channel, why FROM (
        SELECT channel, why, row_number() OVER (
            PARTITION BY channel
            ORDER BY state = 'waiting' DESC, CASE state WHEN 'waiting' THEN id ELSE -settled END
        ) AS place
        FROM messages WHERE state = 'refused' OR (state = 'waiting' AND why <> '')
    ) WHERE place = 1
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
        keep: timedelta | None = None,
    ) -> None:
        """deliver: returns once the receiver has the message, and raises Refused, Undelivered, or
        anything else, which counts as Undelivered. say: told when messages begin to fail, when one
        is refused, and when they are through again. close: called by the thread at its end. keep: a
        message that is older is set aside in the place of being delivered; None: none is.
        """
        self.channel = channel
        self._outbox = outbox
        self._deliver = deliver
        self._say = say
        self._close = close
        self._backoff = backoff or Backoff()
        self._keep = keep
        self._random = random.Random()
        self._is_failing = False
        self._is_late = False
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
        """To the end, whatever goes wrong: there is nobody to start it again."""
        troubles, news = 0, 0
        while not self._stopped.is_set():
            try:
                self._prune()
                message = self._outbox.claim(self.channel, datetime.now(UTC))
                if message is not None:
                    self._try(message)
                troubles = 0
            except Exception as error:  # noqa: BLE001
                self._tell(str(error) if isinstance(error, YololstmError) else type(error).__name__)
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
        if self._keep is not None and datetime.now(UTC) - message.created > self._keep:
            self._expire(self._keep)
            return
        try:
            with _Renewal(self._outbox, message):
                self._deliver(message)
        except Refused as error:
            self._outbox.refused(message, str(error))
            self._tell(f"{error}: {message.key} is set aside")
            self._is_failing = False
        except Undelivered as error:
            self._put_off(message, str(error), error.after_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is still owed
            self._put_off(message, type(error).__name__, 0.0)
        else:
            self._outbox.done(message)
            if self._is_failing:
                self._tell("delivered again")
            self._is_failing = self._is_late = False

    def _put_off(self, message: Message, why: str, after_s: float) -> None:
        delay_s = self._backoff.delay_s(message.tries, self._random.random())
        wait = min(LONGEST_WAIT, timedelta(seconds=max(delay_s, after_s)))
        self._outbox.failed(message, why, datetime.now(UTC) + wait)
        if not self._is_failing:
            self._tell(f"{why}: it is tried again")
        self._is_failing = True

    def _expire(self, keep: timedelta) -> None:
        now = datetime.now(UTC)
        age = f"older than {keep.total_seconds() / 3600:g} h"
        n = self._outbox.expire(self.channel, now - keep, f"it is {age}", now)
        if n and not self._is_late:
            self._tell(f"what is {age} is set aside: {n} so far")
        self._is_late = self._is_late or n > 0

    def _tell(self, what: str) -> None:
        with suppress(Exception):  # whoever is told may be gone
            self._say(f"{self.channel}: {what}")

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


def _set_aside(
    connection: Connection,
    channel: str,
    why: str,
    before: datetime | None = None,
    now: datetime | None = None,
) -> int:
    """What waits, or was put before that. Returns how many it were."""
    change = (
        "UPDATE messages SET state = 'refused', why = ?, settled = ?, holder = '', held = 0"
        " WHERE channel = ? AND state = 'waiting' AND (? IS NULL OR created < ?)"
    )
    until = None if before is None else to_micros(before)
    settled = to_micros(now or datetime.now(UTC))
    n = connection.execute(change, (why, settled, channel, until, until)).rowcount
    _tally(connection, channel, "refused", n)
    return n


def _tally(connection: Connection, channel: str, state: str, n: int) -> None:
    connection.execute(
        f"INSERT INTO tallies (channel, {state}) VALUES (?, ?)"
        f" ON CONFLICT (channel) DO UPDATE SET {state} = {state} + excluded.{state}",
        (channel, n),
    )


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
