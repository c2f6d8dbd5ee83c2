from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from yololstm import drawing, models, video
from yololstm.clips import NORMAL
from yololstm.drawing import Status
from yololstm.errors import VideoError
from yololstm.events import Rule
from yololstm.inference import Classifier, Predictions
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.rendering import Annotation, annotate, replay
from yololstm.running import summary
from yololstm.scaling import BodyScaling
from yololstm.skeleton import N_JOINTS
from yololstm.trained import TorchNetwork
from yololstm.video import Frame
from yololstm.windows import WindowSpec

LABELS = ("theft", "assault", NORMAL)
SPEC = WindowSpec(fps=5.0, length=10, hop=5, max_gap_s=1.0, min_valid=0.5)
RULE = Rule({"theft": 0.5})
WIDTH, HEIGHT = 320, 240
GREY = 110


def write_video(path: Path, n: int, fps: Fraction) -> Path:
    with video.writing(path, fps, WIDTH, HEIGHT) as writer:
        for _ in range(n):
            writer.write(np.full((HEIGHT, WIDTH, 3), GREY, dtype=np.uint8))
    return path


def figure(x: float, y: float = 120.0) -> np.ndarray:
    """(13, 2) a figure 60 pixels wide, 100 high."""
    rng = np.random.default_rng(3)
    return (rng.uniform(-1, 1, (N_JOINTS, 2)) * (30, 50) + (x, y)).astype(np.float32)


def landmarks(
    frames: Sequence[int],
    *,
    fps: Fraction,
    file_fps: Fraction | None = None,
    n_frames: int,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> Landmarks:
    """One person who stands at (100, 120)."""
    n = len(frames)
    xy = np.repeat(figure(100.0)[None], n, axis=0)
    box = np.tile(np.array([60, 60, 140, 180], dtype=np.float32), (n, 1))
    return Landmarks(
        frame=np.array(frames, dtype=np.int32),
        time_s=np.array([frame / (file_fps or fps) for frame in frames], dtype=np.float64),
        category=np.full(n, Category.PERSON, dtype=np.uint8),
        track=np.ones(n, dtype=np.int32),
        score=np.ones(n, dtype=np.float32),
        box=box,
        xy=xy,
        confidence=np.ones((n, N_JOINTS), dtype=np.float32),
        source=Source(*size, fps, n_frames, "test"),
    )


def annotation(
    seen: Landmarks, *, theft: Sequence[float] = (0.9,), hop_s: float = 1.0, **changes: object
) -> Annotation:
    p = np.array(theft, dtype=np.float32)
    predictions = Predictions(
        track=np.ones(len(p), dtype=np.int32),
        start_s=np.arange(len(p), dtype=np.float64) * hop_s,
        probability=np.stack([p, np.zeros_like(p), 1 - p], axis=1),
    )
    return Annotation(seen, predictions, LABELS, SPEC, RULE, **changes)  # type: ignore[arg-type]


def decoded(path: Path) -> list[Frame]:
    return list(video.read(path))


def count_of(image: np.ndarray, colour: drawing.Colour, tolerance: int = 40) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=-1) < tolerance).sum())


BODY = np.s_[62:178, 62:138]
THEFT = drawing.palette(LABELS)["theft"]


def test_every_frame_is_there_in_size_and_rate_with_the_skeleton_where_it_was_seen(
    tmp_path: Path,
) -> None:
    fps = Fraction(5)
    path = write_video(tmp_path / "in.mp4", 15, fps)
    seen = landmarks(range(5, 10), fps=fps, n_frames=15)
    calls: list[int] = []
    annotate(path, annotation(seen), tmp_path / "out.mp4", on_frame=lambda: calls.append(1))

    frames = decoded(tmp_path / "out.mp4")
    assert video.probe(tmp_path / "out.mp4") == video.VideoInfo(fps, 15, WIDTH, HEIGHT)
    assert len(frames) == len(calls) == 15
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(15) / 5, atol=1e-3)
    with_body = [i for i, f in enumerate(frames) if count_of(f.image[BODY], THEFT) > 100]
    assert with_body == list(range(5, 10))


