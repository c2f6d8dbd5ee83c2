from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import trees
from tests.told import Told, filmed, person_boxes, settings
from yololstm import datasets, extraction, fingerprint, outcomes, sight, storage
from yololstm import extractor as extractor_module
from yololstm.agreement import agreement
from yololstm.clips import Clip
from yololstm.cluster import Workers
from yololstm.errors import DataError, VideoError, WeightsError, WorkerError, YololstmError
from yololstm.extraction import Extracted, Extraction, Job, Recipe, extract_clip
from yololstm.extractor import Extractor
from yololstm.landmark_store import LandmarkStore
from yololstm.landmarks import Landmarks
from yololstm.outcomes import Outcome

HERE = Workers(1)


@dataclass(frozen=True)
class Scene:
    """One clip of a person, and everything that its extraction takes."""

    root: Path
    weights: Path
    clip: Clip
    truth: Landmarks
    folder: Path
    tell: Callable[[int], None]
    """How often the clip will be looked at; a further time fails the test."""

    def recipe(self, **changes: Any) -> Recipe:
        return Recipe("aihub", replace(settings(self.weights), **{"fps": 1.0, **changes}))

    def batch(self, out: str = "out", format: str = "parquet", **changes: Any) -> Extraction:
        return Extraction(
            recipe=self.recipe(**changes),
            material=trees.material(self.root),
            store=LandmarkStore(self.folder / "store", limit=10**9),
            out=self.folder / out,
            format=format,  # type: ignore[arg-type]
        )

    def outcome(self, clip: Clip | None = None, out: str = "out", **changes: Any) -> Outcome:
        ((outcome,), left_out) = self.batch(out, **changes).run([clip or self.clip], HERE)
        assert left_out == []
        return outcome

    def shards(self) -> set[Path]:
        return set((self.folder / "store").glob("*/*"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clip, Landmarks]:
    root = tmp_path_factory.mktemp("tree")
    return root, *filmed(root)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Networks are closed after the test: those of one are 120 MB."""
    with ExitStack() as stack:
        monkeypatch.setattr(
            extractor_module, "Extractor", lambda given: stack.enter_context(Extractor(given))
        )
        yield


@pytest.fixture
def scene(
    film: tuple[Path, Clip, Landmarks],
    tmp_path: Path,
    closed: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    root, clip, truth = film
    weights = trees.put(tmp_path / "weights.pt", "weights")

    def tell(times: int) -> None:
        extractor_module.opened.cache_clear()
        told = Told(person_boxes(truth)[::3] * times)
        monkeypatch.setattr(sight, "Detector", lambda *_: told)

    shutil.copytree(root, tmp_path / "tree")
    tell(1)
    return Scene(tmp_path / "tree", weights, clip, truth, tmp_path, tell)


# --- one clip ---


def test_clip_of_an_index(scene: Scene) -> None:
    outcome = scene.outcome()
    written = storage.read_landmarks(scene.folder / "out" / f"{scene.clip.clip_id}.parquet")
    assert (outcome.frames, outcome.tally.tracks, outcome.tally.posed) == (8, 1, 7)
    assert outcome.tally.persons == len(written.persons()) == 7
    assert outcome.agreement == agreement(written, scene.truth)
    assert written.source.key == scene.recipe().key(scene.clip)
    report = outcomes.report([outcome], [])
    assert report["quality"]["all"]["landmarks_share"] == 1.0
    assert report["pose"]["official"]["train"]["person_frames"] == 8
    assert report["pose"]["label"] == {"theft": report["pose"]["official"]["train"]}


def test_jobs_reach_other_processes(scene: Scene) -> None:
    job = Job(scene.clip, trees.material(scene.root), scene.recipe())
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301


def test_process_elsewhere_that_would_make_others(scene: Scene) -> None:
    """It has another version of something, and would file its own under the recipe of ours."""
    recipe = scene.recipe()
    job = Job(scene.clip, trees.material(scene.root), recipe, names=recipe.names)
    assert extract_clip(job).outcome.frames == 8
    for names in (("other", recipe.counting), (recipe.name, "other")):
        with pytest.raises(YololstmError, match="its code, libraries or weights are not") as told:
            extract_clip(replace(job, names=names))
        assert not isinstance(told.value, DataError | WorkerError)


def test_faulty_keypoints_cost_no_poses(scene: Scene) -> None:
    clip = with_annotation(scene, lambda text: text.replace("<points ", '<points frame="9999" ', 1))
    outcome = scene.outcome(clip)
    assert (outcome.tally.posed, outcome.agreement) == (7, None)
    assert outcome.doubt is not None
    assert outcome.doubt.place.startswith(clip.annotation)
    assert outcomes.report([outcome], [])["not_compared"] == [vars(outcome.doubt)]


def test_lost_keypoints_cost_no_poses(scene: Scene) -> None:
    (scene.root / scene.clip.annotation).unlink()
    outcome = scene.outcome()
    assert (outcome.tally.posed, outcome.agreement) == (7, None)
    assert outcome.doubt is not None
    assert outcome.doubt.place.endswith(scene.clip.annotation)


def with_annotation(scene: Scene, edit: Callable[[str], str]) -> Clip:
    """The clip, indexed again after an edit of its annotation."""
    path = scene.root / scene.clip.annotation
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    return replace(scene.clip, annotation_sha256=storage.sha256(path))


def test_files_that_changed_since_they_were_indexed(scene: Scene) -> None:
    """Nothing is put down as made of what it was not made of."""
    changed = replace(scene.clip, sha256="0" * 64)
    found, left_out = scene.batch().run([changed], HERE)
    assert (found, [problem.place for problem in left_out]) == ([], [scene.clip.path])
    assert left_out[0].remedy == "Run the index stage again"
    assert not (scene.folder / "out").exists()
    assert not scene.shards()
    outcome = scene.outcome(replace(scene.clip, annotation_sha256="0" * 64))
    assert outcome.agreement is None
    assert outcome.doubt is not None
    assert outcome.doubt.place == scene.clip.annotation


def test_models_are_loaded_once(scene: Scene) -> None:
    scene.tell(2)
    job = Job(scene.clip, trees.material(scene.root), scene.recipe())
    for _ in range(2):
        extraction.extract_clip(job)
    assert extractor_module.opened.cache_info().misses == 1


def test_faulty_clips_are_listed_and_the_others_go_on(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [replace(scene.clip, clip_id="other", sha256="0" * 64), scene.clip]
    found, left_out = scene.batch().run(clips, HERE)
    assert [outcome.clip for outcome in found] == [scene.clip]
    assert [problem.place for problem in left_out] == [scene.clip.path]
    *_, summary = capsys.readouterr().err.splitlines()
    reason = "1: it is not the file that was indexed"
    assert summary == f"warning: extract: 1 of 2 clips are left out ({reason})"


def test_many_reasons_are_counted_and_the_commonest_told(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty(job: Job) -> Extracted:
        raise VideoError(job.clip.path, f"reason {job.clip.clip_id[0]}", "Mend it")

    clips = [replace(scene.clip, clip_id=name) for name in ("a", "b", "c1", "c2", "d", "d2", "e")]
    _, left_out = replace(scene.batch(), extract=faulty).run(clips, HERE)
    assert len(left_out) == 7
    told = capsys.readouterr().err.splitlines()[-1]
    reasons = "2: reason c; 2: reason d; 1: reason a; 2: other reasons"
    assert told == f"warning: extract: 7 of 7 clips are left out ({reasons})"


def test_faults_of_ours_stop_everything(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(WeightsError):
        scene.outcome()


# --- the store ---


def test_what_was_extracted_is_not_extracted_again(scene: Scene) -> None:
    first = scene.outcome()
    again = scene.outcome(out="again")
    assert again == first
    name = f"{scene.clip.clip_id}.parquet"
    files = [(scene.folder / out / name).read_bytes() for out in ("out", "again")]
    assert files[0] == files[1]


def test_a_change_and_its_revert_extract_once_each(scene: Scene) -> None:
    scene.outcome()
    scene.tell(1)
    changed = scene.outcome(max_persons=5)
    scene.tell(0)
    assert scene.outcome() == scene.outcome(max_persons=5) == changed


def test_names_labels_and_splits_have_no_part_in_landmarks(scene: Scene) -> None:
    scene.outcome()
    renamed = replace(scene.clip, clip_id="b", split="test", take="x", spans=())
    assert scene.outcome(renamed).clip == renamed
    assert (scene.folder / "out" / "b.parquet").exists()


def test_another_annotation_is_compared_with_but_nothing_is_looked_at(scene: Scene) -> None:
    first = scene.outcome()
    clip = with_annotation(scene, lambda text: text.replace("Left hand", "Left ear"))
    outcome = scene.outcome(clip)
    assert outcome.tally == first.tally
    assert first.agreement is not None
    assert outcome.agreement is not None
    assert outcome.agreement.joints < first.agreement.joints


def test_csv_of_stored_landmarks(scene: Scene) -> None:
    scene.outcome()
    scene.outcome(out="csv", format="csv")
    written = storage.read_landmarks(scene.folder / "csv" / f"{scene.clip.clip_id}.csv")
    same = scene.folder / "same.csv"
    parquet = scene.folder / "out" / f"{scene.clip.clip_id}.parquet"
    storage.write_landmarks(same, storage.read_landmarks(parquet))
    assert len(written) == 7
    assert same.read_bytes() == (scene.folder / "csv" / f"{scene.clip.clip_id}.csv").read_bytes()


@pytest.mark.parametrize("damage", [slice(None, 0), slice(None, -1), slice(1, None)])
def test_damaged_landmarks_are_told_and_extracted_again(
    scene: Scene, damage: slice, capsys: pytest.CaptureFixture[str]
) -> None:
    first = scene.outcome()
    shard = scene.batch().store.path(scene.recipe().key(scene.clip))
    whole = shard.read_bytes()
    shard.write_bytes(whole[damage])
    scene.tell(1)
    assert scene.outcome() == first
    assert f"{shard}: what was extracted is damaged" in capsys.readouterr().err
    assert shard.read_bytes() == whole
    scene.tell(0)
    assert scene.outcome() == first


def test_stored_landmarks_that_cannot_be_read_are_extracted_again(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they would be if they were committed so: their checksum is right."""
    first = scene.outcome()
    store, key = scene.batch().store, scene.recipe().key(scene.clip)
    whole = store.get(key)
    assert whole is not None
    store.put(key, whole[: len(whole) // 2])
    store.path(scene.recipe().outcome_key(scene.clip)).unlink()
    scene.tell(1)
    assert scene.outcome() == first
    assert f"{store.path(key)}: unreadable landmarks" in capsys.readouterr().err
    assert store.get(key) == whole


def test_damaged_numbers_are_counted_again(scene: Scene) -> None:
    first = scene.outcome()
    shard = scene.batch().store.path(scene.recipe().outcome_key(scene.clip))
    shard.write_bytes(shard.read_bytes().replace(b'"persons": 2', b'"persons": 3'))
    assert scene.outcome() == first


def test_editing_what_was_written_leaves_the_store_alone(scene: Scene) -> None:
    """As who opens a landmarks file in place would."""
    scene.outcome()
    path = scene.folder / "out" / f"{scene.clip.clip_id}.parquet"
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.write(b"edited")
    scene.outcome()
    assert path.read_bytes() == whole


def test_the_store_keeps_to_its_limit(scene: Scene) -> None:
    tiny = replace(scene.batch(), store=LandmarkStore(scene.folder / "store", limit=1))
    assert len(tiny.run([scene.clip], HERE)[0]) == 1
    assert not scene.shards()
    assert len(list((scene.folder / "out").iterdir())) == 1


# --- the folder ---


def test_of_what_was_in_the_folder_nothing_stays(scene: Scene) -> None:
    trees.put(scene.folder / "out" / "stale.parquet", "stale")
    scene.outcome()
    assert [path.stem for path in (scene.folder / "out").iterdir()] == [scene.clip.clip_id]


def test_a_link_in_its_place_is_refused(scene: Scene) -> None:
    kept = trees.put(scene.folder / "elsewhere" / "kept.parquet", "of somebody")
    (scene.folder / "out").symlink_to(kept.parent)
    with pytest.raises(YololstmError, match="it is a link") as caught:
        scene.outcome()
    assert caught.value.problem.place == str(scene.folder / "out")
    assert kept.exists()


def test_who_cannot_begin_leaves_the_folder(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: DVC empties it itself."""
    kept = trees.put(scene.folder / "out" / "kept.parquet", "of an earlier run")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(extraction.seeding, "seed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        scene.outcome()
    assert kept.exists()


def test_a_file_in_its_place_is_refused(scene: Scene) -> None:
    trees.put(scene.folder / "out", "of somebody")
    with pytest.raises(YololstmError, match="it cannot be emptied"):
        scene.outcome()


# --- recipes ---


@pytest.mark.parametrize("settled", [True, False])
@pytest.mark.parametrize("part", ["code", "versions"])
def test_recipe_is_of_the_code_and_its_libraries(
    scene: Scene, part: str, settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made() -> tuple[str, str, str]:
        recipe = scene.recipe() if settled else Recipe("aihub", None)
        return recipe.name, recipe.key(scene.clip), recipe.outcome_key(scene.clip)

    def edited(*roots: str) -> fingerprint.Code:
        return replace(code(*roots), digest="edited")

    before, code = made(), fingerprint.code
    other = edited if part == "code" else lambda modules: dict.fromkeys(modules, "0")
    monkeypatch.setattr(fingerprint, part, other)
    assert all(old != new for old, new in zip(before, made(), strict=True))
    assert scene.recipe().counting != Recipe("aihub", None).name


def test_recipe_is_of_all_that_decides(scene: Scene) -> None:
    recipe = scene.recipe()
    others = [
        *({"fps": 2.0}, {"max_persons": 5}, {"imgsz": 64}, {"min_confidence": 0.5}),
        {"weights": trees.put(scene.folder / "b" / "weights.pt", "other weights")},
        {"weights": trees.put(scene.folder / "renamed.pt", "weights")},
        {"pose_model": trees.put(scene.folder / "pose.task", "other")},
    ]
    names = {scene.recipe(**other).name for other in others}
    assert len(names | {recipe.name}) == len(others) + 1
    copy = trees.put(scene.folder / "elsewhere" / "weights.pt", "weights")
    assert scene.recipe(weights=copy).name == recipe.name


def test_recipe_without_a_detector(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network that finds persons and their joints; in a folder it is one for OpenVINO."""
    asked: list[frozenset[str]] = []
    versions = fingerprint.versions
    monkeypatch.setattr(fingerprint, "versions", lambda m: asked.append(m) or versions(m))
    model = trees.put(tmp_path / "pose_openvino_model" / "pose.xml", "model")
    one, other = (
        scene.recipe(weights=None, backend="yolo-pose", pose_model=path).name
        for path in (model, model.parent)
    )
    assert len({one, other, scene.recipe(pose_model=model).name}) == 3
    assert ["openvino" in modules for modules in asked[:2]] == [False, True]


def test_own_keypoints_are_stored_by_their_annotation(scene: Scene) -> None:
    recipe = Recipe("aihub", None)
    other = replace(scene.clip, annotation_sha256="0" * 64)
    assert recipe.key(other) != recipe.key(scene.clip)
    assert scene.recipe().key(other) == scene.recipe().key(scene.clip)
    assert recipe.key(replace(scene.clip, annotation_sha256="")) == ""


def test_landmarks_that_come_in_tables_are_read_anew(tmp_path: Path) -> None:
    """A clip's rows say nothing of the header above them."""
    tree = trees.landmarks_csv(tmp_path / "raw")
    clips = datasets.reader(tree.kind, trees.LABEL_MAP).read(tree.material).clips
    store = LandmarkStore(tmp_path / "store", limit=10**9)
    batch = Extraction(Recipe(tree.kind, None), tree.material, store, tmp_path / "out", "parquet")
    assert len(batch.run(clips, HERE)[0]) == len(clips)
    assert not (tmp_path / "store").exists()
