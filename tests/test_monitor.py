from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.live import program
from tests.serving import camera
from yololstm import checkpoint, streams
from yololstm.errors import DataError
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.moments import Moment
from yololstm.monitor import Camera, Monitor, OnState, Parts, Status
from yololstm.settings import ExtractionSettings
from yololstm.streams import Patience, Stream

PATIENCE_S = 30
PATIENCE = Patience(timeout_s=3.0, first_s=0.1, last_s=0.4, cut_s=0.6)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program.lay_out(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def classifier(shop: Path) -> Classifier:
    return checkpoint.load(shop / "data/checkpoint.safetensors").classifier()


class Told:
    """What a camera told of itself, and the moments that it gave."""

    def __init__(self, fails: Callable[[int], bool] = lambda n: False) -> None:
        self.moments: list[Moment] = []
        self.statuses: list[Status] = []
        self.said: list[str] = []
        self._fails = fails

    def moment(self, moment: Moment) -> None:
        self.moments.append(moment)
        if self._fails(len(self.moments)):
            raise DataError("journal.db", "it is full", "Make room")

    @property
    def states(self) -> list[str]:
        told: list[str] = []
        for status in self.statuses:
            if told[-1:] != [status.state]:
                told.append(status.state)
        return told


@pytest.fixture
def open_camera(shop: Path, classifier: Classifier) -> Iterator[Callable[[str, str, Told], Camera]]:
    made: list[Camera] = []

    def extractor() -> AbstractContextManager[Extractor]:
        return Extractor(
            ExtractionSettings(
                weights=shop / "data/detector/weights.pt",
                pose_model=shop / ".cache/models/pose_landmarker_full.task",
                backend="mediapipe",
                fps=10.0,
                max_persons=6,
                imgsz=320,
                min_confidence=0.3,
            )
        )

    def made_of(name: str, source: str, told: Told) -> Camera:
        def stream(on_state: OnState) -> Stream:
            return streams.open(source, 10, patience=PATIENCE, on_state=on_state)

        parts = Parts(name, stream, extractor, classifier, lambda stream: nullcontext(told.moment))
        one = Camera(parts, told.statuses.append, told.said.append)
        made.append(one)
        return one

    yield made_of
    for one in made:
        one.stop()
    assert all(one.join(PATIENCE_S) for one in made)


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def follows(states: list[str], *expected: str) -> bool:
    """In that order, whatever a machine with other work to do was late for in between."""
    left = iter(states)
    return all(state in left for state in expected)


def test_a_file_is_watched_to_its_end(
    shop: Path, open_camera: Callable[[str, str, Told], Camera]
) -> None:
    told = Told()
    door = open_camera("door", str(shop / "spotted.mp4"), told)
    door.start()
    assert door.join(PATIENCE_S)
    status = door.status()
    assert told.states == ["connecting", "live", "ended"]
    assert status.state == "ended"
    assert status.read == status.looked == len(told.moments) - 1
    assert (status.width, status.height, status.connections) == (1280, 720, 1)
    assert told.moments[-1].shot is None
    changes = [change for moment in told.moments for change in moment.changes]
    assert {change.state for change in changes} == {"start", "update", "end"}
    assert all(change.camera == "door" for change in changes)
    latest = door.latest()
    assert latest is not None
    assert latest == (status.looked, told.moments[-2])
    said = [verdict for moment in told.moments for verdict in moment.verdicts]
    assert door.verdicts(seconds=300) == said != []
    assert door.verdicts(seconds=0) == []
    assert door.wait(latest[0], timeout_s=PATIENCE_S) is None  # at once: no more will come


def test_who_waits_gets_each_frame_once(
    shop: Path, open_camera: Callable[[str, str, Told], Camera]
) -> None:
    door = open_camera("door", str(shop / "spotted.mp4"), Told())
    door.start()
    numbers, number = [], 0
    while (got := door.wait(number, PATIENCE_S)) is not None:
        number = got[0]
        numbers.append(number)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == door.status().looked


def test_a_camera_that_fails_is_tried_again_and_disturbs_no_other(
    shop: Path, open_camera: Callable[[str, str, Told], Camera]
) -> None:
    with camera() as filming:
        bad, good = Told(fails=lambda n: n == 3), Told()
        monitor = Monitor(
            [open_camera("bad", filming.url, bad), open_camera("good", filming.url, good)],
            ("theft", "normal"),
        )
        assert set(monitor.cameras) == {"bad", "good"}
        monitor.start()
        until(lambda: "failed" in bad.states)
        before = len(good.moments)
        until(lambda: bad.states[-1] == "live" and len(bad.moments) > 6)
        until(lambda: len(good.moments) > before + 5)
        monitor.stop()
    assert follows(bad.states, "connecting", "live", "failed", "connecting", "live", "ended")
    assert follows(good.states, "connecting", "live", "ended")
    failed = next(status for status in bad.statuses if status.state == "failed")
    assert failed.why == "journal.db: it is full. Make room."
    last = bad.statuses[-1]
    assert last.connections == 2
    assert last.read >= last.looked > 4
    assert last.since > datetime.now(UTC) - timedelta(seconds=PATIENCE_S)


def test_a_fault_of_ours_is_told_and_tried_again(
    shop: Path, open_camera: Callable[[str, str, Told], Camera]
) -> None:
    def stumble(n: int) -> bool:
        if n == 2:
            raise ZeroDivisionError("of ours")
        return False

    told = Told(stumble)
    door = open_camera("door", str(shop / "spotted.mp4"), told)
    door.start()
    assert door.join(PATIENCE_S)
    assert told.states == ["connecting", "live", "failed", "connecting", "live", "ended"]
    failed = next(status for status in told.statuses if status.state == "failed")
    assert failed.why == "ZeroDivisionError: of ours"
    changes = [change for moment in told.moments for change in moment.changes]
    starts = [change.id for change in changes if change.state == "start"]
    assert len(starts) == len(set(starts))
    assert ["Traceback" in said for said in told.said] == [True]


def test_what_is_no_video_is_not_tried_again(
    tmp_path: Path, open_camera: Callable[[str, str, Told], Camera]
) -> None:
    told = Told()
    door = open_camera("door", str(tmp_path / "nowhere.mp4"), told)
    door.start()
    assert door.join(PATIENCE_S)
    assert told.states == ["connecting", "failed"]
    assert "no such file" in door.status().why


def test_a_camera_is_stopped_from_any_thread_and_its_events_end(
    open_camera: Callable[[str, str, Told], Camera],
) -> None:
    with camera() as filming:
        told = Told()
        door = open_camera("door", filming.url, told)
        door.start()
        until(lambda: len(told.moments) > 3)
        assert door.status().state == "live"
        assert 0 < door.status().fps < 40
        threading.Thread(target=door.stop).start()
        assert door.join(PATIENCE_S)
    assert told.moments[-1].shot is None
    assert door.status().state == "ended"


def test_a_status_can_be_said_in_json() -> None:
    since = datetime(2026, 11, 29, 5, tzinfo=UTC)
    said = Status("door", since, "lost", "it ended", fps=9.98765, delay_s=0.0341).to_dict()
    assert said == {
        **{"camera": "door", "state": "lost", "why": "it ended"},
        "since": "2026-11-29T05:00:00.000+00:00",
        **{"read": 0, "dropped": 0, "looked": 0, "fps": 9.99, "delay_s": 0.034},
        **{"width": 0, "height": 0, "connections": 0},
    }