def test_the_result_plays_in_a_browser_while_it_loads(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in.mp4", 5, Fraction(5))
    annotate(path, annotation(landmarks([0], fps=Fraction(5), n_frames=5)), tmp_path / "out.mp4")
    content = (tmp_path / "out.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in.mp4", 6, Fraction(5))
    seen = landmarks(range(6), fps=Fraction(5), n_frames=6)
    for name in ("a.mp4", "b.mp4"):
        annotate(path, annotation(seen), tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_frames_that_were_not_looked_at_are_not_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in.mp4", 30, Fraction(15))
    seen = landmarks(range(0, 30, 3), fps=Fraction(5), file_fps=Fraction(15), n_frames=30)
    annotate(path, annotation(seen), tmp_path / "out.mp4")
    frames = decoded(tmp_path / "out.mp4")
    assert len(frames) == 10
    assert frames[-1].time_s == pytest.approx(1.8)
    assert all(count_of(frame.image[BODY], THEFT) > 100 for frame in frames)


def test_time_runs_as_in_a_source_whose_rate_varies(tmp_path: Path) -> None:
    """Frames at 0, 1, 2, then after a pause at 7, 8 and 8.02 tenths of a second."""
    path, due = tmp_path / "in.mp4", [0, 100, 200, 700, 800, 802, 1000]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for i, pts in enumerate(due):
            image = np.full((HEIGHT, WIDTH, 3), 30 + 30 * i, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert [round(f.time_s * 1000) for f in video.read(path)] == due

    seen = landmarks([], fps=Fraction(10), n_frames=7)
    annotate(path, annotation(seen), tmp_path / "out.mp4")
    shown = [
        round((float(f.image[60:100, 60:100].mean()) - 30) / 30)
        for f in decoded(tmp_path / "out.mp4")
    ]
    assert shown == [0, 1, 2, 2, 2, 2, 2, 3, 4, 4, 6]


def test_a_video_cut_short_leaves_what_was_there(tmp_path: Path) -> None:
    path = write_video(tmp_path / "in.mp4", 30, Fraction(10))
    path.write_bytes(path.read_bytes()[:-200])
    out = tmp_path / "out" / "out.mp4"
    out.parent.mkdir()
    out.write_bytes(b"before")
    with pytest.raises(VideoError, match=r"in\.mp4"):
        annotate(path, annotation(landmarks([0], fps=Fraction(10), n_frames=30)), out)
    assert [p.name for p in out.parent.iterdir()] == ["out.mp4"]
    assert out.read_bytes() == b"before"


def test_a_replay_needs_no_video_and_is_at_most_1280_wide(tmp_path: Path) -> None:
    fps = Fraction(3)
    seen = landmarks([2, 3, 4], fps=fps, n_frames=9, size=(2560, 1920))
    replay(annotation(replace(seen, xy=seen.xy + 400, box=seen.box + 400)), tmp_path / "out.mp4")
    frames = decoded(tmp_path / "out.mp4")
    assert video.probe(tmp_path / "out.mp4") == video.VideoInfo(fps, 9, 1280, 960)
    body = [count_of(f.image[232:288, 232:268], THEFT, 60) for f in frames]
    assert [i for i, n in enumerate(body) if n > 30] == [2, 3, 4]
    assert frames[0].image[100:800].mean() < 50


def test_a_replay_finds_rows_whose_numbers_are_not_its_own(tmp_path: Path) -> None:
    """Old CSVs number the frames of a 30 fps source and keep every tenth."""
    seen = landmarks([0, 10, 20], fps=Fraction(3), file_fps=Fraction(30), n_frames=3)
    replay(annotation(seen), tmp_path / "out.mp4")
    frames = decoded(tmp_path / "out.mp4")
    assert [count_of(f.image[BODY], THEFT) > 100 for f in frames] == [True] * 3


@pytest.mark.parametrize(
    "theft",
    [(0.1, 0.1, 0.9, 0.9), (0.3, 0.9, 0.985, 0.96, 0.6), (0.1,) * 4, (0.99, 0.1, 0.1, 0.7, 0.98)],
)
def test_what_is_drawn_is_what_is_reported(theft: tuple[float, ...]) -> None:
    """Whatever the windows around it say, and however low their mean is."""
    seen = landmarks(range(35), fps=Fraction(5), n_frames=35)
    a = replace(annotation(seen, theft=theft), rule=Rule({"theft": 0.978}))
    reported = summary(a)["events"]
    timeline = a.timeline(7.0).statuses
    for frame in range(35):
        time_s = (frame + 0.5) / 5
        now = [e for e in reported if e["start_s"] <= time_s < e["end_s"]]
        otherwise = Status(NORMAL) if time_s < len(theft) + 2 else None
        expected = Status(now[0]["label"], now[0]["probability"]) if now else otherwise
        scene, part = a.scene(frame, time_s), timeline[int(time_s / 7 * 1000)]
        assert scene.status == scene.persons[0].status == expected
        assert (part and part.label) == (expected and expected.label)


def test_an_event_is_drawn_from_its_start_over_its_gaps_to_its_end() -> None:
    seen = landmarks(range(60), fps=Fraction(5), n_frames=60)
    rule = Rule({"theft": 0.8}, min_s=2.5, merge_gap_s=5.0)
    a = replace(annotation(seen, theft=(0.1, 0.9, 0.9)), rule=rule)
    again = Predictions(
        np.ones(4, dtype=np.int32),
        np.array([0.0, 1.0, 2.0, 8.5]),
        np.array([[p, 0, 1 - p] for p in (0.1, 0.9, 0.9, 0.95)], dtype=np.float32),
    )
    a = replace(a, predictions=again)
    (event,) = a.events
    assert (event.start_s, event.raised_s, event.end_s) == (1.0, 4.0, 10.5)
    labels = [status and status.label for status in (a.scene(f, f / 5).status for f in range(60))]
    assert labels == [NORMAL] * 5 + ["theft"] * 48 + [NORMAL] * 5 + [None] * 2
    heights = [round(s.probability or 0, 2) for s in a.timeline(12.0).statuses if s]
    assert {0.5, 0.9, 0.95} <= set(heights) <= {0, 0.5, 0.9, 0.95}


def test_nobody_else_has_the_label() -> None:
    one = landmarks(range(10), fps=Fraction(5), n_frames=10)
    both = [one, replace(one, track=np.full(10, 2, dtype=np.int32))]
    p = Predictions(
        track=np.array([1, 2], dtype=np.int32),
        start_s=np.array([0.0, 0.0]),
        probability=np.array([[0.1, 0, 0.9], [0, 0.8, 0.2]], dtype=np.float32),
    )
    merged = Landmarks.concatenate(both, one.source)
    order = np.argsort(merged.frame, kind="stable")
    a = Annotation(merged[order], p, LABELS, SPEC, RULE)
    scene = a.scene(3, 0.6)
    labels = {person.track: person.status and person.status.label for person in scene.persons}
    assert labels == {1: NORMAL, 2: "assault"}
    assert scene.status == scene.persons[1].status


def test_of_two_labels_at_once_the_surer_is_drawn() -> None:
    seen = landmarks([0], fps=Fraction(5), n_frames=1)
    p = Predictions(
        np.ones(2, dtype=np.int32),
        np.array([0.0, 4.0]),
        np.array([[0.6, 0.4, 0], [0.3, 0.7, 0]], dtype=np.float32),
    )
    a = Annotation(seen, p, LABELS, SPEC, Rule({"theft": 0.2, "assault": 0.2}, leave=0))
    assert [(e.label, e.start_s) for e in a.events][:2] == [("theft", 0.0), ("assault", 0.0)]
    status = a.scene(0, 0.0).status
    assert status is not None
    assert status.label == "theft"
    labels = [s.label for s in a.timeline(6.0).statuses if s]
    assert (labels[0], labels[-1]) == ("theft", "assault")


def test_an_event_is_seen_in_the_timeline_of_a_whole_day() -> None:
    seen = landmarks([0], fps=Fraction(5), n_frames=86400 * 5)
    statuses = annotation(seen).timeline(86400.0).statuses
    assert [s.label for s in statuses if s and s.label != NORMAL] == ["theft"]


def test_a_person_without_windows_has_no_label() -> None:
    a = annotation(landmarks([0], fps=Fraction(5), n_frames=1), theft=())
    scene = a.scene(0, 0.0)
    assert [p.status for p in scene.persons] == [None]
    assert scene.status is None
    assert set(a.timeline(1.0).statuses) == {None}


def test_where_normal_is_no_label_nobody_is_called_so() -> None:
    a = annotation(landmarks([0], fps=Fraction(5), n_frames=1), theft=(0.1,))
    p = replace(a.predictions, probability=a.predictions.probability[:, :2])
    scene = replace(a, predictions=p, labels=LABELS[:2]).scene(0, 0.0)
    assert (scene.status, scene.persons[0].status) == (None, None)


def test_an_annotation_says_what_its_classifier_says() -> None:
    model = models.build("bilstm", len(LABELS)).eval()
    classifier = Classifier(TorchNetwork(model), BodyScaling(), SPEC, LABELS, rule=RULE)
    seen = landmarks(range(40), fps=Fraction(5), n_frames=40)
    a = Annotation.of(seen, classifier, [])
    expected = classifier.classify(seen)
    assert len(expected) > 2
    np.testing.assert_array_equal(a.predictions.probability, expected.probability)
    assert a.window_s == 2.0
    assert a.rule == RULE
