from __future__ import annotations

import os
import resource
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests import people
from tests.people import FIGURE
from tests.serving import MJPEG, camera
from tests.test_packets import FPS, GOP, check, coded, damage, film, noise, number, recorded
from yololstm import recording, storage, streams, video
from yololstm.changes import Change, Teller
from yololstm.errors import YololstmError
from yololstm.events import Event, Signal
from yololstm.keeping import Keeper
from yololstm.landmarks import Landmarks, Source
from yololstm.moments import Moment
from yololstm.packets import FilePackets, Tape
from yololstm.recording import Blur, Recorded, Recorder, files, share
from yololstm.site import Record
from yololstm.streams import Patience, Shot
from yololstm.video import Frame, Image

PATIENCE_S = 30
SETTINGS = Record(before_s=0.3, after_s=0.3)
SOURCE = Source(128, 96, Fraction(10), 0, "synthetic")
TORSO = 20
TELLER = Teller("door", uuid.UUID(int=7))


def seen(frame_s: float) -> Landmarks:
    """Somebody who stands in the right half, which is hard to compress."""
    xy = FIGURE[None] * TORSO + np.array([96, 45])
    return people.landmarks({1: (np.array([frame_s]), xy)}, SOURCE)


def change(
    kind: str, start_s: float, end_s: float, frame_s: float, p: float = 0.9, track: int = 1
) -> Change:
    event = Event("theft", track, start_s, end_s, p, start_s)
    (made,) = TELLER.changes([Signal(kind, event)], frame_s, datetime.now(UTC))
    return made


Plan = Sequence[tuple[str, float, float, float]]
"""What becomes of an event: kind, start_s, end_s and when it is known."""
ONE: Plan = [("raised", 0.6, 1.0, 1.0), ("updated", 0.6, 1.4, 1.4), ("ended", 0.6, 1.4, 1.7)]


def moment(shot: Shot | None, frame_s: float, changes: Sequence[Change] = ()) -> Moment:
    landmarks = None if shot is None else seen(frame_s)
    return Moment("door", shot, landmarks, [], changes, frame_s, datetime.now(UTC))


def by_others(one: Moment) -> Moment:
    """Whoever is there is too unsure to be followed."""
    assert one.landmarks is not None
    return replace(one, landmarks=Landmarks.empty(SOURCE), others=one.landmarks.box)


def of_nobody(one: Moment) -> Moment:
    return replace(one, landmarks=Landmarks.empty(SOURCE))


def picture(frame_s: float) -> Shot:
    return Shot(Frame(0, frame_s, noise(int(frame_s * FPS) % 100)), datetime.now(UTC))


def feed(
    recorder: Recorder,
    times: Sequence[float],
    plan: Plan,
    who: Callable[[Moment], Moment] = lambda one: one,
) -> None:
    """As if a camera were watched."""
    left = list(plan)
    for frame_s in times:
        due = [change(*one) for one in left if one[3] <= frame_s]
        left = [one for one in left if one[3] > frame_s]
        recorder.feed(who(moment(picture(frame_s), frame_s, due)))


