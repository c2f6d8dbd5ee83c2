from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta, timezone

from yololstm.changes import Teller
from yololstm.events import Event, Signal

EVENT = Event("theft", 3, 12.0, 17.3333333333, 0.97123456789, 17.0)
AT = datetime(2026, 11, 23, 14, 0, 1, 500, tzinfo=timezone(timedelta(hours=9)))
SESSION = uuid.UUID(int=7)


def ids(teller: Teller, *events: Event) -> list[str]:
    return [c.id for event in events for c in teller.changes([Signal("ended", event)], 20.0, AT)]


def test_a_change_says_all_that_a_listener_needs() -> None:
    (change,) = Teller("door", SESSION).changes([Signal("raised", EVENT)], 17.2, AT)
    said = change.to_dict()
    assert uuid.UUID(said.pop("id"))
    assert said == {
        "camera": "door",
        "track": 3,
        "label": "theft",
        "state": "start",
        "probability": 0.971235,
        "start_s": 12.0,
        "end_s": 17.333333,
        "frame_s": 17.2,
        "wall": "2026-11-23T05:00:01.000+00:00",
    }
    json.dumps(said, allow_nan=False)


def test_an_event_keeps_its_id_and_no_other_has_it() -> None:
    teller = Teller("door", SESSION)
    later = Event("theft", 3, 12.0, 99.0, 0.99, 17.0)
    kinds = [Signal("raised", EVENT), Signal("updated", later), Signal("ended", later)]
    changes = list(teller.changes(kinds, 20.0, AT))
    assert [change.state for change in changes] == ["start", "update", "end"]
    assert len({change.id for change in changes}) == 1
    others = [
        Event("assault", 3, 12.0, 17.0, 0.9, 17.0),
        Event("theft", 4, 12.0, 17.0, 0.9, 17.0),
        Event("theft", 3, 40.0, 45.0, 0.9, 45.0),
    ]
    strangers = [Teller("door", uuid.uuid4()) for _ in range(2)]
    named = [*ids(teller, EVENT, *others), *(n for t in strangers for n in ids(t, EVENT))]
    assert len(set(named)) == 6


def test_a_change_knows_when_its_event_was_by_our_clock() -> None:
    (change,) = Teller("door", SESSION).changes([Signal("raised", EVENT)], 18.0, AT)
    assert change.started == AT - timedelta(seconds=6)
    assert change.ended == AT - timedelta(seconds=18 - EVENT.end_s)
