from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time as clock
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.drawn import ROOT
from tests.receiving import Answer, Post, receiver
from tests.told_events import NOON, after, change
from yololstm import desk, site
from yololstm.bulletin import Bulletin, Notice
from yololstm.changes import Change
from yololstm.database import Database
from yololstm.desk import Desk
from yololstm.errors import ParamsError
from yololstm.journal import Entry, Journal
from yololstm.notifying import Policy
from yololstm.outbox import Message, Outbox

PATIENCE_S: Final = 60


class Office:
    """A desk and all around it. Made anew at the same place, it is that of the next session."""

    def __init__(self, folder: Path, *, uploads: bool = False, **receivers: Policy) -> None:
        self.database = Database(folder / "journal.db")
        self.journal = Journal(self.database)
        self.outbox = Outbox(self.database)
        self.notices: list[Notice] = []
        bulletin = Bulletin()
        bulletin.listen(self.notices.append)
        self.desk = Desk(
            *(self.database, self.journal, self.outbox, bulletin, receivers),
            uploads=uploads,
            clock=lambda at: at.time(),
        )

    def tell(self, *changes: Change) -> None:
        for one in changes:
            self.desk.tell(one)

    def sent(self, channel: str) -> list[Message]:
        """All that waits."""
        found = []
        while (message := self.outbox.claim(channel, datetime.now(UTC))) is not None:
            found.append(message)
            self.outbox.done(message)
        return found

    def close(self) -> None:
        self.database.close()


def keys(messages: list[Message]) -> list[str]:
    return [message.key for message in messages]


def bodies(messages: list[Message]) -> list[Any]:
    return [json.loads(message.body) for message in messages]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, everything=Policy(), strict=Policy({"theft": 0.8}))
    yield made
    made.close()


def test_news_are_kept_told_and_posted(office: Office) -> None:
    changes = [
        change("start", probability=0.7),
        change("update", probability=0.9, at=after(1.3)),
        change("end", probability=0.9, at=after(4)),
    ]
    entries = [office.desk.tell(one) for one in changes]
    assert office.journal.entries() == entries[-1:]
    everything, strict = office.sent("everything"), office.sent("strict")
    assert keys(everything) == ["one:start:1", "one:update:2", "one:end:3"]
    assert bodies(everything) == [one.to_dict() for one in changes]
    assert keys(strict) == ["one:start:1", "one:end:2"]
    assert bodies(strict)[0] == {**changes[1].to_dict(), "state": "start"}
    assert {tuple(message.about.items()) for message in (*everything, *strict)} == {
        (("camera", "door"), ("label", "theft"))
    }
    assert [(notice.kind, notice.about) for notice in office.notices] == [
        ("change", entry.to_dict() | {"change": one.state})
        for entry, one in zip(entries, changes, strict=True)
    ]


