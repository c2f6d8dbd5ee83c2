from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import drawn
from tests.extracting import blind_detector
from tests.told import BAG, Told, person_boxes, write_video
from tests.told import filmed as film
from tests.told import settings as told_settings
from yololstm import sight, storage, video
from yololstm.agreement import Agreement, agreement
from yololstm.clips import Clip
from yololstm.errors import ParamsError, VideoError, WeightsError
from yololstm.extractor import Extractor
from yololstm.landmarks import Landmarks
from yololstm.settings import ExtractionSettings
from yololstm.skeleton import torso_length


@pytest.fixture
def settings(tmp_path: Path) -> ExtractionSettings:
    return told_settings(tmp_path / "weights.pt")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tree")


@pytest.fixture(scope="module")
def filmed(tree: Path) -> tuple[Clip, Landmarks]:
    return film(tree)


@pytest.fixture
def clip(filmed: tuple[Clip, Landmarks]) -> Clip:
    return filmed[0]


@pytest.fixture
def truth(filmed: tuple[Clip, Landmarks]) -> Landmarks:
    return filmed[1]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    def tell(frames: list[list[list[float]]], score: float = 0.9) -> None:
        monkeypatch.setattr(sight, "Detector", lambda *_: Told(frames, score))

    return tell


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> ExtractionSettings:
    """Nobody is seen, by a real detector."""
    return told_settings(blind_detector(tmp_path_factory.mktemp("blind")))


@pytest.fixture
def empty_shop(tmp_path: Path) -> Path:
    grey = np.full((120, 160, 3), 100, dtype=np.uint8)
    return write_video(tmp_path / "empty.mp4", [grey] * 6)


def test_landmarks_of_a_clip(
    told: Any, settings: ExtractionSettings, tree: Path, clip: Clip, truth: Landmarks
) -> None:
    frames = [[*boxes, BAG] for boxes in person_boxes(truth)]
    told(frames)
    seen: list[None] = []
    with Extractor(settings) as extractor:
        found = extractor.extract(tree / clip.path, on_frame=lambda: seen.append(None))
    people, bags = found.persons(), found.bags()
    assert len(seen) == found.source.n_frames == clip.n_frames == len(frames)
    assert (found.source.width, found.source.height, found.source.fps) == (1280, 720, clip.fps)
    assert len(people) == len(truth)
    assert len(bags) == len(frames)
    assert set(people.track) == {1}
    assert set(bags.track) == {1}
    assert np.isnan(bags.xy).all()
    assert not bags.confidence.any()
    order = np.lexsort((found.track, found.category, found.frame))
    np.testing.assert_array_equal(order, np.arange(len(found)))
    np.testing.assert_allclose(found.time_s, found.frame / float(clip.fps), atol=1e-6)
    agrees = agreement(found, truth).report()
    assert agrees["found_share"] == 1.0
    assert agrees["pck02"] > 0.8  # type: ignore[operator]


def test_source_names_versions_and_no_path(blind: ExtractionSettings, empty_shop: Path) -> None:
    with Extractor(blind) as extractor:
        backend = extractor.extract(empty_shop).source.backend
    pose, detector, tracker = backend.split("; ")
    assert pose == "mediapipe 0.10.31 pose_landmarker_full ce0cd48f"
    assert detector.startswith("ultralytics 8.")
    assert "weights.pt" in detector
    assert tracker.startswith("bytetrack ")
    assert "/" not in backend


@pytest.mark.parametrize("every", [1, 4])
def test_nobody_in_the_clip(blind: ExtractionSettings, empty_shop: Path, every: int) -> None:
    seen: list[None] = []
    with Extractor(replace(blind, detect_every=every)) as extractor:
        found = extractor.extract(empty_shop, on_frame=lambda: seen.append(None))
    assert len(found) == 0
    assert found.source.n_frames == len(seen) == 6


def test_frames_looked_at(told: Any, settings: ExtractionSettings, empty_shop: Path) -> None:
    told([[[10.0, 10, 60, 100]]] * 6)
    with Extractor(replace(settings, fps=1.0)) as extractor:
        found = extractor.extract(empty_shop)
    assert found.source.fps == 1
    assert found.source.n_frames == 2
    assert found.frame.tolist() == [0, 3]


def test_rate_beyond_the_video_is_every_frame(blind: ExtractionSettings, empty_shop: Path) -> None:
    with Extractor(replace(blind, fps=30.0)) as extractor:
        source = extractor.extract(empty_shop).source
    assert (source.fps, source.n_frames) == (3, 6)


