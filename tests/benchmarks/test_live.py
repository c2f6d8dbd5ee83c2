"""What is made of films and times, and a moment of watching; the whole takes most of an hour."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import live
from benchmarks.live import Strips, Task, Watched
from tests import told
from tests.live import program
from tests.people import FIGURE, LABELS, landmarks
from yololstm import video
from yololstm.clips import Span
from yololstm.errors import YololstmError
from yololstm.events import Event, Rule
from yololstm.inference import Classifier
from yololstm.scaling import BodyScaling
from yololstm.skeleton import JOINTS
from yololstm.storage import write_json
from yololstm.windows import WindowSpec

HEIGHT, WIDTH = 90, 320
BLUE = (0, 0, 255)


@pytest.fixture
def strips() -> Strips:
    """A blue thing that goes to the right."""
    images, middle = [], [40 + 6.0 * i for i in range(10)]
    for at in map(round, middle):
        image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
        image[:, at - 12 : at + 12] = BLUE
        images.append(image)
    return Strips(images, middle)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_the_person_stands_there_so_many_times(strips: Strips, number: int, tmp_path: Path) -> None:
    live.compose(tmp_path / "film.mp4", strips, number, (640, 360))
    frames = list(video.read(tmp_path / "film.mp4"))
    assert len(frames) == 20
    for frame in frames:
        assert frame.image.shape == (360, 640, 3)
        is_blue = frame.image[180, :, 2] > 128
        assert (np.diff(is_blue.astype(int)) == 1).sum() == number
        assert 0.8 < is_blue.sum() / (24 * 4 * number) < 1.2


def test_a_film_goes_on_without_a_break(strips: Strips, tmp_path: Path) -> None:
    live.compose(tmp_path / "film.mp4", strips, 2, (320, 180))
    long = live.looped(tmp_path / "film.mp4", tmp_path / "long.mp4", 5.0)
    once, often = (list(video.read(tmp_path / name)) for name in ("film.mp4", "long.mp4"))
    assert video.probe(long).fps == live.FPS
    assert len(often) == 3 * len(once)
    np.testing.assert_allclose([f.time_s for f in often], np.arange(60) / live.FPS, atol=1e-3)
    for one, other in zip(once, often[20:40], strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def watched(minutes: np.ndarray, resident: np.ndarray) -> Watched:
    looked = list(zip(minutes.tolist(), resident.tolist(), strict=True))
    return Watched(9.5, [0.1, 0.2, 0.3], 2.0, 0.05, looked)


def test_growth_is_that_after_the_caches_are_filled() -> None:
    minutes = np.arange(31.0)
    flat = live.memory(watched(minutes, np.where(minutes < 3, 1000, 1200)))
    assert flat["growth, MB an hour"] == pytest.approx(0, abs=1e-6)
    assert (flat["MB at the first look"], flat["MB at the last"]) == (1000, 1200)
    grows = live.memory(watched(minutes, 1000 + 2 * minutes))
    assert grows["growth, MB an hour"] == pytest.approx(120)
    assert grows["MB at most"] == 1060


def test_what_is_told_of_watching() -> None:
    done = watched(np.zeros(1), np.ones(1))
    assert live.told(done, realtime=False) == {"frames a second": 9.5, "persons found a frame": 2}
    figures = list(live.told(done, realtime=True).values())
    assert figures == pytest.approx([200, 290, 5])


def test_one_window_after_the_other_tells_later() -> None:
    """Of arms that go up after 10 s. One of the windows that half of is after it is enough."""
    wrist = 2 * JOINTS.index("WRIST_LEFT") + 1

    def network(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        up = (x[:, :, wrist] < -0.5).mean(axis=1) >= 0.5
        return np.where(up[:, None], np.float32([9, 0, 0, 0]), np.float32([0, 0, 0, 9]))

    spec = WindowSpec(fps=3, length=12, hop=3, max_gap_s=1.0, min_valid=0.5)
    rule = Rule(dict.fromkeys(LABELS, 0.5))
    classifier = Classifier(network, BodyScaling(), spec, LABELS, rule=rule)
    times = np.arange(90) / 3
    xy = np.tile(FIGURE * 90 + (640, 300), (len(times), 1, 1))
    xy[times >= 10, JOINTS.index("WRIST_LEFT"), 1] -= 200
    seen = landmarks({1: (times, xy)})
    delays = {}
    for hop in (3, 12):
        one = live.with_hop(classifier, hop)
        assert one.spec == replace(spec, hop=hop)
        starts = np.arange(12) / 3
        told_s = [live.told_after(one, Span(10, 20, "theft"), seen, at) for at in starts]
        delays[hop] = np.array(told_s, dtype=float)
        assert live.told_after(one, Span(10, 20, "damage"), seen, 0.0) is None
    # The sixth step is the half; from then on it is told with the next window.
    assert delays[3].min() == delays[12].min() == pytest.approx(5 / 3)
    assert delays[3].max() == pytest.approx(7 / 3)
    assert delays[12].max() == pytest.approx(16 / 3)


def test_acts_of_which_none_is_told_have_no_delays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nothing(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return np.tile(np.float32([0, 0, 0, 9]), (len(x), 1))

    spec = WindowSpec(fps=3, length=12, hop=3, max_gap_s=1.0, min_valid=0.5)
    classifier = Classifier(nothing, BodyScaling(), spec, LABELS)
    times = np.arange(30) / 3
    seen = landmarks({1: (times, np.tile(FIGURE * 90 + (640, 300), (len(times), 1, 1)))})
    clip = SimpleNamespace(split="test", clip_id="one", spans=[Span(2, 8, "theft")])
    monkeypatch.setattr(live.storage, "read_clips", lambda *_: [clip])
    monkeypatch.setattr(live.storage, "read_landmarks", lambda _: seen)
    rows = live.until_told(classifier)
    write_json(tmp_path / "rows.json", rows)
    assert [figure for what, figure in rows.items() if "told, %" in what] == [0, 0]
    assert not any("act to alarm" in what for what in rows)
    assert live.told(Watched(0.0, [], 0.0, 0.0, []), realtime=True) == {}
    assert live.memory(Watched(0.0, [], 0.0, 0.0, [])) == {}


def test_what_is_missing_is_told_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(live, "_somebody", lambda: (told.settings(Path("none")), []))
    monkeypatch.setattr(live, "cut", lambda *_: pytest.fail("it measures"))
    with pytest.raises(YololstmError, match="checkpoint"):
        live.measure(30)


def test_events_are_alike_but_for_rounding() -> None:
    one = Event("theft", 1, 0.0, 2.0, 0.9, 2.0)
    assert live.alike([one], [replace(one, probability=0.90001)])
    assert not live.alike([one], [replace(one, end_s=2.5)])
    assert not live.alike([one], [replace(one, track=2)])
    assert not live.alike([one], [])


def test_a_moment_of_watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "WARM", 2)
    folder = program.lay_out(tmp_path)
    still = list(video.read(folder / "spotted.mp4"))[12].image
    with video.writing(tmp_path / "still.mp4", Fraction(live.FPS), 1280, 720) as writer:
        for _ in range(40):
            writer.write(still)
    settings = replace(told.settings(folder / "data/detector/weights.pt"), fps=float(live.FPS))
    checkpoint = folder / "data/checkpoint.safetensors"
    task = Task(tmp_path / "still.mp4", settings, checkpoint, 1.0, realtime=True, every_s=0.1)
    done = live.watch(task)
    assert done.persons == 1
    assert 0 < done.fps <= 2 * live.FPS
    assert all(0 < delay < 60 for delay in done.delay_s)
    assert 0 <= done.dropped < 1
    assert len(done.resident) > 1
    assert all(100 < resident < 10_000 for _, resident in done.resident)
