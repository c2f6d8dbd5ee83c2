from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.receiving import receiver
from tests.test_packets import film
from tests.test_recording import change, moment, picture
from yololstm import recording, services, streams
from yololstm.bulletin import Notice
from yololstm.changes import Change
from yololstm.errors import YololstmError
from yololstm.moments import Moment, Verdict
from yololstm.services import Services
from yololstm.site import Site
from yololstm.zones import Zone

LABELS = ("theft", "normal")
RECORD = {"before_s": 0.3, "after_s": 0.3}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return film(tmp_path / "clip.mp4")


def site(folder: Path, **sections: Any) -> Site:
    return Site.model_validate({"folder": str(folder / "live"), "cameras": {}, **sections})


class Told:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.notices: list[Notice] = []

    def of(self, kind: str) -> list[Any]:
        return [dict(notice.about) for notice in self.notices if notice.kind == kind]


def watch(here: Site, clip: Path, told: Told, moments: Callable[[], Iterator[Moment]]) -> None:
    """As ``yololstm watch`` does it."""
    with Services(here, told.said.append) as running, running.watching("door"):
        running.bulletin.listen(told.notices.append)
        with (
            streams.open(str(clip), 10) as stream,
            running.taking("door", LABELS, stream) as take,
        ):
            for one in moments():
                take(one)


def acted() -> Iterator[Moment]:
    """An event from start to end."""
    due: dict[int, Sequence[Change]] = {
        10: [change("raised", 0.6, 1.0, 1.0)],
        14: [change("updated", 0.6, 1.4, 1.4)],
        17: [change("ended", 0.6, 1.4, 1.7)],
    }
    for n in range(25):
        yield moment(picture(n / 10), n / 10, due.get(n, []))
    yield moment(None, 2.4)


def test_an_event_is_told_recorded_and_uploaded(tmp_path: Path, clip: Path) -> None:
    told = Told()
    with receiver() as till:
        here = site(
            tmp_path,
            record=RECORD,
            upload={"url": f"file://{tmp_path}/elsewhere", "blur": "persons"},
            notify=[
                {
                    **{"name": "till", "kind": "webhook", "secret": "geheim"},
                    "url": f"http://127.0.0.1:{till.port}/",
                }
            ],
        )
        watch(here, clip, told, acted)
        posted = [json.loads(post.body) for post in till.taken]
    assert [one["state"] for one in posted] == ["start", "update", "end"]
    assert told.said == []
    assert [one["change"] for one in told.of("change")] == ["start", "update", "end"]
    first, entry = told.of("recorded")  # the blurred copy comes later
    assert first == {**entry, "shared": ""}
    root = Path(here.folder) / recording.FOLDER
    assert {name: bool(entry[name]) for name in ("clip", "picture", "landmarks", "shared")} == (
        dict.fromkeys(("clip", "picture", "landmarks", "shared"), True)
    )
    assert all((root / entry[name]).is_file() for name in ("clip", "picture", "landmarks"))
    began, started = (datetime.fromisoformat(entry[name]) for name in ("began", "started"))
    assert timedelta(seconds=0.25) < started - began < timedelta(seconds=0.85)
    there = {path.name for path in (tmp_path / "elsewhere").rglob("*") if path.is_file()}
    name = entry["id"]
    assert there == {f"{name}.shared.mp4", f"{name}.shared.jpg", f"{name}.parquet"}