def test_it_happens_whole_or_not_at_all(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    put = Outbox.put

    def failing(self: Outbox, connection: Any, channel: str, *rest: Any, **named: Any) -> None:
        if channel == "strict":
            raise OSError
        put(self, connection, channel, *rest, **named)

    monkeypatch.setattr(Outbox, "put", failing)
    with pytest.raises(OSError):  # noqa: PT011
        office.tell(change())
    assert (office.journal.entries(), office.sent("everything"), office.notices) == ([], [], [])
    monkeypatch.undo()
    office.tell(change())
    assert keys(office.sent("everything") + office.sent("strict")) == ["one:start:1"] * 2


def test_what_comes_after_an_end_is_told_to_nobody(office: Office) -> None:
    office.tell(change(), change("end"), change("update"), change("start"), change("end"))
    assert keys(office.sent("everything")) == ["one:start:1", "one:end:2"]


def test_a_cool_down_goes_on_over_sessions(tmp_path: Path) -> None:
    policy = Policy(cool_down_s=60)
    office = Office(tmp_path, shop=policy)
    office.tell(change(id="a"), change(id="b", at=after(59)))
    office.close()
    office = Office(tmp_path, shop=policy)
    office.tell(
        change("update", id="b", at=after(61)),  # it was withheld, and stays so
        change(id="c", at=after(59)),
        change(id="d", at=after(59), camera="till"),
        change(id="e", at=after(59), label="assault"),
        change("update", id="a", at=after(59)),
        change(id="f", at=after(60)),
        change(id="g", at=after(119)),
    )
    assert keys(office.sent("shop")) == [
        *("a:start:1", "d:start:1", "e:start:1", "a:update:2", "f:start:1"),
    ]
    office.close()


def test_a_cool_down_outlives_a_clock_that_is_set_back(tmp_path: Path) -> None:
    office = Office(tmp_path, shop=Policy(cool_down_s=60))
    office.tell(
        change(id="a", at=after(3600)),
        change(id="b", at=NOON),  # it was set
        change(id="c", at=after(30)),
        change(id="d", at=after(60)),
    )
    assert keys(office.sent("shop")) == ["a:start:1", "b:start:1", "d:start:1"]
    office.close()


def test_updates_hold_up_no_alarm(office: Office) -> None:
    """While a receiver is away one event goes on for long, and another one comes."""
    office.tell(change(id="a"))
    office.tell(*(change("update", id="a", at=after(i)) for i in range(100)))
    office.tell(change(id="b"), change("update", id="b"), change("update", id="a", at=after(101)))
    office.tell(change("end", id="a", at=after(102)))
    messages = office.sent("everything")
    assert keys(messages) == [
        *("a:start:1", "a:update:102", "b:start:1", "b:update:2", "a:end:103"),
    ]
    assert bodies(messages)[1]["wall"] == "2026-11-23T12:01:41.000+00:00"


def test_quiet_hours_are_kept_by_the_clock_on_the_wall(tmp_path: Path) -> None:
    office = Office(tmp_path, shop=Policy(quiet_hours=[(time(12), time(12, 1))]))
    office.tell(change(id="a"), change(id="b", at=after(60)), change("end", id="a", at=after(61)))
    assert keys(office.sent("shop")) == ["b:start:1"]
    assert len(office.journal.entries()) == 2
    office.close()


def test_a_status_is_told_when_it_changes(tmp_path: Path) -> None:
    policy = Policy({"theft": 0.5, "assault": 0.5}, template="status")
    office = Office(tmp_path, lamp=policy)
    office.tell(
        change(id="a"),
        change("update", id="a"),
        change(id="b", track=4),
        change(id="c", label="damage"),
        change(id="d", label="assault"),
        change(id="e", camera="till"),
        change("end", id="d", label="assault"),
        change("end", id="a"),
    )
    office.close()
    office = Office(tmp_path, lamp=policy)
    assert bodies(office.sent("lamp")) == [
        {"camera": "door", "status": "theft"},
        {"camera": "door", "status": "assault"},
        {"camera": "till", "status": "theft"},
    ]
    office.tell(change("end", id="b"), change("end", id="c", label="damage"), change(id="f"))
    assert bodies(office.sent("lamp")) == [
        {"camera": "door", "status": None},
        {"camera": "door", "status": "theft"},
    ]
    office.close()


def test_who_was_not_told_of_an_end_is_told_of_the_next_start(tmp_path: Path) -> None:
    policy = Policy(template="status")
    office = Office(tmp_path, lamp=policy)
    office.tell(change(id="a"))
    office.close()
    office = Office(tmp_path)  # without the receiver
    office.tell(change("end", id="a"))
    office.close()
    office = Office(tmp_path, lamp=policy)
    office.tell(change(id="b"), change("end", id="b"))
    assert keys(office.sent("lamp")) == ["a:start:1", "b:start:1", "b:end:2"]
    office.close()


def test_what_a_killed_session_left_open_ends(tmp_path: Path) -> None:
    lamp = Policy(template="status")
    office = Office(tmp_path, shop=Policy(), strict=Policy({"theft": 0.8}), lamp=lamp)
    office.tell(
        change(id="a", probability=0.7),
        change(id="b", at=after(1)),
        change("end", id="c"),
        change(id="d", camera="till"),
    )
    office.close()
    office = Office(tmp_path, shop=Policy(), strict=Policy({"theft": 0.8}), lamp=lamp)
    ended = office.desk.close_left_open("door", after(600))
    assert [(entry.id, entry.state) for entry in ended] == [("a", "end"), ("b", "end")]
    assert [entry.ended for entry in ended] == [NOON, after(1)]
    assert keys(office.sent("shop"))[-2:] == ["a:end:2", "b:end:2"]
    assert keys(office.sent("strict")) == ["b:start:1", "d:start:1", "b:end:2"]
    assert bodies(office.sent("lamp"))[-1] == {"camera": "door", "status": None}
    assert [notice.about["change"] for notice in office.notices] == ["end", "end"]
    assert office.desk.close_left_open("door", after(601)) == []
    assert [entry.id for entry in office.journal.open_entries()] == ["d"]
    office.close()


FILES: Final = {"clip": "d/one.mp4", "picture": "d/one.jpg", "landmarks": "d/one.parquet"}


@pytest.mark.parametrize("uploads", [True, False])
def test_files_are_kept_and_put_for_upload(tmp_path: Path, uploads: bool) -> None:
    office = Office(tmp_path, uploads=uploads)
    office.tell(change())
    assert office.desk.recorded("two", **FILES, shared="") is None
    office.desk.recorded("one", **FILES, shared="", is_whole=False)
    assert not office.desk.is_uploading("one")
    shared = "d/one.shared.mp4"
    entry = office.desk.recorded("one", **FILES, shared=shared)
    assert isinstance(entry, Entry)
    assert (entry.clip, entry.shared) == ("d/one.mp4", shared)
    assert entry == office.journal.entry("one")
    assert office.notices[-1] == Notice("recorded", entry.to_dict())
    assert office.desk.is_uploading("one") is uploads
    messages = office.sent(desk.UPLOAD)
    assert not office.desk.is_uploading("one")
    assert bodies(messages) == [{"event": "one"}] * uploads
    office.desk.recorded("one", **FILES, shared="")
    assert office.sent(desk.UPLOAD) == []  # once
    office.close()


def test_the_receivers_of_a_site() -> None:
    hook = {"kind": "webhook", "url": "http://a/b"}
    quiet = {"quiet": ["22:00-06:30"], "labels": {"theft": 0.5}, "cool_down_s": 9.0}
    quiet["updates"] = False
    made = site.Site.model_validate(
        {"cameras": {}, "notify": [{**hook, **quiet, "name": "a", "template": "status"}]}
    )
    assert desk.policies(made) == {
        "a": Policy({"theft": 0.5}, 9.0, [(time(22), time(6, 30))], "status", updates=False)
    }
    made = site.Site.model_validate({"cameras": {}, "notify": [{**hook, "name": "upload"}]})
    with pytest.raises(ParamsError, match="upload is the name"):
        desk.policies(made)


# --- killed, and started again ---

SESSION: Final = """
import itertools, sys, uuid
from datetime import UTC, datetime
from pathlib import Path
from tests.told_events import change
from yololstm.bulletin import Bulletin
from yololstm.database import Database
from yololstm.desk import Desk
from yololstm.journal import Journal
from yololstm.notifying import Policy
from yololstm.outbox import Backoff, Courier, Outbox
from yololstm.webhook import Webhook

path, url, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
database = Database(path)
outbox = Outbox(database, lease_s=0.2)
desk = Desk(database, Journal(database), outbox, Bulletin(), {"shop": Policy()})
desk.close_left_open("door", datetime.now(UTC))
quick = Backoff(first_s=0.01, last_s=0.05, poll_s=0.02)
courier = Courier(outbox, "shop", Webhook(url, "secret", timeout_s=5.0), backoff=quick)
courier.start()
for i in range(n):
    ids = [uuid.uuid4().hex for _ in range(3)]
    for state in ("start", "update", "end"):
        for id in ids:
            desk.tell(change(state, id, at=datetime.now(UTC)))
            print(f"{id}:{state}", flush=True)
while outbox.counts()["shop"]["waiting"]:
    outbox.wait(0, 0.02)
courier.stop()
"""


def session(path: Path, url: str, n: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SESSION, str(path), url, str(n)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_whatever_was_acknowledged_arrives_though_it_is_killed(tmp_path: Path) -> None:
    chance = random.Random(7)
    faults = [Answer(503), Answer(0), Answer(204), Answer(204), Answer(204), Answer(204)]
    path, acknowledged = tmp_path / "journal.db", []
    with receiver(lambda n: chance.choice(faults)) as shop:
        for _ in range(3):
            killed = session(path, shop.url, 1000)
            assert killed.stdout is not None
            acknowledged.append(killed.stdout.readline().strip())  # it is at work
            clock.sleep(chance.uniform(0.0, 0.3))
            killed.send_signal(signal.SIGKILL)
            rest, _ = killed.communicate(timeout=PATIENCE_S)
            acknowledged += rest.split()
        shop.answer = lambda n: Answer()
        last = session(path, shop.url, 1)
        told, _ = last.communicate(timeout=PATIENCE_S)
        assert last.returncode == 0
        taken = list(shop.taken)
    acknowledged += told.split()
    assert len(acknowledged) >= 3 + 9
    states = arrived(taken)
    for id, state in (line.split(":") for line in acknowledged):
        assert state in states[id]
    for id, said in states.items():
        assert said[0] == "start", id
        assert said[-1] == "end", id
        assert said.count("start") == said.count("end") == 1, id
    database = Database(path)
    entries = Journal(database).entries(limit=10**6)
    assert {entry.id for entry in entries} == set(states)
    assert {entry.state for entry in entries} == {"end"}
    database.close()


def arrived(posts: list[Post]) -> dict[str, list[str]]:
    """The states that came of each event, in their order, those that came twice once."""
    found: dict[str, list[str]] = defaultdict(list)
    seen: set[str] = set()
    for post in posts:
        if post.key not in seen:
            seen.add(post.key)
            found[json.loads(post.body)["id"]].append(json.loads(post.body)["state"])
    return found