class Told:
    def __init__(self) -> None:
        self.reports: list[Recorded] = []
        self.failures: list[str] = []
        self.recorded: dict[str, Recorded] = {}
        """The last of each event."""
        self.failed: dict[str, str] = {}

    def record(self, event: str, made: Recorded) -> None:
        self.reports.append(made)
        self.recorded[event] = made

    def fail(self, event: str, why: str) -> None:
        self.failures.append(why)
        self.failed[event] = why

    def wait(self, until: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < deadline, (self.recorded, self.failed)
            time.sleep(0.02)


@contextmanager
def recorder(
    folder: Path,
    source: FilePackets | Tape | streams.Packets,
    told: Told,
    settings: Record = SETTINGS,
    blur: Blur = "nothing",
) -> Iterator[Recorder]:
    made = Recorder(
        folder,
        "door",
        source,
        settings,
        told.record,
        blur=blur,
        on_failed=told.fail,
    )
    try:
        yield made
    finally:
        made.close()


def all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- cameras ---


def test_a_camera_is_recorded_around_an_event_as_it_sent_it(tmp_path: Path) -> None:
    told = Told()
    with (
        camera(lambda time_s: noise(int(time_s * FPS) % 100), fps=FPS) as filming,
        streams.open(filming.url, 10, patience=Patience(5.0)) as stream,
        recorder(tmp_path, stream.packets(0.3), told, blur="persons") as recording_,
    ):
        left = list(ONE)
        for shot in stream:
            assert shot is not None
            frame_s = shot.frame.time_s
            due = [change(*one) for one in left if one[3] <= frame_s]
            left = [one for one in left if one[3] > frame_s]
            recording_.feed(moment(shot, frame_s, due))
            if frame_s > 2.2:
                break
        told.wait(lambda: told.recorded)
    assert not told.failed
    ((event, made),) = told.recorded.items()
    day = f"{datetime.now().astimezone():%Y-%m-%d}"
    assert made.clip == f"door/{day}/{event}.mp4"
    root = tmp_path / "recordings"
    assert all_files(tmp_path) == sorted(files(root / made.clip))
    times, numbers = check(root / made.clip)
    assert times[-1] == pytest.approx(1.65, abs=0.15)  # from the first key frame on
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    sent = b"".join(filming.sent)
    assert all(part[:-1] in sent for part in coded(root / made.clip))

    rows = storage.read_landmarks(root / made.landmarks)
    assert rows.source.n_frames == len(times)
    assert 10 < len(rows) < 20
    assert 0 <= rows.time_s[0] < 0.11
    assert [times[i] for i in rows.frame] == pytest.approx(rows.time_s.tolist(), abs=2e-3)

    shared = list(video.read(root / made.shared))
    plain = list(video.read(root / made.clip))
    assert len(shared) == pytest.approx(len(plain), abs=1)
    for index in (0, 5, len(plain) - 2):
        clear, covered = plain[index].image, shared[index].image
        assert detail(covered[20:70, 85:110]) < 0.2 * detail(clear[20:70, 85:110])
        assert abs(covered[:, 4:60].astype(int) - clear[:, 4:60]).mean() < 6
    images = [
        cv2.imread(str(root / made.clip).replace(".mp4", end)) for end in (".jpg", ".shared.jpg")
    ]
    assert images[0].shape == images[1].shape
    assert images[0].shape[1] <= recording.WIDTH
    clear, covered = (image[20:70, 85:100] for image in images)  # whom it is about
    assert detail(covered) < 0.2 * detail(clear)


def detail(image: Image) -> float:
    return float(np.abs(np.diff(image.astype(np.float64), axis=1)).mean())


def test_a_camera_that_is_cut_off_in_an_event_leaves_what_there_is(tmp_path: Path) -> None:
    told, patience = Told(), Patience(3.0, 0.1, 0.4, 0.5)
    with (
        camera(lambda time_s: noise(int(time_s * FPS) % 100), fps=FPS, kind=MJPEG) as filming,
        streams.open(filming.url, 10, patience=patience) as stream,
        recorder(tmp_path, stream.packets(0.3), told) as recording_,
    ):
        left = [("raised", 0.6, 1.0, 1.0)]
        again_s, frame_s = None, 0.0
        for shot in stream:
            if shot is None:
                recording_.feed(moment(None, frame_s, [change("ended", 0.6, 1.0, frame_s)]))
                told.wait(lambda: told.recorded)
                filming.resume()
                continue
            frame_s = shot.frame.time_s
            due = [change(*one) for one in left if one[3] <= frame_s]
            left = [one for one in left if one[3] > frame_s]
            recording_.feed(moment(shot, frame_s, due))
            if frame_s > 1.2 and not told.recorded:
                filming.cut()
            if told.recorded and again_s is None:
                again_s = frame_s
                left = [("raised", frame_s + 0.1, frame_s + 0.4, frame_s + 0.4)]
            if again_s is not None and frame_s > again_s + 0.6:
                break
    assert not told.failed
    assert len(told.recorded) == 2
    first, second = (tmp_path / "recordings" / made.clip for made in told.recorded.values())
    times, _ = check(first)
    assert 0.5 < times[-1] < 1.1
    times, _ = check(second)
    assert 0.3 < times[-1] < 1.0


# --- a tape that is there already: what a camera sent in 3 s, at 100 s of its time ---


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("sent") / "some.ts")


@pytest.fixture
def tape(sent: Path, tmp_path: Path) -> Tape:
    made = Tape(5.0)
    recorded(made, sent, made.begin(tmp_path / "none.mp4", 0.0, 0.0), -1.0)
    return made


def ticks(start_s: float, end_s: float) -> list[float]:
    return [float(at) for at in np.arange(start_s, end_s, 0.1).round(3)]


