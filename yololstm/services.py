"""What a site keeps of its cameras, and whom it tells: one process's share in it.

Several processes may share a site's folder, each with cameras of its own.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from yololstm import recording
from yololstm import site as sites
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
from yololstm.streams import Stream
from yololstm.uploading import Upload
from yololstm.webhook import Webhook

Take = Callable[[Moment], None]

JOURNAL: Final = "journal.db"
_PATIENCE_S: Final = 5.0
"""At the end, for what is still to be delivered: the rest is delivered by the next session."""
_POLL_S: Final = 0.05
_COPIED: Final = timedelta(days=1)
"""How far back blurred copies are made that an earlier session has not made."""
_SAID_S: Final = 1.0
"""How often it is said who is seen, where nothing new is known of them."""


class Services:
    """Open from when it is made to when it is closed; messages go out in between."""

    def __init__(self, site: sites.Site, say: Callable[[str], None]) -> None:
        """say: told what somebody should know of: deliveries that fail, clips that there are not.
        May not raise.

        Raises ParamsError for what cannot be in a site; YololstmError where its folder cannot be
        had; DataError where its journal is damaged.
        """
        self.folder = Path(site.folder)
        self._site = site
        self._say = say
        self._recorders: list[Recorder] = []
        self._is_closing = threading.Event()
        self.bulletin = Bulletin()
        _make_private(self.folder, say)
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
            if site.upload is not None:
                self._couriers.append(self._uploader(site.upload))
            self._set_aside_what_nobody_takes()
            self._end_what_nobody_watches()
            self._keeper = self._keep(site.record)
            if self._keeper is not None:
                opened.callback(self._keeper.stop)
                self._keeper.start()
            self._copying = threading.Thread(target=self._make_copies, name="copy", daemon=True)
            opened.callback(self._is_closing.set)
            self._copying.start()
            opened.callback(self._stop_couriers)
            for courier in self._couriers:
                courier.start()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """After all of its cameras. Waits until their clips are written, and a moment for what is
        still to be delivered: the rest is delivered by the next session."""
        with self._opened:
            for recorder in self._recorders:
                # That of a camera that does not answer was not ended by it.
                recorder.end()
                recorder.join()
            self._deliver_the_rest()

    @contextmanager
    def watching(self, camera: str) -> Iterator[None]:
        """For as long as this process may watch that camera. Raises YololstmError where another one
        does."""
        with _locked(self.folder / f"{camera}.lock", camera):
            self._desk.close_left_open(camera, datetime.now(UTC))
            yield

    @contextmanager
    def taking(self, camera: str, labels: tuple[str, ...], stream: Stream) -> Iterator[Take]:
        """What takes the moments of one stream: when it returns, what they changed is on disk.

        labels: of the verdicts. At the end nothing of the camera goes on, and clips are finished
        without it.
        """
        with self._recording(camera, stream) as recorder, self._ending(camera):
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
    def _ending(self, camera: str) -> Iterator[None]:
        """Whatever ends the camera's stream, its events end."""
        try:
            yield
        finally:
            try:
                self._desk.close_left_open(camera, datetime.now(UTC))
            except YololstmError as error:
                self._say(f"{camera}: events stay open: {error}")

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
            on_failed=lambda event, why: self._say(f"{camera}: {event}: {why}"),
        )
        self._recorders = [one for one in self._recorders if not one.join(0.0)] + [recorder]
        try:
            yield recorder
        finally:
            recorder.end()

    def _recorded(self, event: str, recorded: Recorded) -> None:
        try:
            self._desk.recorded(event, **asdict(recorded))
        except YololstmError as error:
            self._say(f"{event}: {error}")
        if self._keeper is not None:
            self._keeper.poke()

    def _keep(self, settings: sites.Record | None) -> Keeper | None:
        """Where nothing is recorded any more, what was goes as if nobody had said when."""
        recordings = self.folder / recording.FOLDER
        if settings is None and not recordings.is_dir():
            return None
        return Keeper(
            recordings,
            settings or sites.Record(),
            self._desk.is_uploading,
            self.journal.forgotten,
            self._say,
        )

    def _make_copies(self) -> None:
        """Blurred ones, of clips of which an earlier session was killed before it had them."""
        upload = self._site.upload
        if upload is None or upload.blur == "nothing":
            return
        since, root = datetime.now(UTC) - _COPIED, self.folder / recording.FOLDER
        try:
            entries = self.journal.entries(since=since, limit=-1)
        except YololstmError as error:
            self._say(str(error))
            return
        for entry in entries:
            if self._is_closing.is_set():
                return
            if entry.clip and entry.landmarks and not entry.shared:
                try:
                    self._recorded(entry.id, recording.share(root, entry.clip, upload.blur))
                except YololstmError as error:
                    self._say(f"{entry.camera}: {entry.id}: {error}")

    def _set_aside_what_nobody_takes(self) -> None:
        known = {courier.channel for courier in self._couriers}
        for channel, n in self.outbox.close_channels(known).items():
            self._say(f"{channel}: no receiver any more; {n} messages are set aside")

    def _end_what_nobody_watches(self) -> None:
        """Events of cameras that were watched by a process that is gone."""
        for camera in {entry.camera for entry in self.journal.open_entries()}:
            with suppress(YololstmError), self.watching(camera):
                pass

    def _stop_couriers(self) -> None:
        """All at once: each finishes the message that it has."""
        stopping = [threading.Thread(target=courier.stop) for courier in self._couriers]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def _uploader(self, upload: sites.Upload) -> Courier:
        recordings = self.folder / recording.FOLDER
        options = (recordings, upload.url, upload.options, self._files_of)
        deliver = Upload(*options, blurred=upload.blur != "nothing")
        return Courier(self.outbox, UPLOAD, deliver, say=self._say)

    def _files_of(self, event: str) -> list[str]:
        """What leaves the machine of an event, by how it is to be blurred now. Of a blurred clip
        nothing in which anybody could be known; landmarks are of nobody."""
        entry, upload = self.journal.entry(event), self._site.upload
        if entry is None or upload is None:
            return []
        pictures = [entry.clip, entry.picture]
        if upload.blur != "nothing":
            shared = PurePosixPath(entry.shared)
            pictures = [f"{shared}", f"{shared.with_suffix('.jpg')}"] if entry.shared else []
        root = self.folder / recording.FOLDER
        paths = (*pictures, entry.landmarks)
        return [path for path in paths if path and (root / path).is_file()]

    def _courier(self, receiver: sites.Receiver) -> Courier:
        deliver: Callable[[Message], None]
        close: Callable[[], None] = _nothing
        if isinstance(receiver, sites.Webhook):
            deliver = Webhook.of(receiver)
        else:
            assert isinstance(receiver, sites.Mqtt)
            mqtt = Mqtt.of(receiver)
            deliver, close = mqtt, mqtt.close
        keep = timedelta(hours=receiver.keep_hours)
        options = (self.outbox, receiver.name, deliver)
        return Courier(*options, say=self._say, close=close, keep=keep)

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


def _make_private(folder: Path, say: Callable[[str], None]) -> None:
    """Whom it shows does not concern the other users of the machine."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
            say(f"{folder}: others could read it; now they cannot")
    except OSError as error:
        raise _unusable(folder, error) from error


@contextmanager
def _locked(path: Path, camera: str) -> Iterator[None]:
    """Held by the system for this process, so that it is free when that is killed."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
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


def _unusable(path: Path, error: OSError) -> YololstmError:
    remedy = "Make room, or name another folder in site.yaml"
    return YololstmError(path, f"it cannot be used ({error.strerror})", remedy)
