from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.told_events import NOON, after, change
from yololstm.changes import Change
from yololstm.database import Database
from yololstm.errors import DataError
from yololstm.journal import Entry, Journal
from yololstm.zones import Zone


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "journal.db")
    yield made
    made.close()


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database)


def record(journal: Journal, *changes: Change) -> list[Entry]:
    with journal._database.writing() as connection:
        return [journal.record(connection, one) for one in changes]


def ids(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]


def test_an_event_goes_on_and_ends(journal: Journal) -> None:
    started, updated, ended = record(
        journal,
        change("start", probability=0.7),
        change("update", probability=0.95, seconds=6.5, at=after(1.5)),
        change("end", probability=0.95, seconds=6.5, at=after(4)),
    )
    assert started == Entry(
        **{"id": "one", "camera": "door", "track": 3, "label": "theft", "state": "start"},
        **{"probability": 0.7, "started": after(-5), "ended": NOON, "raised": NOON},
        **dict.fromkeys(("clip", "picture", "landmarks", "shared", "verdict", "corrected"), ""),
        began=None,
    )
    assert (updated.state, updated.probability) == ("update", 0.95)
    assert (updated.started, updated.raised) == (started.started, NOON)
    assert updated.ended == after(1.5)
    assert ended.state == "end"
    assert journal.entry("one") == ended
    assert journal.entry("two") is None
    said = ended.to_dict()
    assert json.loads(json.dumps(said)) == said
    assert said["started"] == "2026-11-23T11:59:55.000000+00:00"


def test_a_clock_that_is_set_moves_no_end(journal: Journal) -> None:
    for hours in (1, -1):
        id, set_s = f"{hours}", 3600 * hours
        record(
            journal,
            change(id=id),
            change("update", id, seconds=7, at=after(2 + set_s)),
            change("end", id, seconds=8.25, at=after(5 + set_s)),
        )
        entry = journal.entry(id)
        assert entry is not None
        assert (entry.started, entry.ended) == (after(-5), after(3.25))


def test_one_that_has_ended_stays_so(journal: Journal) -> None:
    _, ended, again = record(
        journal, change("start"), change("end", seconds=6), change("update", probability=1.0)
    )
    assert again == ended
    assert journal.open_entries() == []


def test_entries_are_found_newest_first(journal: Journal) -> None:
    for i in range(12):
        camera, label = ("door", "till")[i % 2], ("theft", "assault", "damage")[i % 3]
        record(journal, change(id=f"{i:02}", camera=camera, label=label, at=after(60 * i)))
    journal.judge("03", "wrong")
    journal.judge("06", "right")
    assert ids(journal.entries()) == [f"{i:02}" for i in range(11, -1, -1)]
    assert ids(journal.entries(limit=2)) == ["11", "10"]
    assert ids(journal.entries(camera="door", label="theft")) == ["06", "00"]
    assert ids(journal.entries(verdict="wrong")) == ["03"]
    assert ids(journal.entries(since=after(60 * 4 - 5), before=after(60 * 7 - 5))) == [
        *("06", "05", "04")
    ]
    assert journal.entries(camera="' OR 1") == []