def test_events_that_overlap_have_a_clip_each(tmp_path: Path, tape: Tape) -> None:
    told = Told()
    plan = [
        ("raised", 100.5, 101.0, 101.0),
        ("raised", 100.9, 101.2, 101.2),
        ("ended", 100.5, 101.0, 101.5),
        ("ended", 100.9, 101.6, 101.8),
    ]
    with recorder(tmp_path, tape, told) as recording_:
        feed(recording_, ticks(100, 102.5), plan)
        told.wait(lambda: len(told.recorded) == 2)
    spans = [check(tmp_path / "recordings" / made.clip)[1] for made in told.recorded.values()]
    assert [numbers[0] for numbers in spans] == [0, 10]
    assert [numbers[-1] for numbers in spans] == pytest.approx([23, 35], abs=3)


def test_a_clip_is_cut_where_it_gets_too_long_though_its_event_goes_on(
    tmp_path: Path, tape: Tape
) -> None:
    told, settings = Told(), Record(before_s=0.3, after_s=5.0, longest_s=1.2)
    with recorder(tmp_path, tape, told, settings) as recording_:
        feed(recording_, ticks(100, 102.0), [("raised", 100.5, 101.0, 101.0)])
        told.wait(lambda: told.recorded)
        feed(recording_, ticks(102, 102.9), [("ended", 100.5, 102.5, 102.5)])
    (made,) = told.recorded.values()
    assert check(tmp_path / "recordings" / made.clip)[1][-1] == pytest.approx(28, abs=3)


def test_what_goes_on_when_it_is_closed_has_what_there_is(tmp_path: Path, tape: Tape) -> None:
    told = Told()
    with recorder(tmp_path, tape, told, Record()) as recording_:
        feed(recording_, ticks(100, 101.2), [("raised", 100.5, 101.0, 101.0)])
    (made,) = told.recorded.values()
    assert check(tmp_path / "recordings" / made.clip)[1][-1] > 50
    assert [path.name for path in all_files(tmp_path / "recordings")] == [
        Path(path).name for path in (made.picture, made.clip, made.landmarks)
    ]


def test_an_event_without_video_still_has_a_picture(tmp_path: Path) -> None:
    told = Told()
    with recorder(tmp_path, Tape(1.0), told) as recording_:
        feed(recording_, ticks(100, 101.2), [("raised", 100.5, 101.0, 101.0)])
    (made,) = told.recorded.values()
    assert (made.clip, made.landmarks, made.shared) == ("", "", "")
    assert cv2.imread(str(tmp_path / "recordings" / made.picture)).shape[2] == 3


def test_the_picture_is_of_when_it_is_most_probable(tmp_path: Path, tape: Tape) -> None:
    told = Told()
    with recorder(tmp_path, tape, told) as recording_:
        for frame_s, kind, p in (
            (101.0, "raised", 0.6),
            (101.2, "updated", 0.9),
            (101.4, "updated", 0.7),
        ):
            shot = Shot(
                Frame(0, frame_s, np.full((96, 128, 3), 255 * p, np.uint8)), datetime.now(UTC)
            )
            recording_.feed(moment(shot, frame_s, [change(kind, 100.5, frame_s, frame_s, p)]))
    (made,) = told.recorded.values()
    image = cv2.imread(str(tmp_path / "recordings" / made.picture))
    assert image.mean() == pytest.approx(229, abs=3)
    assert image.shape[0] == pytest.approx(image.shape[1] * 3 / 4, abs=2)


def test_a_full_disk_costs_the_clip_and_nothing_else(tmp_path: Path, tape: Tape) -> None:
    told = Told()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with recorder(tmp_path, tape, told) as recording_:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
        try:
            plan = [("raised", 100.5, 101.0, 101.0), ("ended", 100.5, 101.0, 101.5)]
            feed(recording_, ticks(100, 102.5), plan)
            told.wait(lambda: told.failed)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert all_files(tmp_path) == []
        feed(recording_, [102.6, 102.7], [("raised", 101.5, 102.5, 102.6)])
    (event,) = told.failed
    assert all("cannot be written" in why for why in told.failures)
    assert list(told.recorded) != [event]
    assert len(told.recorded) == 1


