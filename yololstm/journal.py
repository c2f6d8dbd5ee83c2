"""The journal: every event of a site, what was recorded of it, and what people say of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self

from yololstm.changes import Change, State
from yololstm.database import Connection, Database, from_micros, to_micros
from yololstm.errors import DataError
from yololstm.events import Event
from yololstm.zones import Zone

Verdict = Literal["right", "wrong"]

_TIMES: Final = ("started", "ended", "raised")
_OWN: Final = ("start_s", "end_s", "raised_s", "frame_s", "heard")
"""What the table has besides, to tell of events that another session left open."""


@dataclass(frozen=True)
class Entry:
    """An event as far as it is known."""

    id: str
    camera: str
    track: int
    label: str
    state: State
    probability: float
    """The highest so far."""
    started: datetime
    """UTC, as are the others."""
    ended: datetime
    raised: datetime
    """When it became known."""
    clip: str
    """Path below the folder of recordings, as the others: "" where there is no such file, not yet
    or not any more."""
    picture: str
    landmarks: str
    shared: str
    """A copy of the clip in which nobody is known."""
    began: datetime | None
    """When the clip's first frame was shown; None where there is no clip."""
    verdict: Literal["", "right", "wrong"]
    """What somebody says of it; "" where nobody did,"""
    corrected: str
    """and which label it was; "" where they did not say."""

    @classmethod
    def _of(cls, row: Any) -> Self:
        said = {name: row[name] for name in row.keys() if name not in _OWN}  # noqa: SIM118
        times = {name: from_micros(row[name]) for name in _TIMES}
        began = None if row["began"] is None else from_micros(row["began"])
        return cls(**{**said, **times, "began": began})

    def to_dict(self) -> dict[str, Any]:
        """In values that JSON can say; times are UTC, ISO 8601, as exact as they are kept, so
        that those before it are found by them."""
        times = {name: _iso(getattr(self, name)) for name in _TIMES}
        began = None if self.began is None else _iso(self.began)
        return {**vars(self), "probability": round(self.probability, 6), **times, "began": began}


