from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import drawn
from tests.datasets.trees import material
from yololstm import datasets, extraction, storage, video
from yololstm.clips import Clip
from yololstm.detector import Detections
from yololstm.errors import DataError, EmptyError, Problem, VideoError, WeightsError
from yololstm.extraction import ExtractionSettings, Extractor, Job, Outcome
from yololstm.landmarks import Category, Landmarks
from yololstm.pose.quality import Agreement, agreement

LABEL_MAP = {"theft": "theft", "fight": "assault", "broken": "damage"}
BAG = [10.0, 10.0, 40.0, 50.0]


class Told:
    """A detector that is told beforehand what each frame shows; it looks at the frames' order."""

    name = "told"

    def __init__(self, frames: list[list[list[float]]], scores: float = 0.9) -> None:
        self._frames = iter(frames)
        self._score = scores

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        box = np.array(next(self._frames), dtype=np.float32).reshape(-1, 4)
        category = [Category.BAG if row == BAG else Category.PERSON for row in box.tolist()]
        score = np.full(len(box), self._score, dtype=np.float32)
        return Detections(box, score, np.array(category, dtype=np.uint8))


@pytest.fixture
def settings(tmp_path: Path) -> ExtractionSettings:
    return ExtractionSettings(
        weights=tmp_path / "weights.pt",
        pose_model=drawn.pose_model(),
        backend="mediapipe",
        fps=None,
        max_persons=6,
        imgsz=320,
        min_confidence=0.4,
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    drawn.film_one(root)
    return root


@pytest.fixture(scope="module")
def clip(tree: Path) -> Clip:
    return datasets.reader("aihub", LABEL_MAP).read(material(tree)).clips[0]


@pytest.fixture(scope="module")
def truth(tree: Path, clip: Clip) -> Landmarks:
    found = datasets.reader("aihub", LABEL_MAP).landmarks(material(tree), clip)
    assert found is not None
    return found


def person_boxes(truth: Landmarks) -> list[list[list[float]]]:
    """Somewhat around the annotated joints, as a detector sees a person."""
    around = truth.box + np.array([-10, -30, 10, 10], dtype=np.float32)
    return [around[truth.frame == frame].tolist() for frame in range(truth.source.n_frames)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    def tell(frames: list[list[list[float]]], score: float = 0.9) -> None:
        monkeypatch.setattr(extraction, "Detector", lambda *_: Told(frames, score))

    yield tell
    extraction._extractor.cache_clear()


def write_video(path: Path, images: list[video.Image], fps: int = 3) -> Path:
    height, width = images[0].shape[:2]
    with video.writing(path, Fraction(fps), width, height) as writer:
        for image in images:
            writer.write(image)
    return path


@pytest.fixture
def empty_shop(tmp_path: Path) -> Path:
    grey = np.full((120, 160, 3), 100, dtype=np.uint8)
    return write_video(tmp_path / "empty.mp4", [grey] * 6)


def job(tree: Path, clip: Clip, out: Path, settings: ExtractionSettings) -> Job:
    return Job(clip, material(tree), out, "aihub", settings)


# --- one video ---


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


# --- the clips of an index ---


def test_clip_of_an_index(
    told: Any,
    settings: ExtractionSettings,
    tree: Path,
    clip: Clip,
    truth: Landmarks,
    tmp_path: Path,
) -> None:
    told(person_boxes(truth))
    one = job(tree, clip, tmp_path / "one.parquet", settings)
    outcome = extraction.extract_clip(one)
    written = storage.read_landmarks(tmp_path / "one.parquet")
    assert outcome.persons == len(written.persons()) == len(truth)
    assert (outcome.frames, outcome.tracks, outcome.posed) == (24, 1, 24)
    assert outcome.agreement == agreement(written, truth)
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301
    report = extraction.report([outcome], [])
    assert report["landmarks_share"] == 1.0
    assert report["pose"]["official"]["train"]["person_frames"] == 24
    assert report["pose"]["label"] == {"theft": report["pose"]["official"]["train"]}


def test_faulty_keypoints_cost_no_poses(
    told: Any,
    settings: ExtractionSettings,
    tree: Path,
    clip: Clip,
    truth: Landmarks,
    tmp_path: Path,
) -> None:
    told(person_boxes(truth))
    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    text = (root / clip.annotation).read_text()
    (root / clip.annotation).write_text(text.replace("<points ", '<points frame="99999" ', 1))
    outcome = extraction.extract_clip(job(root, clip, tmp_path / "one.parquet", settings))
    assert (outcome.posed, outcome.agreement) == (24, None)
    assert outcome.doubt is not None
    assert outcome.doubt.place.startswith(clip.annotation)
    assert extraction.report([outcome], [])["not_compared"] == [vars(outcome.doubt)]


def test_models_are_loaded_once(
    told: Any,
    settings: ExtractionSettings,
    tree: Path,
    clip: Clip,
    truth: Landmarks,
    tmp_path: Path,
) -> None:
    told(person_boxes(truth)[::3] * 2)
    sparse = replace(settings, fps=1.0)
    for name in ("a", "b"):
        extraction.extract_clip(job(tree, clip, tmp_path / f"{name}.csv", sparse))
    assert extraction._extractor.cache_info().misses == 1


def test_clip_that_changed_since_it_was_indexed(
    told: Any, settings: ExtractionSettings, tree: Path, clip: Clip, tmp_path: Path
) -> None:
    told([])
    changed = replace(clip, sha256="0" * 64)
    with pytest.raises(VideoError, match="Run the index stage again"):
        extraction.extract_clip(job(tree, changed, tmp_path / "one.parquet", settings))
    assert list(tmp_path.iterdir()) == []


def test_faulty_clips_are_listed_and_the_others_go_on(
    told: Any,
    settings: ExtractionSettings,
    tree: Path,
    clip: Clip,
    truth: Landmarks,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told(person_boxes(truth))
    jobs = [
        job(tree, changed, tmp_path / f"{i}.parquet", settings)
        for i, changed in enumerate([replace(clip, sha256="0"), clip])
    ]
    outcomes, left_out = extraction.extract_all(jobs, workers=1)
    assert [outcome.clip for outcome in outcomes] == [clip]
    assert [problem.place for problem in left_out] == [clip.path]
    assert "warning: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["1.parquet"]


def test_faults_of_ours_stop_everything(
    settings: ExtractionSettings, tree: Path, clip: Clip, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError):
        extraction.extract_all([job(tree, clip, tmp_path / "one.parquet", settings)], workers=1)


def test_too_many_left_out(clip: Clip) -> None:
    outcomes = [Outcome(clip, 1, 1, 1, 1, None)] * 9
    problem = [Problem("a.mp4", "cut short", "Fetch it again")]
    extraction.check(outcomes, problem, 0.1)
    with pytest.raises(DataError, match=r"2 of 11 clips.*a\.mp4: cut short"):
        extraction.check(outcomes, problem * 2, 0.1)
    with pytest.raises(EmptyError, match="none of 1 clips is left"):
        extraction.check([], problem, 1.0)


def test_report_counts(clip: Clip) -> None:
    other = replace(clip, clip_id="other", split="test", spans=())
    unlabelled = replace(clip, split="")
    outcomes = [
        Outcome(clip, frames=10, persons=8, posed=6, tracks=2, agreement=Agreement(10, 9, 100, 80)),
        Outcome(other, frames=10, persons=0, posed=0, tracks=0, agreement=Agreement(10, 0, 0, 0)),
        Outcome(unlabelled, frames=5, persons=2, posed=2, tracks=1, agreement=None),
    ]
    report = extraction.report(outcomes, [Problem("b", "x", "y"), Problem("a", "x", "y")])
    assert report == {
        "clips": 3,
        "nobody": 1,
        "frames": 25,
        "persons": 10,
        "landmarks_share": 0.8,
        "tracks": 3,
        "not_compared": [],
        "left_out": [
            {"place": "a", "problem": "x", "remedy": "y"},
            {"place": "b", "problem": "x", "remedy": "y"},
        ],
        "pose": {
            "official": {
                "train": {"person_frames": 10, "found_share": 0.9, "pck02": 0.8},
                "test": {"person_frames": 10, "found_share": 0.0, "pck02": None},
            },
            "label": {
                "theft": {"person_frames": 10, "found_share": 0.9, "pck02": 0.8},
                "normal": {"person_frames": 10, "found_share": 0.0, "pck02": None},
            },
        },
    }


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