def test_a_copy_that_a_killed_session_had_not_made_is_made_by_the_next(
    tmp_path: Path, clip: Path
) -> None:
    watch(site(tmp_path, record=RECORD), clip, told := Told(), acted)
    (before,) = told.of("recorded")
    assert before["shared"] == ""
    upload = {"url": f"file://{tmp_path}/x", "blur": "persons"}
    with Services(site(tmp_path, record=RECORD, upload=upload), print) as running:
        deadline = time.monotonic() + 30
        while not list((tmp_path / "x").rglob("*.shared.mp4")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        entry = running.journal.entry(before["id"])
    assert entry is not None
    assert entry.shared.endswith(".shared.mp4")
    assert entry.to_dict()["began"] == before["began"]


def test_nothing_is_blurred_or_recorded_unless_asked_for(tmp_path: Path, clip: Path) -> None:
    plain = site(tmp_path, record=RECORD, upload={"url": f"file://{tmp_path}/x", "blur": "nothing"})
    watch(plain, clip, told := Told(), acted)
    names = {path.suffixes[0] for path in (tmp_path / "x").rglob("*") if path.is_file()}
    assert names == {".mp4", ".jpg", ".parquet"}
    assert told.of("recorded")[0]["shared"] == ""
    watch(site(tmp_path / "bare"), clip, told := Told(), acted)
    assert {path.name for path in (tmp_path / "bare/live").iterdir()} == {"journal.db", "door.lock"}
    assert len(told.of("change")) == 3


def test_events_end_with_whatever_ends_the_stream(tmp_path: Path, clip: Path) -> None:
    def broken() -> Iterator[Moment]:
        yield moment(picture(1.0), 1.0, [change("raised", 0.6, 1.0, 1.0)])

    watch(site(tmp_path), clip, told := Told(), broken)
    assert [one["change"] for one in told.of("change")] == ["start", "end"]


def acted_by_nobody() -> Iterator[Moment]:
    yield moment(picture(0.0), 0.0)


def test_a_camera_is_watched_by_one_process(tmp_path: Path) -> None:
    with (
        Services(site(tmp_path), print) as one,
        Services(site(tmp_path), print) as other,
        one.watching("door"),
    ):
        with (
            pytest.raises(YololstmError, match="another process watches it"),
            other.watching("door"),
        ):
            pass
        with other.watching("till"):
            pass
    with Services(site(tmp_path), print) as other, other.watching("door"):
        pass


def test_what_is_said_of_people_is_posted_now_and_then(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_SAID_S", 1e9)
    verdict = Verdict(1, 0.0, 2.0, (0.25, 0.75))

    def said() -> Iterator[Moment]:
        for n in range(20):
            one = moment(picture(n / 10), n / 10)
            yield Moment(**{**vars(one), "verdicts": [verdict] if n == 7 else []})

    watch(site(tmp_path), clip, told := Told(), said)
    (one,) = [notice for notice in told.of("verdicts") if notice["verdicts"]]
    assert len(told.of("verdicts")) <= 2
    assert one.pop("wall") > "2026"
    assert one == {
        **{"camera": "door", "frame_s": 0.7, "tracks": [1]},
        "verdicts": [
            {
                **{"track": 1, "start_s": 0.0, "end_s": 2.0},
                "probability": {"theft": 0.25, "normal": 0.75},
            }
        ],
    }


def test_a_clip_that_cannot_be_written_is_told_and_watching_goes_on(
    tmp_path: Path, clip: Path
) -> None:
    (tmp_path / "live").mkdir(mode=0o700)
    (tmp_path / "live/recordings").write_text("a file in the place of the folder")
    watch(site(tmp_path, record=RECORD), clip, told := Told(), acted)
    (said,) = told.said
    assert said.startswith("door: ")
    assert "it cannot be made" in said
    assert len(told.of("change")) == 3


def test_events_of_cameras_that_nobody_watches_any_more_end(tmp_path: Path) -> None:
    with Services(site(tmp_path), print) as running:
        running._desk.tell(change("raised", 0.6, 1.0, 1.0))
        with running.watching("till"):
            running._desk.tell(replace(change("raised", 0.7, 1.1, 1.1), camera="till"))
            assert len(running.journal.open_entries()) == 2
            with Services(site(tmp_path), print) as other:  # that of a door nobody opens
                assert [one.camera for one in other.journal.open_entries()] == ["till"]


def test_what_was_owed_to_who_is_no_receiver_any_more_is_set_aside(
    tmp_path: Path, clip: Path
) -> None:
    hook = {"name": "till", "kind": "webhook", "url": "http://127.0.0.1:9/"}
    watch(site(tmp_path, notify=[hook]), clip, Told(), acted)
    watch(site(tmp_path), clip, told := Told(), acted_by_nobody)
    assert told.said == ["till: no receiver any more; 3 messages are set aside"]


def test_recordings_go_where_nothing_is_recorded_any_more(tmp_path: Path, clip: Path) -> None:
    watch(site(tmp_path, record=RECORD), clip, told := Told(), acted)
    recorded = tmp_path / "live/recordings" / told.of("recorded")[-1]["clip"]
    long_ago = time.time() - 31 * 86400
    for file in recording.files(recorded):
        if file.exists():
            os.utime(file, (long_ago, long_ago))
    with Services(site(tmp_path), print):
        deadline = time.monotonic() + 30
        while recorded.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_closing_does_not_wait_for_a_camera_that_does_not_answer(
    tmp_path: Path, clip: Path
) -> None:
    told = Told()
    running = Services(site(tmp_path, record=RECORD), told.said.append)
    running.bulletin.listen(told.notices.append)
    with streams.open(str(clip), 10) as stream:
        hung = running.taking("door", LABELS, stream)
        take = hung.__enter__()
        for one in itertools.islice(acted(), 15):
            take(one)
        closing = threading.Thread(target=running.close)
        closing.start()
        closing.join(30)
        assert not closing.is_alive()
        hung.__exit__(None, None, None)
    assert told.of("recorded")[0]["clip"]
    assert "events stay open" in told.said[-1]


def test_a_folder_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir(mode=0o755)
    said: list[str] = []
    with Services(site(tmp_path), said.append) as running:
        assert running.folder.stat().st_mode & 0o777 == 0o700
    assert said == [f"{tmp_path}/live: others could read it; now they cannot"]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("")
    with pytest.raises(YololstmError, match="it cannot be used"):
        Services(site(tmp_path), print)


def test_the_folder_is_nobody_elses_and_keeps_zones(tmp_path: Path) -> None:
    zone = Zone("till", "count", ((0, 0), (1, 0), (1, 1)))
    with Services(site(tmp_path), print) as running:
        assert running.folder.stat().st_mode & 0o777 == 0o700
        running.journal.set_zones("door", [zone])
    with Services(site(tmp_path), print) as running:
        assert running.journal.zones("door") == [zone]
