"""Where news of events come in: the journal has it and every receiver's message is put, or neither.

What was once told to whom is kept, so that a session after a power cut goes on where the last one
was broken off.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Final

from yololstm import notifying
from yololstm.bulletin import Bulletin
from yololstm.changes import Change, State
from yololstm.database import Connection, Database, from_micros, to_micros
from yololstm.errors import ParamsError
from yololstm.journal import Entry, Journal
from yololstm.notifying import Policy, Telling
from yololstm.outbox import Outbox

if TYPE_CHECKING:
    from yololstm import site

UPLOAD: Final = "upload"
"""The channel of files to store elsewhere."""


def policies(site: site.Site) -> dict[str, Policy]:
    """Of its receivers, by name. Raises ParamsError for one that has the name of UPLOAD."""
    if any(receiver.name == UPLOAD for receiver in site.notify):
        problem = f"{UPLOAD} is the name of what stores files"
        raise ParamsError("notify", problem, "Rename that receiver")
    return {
        receiver.name: Policy(
            receiver.labels,
            receiver.cool_down_s,
            receiver.quiet_hours,
            receiver.template,
            receiver.updates,
        )
        for receiver in site.notify
    }


class Desk:
    """From any thread. Raises what Database raises: nothing has happened then, and the same can be
    said again."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        outbox: Outbox,
        bulletin: Bulletin,
        receivers: Mapping[str, Policy],
        *,
        uploads: bool = False,
        clock: Callable[[datetime], time] = lambda at: at.astimezone().time(),
    ) -> None:
        """receivers: who is told of what, by channel. uploads: events of which files were recorded
        are put for UPLOAD. clock: the local time of a moment, by which hours are quiet."""
        self._database = database
        self._journal = journal
        self._outbox = outbox
        self._bulletin = bulletin
        self._receivers = dict(receivers)
        self._uploads = uploads
        self._clock = clock

    def tell(self, change: Change) -> Entry:
        """Once it returns, the change and the messages that it makes outlive this process."""
        (entry,) = self._tell(lambda connection: [change])
        return entry

    def close_left_open(self, camera: str, at: datetime) -> list[Entry]:
        """A session that was killed left events of the camera open: they end where they were last
        known to go on, and whoever was told of them is told so. For when nobody watches it.

        at: now.
        """
        return self._tell(lambda connection: self._journal.ends_left_open(connection, camera, at))

    def recorded(
        self,
        id: str,
        *,
        clip: str,
        picture: str,
        landmarks: str,
        shared: str,
        begins_s: float | None = None,
        is_whole: bool = True,
    ) -> Entry | None:
        """Files were written of an event; None where there is no such event.

        All are paths below the folder of recordings, "" for none. begins_s: the clip's first frame,
        in the camera's seconds. is_whole: no more files will come; only then they are uploaded.
        """
        with self._database.writing() as connection:
            self._journal.recorded_in(connection, id, clip, picture, landmarks, shared, begins_s)
            entry = self._journal.entry_in(connection, id)
            if entry is not None and self._uploads and is_whole:
                # Which files go is known when they go: what may leave can change until then.
                body = json.dumps({"event": id}, ensure_ascii=False)
                self._outbox.put(connection, UPLOAD, _upload_key(id), body.encode())
        self._outbox.wake()
        if entry is not None:
            self._bulletin.post("recorded", entry.to_dict())
        return entry

    def is_uploading(self, id: str) -> bool:
        """Whether files of an event are still to be stored elsewhere."""
        return self._outbox.is_waiting(UPLOAD, _upload_key(id))

    def _tell(self, changes_of: Callable[[Connection], Iterable[Change]]) -> list[Entry]:
        """All of the changes or none."""
        told: list[tuple[Entry, State]] = []
        with self._database.writing() as connection:
            for change in changes_of(connection):
                before = self._journal.entry_in(connection, change.id)
                entry = self._journal.record(connection, change)
                told.append((entry, change.state))
                if before is None or before.state != "end":
                    for channel, policy in self._receivers.items():
                        self._notify(_Book(connection, channel), policy, change)
        self._outbox.wake()
        for entry, state in told:
            self._bulletin.post("change", entry.to_dict() | {"change": state})
        return [entry for entry, _ in told]

    def _notify(self, book: _Book, policy: Policy, change: Change) -> None:
        known = book.telling(change.id)
        local, last = self._clock(change.at), book.last_told(change)
        telling, state = notifying.decide(policy, change, known, local=local, last=last)
        if telling is not None and telling != known:
            book.note(change, telling)
        if telling is None or state is None:
            return
        body = notifying.event_body(change, state)
        if policy.template == "status":
            said, n_open = book.status(change.camera), book.n_open(change.camera)
            label = notifying.status(state, change.event.label, said, n_open)
            if label is None:
                return
            book.set_status(change.camera, label)
            body = notifying.status_body(change.camera, label)
        key = f"{change.id}:{state}:{telling.changes}"
        about = {"camera": change.camera, "label": change.event.label}
        slot = change.id if state == "update" else ""
        self._outbox.put(book.connection, book.channel, key, body, about, slot=slot)


def _upload_key(id: str) -> str:
    return f"{id}:recorded"


@dataclass(frozen=True)
class _Book:
    """What a receiver was told, within a transaction."""

    connection: Connection
    channel: str

    def telling(self, event: str) -> Telling | None:
        row = self._one(
            "SELECT told, changes, ended FROM tellings WHERE channel = ? AND event = ?", event
        )
        return (
            None if row is None else Telling(bool(row["told"]), row["changes"], bool(row["ended"]))
        )

    def last_told(self, change: Change) -> datetime | None:
        """When an event of its camera and label was first told, the last one. What seems to come
        later than the change is of before the clock was set back."""
        row = self._one(
            "SELECT max(since) AS since FROM tellings"
            " WHERE channel = ? AND camera = ? AND label = ? AND told AND since <= ?",
            *(change.camera, change.event.label, to_micros(change.at)),
        )
        return None if row["since"] is None else from_micros(row["since"])

    def note(self, change: Change, telling: Telling) -> None:
        self.connection.execute(
            "INSERT INTO tellings (channel, event, camera, label, told, since, changes, ended)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, event)"
            " DO UPDATE SET changes = excluded.changes, ended = excluded.ended",
            (
                *(self.channel, change.id, change.camera, change.event.label),
                *(telling.told, to_micros(change.at), telling.changes, telling.ended),
            ),
        )

    def n_open(self, camera: str) -> int:
        """Events of the camera that were told and go on."""
        row = self._one(
            "SELECT count(*) AS n FROM tellings JOIN events ON events.id = tellings.event"
            " WHERE channel = ? AND tellings.camera = ? AND told AND NOT tellings.ended"
            " AND state <> 'end'",
            camera,
        )
        return int(row["n"])

    def status(self, camera: str) -> str:
        """The label it has, "" for none."""
        row = self._one("SELECT label FROM statuses WHERE channel = ? AND camera = ?", camera)
        return "" if row is None else str(row["label"])

    def set_status(self, camera: str, label: str) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO statuses (channel, camera, label) VALUES (?, ?, ?)",
            (self.channel, camera, label),
        )

    def _one(self, query: str, *values: object) -> Any:
        return self.connection.execute(query, (self.channel, *values)).fetchone()