class Journal:
    """From any thread. Raises what Database raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entry(self, id: str) -> Entry | None:
        with self._database.reading() as connection:
            return self.entry_in(connection, id)

    def entries(
        self,
        *,
        camera: str = "",
        label: str = "",
        verdict: str = "",
        is_open: bool = False,
        since: datetime | None = None,
        before: datetime | None = None,
        before_id: str = "",
        limit: int = 50,
    ) -> list[Entry]:
        """The newest by their start, newest first; "" and None leave nothing out.

        verdict: "none" for those of which nobody has said anything. is_open: those that have not
        ended.
        since, before: they started then or later, and earlier than that. before_id: of those that
        started at ``before``, those that stand behind that one follow too, so that the last entry's
        start and id lead to the next page.
        """
        asked = {"camera": camera, "label": label, "verdict": verdict}
        terms = [f"{name} = :{name}" for name, value in asked.items() if value]
        values: dict[str, Any] = {**asked, "id": before_id, "limit": limit}
        if verdict == "none":
            values["verdict"] = ""
        if is_open:
            terms.append("state <> 'end'")
        if since is not None:
            terms.append("started >= :since")
            values["since"] = to_micros(since)
        if before is not None:
            terms.append("(started, id) < (:before, :id)")
            values["before"] = to_micros(before)
        where = f"WHERE {' AND '.join(terms)}" if terms else ""
        query = f"SELECT * FROM events {where} ORDER BY started DESC, id DESC LIMIT :limit"
        with self._database.reading() as connection:
            return [Entry._of(row) for row in connection.execute(query, values)]

    def open_entries(self, camera: str = "") -> list[Entry]:
        """Those that have not ended, in order of their start; of every camera for ""."""
        query = "SELECT * FROM events WHERE state <> 'end' AND :camera IN ('', camera)"
        with self._database.reading() as connection:
            rows = connection.execute(f"{query} ORDER BY started, id", {"camera": camera})
            return [Entry._of(row) for row in rows]

    def judge(self, id: str, verdict: Verdict, corrected: str = "") -> Entry | None:
        """Somebody says whether it was so, in the place of what was said before; None where there
        is no such event.

        corrected: which label it was.
        """
        if verdict not in ("right", "wrong"):
            raise ValueError(f"{verdict!r} is neither right nor wrong")
        change = "UPDATE events SET verdict = ?, corrected = ? WHERE id = ?"
        with self._database.writing() as connection:
            connection.execute(change, (verdict, corrected, id))
            return self.entry_in(connection, id)

    def unjudge(self, id: str) -> Entry | None:
        """What was said of it is taken back; None where there is no such event."""
        change = "UPDATE events SET verdict = '', corrected = '' WHERE id = ?"
        with self._database.writing() as connection:
            connection.execute(change, (id,))
            return self.entry_in(connection, id)

    def zones(self, camera: str) -> list[Zone]:
        """Raises DataError where they are damaged."""
        query = "SELECT zones FROM zones WHERE camera = ?"
        with self._database.reading() as connection:
            row = connection.execute(query, (camera,)).fetchone()
        try:
            return [Zone.from_dict(said) for said in json.loads(row["zones"])] if row else []
        except (ValueError, KeyError, TypeError) as error:
            place, problem = f"{self._database.path}: {camera}", f"unreadable zones ({error})"
            raise DataError(place, problem, "Draw them again") from error

    def set_zones(self, camera: str, zones: Sequence[Zone]) -> None:
        said = json.dumps([zone.to_dict() for zone in zones], ensure_ascii=False)
        change = "INSERT OR REPLACE INTO zones (camera, zones) VALUES (?, ?)"
        with self._database.writing() as connection:
            connection.execute(change, (camera, said))

    def forgotten(self, id: str) -> None:
        """Its files were removed."""
        with self._database.writing() as connection:
            self.recorded_in(connection, id, "", "", "", "", None)

    # --- within somebody else's transaction ---

    def entry_in(self, connection: Connection, id: str) -> Entry | None:
        row = connection.execute("SELECT * FROM events WHERE id = ?", (id,)).fetchone()
        return Entry._of(row) if row else None

    def record(self, connection: Connection, change: Change) -> Entry:
        """What has become of an event. One that has ended stays so."""
        event = change.event
        ended = change.started + timedelta(seconds=event.end_s - event.start_s)
        values = {
            **{"id": change.id, "camera": change.camera, "state": change.state},
            **{"track": event.track, "label": event.label, "probability": event.probability},
            **{"started": to_micros(change.started), "ended": to_micros(ended)},
            **{"raised": to_micros(change.at), "heard": to_micros(change.at)},
            **{"start_s": event.start_s, "end_s": event.end_s, "raised_s": event.raised_s},
            "frame_s": change.frame_s,
        }
        connection.execute(_RECORD.format(", ".join(values), ", :".join(values)), values)
        entry = self.entry_in(connection, change.id)
        assert entry is not None
        return entry

    def recorded_in(
        self,
        connection: Connection,
        id: str,
        clip: str,
        picture: str,
        landmarks: str,
        shared: str,
        begins_s: float | None,
    ) -> None:
        """Files were written of it. begins_s: the clip's first frame, in the camera's seconds; None
        where that was said before."""
        paths = {"clip": clip, "picture": picture, "landmarks": landmarks, "shared": shared}
        connection.execute(_FILES, {**paths, "begins_s": begins_s, "id": id})

    def ends_left_open(self, connection: Connection, camera: str, at: datetime) -> list[Change]:
        """The ends of a camera's events that have none, in order of their start: each is over where
        it was last known to go on.

        at: when it became known that nobody watches them any more.
        """
        query = "SELECT * FROM events WHERE state <> 'end' AND camera = ? ORDER BY started, id"
        return [_end(row, at) for row in connection.execute(query, (camera,))]


_RECORD: Final = """
    INSERT INTO events ({}) VALUES (:{})
    ON CONFLICT (id) DO UPDATE SET
        state = excluded.state,
        probability = max(probability, excluded.probability),
        ended = started + CAST(round((excluded.end_s - start_s) * 1e6) AS INTEGER),
        end_s = excluded.end_s,
        frame_s = excluded.frame_s,
        heard = excluded.heard
    WHERE state <> 'end'
"""
"""The end goes by the start and the camera's seconds: the clock may have been set in between."""


_FILES: Final = """
    UPDATE events SET
        clip = :clip,
        picture = :picture,
        landmarks = :landmarks,
        shared = :shared,
        began = CASE
            WHEN :clip = '' THEN NULL
            WHEN :begins_s IS NULL THEN began
            ELSE started - CAST(round((start_s - :begins_s) * 1e6) AS INTEGER)
        END
    WHERE id = :id
"""


def _end(row: Any, at: datetime) -> Change:
    """Frame time goes on over the time in which nobody watched, as it does when a camera is lost;
    so the event's own times stay where they are by the clock."""
    event = Event(
        row["label"],
        row["track"],
        row["start_s"],
        row["end_s"],
        row["probability"],
        row["raised_s"],
    )
    heard = from_micros(row["heard"])
    at = max(at, heard)
    frame_s = row["frame_s"] + (at - heard).total_seconds()
    return Change(row["id"], row["camera"], "end", event, frame_s, at)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