def test_only_the_largest_get_landmarks(
    told: Any, settings: ExtractionSettings, tmp_path: Path
) -> None:
    image, box = drawn.still()
    large, small = box[0].tolist(), [600.0, 10.0, 630.0, 70.0]
    told([[small, large, BAG]] * 2)
    path = write_video(tmp_path / "still.mp4", [image] * 2)
    with Extractor(replace(settings, max_persons=1)) as extractor:
        found = extractor.extract(path)
    people = found.persons()
    assert len(people) == 4
    posed = np.isfinite(people.xy).any(axis=(1, 2))
    np.testing.assert_array_equal(posed, people.box[:, 0] < 500)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_tracks_of_one_look_are_left_out(
    told: Any, settings: ExtractionSettings, empty_shop: Path, every: int
) -> None:
    stays, flickers = [10.0, 10, 60, 100], [100.0, 10, 140, 100]
    told([[stays], [stays, flickers], [stays], [stays], [stays], [stays]][: 6 // every])
    with Extractor(replace(settings, detect_every=every)) as extractor:
        found = extractor.extract(empty_shop)
    assert found.track.tolist() == [1] * 6


@pytest.mark.parametrize("every", [6, 9])
def test_one_look_at_a_clip_is_not_enough(
    told: Any, settings: ExtractionSettings, empty_shop: Path, every: int
) -> None:
    told(walk(1, 4.0))
    with Extractor(replace(settings, detect_every=every)) as extractor:
        found = extractor.extract(empty_shop)
    assert (len(found), found.source.n_frames) == (0, 6)


def test_unsure_boxes_are_left_out(
    told: Any, settings: ExtractionSettings, empty_shop: Path
) -> None:
    told([[[10.0, 10, 60, 100]]] * 6, score=0.3)
    with Extractor(settings) as extractor:
        assert len(extractor.extract(empty_shop)) == 0


def test_clips_do_not_share_tracks(
    told: Any, settings: ExtractionSettings, empty_shop: Path
) -> None:
    told([[[10.0, 10, 60, 100]]] * 12)
    with Extractor(settings) as extractor:
        tracks = [set(extractor.extract(empty_shop).track) for _ in range(2)]
    assert tracks == [{1}, {1}]


def test_same_clip_gives_the_same_bytes(
    told: Any,
    settings: ExtractionSettings,
    tree: Path,
    clip: Clip,
    truth: Landmarks,
    tmp_path: Path,
) -> None:
    told(person_boxes(truth)[::3] * 2)
    with Extractor(replace(settings, fps=1.0)) as extractor:
        for name in ("first", "second"):
            found = extractor.extract(tree / clip.path)
            assert len(found) > 4
            storage.write_landmarks(tmp_path / f"{name}.parquet", found)
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("content", [b"", b"not a video", None])
def test_file_that_is_no_video(
    blind: ExtractionSettings, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "bad.mp4").write_bytes(content)
    with Extractor(blind) as extractor, pytest.raises(VideoError, match=r"bad\.mp4"):
        extractor.extract(tmp_path / "bad.mp4")


def test_video_cut_short(blind: ExtractionSettings, tree: Path, clip: Clip, tmp_path: Path) -> None:
    content = (tree / clip.path).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with Extractor(blind) as extractor, pytest.raises(VideoError, match="cut short"):
        extractor.extract(tmp_path / "cut.mp4")
    assert not any(thread.name.startswith("decode") for thread in threading.enumerate())


# --- frames that the detector leaves out ---


def walk(n: int, step: float) -> list[list[list[float]]]:
    return [[[10 + step * i, 10, 50 + step * i, 100]] for i in range(n)]


@pytest.mark.parametrize("every", [2, 3, 4, 5])
def test_persons_are_on_their_way_where_the_detector_does_not_look(
    told: Any, settings: ExtractionSettings, empty_shop: Path, every: int
) -> None:
    looks = walk(6, 4.0)[::every]
    told(looks)  # and no look more
    with Extractor(replace(settings, detect_every=every)) as extractor:
        found = extractor.extract(empty_shop)
    assert found.frame.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.track.tolist() == [1] * 6
    last = every * (len(looks) - 1)
    np.testing.assert_allclose(found.box[:, 0], [10 + 4.0 * min(i, last) for i in range(6)])
    np.testing.assert_array_equal(np.isfinite(found.score), found.frame % every == 0)


@pytest.mark.parametrize(
    ("times", "left"),
    [
        ([0.0, 0.1, 0.2, 1.0, 2.5, 3.0], [10, 11, 12, 20, 20, 20]),
        ([0.0, 0.0, 0.0, 0.0, 2.5, 3.0], [10, 10, 10, 20, 20, 20]),
    ],
)
def test_persons_are_on_their_way_by_the_clock(
    told: Any,
    settings: ExtractionSettings,
    empty_shop: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: list[float],
    left: list[float],
) -> None:
    told(walk(2, 10.0))
    read = video.read

    def unevenly(*args: Any) -> Iterator[video.Frame]:
        for frame, time_s in zip(read(*args), times, strict=True):
            yield replace(frame, time_s=time_s)

    monkeypatch.setattr(video, "read", unevenly)
    with Extractor(replace(settings, detect_every=3)) as extractor:
        found = extractor.extract(empty_shop)
    assert found.time_s.tolist() == times
    np.testing.assert_allclose(found.box[:, 0], left)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_scores_of_looks_alone_are_stored(
    told: Any, settings: ExtractionSettings, empty_shop: Path, tmp_path: Path, suffix: str
) -> None:
    told(walk(3, 4.0))
    with Extractor(replace(settings, detect_every=2)) as extractor:
        found = extractor.extract(empty_shop)
    storage.write_landmarks(tmp_path / f"found.{suffix}", found)
    again = storage.read_landmarks(tmp_path / f"found.{suffix}")
    assert np.isnan(again.score).tolist() == [False, True] * 3


def test_persons_on_their_way_have_landmarks(
    told: Any, settings: ExtractionSettings, tree: Path, clip: Clip, truth: Landmarks
) -> None:
    told([[*boxes, BAG] for boxes in person_boxes(truth)][::2])
    with Extractor(replace(settings, detect_every=2)) as extractor:
        found = extractor.extract(tree / clip.path)
    assert len(found.bags()) == found.source.n_frames == clip.n_frames
    order = np.lexsort((found.track, found.category, found.frame))
    np.testing.assert_array_equal(order, np.arange(len(found)))
    agrees = agreement(found, truth).report()
    assert agrees["found_share"] > 0.9  # type: ignore[operator]
    assert agrees["pck02"] > 0.8  # type: ignore[operator]


@pytest.mark.parametrize("every", [1, 2])
def test_batches_change_nothing(
    told: Any, settings: ExtractionSettings, empty_shop: Path, every: int
) -> None:
    found = []
    for batch in (1, 2, 4, 16):
        told(walk(6, 4.0)[::every])
        with Extractor(replace(settings, detect_every=every)) as extractor:
            extractor._batch = batch
            found.append(extractor.extract(empty_shop))
    for other in found[1:]:
        np.testing.assert_array_equal(other.frame, found[0].frame)
        np.testing.assert_array_equal(other.box, found[0].box)


def test_network_that_finds_joints_with_persons_looks_at_every_frame(
    settings: ExtractionSettings,
) -> None:
    both = replace(settings, weights=None, backend="yolo-pose", detect_every=2)
    with pytest.raises(ParamsError, match=r"extract\.detect_every"):
        Extractor(both)


def test_somebody_must_find_the_persons(settings: ExtractionSettings) -> None:
    with pytest.raises(ParamsError, match="mediapipe finds no persons"):
        Extractor(replace(settings, weights=None))


# --- memory ---

PEAK = """
import sys
from dataclasses import replace
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tests.told import Told, settings
from yololstm import sight
from yololstm.extractor import Extractor
sight.Detector = lambda *_: Told([[[100.0, 20, 300, 340]]] * 1000)
every = int(sys.argv[1])
with Extractor(replace(settings(Path("told")), detect_every=every)) as extractor:
    for path in sys.argv[2:]:
        found = extractor.extract(Path(path))
        print(found.source.n_frames, len(found), getrusage(RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.parametrize("every", [1, 5])
def test_memory_does_not_grow_with_the_video(tmp_path: Path, every: int) -> None:
    """Twenty frames, then as many as would be 100 MB."""
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    short = write_video(tmp_path / "short.mp4", [noise] * 20)
    long = write_video(tmp_path / "long.mp4", [noise] * 150)
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(every), str(short), str(long)],
        **{"cwd": drawn.ROOT, "capture_output": True, "text": True, "timeout": 300},
    )
    assert done.returncode == 0, done.stderr
    first, second = (line.split() for line in done.stdout.splitlines())
    assert (first[:2], second[:2]) == (["20", "20"], ["150", "150"])
    assert float(second[2]) - float(first[2]) < 10


@pytest.mark.parametrize("every", [1, 5, 12])
def test_frames_that_were_looked_at_are_let_go(
    told: Any, settings: ExtractionSettings, tmp_path: Path, every: int, monkeypatch: Any
) -> None:
    grey = np.full((120, 160, 3), 100, dtype=np.uint8)
    path = write_video(tmp_path / "grey.mp4", [grey] * 48)
    told([[[10.0, 10, 60, 100]]] * 48)
    read, images, alive = video.read, [], []

    def count() -> None:
        alive.append(sum(image() is not None for image in images))

    def watched(*args: Any) -> Iterator[video.Frame]:
        for frame in read(*args):
            images.append(weakref.ref(frame.image))
            count()
            yield frame

    monkeypatch.setattr(video, "read", watched)
    with Extractor(replace(settings, detect_every=every)) as extractor:
        extractor._batch = 1
        extractor.extract(path, on_frame=count)
    assert len(images) == 48
    assert max(alive) <= every + 6


def test_absent_weights(settings: ExtractionSettings) -> None:
    with pytest.raises(WeightsError, match="no such weights"):
        Extractor(settings)


# --- real material ---


@pytest.fixture(scope="module")
def real_settings(real_data: Path) -> ExtractionSettings:
    drawn.needs_openvino()
    return ExtractionSettings(
        weights=real_data / "models" / "yolo11n_int8_openvino_model",
        pose_model=drawn.pose_model(),
        backend="mediapipe",
        fps=1.0,
        max_persons=6,
        imgsz=640,
        min_confidence=0.4,
    )


@pytest.fixture(scope="module")
def shop(real_data: Path, real_settings: ExtractionSettings) -> Iterator[dict[Path, Landmarks]]:
    """Real clips of shops, every third frame of each."""
    clips = sorted((real_data / "data" / "aihub_clips").glob("*.mp4"))
    with Extractor(real_settings) as extractor:
        yield {path: extractor.extract(path) for path in clips}


def test_real_persons_have_landmarks(shop: dict[Path, Landmarks]) -> None:
    people = [landmarks.persons() for landmarks in shop.values()]
    posed = sum(int(np.isfinite(each.xy).any(axis=(1, 2)).sum()) for each in people)
    assert posed >= 0.95 * sum(len(each) for each in people) > 95


@pytest.fixture(scope="module")
def at_once(real_data: Path, real_settings: ExtractionSettings) -> ExtractionSettings:
    """Persons and joints by one network, every sixth frame: it takes its time."""
    model = real_data / "models" / "yolov8n-pose_int8_openvino_model"
    return replace(
        real_settings,
        **{"weights": None, "pose_model": model, "backend": "yolo-pose"},
        **{"fps": 0.5, "min_confidence": 0.5},
    )


@pytest.fixture(scope="module")
def shop_at_once(at_once: ExtractionSettings, shop: dict[Path, Landmarks]) -> dict[Path, Landmarks]:
    with Extractor(at_once) as extractor:
        return {path: extractor.extract(path) for path in shop}


def test_both_ways_to_look_agree(
    shop: dict[Path, Landmarks], shop_at_once: dict[Path, Landmarks]
) -> None:
    total = Agreement()
    for path, landmarks in shop_at_once.items():
        of_the_video = replace(landmarks.source, fps=Fraction(3))
        total += agreement(shop[path], replace(landmarks, source=of_the_video))
    assert total.person_frames > 40
    assert total.right >= 0.8 * total.joints


def test_only_the_largest_keep_landmarks_that_are_there_anyway(
    at_once: ExtractionSettings, shop_at_once: dict[Path, Landmarks]
) -> None:
    path = max(shop_at_once, key=lambda path: len(shop_at_once[path]))
    everybody = shop_at_once[path]
    with Extractor(replace(at_once, max_persons=1)) as extractor:
        largest = extractor.extract(path)
    np.testing.assert_array_equal(largest.box, everybody.box)
    for frame in np.unique(everybody.frame):
        rows = np.flatnonzero(everybody.frame == frame)
        area = np.prod(everybody.box[rows, 2:] - everybody.box[rows, :2], axis=1)
        (posed,) = np.flatnonzero(largest.confidence[rows].any(axis=1))
        assert posed == area.argmax()
        np.testing.assert_array_equal(largest.xy[rows[posed]], everybody.xy[rows[posed]])


def test_every_third_look_of_the_detector_is_enough(
    real_data: Path, real_settings: ExtractionSettings
) -> None:
    found = []
    for every in (1, 3):
        with Extractor(replace(real_settings, fps=10.0, detect_every=every)) as extractor:
            found.append(extractor.extract(real_data / "data" / "video" / "two-people.mp4"))
    all_seen, some_seen = found
    assert some_seen.persons().frame.tolist() == all_seen.persons().frame.tolist()
    between = some_seen.persons().frame % 9 != 0
    error = np.linalg.norm(some_seen.persons().xy - all_seen.persons().xy, axis=-1)[between]
    torso = torso_length(all_seen.persons().xy)[between]
    assert np.nanmedian(error / torso[:, None]) < 0.05
