"""What every reader of data sets must do, whatever it reads."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.outdoor_trees import outdoor
from tests.datasets.trees import LABELS, MAKERS, Tree, material, put, put_zip
from yololstm import datasets, indexing, splits, storage
from yololstm.clips import NORMAL, UNLABELLED
from yololstm.errors import DataError
from yololstm.landmarks import Category

TREES = (*MAKERS.values(), outdoor)


@pytest.fixture(params=TREES, ids=lambda maker: maker.__name__)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    made: Tree = request.param(tmp_path / "root")
    return made


def test_everything_is_found(tree: Tree) -> None:
    found = tree.reader().read(tree.material)
    assert (found.problems, found.unmapped) == ([], [])
    assert found.warnings == []
    assert len(found.clips) == tree.n_clips
    assert {clip.label for clip in found.clips} == set(LABELS)


def test_ids_are_unique_and_in_order(tree: Tree) -> None:
    ids = [clip.clip_id for clip in tree.reader().read(tree.material).clips]
    assert ids == sorted(ids)
    assert len({clip_id.casefold() for clip_id in ids}) == len(ids)
    assert not any("/" in clip_id for clip_id in ids)


def test_clips_say_which_bytes_they_are(tree: Tree) -> None:
    for clip in tree.reader().read(tree.material).clips:
        name, _, rows = clip.path.partition("#row=")
        content = (tree.root / name).read_bytes()
        if rows:
            first, last = map(int, rows.split("-"))
            content = b"".join(content.splitlines(keepends=True)[first - 1 : last])
        assert clip.sha256 == sha256(content).hexdigest()
        assert clip.bytes == len(content)
        if clip.annotation:
            assert clip.annotation_sha256 == storage.sha256(tree.root / clip.annotation)


def test_spans_lie_inside_clips_and_bear_known_labels(tree: Tree) -> None:
    for clip in tree.reader().read(tree.material).clips:
        for span in clip.spans:
            assert 0 <= span.start_s < span.end_s <= clip.duration_s
            assert span.label in LABELS
        assert clip.label == NORMAL or clip.spans


def test_a_take_is_never_split(tree: Tree) -> None:
    found = tree.reader().read(tree.material)
    index = indexing.build(found, labels=LABELS, max_left_out=0)
    for seed in range(5):
        clips = splits.assign(
            index,
            by="take",
            held_out="",
            official=True,
            val_share=0.2,
            test_share=0.2,
            seed=seed,
        )
        placed = {(clip.take, clip.split) for clip in clips}
        assert len(placed) == len({take for take, _ in placed})
        assert {"train", "val", "test"} <= {split for _, split in placed}


def test_reading_again_finds_the_same(tree: Tree) -> None:
    reader = tree.reader()
    assert (
        reader.read(tree.material)
        == reader.read(tree.material)
        == tree.reader().read(tree.material)
    )


def test_index_keeps_the_clips(tree: Tree, tmp_path: Path) -> None:
    clips = tree.reader().read(tree.material).clips
    storage.write_index(tmp_path / "index.csv", clips)
    read = storage.read_index(tmp_path / "index.csv")
    assert [replace(clip, spans=()) for clip in read] == [replace(c, spans=()) for c in clips]


@pytest.mark.parametrize("content", [b"", b"garbage \xff\x00\x81", b"a,b\n1,2\n"])
def test_a_fault_leaves_out_one_file_and_is_named(tree: Tree, content: bytes) -> None:
    before = tree.reader().read(tree.material).clips
    put(tree.root / tree.victim, content)
    found = tree.reader().read(tree.material)
    assert len(found.problems) == 1
    assert found.problems[0].place.startswith(tree.victim)
    assert found.problems[0].remedy
    assert found.clips == [clip for clip in before if clip in found.clips]
    assert len(found.clips) == len(before) - 1


def test_a_fault_that_is_mended_is_seen_by_the_same_reader(tree: Tree) -> None:
    sound = (tree.root / tree.victim).read_bytes()
    put(tree.root / tree.victim, b"")
    reader = tree.reader()
    assert len(reader.read(tree.material).problems) == 1
    put(tree.root / tree.victim, sound)
    assert reader.read(tree.material).problems == []


def test_landmarks_fit_the_clip(tree: Tree) -> None:
    reader = tree.reader()
    for clip in reader.read(tree.material).clips:
        landmarks = reader.landmarks(tree.material, clip)
        if landmarks is None:
            continue
        source = landmarks.source
        assert (source.fps, source.n_frames) == (clip.fps, clip.n_frames)
        assert (source.width, source.height) == (clip.width, clip.height)
        assert len(landmarks) > 0
        assert landmarks.frame.max() < clip.n_frames
        assert landmarks.time_s.max() < clip.duration_s
        rows = list(zip(landmarks.frame.tolist(), landmarks.track.tolist(), strict=True))
        assert rows == sorted(set(rows))
        assert landmarks.track.min() == 1
        assert (landmarks.category == Category.PERSON).all()
        known = np.isfinite(landmarks.xy).all(axis=-1)
        assert known.any(axis=1).all()
        np.testing.assert_array_equal(known, np.isfinite(landmarks.xy).any(axis=-1))
        np.testing.assert_array_equal(known, landmarks.confidence > 0)
        low, high = landmarks.box[:, None, :2], landmarks.box[:, None, 2:]
        inside = (landmarks.xy >= low).all(axis=-1) & (landmarks.xy <= high).all(axis=-1)
        np.testing.assert_array_equal(inside, known)


def test_landmarks_need_no_reading_before(tree: Tree, tmp_path: Path) -> None:
    """The stage that wants them starts from the index, in a process of its own."""
    reader = tree.reader()
    clips = reader.read(tree.material).clips
    for clip in (clips[0], clips[-1]):
        first, again = (r.landmarks(tree.material, clip) for r in (reader, tree.reader()))
        assert (first is None) == (again is None)
        if first is not None and again is not None:
            np.testing.assert_array_equal(first.xy, again.xy)


def test_landmarks_of_a_clip_that_is_gone(tree: Tree) -> None:
    reader = tree.reader()
    clip = replace(reader.read(tree.material).clips[0], path="gone.mp4")
    if tree.kind not in datasets.WITH_KEYPOINTS:
        assert reader.landmarks(tree.material, clip) is None
    else:
        with pytest.raises(DataError):
            reader.landmarks(tree.material, clip)


def test_folder_that_is_not_there(tree: Tree) -> None:
    with pytest.raises(DataError, match="no such folder"):
        tree.reader().read(material(tree.root / "nowhere"))


def test_empty_folder_holds_nothing(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = tree.reader().read(material(tmp_path / "empty"))
    assert (found.clips, found.problems, found.unmapped) == ([], [], [])


def test_progress_is_told_for_every_file(tree: Tree) -> None:
    calls: list[None] = []
    tree.reader().read(tree.material, lambda: calls.append(None))
    assert len(calls) == (3 if tree.kind == "landmarks_csv" else 40)


def test_hidden_files_do_not_count(tree: Tree) -> None:
    name = Path(tree.victim)
    put(tree.root / name.parent / f"._{name.name}", b"left by macOS")
    assert tree.reader().read(tree.material).problems == []


def test_files_in_zips_are_read_as_if_unpacked(tree: Tree, tmp_path: Path) -> None:
    reader = tree.reader()
    unpacked = reader.read(tree.material).clips
    packed = material(tmp_path / "packed" / "root")
    folders = sorted({file.parent for file in tree.root.rglob("*.*") if file.is_file()})
    for folder in folders:
        files = {file.name: file for file in folder.iterdir() if file.is_file()}
        put_zip(packed.root / folder.relative_to(tree.root) / "묶음.zip", files)
    found = reader.read(packed)
    assert (found.problems, found.warnings) == ([], [])
    assert len(found.clips) == len(unpacked)
    for clip, other in zip(found.clips, unpacked, strict=True):
        assert clip.path.replace("묶음.zip/", "") == other.path
        told = replace(clip, path=other.path, annotation=other.annotation)
        assert told == replace(other, clip_id=clip.clip_id, take=clip.take)


def test_zip_that_is_damaged_is_told(tree: Tree) -> None:
    put(tree.root / "x.zip", b"PK and no more")
    found = tree.reader().read(tree.material)
    assert [problem.place for problem in found.unreadable] == ["x.zip"]
    assert (len(found.clips), found.problems) == (tree.n_clips, [])


def test_links_are_followed_once(tree: Tree, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.symlink_to(tree.root)
    (tree.root / "loop").symlink_to(tree.root)
    assert len(tree.reader().read(material(linked)).clips) == tree.n_clips


def test_unlabelled_clips_are_in_no_split(tree: Tree) -> None:
    clips = tree.reader().read(tree.material).clips
    unlabelled = [clip for clip in clips if clip.split == UNLABELLED]
    assert len(unlabelled) == (1 if tree.kind == "landmarks_csv" else 0)
    assert not any(clip.spans for clip in unlabelled)