def test_feeding_does_not_wait_for_a_disk_that_hangs(tmp_path: Path) -> None:
    hangs, go_on = threading.Event(), threading.Event()

    class Hanging:
        def begin(self, path: Path, start_s: float, about_s: float) -> Hanging:
            return self

        def pull(self, end_s: float) -> bool:
            hangs.set()
            assert go_on.wait(PATIENCE_S)
            raise YololstmError("disk", "it is broken", "Get another one")

        def finish(self) -> None: ...
        def drop(self) -> None: ...

    told = Told()
    with recorder(tmp_path, Hanging(), told) as recording_:
        feed(recording_, ticks(100, 101.2), [("raised", 100.5, 101.0, 101.0)])
        assert hangs.wait(PATIENCE_S)
        quiet = moment(picture(101.2), 101.2)
        for _ in range(3000):
            recording_.feed(quiet)
        for kind in ("raised", *["updated"] * recording._IMAGES):
            recording_.feed(moment(picture(402), 402, [change(kind, 401, 402, 402, track=2)]))
        with recording_._changed:
            n_changes = recording._IMAGES + 1
            assert len(recording_._waiting) <= recording._WAITING + n_changes
            images = sum(one.image is not None for one in recording_._waiting)
            assert images == recording._IMAGES
        go_on.set()
    assert len(told.failed) == 2
    assert "it is broken" in next(iter(told.failed.values()))


# --- who leaves the machine ---

PLAN: Plan = [("raised", 100.9, 101.3, 101.3), ("ended", 100.9, 101.3, 101.7)]
WHO = np.s_[20:70, 85:110]
"""Where somebody is."""


def is_covered(clip: Path, shared: Path) -> None:
    """In each frame of the copy whoever is there is, and the rest of the picture is as it was."""
    plain = {round(f.time_s * FPS): f.image for f in video.read(clip)}
    copies = {round(f.time_s * FPS): f.image for f in video.read(shared)}
    assert len(copies) == pytest.approx(len(plain), abs=1)
    both = plain.keys() & copies.keys()
    assert all(detail(copies[i][WHO]) < 0.25 * detail(plain[i][WHO]) for i in both)
    # Encoded so small, shades that change are not always what they were.
    assert sum(number(copies[i]) == number(plain[i]) for i in both) > 0.6 * len(both)


@pytest.mark.parametrize("who", [by_others, of_nobody])
def test_who_is_too_unsure_to_be_followed_is_covered_and_kept(
    tmp_path: Path, tape: Tape, who: Callable[[Moment], Moment]
) -> None:
    told = Told()
    with recorder(tmp_path, tape, told, blur="persons") as recording_:
        feed(recording_, ticks(100, 102.5), PLAN, who)
    assert not told.failures
    root, (made,) = tmp_path / "recordings", told.recorded.values()
    rows = storage.read_landmarks(root / made.landmarks)
    assert 9 < len(rows) < 13
    assert set(rows.track.tolist()) == {-1}
    assert not np.isfinite(rows.xy).any()
    assert np.isfinite(rows.box).all() == (who is by_others)
    if who is by_others:
        is_covered(root / made.clip, root / made.shared)
    else:
        for one, other in zip(
            video.read(root / made.clip), video.read(root / made.shared), strict=False
        ):
            assert detail(other.image[WHO]) > 0.6 * detail(one.image[WHO])


def test_a_clip_is_told_of_before_its_copy_is_made_and_then_again(
    tmp_path: Path, tape: Tape
) -> None:
    told, there = Told(), list[set[str]]()
    root = tmp_path / "recordings"

    def record(event: str, made: Recorded) -> None:
        told.record(event, made)
        there.append(
            {path.name.partition(".")[2] for path in files(root / made.clip) if path.exists()}
        )

    made = Recorder(tmp_path, "door", tape, SETTINGS, record, blur="faces")
    feed(made, ticks(100, 102.5), PLAN)
    made.close()
    first, second = told.reports
    assert (first.shared, first.is_whole) == ("", False)
    assert second == replace(first, shared=second.shared, is_whole=True)
    assert (root / second.shared).is_file()
    assert there[0] >= {"mp4", "jpg", "parquet"}
    assert "shared.mp4" not in there[0]
    assert there[1] == {"mp4", "jpg", "parquet", "shared.mp4", "shared.jpg"}


