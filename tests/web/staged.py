"""A site with its real parts, whose cameras are fed by the test in the place of video."""

from __future__ import annotations

import functools
import tempfile
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from tests import people
from yololstm import monitor, storage, video
from yololstm.bulletin import Bulletin
from yololstm.changes import Change
from yololstm.database import Database
from yololstm.desk import Desk
from yololstm.events import Event
from yololstm.journal import Journal
from yololstm.landmarks import Source
from yololstm.moments import Moment, Verdict
from yololstm.monitor import Monitor
from yololstm.outbox import Outbox
from yololstm.skeleton import BONES
from yololstm.streams import Shot
from yololstm.video import Frame
from yololstm.web import Allowance, create

TOKEN = "a-token-of-tests-0123456789"
LABELS = people.LABELS
OFTEN = Allowance(100_000, 100_000)
"""For tests of other things than rates."""
SIZE = 640, 360
CAMERAS = ("door", "till")


class Site:
    def __init__(self, folder: Path, *, allowance: Allowance = OFTEN, **options: Any) -> None:
        self.folder = folder
        self.database = Database(folder / "journal.db")
        self.journal = Journal(self.database)
        self.outbox = Outbox(self.database)
        self.bulletin = Bulletin()
        self.desk = Desk(self.database, self.journal, self.outbox, self.bulletin, {})
        self.cameras = {name: _camera(name, self.bulletin) for name in CAMERAS}
        self.monitor = Monitor(list(self.cameras.values()), LABELS)
        self.app = create(
            monitor=self.monitor,
            journal=self.journal,
            outbox=self.outbox,
            bulletin=self.bulletin,
            folder=folder,
            token=TOKEN,
            allowance=allowance,
            **options,
        )

    def close(self) -> None:
        self.app.state.streams.close()
        self.database.close()

    def live(self, name: str = "door") -> None:
        self.cameras[name]._set("live", "")

    def play(self, name: str, step: int) -> Moment:
        """The moment of that number, three a second; verdicts come with every fourth."""
        shown = moment(name, step)
        self.cameras[name]._show(shown)
        self.bulletin.post("verdicts", said(shown))
        return shown

    def tell(self, change: Change) -> None:
        self.desk.tell(change)

    def record(self, id: str) -> None:
        """Files as a recorder leaves them."""
        entry = self.journal.entry(id)
        assert entry is not None
        day = f"{entry.camera}/{entry.started:%Y-%m-%d}"
        stem = self.folder / "recordings" / day / id
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".mp4").write_bytes(clip())
        still = cv2.cvtColor(picture(0), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(stem.with_suffix(".jpg")), still)
        storage.write_landmarks(stem.with_suffix(".parquet"), landmarks(0))
        names = {kind: f"{day}/{id}.{suffix}" for kind, suffix in _SUFFIXES.items()}
        self.desk.recorded(id, shared="", **names)


class Playing:
    """Cameras that go on until it ends, ten frames a second."""

    def __init__(self, site: Site, *names: str) -> None:
        self._site = site
        self._names = names
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Playing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        step = 0
        while not self._over.wait(0.1):
            for name in self._names:
                self._site.play(name, step)
            step += 1


_SUFFIXES = {"clip": "mp4", "picture": "jpg", "landmarks": "parquet"}


def _camera(name: str, bulletin: Bulletin) -> monitor.Camera:
    """One that is never started."""
    parts: Any = SimpleNamespace(camera=name)
    return monitor.Camera(parts, lambda status: bulletin.post("camera", status.to_dict()))


def _joints(step: int) -> np.ndarray:
    """(2, 13, 2) of two people, of whom one walks and the other waves."""
    rng = np.random.default_rng(1)
    times = np.array([step / 3])
    calm = people.FIGURE * 48 + [140 + 12 * (step % 24), 150]
    wild = people.acting("assault", times, rng)[0]
    wild = (wild - wild.mean(axis=0)) * 0.55 + [460, 190]
    return np.stack([calm, wild])


def landmarks(step: int) -> Any:
    made = people.landmarks(
        {track: (np.array([step / 3]), xy[None]) for track, xy in enumerate(_joints(step), 1)},
        Source(*SIZE, Fraction(3), 60, "staged"),
    )
    low, high = made.box[:, :2] - 14, made.box[:, 2:] + 14
    return replace(made, box=np.concatenate([low, high], axis=1))


def picture(step: int) -> np.ndarray:
    """(H, W, 3) a shop, more or less."""
    image = np.full((SIZE[1], SIZE[0], 3), (58, 64, 72), dtype=np.uint8)
    image[230:] = (92, 88, 82)
    for x in range(20, SIZE[0], 150):
        cv2.rectangle(image, (x, 60), (x + 110, 240), (74, 84, 96), -1)
        for y in range(80, 230, 40):
            cv2.rectangle(image, (x + 8, y), (x + 102, y + 24), (120, 104 + x // 8, 90), -1)
    for joints in _joints(step):
        points = joints.round().astype(int)
        for a, b in BONES:
            cv2.line(image, points[a].tolist(), points[b].tolist(), (36, 42, 60), 17, cv2.LINE_AA)
        cv2.circle(image, points[12].tolist(), 16, (196, 160, 138), -1, cv2.LINE_AA)
    return image


@functools.cache
def clip() -> bytes:
    """2 s as a recorder writes them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with video.writing(path, Fraction(10), *SIZE) as writer:
            for step in range(20):
                writer.write(picture(step))
        return path.read_bytes()


def moment(name: str, step: int) -> Moment:
    at, time_s = datetime.now(UTC), step / 3
    verdicts = []
    if step % 4 == 3:
        wild = 0.5 + 0.45 * np.sin(step / 9)
        verdicts = [
            Verdict(1, time_s - 5, time_s, (0.03, 0.02, 0.01, 0.94)),
            Verdict(2, time_s - 5, time_s, (0.02, wild, 0.03, 0.95 - wild)),
        ]
    shot = Shot(Frame(step, time_s, picture(step)), at)
    return Moment(name, shot, landmarks(step), verdicts, [], time_s, at)


def said(shown: Moment) -> dict[str, Any]:
    """As the notice of verdicts has it."""
    return {
        "camera": shown.camera,
        "frame_s": shown.frame_s,
        "wall": shown.at.isoformat(),
        "verdicts": [verdict.to_dict(LABELS) for verdict in shown.verdicts],
        "tracks": [1, 2],
    }


def change(
    number: int,
    state: Any = "end",
    *,
    camera: str = "door",
    label: str = "theft",
    ago_s: float = 3600.0,
    track: int = 2,
) -> Change:
    """Of the event of that number, which lasts 8 s and started so long ago."""
    event = Event(label, track, 100.0, 108.0, 0.91, 105.0)
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=ago_s - 8)
    return Change(name(number), camera, state, event, 108.0, at)


def name(number: int) -> str:
    return str(uuid.UUID(int=number))