def test_pages_leave_out_none_of_those_that_started_at_once(journal: Journal) -> None:
    record(journal, *(change(id=f"{i:02}", at=after(i // 5)) for i in range(13)))
    found, page = [], journal.entries(limit=3)
    while page:
        found += page
        page = journal.entries(before=page[-1].started, before_id=page[-1].id, limit=3)
    assert ids(found) == [f"{i:02}" for i in range(12, -1, -1)]


def test_the_times_that_are_told_lead_from_page_to_page(journal: Journal) -> None:
    chance = random.Random(3)
    for i in range(40):
        at = NOON + timedelta(microseconds=chance.choice([1, 3, 499, 500, 999, 1000, 1001]))
        record(journal, change(id=f"{i:02}", at=at))
    whole = journal.entries()
    found, page = [], journal.entries(limit=3)
    while page:
        found += page
        told = page[-1].to_dict()
        before = datetime.fromisoformat(told["started"])
        page = journal.entries(before=before, before_id=told["id"], limit=3)
    assert (len(found), found) == (40, whole)
    assert len({entry.started for entry in found}) == 7
    started = [entry.to_dict()["started"] for entry in found]
    assert started == sorted(started, reverse=True)  # as texts, which the page compares


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"camera": "door"},
        {"label": "theft"},
        {"verdict": "wrong"},
        {"before": NOON, "since": NOON - timedelta(days=1)},
        {"camera": "door", "before": NOON, "before_id": "x"},
    ],
)
def test_a_page_is_found_without_going_through_all_events(
    database: Database, asked: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    database._reader.set_trace_callback(planned.append)
    Journal(database).entries(**asked)
    database._reader.set_trace_callback(None)
    (query,) = [sql for sql in planned if sql.startswith("SELECT")]
    plan = [row["detail"] for row in database._reader.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(plan) == 1 and "USING INDEX events_by" in plan[0], plan


def test_somebody_judges_and_thinks_again(journal: Journal) -> None:
    record(journal, change())
    assert journal.judge("nobody's", "right") is None
    judged = journal.judge("one", "wrong", "normal")
    assert judged == journal.entry("one")
    assert judged is not None and (judged.verdict, judged.corrected) == ("wrong", "normal")
    judged = journal.judge("one", "right")
    assert judged is not None and (judged.verdict, judged.corrected) == ("right", "")
    with pytest.raises(ValueError, match="neither right nor wrong"):
        journal.judge("one", "perhaps")
    (after_end,) = record(journal, change("end"))
    assert after_end.verdict == "right"


def test_files_are_recorded_and_forgotten(journal: Journal) -> None:
    record(journal, change())
    paths = {"clip": "a.mp4", "picture": "a.jpg", "landmarks": "a.parquet", "shared": ""}
    with journal._database.writing() as connection:
        journal.recorded_in(connection, "one", *paths.values(), 9.25)
    entry = journal.entry("one")
    assert entry is not None
    assert entry.began == entry.started - timedelta(seconds=2.75)
    assert entry.to_dict()["began"] == "2026-11-23T11:59:52.250000+00:00"
    assert (entry.clip, entry.picture, entry.landmarks, entry.shared) == (
        *("a.mp4", "a.jpg", "a.parquet", ""),
    )
    journal.forgotten("one")
    entry = journal.entry("one")
    assert entry is not None
    assert {entry.clip, entry.picture, entry.landmarks, entry.shared} == {""}
    assert entry.began is entry.to_dict()["began"] is None


def test_open_entries_are_those_that_have_not_ended(journal: Journal) -> None:
    record(
        journal,
        change(id="a", at=after(9)),
        change(id="b"),
        change(id="c", camera="till"),
        change("end", id="d"),
    )
    assert ids(journal.open_entries("door")) == ["b", "a"]
    assert ids(journal.open_entries()) == ["b", "c", "a"]


def test_what_was_left_open_ends_where_it_was_last_known(
    database: Database, journal: Journal
) -> None:
    record(journal, change(), change("update", seconds=8, probability=0.97, at=after(3)))
    with database.reading() as connection:
        (end,) = journal.ends_left_open(connection, "door", after(3600))
        (early,) = journal.ends_left_open(connection, "door", after(-3600))  # the clock was set
        assert journal.ends_left_open(connection, "till", NOON) == []
    assert (end.id, end.camera, end.state, end.at) == ("one", "door", "end", after(3600))
    assert (end.started, end.ended) == (after(-5), after(3))
    assert (end.event.start_s, end.event.end_s, end.event.probability) == (12, 20, 0.97)
    assert early.at == after(3)


def test_zones_are_kept_by_camera(database: Database, journal: Journal) -> None:
    corner = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.9))
    zones = [Zone("계산대", "count", corner, ("theft",)), Zone("street", "ignore", corner)]
    assert journal.zones("door") == []
    journal.set_zones("door", zones)
    assert (journal.zones("door"), journal.zones("till")) == (zones, [])
    journal.set_zones("door", zones[:1])
    assert journal.zones("door") == zones[:1]
    with database.writing() as connection:
        connection.execute("UPDATE zones SET zones = '[{}]'")
    with pytest.raises(DataError, match="door: unreadable zones"):
        journal.zones("door")