@pytest.mark.parametrize("lost", [[".shared.mp4", ".shared.jpg"], [".shared.mp4"], [".shared.jpg"]])
def test_copies_are_made_again_from_the_files_alone(
    tmp_path: Path, tape: Tape, lost: list[str]
) -> None:
    told = Told()
    with recorder(tmp_path, tape, told, blur="persons") as recording_:
        feed(recording_, ticks(100, 102.5), PLAN, by_others)
    root, (made,) = tmp_path / "recordings", told.recorded.values()
    clip = root / made.clip
    for suffix in lost:
        clip.with_suffix(suffix).unlink()
    assert share(root, made.clip, "persons") == replace(made, begins_s=None)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files(clip))
    is_covered(clip, root / made.shared)
    image = cv2.imread(str(clip.with_suffix(".shared.jpg")))
    assert image.shape[1] <= recording.WIDTH
    clip.with_suffix(".parquet").unlink()
    with pytest.raises(YololstmError, match="nobody knows who is in it"):
        share(root, made.clip, "persons")


def test_a_damaged_beginning_is_black_and_moves_nothing(tmp_path: Path) -> None:
    source, told = damage(film(tmp_path / "some.mp4")), Told()
    with av.open(str(source)) as container:
        tape = Tape(5.0)
        for packet in container.demux(video=0):
            tape.put(packet, is_timed=True)
            with suppress(av.InvalidDataError):
                for frame in packet.decode():
                    tape.shown(frame.time, 100 + float(frame.time or 0))
    with recorder(tmp_path, tape, told, Record(before_s=5, after_s=0.3), "persons") as recording_:
        feed(recording_, ticks(100.5, 102.5), PLAN)
    root, (made,) = tmp_path / "recordings", told.recorded.values()
    assert made.begins_s == pytest.approx(100)
    rows = storage.read_landmarks(root / made.landmarks)
    assert rows.time_s[0] == pytest.approx(0.5, abs=1e-3)
    copies = [frame.image for frame in video.read(root / made.shared)]
    assert max(image.max() for image in copies[:GOP]) < 30
    same = sum(number(image) == i for i, image in enumerate(copies))
    assert same > 0.6 * (len(copies) - GOP)
    assert all(detail(image[WHO]) < 15 for image in copies)


# --- trouble ---


def test_a_copy_that_cannot_be_made_costs_nothing_else(tmp_path: Path, tape: Tape) -> None:
    told = Told()
    with recorder(tmp_path, tape, told, blur="faces") as recording_:
        (clip,) = (recording_path(tmp_path, one) for one in PLAN[:1])
        clip.with_suffix(".shared.mp4").mkdir(parents=True)
        feed(recording_, ticks(100, 102.5), PLAN)
    (made,) = told.reports
    assert (made.shared, made.is_whole) == ("", False)
    assert {path.suffix for path in files(clip) if path.is_file()} >= {".mp4", ".jpg", ".parquet"}
    (why,) = told.failures
    assert ".shared.mp4" in why


def recording_path(folder: Path, one: tuple[str, float, float, float]) -> Path:
    """Of the clip of what begins so."""
    day = f"{datetime.now().astimezone():%Y-%m-%d}"
    return folder / "recordings/door" / day / f"{change(*one).id}.mp4"


@pytest.mark.parametrize("suffix", [".jpg", ".parquet", ".mp4"])
def test_what_cannot_be_written_costs_none_of_the_others(
    tmp_path: Path, tape: Tape, suffix: str
) -> None:
    told = Told()
    with recorder(tmp_path, tape, told) as recording_:
        clip = recording_path(tmp_path, PLAN[0])
        clip.with_suffix(suffix).mkdir(parents=True)
        feed(recording_, ticks(100, 102.5), PLAN)
    (made,) = told.reports
    (why,) = told.failures
    assert f"{suffix}: " in why
    assert (made.clip == "") == (suffix == ".mp4")
    assert (made.picture == "") == (suffix == ".jpg")
    assert (made.landmarks == "") == (suffix != ".jpg")
    left = {path.name for path in clip.parent.iterdir() if path.is_file()}
    assert left == {Path(path).name for path in (made.clip, made.picture, made.landmarks) if path}


def test_whoever_is_told_may_fail_and_it_ends_all_the_same(tmp_path: Path, tape: Tape) -> None:
    told = Told()

    def fail(event: str, what: object) -> None:
        told.fail(event, str(what))
        raise RuntimeError("journal")

    made = Recorder(tmp_path, "door", tape, SETTINGS, fail, on_failed=fail)
    feed(made, ticks(100, 102.5), PLAN)
    feed(made, [102.6, 102.7], [("raised", 101.5, 102.5, 102.6)])
    made.end()
    assert made.join(PATIENCE_S)
    assert told.failures.count("journal") == 2
    assert len(told.failures) == 4


