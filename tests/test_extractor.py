from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import drawn
from tests.told import BAG, Told, person_boxes, write_video
from tests.told import filmed as film
from tests.told import settings as told_settings
from yololstm import extractor as extractor_module
from yololstm import storage, video
from yololstm.clips import Clip
from yololstm.errors import VideoError, WeightsError
from yololstm.extractor import Extractor
from yololstm.landmarks import Landmarks
from yololstm.pose.quality import Agreement, agreement
from yololstm.settings import ExtractionSettings


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
        monkeypatch.setattr(extractor_module, "Detector", lambda *_: Told(frames, score))

    return tell


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


def test_source_names_versions_and_no_path(
    told: Any, settings: ExtractionSettings, empty_shop: Path
) -> None:
    told([[]] * 6)
    with Extractor(settings) as extractor:
        backend = extractor.extract(empty_shop).source.backend
    assert backend.startswith("mediapipe 0.10.31 pose_landmarker_full ce0cd48f; told; bytetrack ")
    assert "/" not in backend


def test_nobody_in_the_clip(told: Any, settings: ExtractionSettings, empty_shop: Path) -> None:
    told([[]] * 6)
    with Extractor(settings) as extractor:
        found = extractor.extract(empty_shop)
    assert len(found) == 0
    assert found.source.n_frames == 6


def test_frames_looked_at(told: Any, settings: ExtractionSettings, empty_shop: Path) -> None:
    told([[[10.0, 10, 60, 100]]] * 6)
    with Extractor(replace(settings, fps=1.0)) as extractor:
        found = extractor.extract(empty_shop)
    assert found.source.fps == 1
    assert found.source.n_frames == 2
    assert found.frame.tolist() == [0, 3]


def test_rate_beyond_the_video_is_every_frame(
    told: Any, settings: ExtractionSettings, empty_shop: Path
) -> None:
    told([[]] * 6)
    with Extractor(replace(settings, fps=30.0)) as extractor:
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


def test_tracks_of_one_frame_are_left_out(
    told: Any, settings: ExtractionSettings, empty_shop: Path
) -> None:
    stays, flickers = [10.0, 10, 60, 100], [100.0, 10, 140, 100]
    told([[stays], [stays, flickers], [stays], [stays], [stays], [stays]])
    with Extractor(settings) as extractor:
        found = extractor.extract(empty_shop)
    assert found.track.tolist() == [1] * 6


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
    told: Any, settings: ExtractionSettings, tmp_path: Path, content: bytes | None
) -> None:
    told([])
    if content is not None:
        (tmp_path / "bad.mp4").write_bytes(content)
    with Extractor(settings) as extractor, pytest.raises(VideoError, match=r"bad\.mp4"):
        extractor.extract(tmp_path / "bad.mp4")


def test_video_cut_short(
    told: Any, settings: ExtractionSettings, tree: Path, clip: Clip, tmp_path: Path
) -> None:
    told([[]] * clip.n_frames)
    content = (tree / clip.path).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])
    with Extractor(settings) as extractor, pytest.raises(VideoError, match="cut short"):
        extractor.extract(tmp_path / "cut.mp4")


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


def test_real_landmarks_agree_with_another_pose_model(
    real_data: Path, shop: dict[Path, Landmarks]
) -> None:
    ours = []
    theirs = YoloPose(real_data / "models" / "yolov8n-pose_int8_openvino_model")
    for path, landmarks in shop.items():
        ours.append(agreement(landmarks, theirs.landmarks(path, landmarks.source)))
    total = sum(ours, Agreement())
    assert total.person_frames > 50
    assert total.right >= 0.8 * total.joints


class YoloPose:
    """YOLO-pose as the truth, where it is sure of a person."""

    def __init__(self, weights: Path) -> None:
        from yololstm.detector import ultralytics

        self._yolo = ultralytics().YOLO(str(weights), task="pose")

    def landmarks(self, path: Path, source: Any) -> Landmarks:
        from yololstm.skeleton import COCO

        parts = []
        for frame in video.read(path, 0.5):  # of those that we looked at; it takes its time
            found = self._yolo.predict(frame.image[..., ::-1], conf=0.5, verbose=False)[0]
            xy = found.keypoints.xy.cpu().numpy()[:, COCO].astype(np.float32)
            xy[(xy < 1).any(axis=-1)] = np.nan
            n = len(xy)
            parts.append(
                Landmarks(
                    frame=np.full(n, frame.index, np.int32),
                    time_s=np.full(n, frame.time_s),
                    category=np.zeros(n, np.uint8),
                    track=np.arange(1, n + 1, dtype=np.int32),
                    score=np.ones(n, np.float32),
                    box=found.boxes.xyxy.cpu().numpy().astype(np.float32),
                    xy=xy,
                    confidence=np.ones((n, 13), np.float32),
                    source=source,
                )
            )
        return Landmarks.concatenate(parts, replace(source, fps=Fraction(3)))
