"""What a site keeps of its cameras, and whom it tells: one process's share in it.

Several processes may share a site's folder, each with cameras of its own.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from yololstm import recording
from yololstm.bulletin import Bulletin
from yololstm.database import Database
from yololstm.desk import UPLOAD, Desk, policies
from yololstm.errors import YololstmError
from yololstm.journal import Journal
from yololstm.keeping import Keeper
from yololstm.moments import Moment
from yololstm.mqtt import Mqtt
from yololstm.outbox import Courier, Message, Outbox
from yololstm.recording import Recorded, Recorder
from yololstm.site import Mqtt as MqttReceiver
from yololstm.site import Receiver, Site
from yololstm.site import Webhook as WebhookReceiver
from yololstm.streams import Stream
from yololstm.uploading import Upload
from yololstm.webhook import Webhook

Take = Callable[[Moment], None]

JOURNAL: Final = "journal.db"
_PATIENCE_S: Final = 5.0
"""At the end, for what is still to be delivered: the rest is delivered by the next session."""
_POLL_S: Final = 0.05
_SAID_S: Final = 1.0
"""How often it is said who is seen, where nothing new is known of them."""


class Services:
    """Open from when it is made to when it is closed; messages go out in between."""

    def __init__(self, site: Site, say: Callable[[str], None]) -> None:
        """say: told what somebody should know of: deliveries that fail, clips that there are not.

        Raises ParamsError for what cannot be in a site; DataError where its journal is damaged.
        """
        self.folder = Path(site.folder)
        self._site = site
        self._say = say
        # Whom it shows does not concern the other users of the machine.
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.bulletin = Bulletin()
        with ExitStack() as opened:
            database = Database(self.folder / JOURNAL)
            opened.callback(database.close)
            self.journal, self.outbox = Journal(database), Outbox(database)
            receivers = policies(site)
            self._desk = Desk(
                *(database, self.journal, self.outbox, self.bulletin, receivers),
                uploads=site.upload is not None,
            )
            self._couriers = [self._courier(receiver) for receiver in site.notify]
            self._keeper: Keeper | None = None
            if site.record is not None:
                recordings = self.folder / recording.FOLDER
                self._keeper = Keeper(
                    recordings, site.record, self._desk.is_uploading, self.journal.forgotten, say
                )
                opened.callback(self._keeper.stop)
                self._keeper.start()
                if site.upload is not None:
                    upload = Upload(recordings, site.upload.url, site.upload.options)
                    self._couriers.append(Courier(self.outbox, UPLOAD, upload, say=say))
            for courier in self._couriers:
                opened.callback(courier.stop)
                courier.start()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """After all of its cameras. Waits a moment for what is still to be delivered."""
        self._deliver_the_rest()
        self._opened.close()

    @contextmanager
    def watching(self, camera: str) -> Iterator[None]:
        """For as long as this process may watch that camera. Raises YololstmError where another one
        does."""
        with _locked(self.folder / f"{camera}.lock", camera):
            yield

    @contextmanager
    def taking(self, camera: str, labels: tuple[str, ...], stream: Stream) -> Iterator[Take]:
        """What takes the moments of one stream: when it returns, what they changed is on disk.

        labels: of the verdicts. At the end clips of its events are finished.
        """
        self._desk.close_left_open(camera, datetime.now(UTC))
        with self._recording(camera, stream) as recorder:
            said_at = 0.0

            def take(moment: Moment) -> None:
                nonlocal said_at
                for change in moment.changes:
                    self._desk.tell(change)
                if recorder is not None:
                    recorder.feed(moment)
                if moment.verdicts or time.monotonic() - said_at >= _SAID_S:
                    said_at = time.monotonic()
                    self.bulletin.post("verdicts", _said(moment, labels))

            yield take

    @contextmanager
    def _recording(self, camera: str, stream: Stream) -> Iterator[Recorder | None]:
        settings, upload = self._site.record, self._site.upload
        if settings is None:
            yield None
            return
        recorder = Recorder(
            *(self.folder, camera, stream.packets(settings.before_s), settings),
            self._recorded,
            blur="nothing" if upload is None else upload.blur,
            on_failed=lambda event, why: self._say(f"{camera}: no clip of {event}: {why}"),
        )
        try:
            yield recorder
        finally:
            recorder.close()

    def _recorded(self, event: str, recorded: Recorded) -> None:
        try:
            self._desk.recorded(event, **asdict(recorded), upload=self._to_upload(recorded))
        except YololstmError as error:
            self._say(f"{event}: {error}")
        if self._keeper is not None:
            self._keeper.poke()

    def _to_upload(self, recorded: Recorded) -> list[str]:
        """Of a blurred clip nothing in which anybody could be known; landmarks are of nobody."""
        upload = self._site.upload
        if upload is None:
            return []
        pictures = [recorded.clip, recorded.picture]
        if upload.blur != "nothing":
            shared = PurePosixPath(recorded.shared)
            pictures = [f"{shared}", f"{shared.with_suffix('.jpg')}"] if recorded.shared else []
        return [
            path
            for path in (*pictures, recorded.landmarks)
            if path and (self.folder / recording.FOLDER / path).is_file()
        ]

    def _courier(self, receiver: Receiver) -> Courier:
        deliver: Callable[[Message], None]
        close: Callable[[], None] = _nothing
        if isinstance(receiver, WebhookReceiver):
            deliver = Webhook.of(receiver)
        else:
            assert isinstance(receiver, MqttReceiver)
            mqtt = Mqtt.of(receiver)
            deliver, close = mqtt, mqtt.close
        return Courier(self.outbox, receiver.name, deliver, say=self._say, close=close)

    def _deliver_the_rest(self) -> None:
        channels = {courier.channel for courier in self._couriers}
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            counts = self.outbox.counts()
            if not any(counts[c]["waiting"] for c in channels & counts.keys()):
                return
            time.sleep(_POLL_S)


def _nothing() -> None: ...


def _said(moment: Moment, labels: tuple[str, ...]) -> dict[str, Any]:
    tracks = [] if moment.landmarks is None else moment.landmarks.persons().track.tolist()
    return {
        "camera": moment.camera,
        "frame_s": round(moment.frame_s, 3),
        "wall": moment.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "tracks": tracks,
        "verdicts": [verdict.to_dict(labels) for verdict in moment.verdicts],
    }


@contextmanager
def _locked(path: Path, camera: str) -> Iterator[None]:
    """Held by the system for this process, so that it is free when that is killed."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        problem, remedy = "another process watches it", "Stop that one, or name this one otherwise"
        raise YololstmError(f"{path}: {camera}", problem, remedy) from error
    try:
        yield
    finally:
        os.close(handle)