@pytest.mark.parametrize("step", ["_begin", "_pull", "_finish"])
def test_a_fault_of_ours_does_not_hold_up_the_end(
    tmp_path: Path, tape: Tape, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr(Recorder, step, broken)
    told = Told()
    made = Recorder(tmp_path, "door", tape, SETTINGS, told.record, on_failed=told.fail)
    feed(made, ticks(100, 102.5), PLAN)
    made.end()
    assert made.join(PATIENCE_S)
    assert not told.reports
    assert told.failures == ([] if step == "_pull" else ["ours"])


def test_clips_are_nobody_elses_and_outlive_a_power_cut(
    tmp_path: Path, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = os.fsync

    def note(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    told, at = Told(), list[list[str]]()

    def record(event: str, made: Recorded) -> None:
        at.append(list(synced))
        told.record(event, made)

    made = Recorder(tmp_path, "door", tape, SETTINGS, record, blur="faces")
    feed(made, ticks(100, 102.5), PLAN)
    made.close()
    root = tmp_path / "recordings"
    clip = root / told.reports[0].clip
    for report, before in zip(told.reports, at, strict=True):
        paths = [report.clip, report.picture, report.landmarks, report.shared]
        expected = {root / path for path in paths if path} | {root, *clip.relative_to(root).parents}
        assert {str(root / path) for path in expected} <= set(before)
    assert len(all_files(root)) == 5
    assert {path.stat().st_mode & 0o777 for path in all_files(root)} == {0o600}
    folders = {path.stat().st_mode & 0o777 for path in (root, clip.parent, clip.parent.parent)}
    assert folders == {0o700}


def test_no_more_of_a_frame_is_held_than_its_picture_shows(tmp_path: Path) -> None:
    told, image = Told(), np.zeros((1080, 1920, 3), dtype=np.uint8)
    with recorder(tmp_path, Tape(1.0), told) as recording_:
        shot = Shot(Frame(0, 101.0, image), datetime.now(UTC))
        recording_.feed(moment(shot, 101.0, [change("raised", 100.5, 101.0, 101.0)]))
        told.wait(lambda: recording_._open)
        (open_,) = recording_._open.values()
        told.wait(lambda: open_.picture)
        assert open_.picture is not None
        assert len(open_.picture.jpeg) < 100_000
        assert all(one.image is None for one in open_.seen)


def test_a_clip_that_waits_is_not_tidied_away(tmp_path: Path, tape: Tape) -> None:
    clip = tmp_path / "recordings/door/2026-01-05/a.mp4"
    reel = tape.begin(clip, 100.6, 101.0)
    reel.pull(101.5)
    (spool,) = clip.parent.iterdir()
    keeper = Keeper(tmp_path / "recordings", Record(), lambda event: False, lambda event: None)
    os.utime(spool, (time.time() - 7000,) * 2)
    keeper.tidy()
    assert reel.finish() is not None
    assert check(clip)[1][0] == GOP
    left = tape.begin(clip.with_stem("b"), 100.5, 101.0)
    left.pull(101.5)
    (spool,) = (path for path in clip.parent.iterdir() if path != clip)
    os.utime(spool, (time.time() - 7000,) * 2)
    os.close(left._spool._lock)  # as when it is killed
    left._spool._lock = -1
    keeper.tidy()
    assert not spool.exists()
    left.drop()


# --- files ---


def test_a_file_is_recorded_as_fast_as_it_is_watched(tmp_path: Path) -> None:
    source, told = film(tmp_path / "some.mp4"), Told()
    with (
        streams.open(str(source), 10) as stream,
        recorder(tmp_path / "site", stream.packets(0.3), told, blur="faces") as recording_,
    ):
        left = [*ONE, ("raised", 2.5, 2.9, 2.9)]
        for shot in stream:
            assert shot is not None
            frame_s = shot.frame.time_s
            due = [change(*one) for one in left if one[3] <= frame_s]
            left = [one for one in left if one[3] > frame_s]
            recording_.feed(moment(shot, frame_s, due))
        recording_.feed(moment(None, frame_s, [change("ended", 2.5, 2.9, frame_s)]))
    assert not told.failed
    spans = [check(tmp_path / "site/recordings" / made.clip)[1] for made in told.recorded.values()]
    assert [numbers[0] for numbers in spans] == [0, 40]
    assert [numbers[-1] for numbers in spans] == pytest.approx([34, 59], abs=3)
    assert all(made.shared for made in told.recorded.values())
