from __future__ import annotations

import multiprocessing
import os
import pickle
import time
import unicodedata
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path, PurePosixPath
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.trees import FPS, N_FRAMES, SIZE, mp4_bytes, put
from tests.test_video import variable_rate
from yololstm import remembering, storage, video
from yololstm.errors import DataError, VideoError
from yololstm.material import Facts, Material, VideoFacts

SPAWN = multiprocessing.get_context("spawn")
LONG_AGO_NS = 1_600_000_000_123_456_789
LIMIT = 2**20


def distinct(number: int) -> bytes:
    """A video with an atom that nobody reads, so that its hash is its own."""
    return mp4_bytes() + (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def material(root: Path) -> Material:
    return Material(root, root.parent / "cache")


def zip_up(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def age(root: Path) -> None:
    """Let every file have been there for long."""
    for path in root.rglob("*"):
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def unpacked(material: Material) -> list[Path]:
    folder = material.cache / "unpacked"
    return [path for path in folder.iterdir() if path.name != ".lock"] if folder.exists() else []


class Counting:
    """How often the bytes of a file are hashed, and its header is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hashed: list[str] = []
        self.opened: list[str] = []
        hash_file, survey = storage.sha256, video.survey

        def counting_sha256(path: Path) -> str:
            self.hashed.append(path.name)
            return hash_file(path)

        def counting_survey(path: Path) -> tuple[video.VideoInfo, video.FrameTimes]:
            self.opened.append(path.name)
            return survey(path)

        monkeypatch.setattr(storage, "sha256", counting_sha256)
        monkeypatch.setattr(video, "survey", counting_survey)

    def during(self, call: Callable[[], object]) -> tuple[list[str], list[str]]:
        """Names of files that were hashed, and opened; in a process of its own, as it were."""
        self.hashed.clear()
        self.opened.clear()
        remembering._database.cache_clear()
        call()
        return sorted(self.hashed), sorted(self.opened)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return Counting(monkeypatch)


# --- facts ---


def test_facts_of_a_video(root: Path, material: Material) -> None:
    content = mp4_bytes()
    put(root / "a.mp4", content)
    zip_up(root / "b.zip", {"c/a.mp4": content})
    for path in ("a.mp4", "b.zip/c/a.mp4"):
        for _ in range(2):
            facts = material.video_facts(path)
            assert (facts.sha256, facts.bytes) == (sha256(content).hexdigest(), len(content))
            assert facts.info == video.VideoInfo(FPS, N_FRAMES, *SIZE)
            np.testing.assert_array_equal(facts.time_s, video.frame_times(root / "a.mp4"))
            assert material.facts(path) == Facts(facts.sha256, facts.bytes)


def test_times_at_a_variable_rate_are_remembered_exactly(root: Path, material: Material) -> None:
    variable_rate(root / "a.mkv", [0, 33, 66, 99, 500, 533, 2000])
    age(root)
    first = material.video_facts("a.mkv")
    remembering._database.cache_clear()
    again = material.video_facts("a.mkv")
    assert again.time_s.tolist() == first.time_s.tolist()
    assert again.time_s.tolist() == video.frame_times(root / "a.mkv").tolist()
    assert replace(again, time_s=first.time_s) == first


def test_times_of_a_single_frame_are_remembered(root: Path, material: Material) -> None:
    with video.writing(root / "a.mp4", Fraction(3), 64, 48) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    for _ in range(2):
        assert material.video_facts("a.mp4").time_s.tolist() == [0]


def test_content_comes_with_its_facts(root: Path, material: Material) -> None:
    put(root / "a.xml", b"<a/>")
    zip_up(root / "b.zip", {"a.xml": b"<a/>"})
    for path in ("a.xml", "b.zip/a.xml"):
        expected = Facts(sha256(b"<a/>").hexdigest(), 4)
        for _ in range(2):
            assert material.content(path, LIMIT) == (b"<a/>", expected)
        assert material.read_bytes(path, 4) == b"<a/>"
        assert material.facts(path) == expected
        for read in (material.content, material.read_bytes):
            with pytest.raises(DataError, match=f"{path}: more than 3 bytes"):
                read(path, 3)
    assert unpacked(material) == []


def test_second_run_looks_only_at_what_is_new(
    root: Path, material: Material, counting: Counting
) -> None:
    for number in range(20):
        put(root / "a" / f"{number}.mp4", distinct(number))
        put(root / "b" / f"{number}.xml", f"<a>{number}</a>")

    def run() -> None:
        for path in material.listing({".mp4"}).paths:
            material.video_facts(path)
        for path in material.listing({".xml"}).paths:
            material.facts(path)

    hashed, opened = counting.during(run)
    assert (len(hashed), len(opened)) == (40, 20)
    assert counting.during(run) == ([], [])
    put(root / "a" / "20.mp4", distinct(20))
    assert counting.during(run) == (["20.mp4"], ["20.mp4"])
    assert counting.during(run) == ([], [])


def test_second_run_looks_only_at_what_is_new_in_zips(
    root: Path, material: Material, counting: Counting
) -> None:
    def add(name: str, start: int) -> None:
        zip_up(root / name, {f"{n}.mp4": distinct(n) for n in range(start, start + 5)})

    def run() -> list[VideoFacts]:
        return [material.video_facts(path) for path in material.listing({".mp4"}).paths]

    add("a.zip", 0)
    assert list(map(len, counting.during(run))) == [5, 5]
    add("b.zip", 5)
    assert list(map(len, counting.during(run))) == [5, 5]
    assert counting.during(run) == ([], [])
    assert len({facts.sha256 for facts in run()}) == 10


def test_what_is_touched_is_hashed_anew(root: Path, material: Material, counting: Counting) -> None:
    for name in ("a.mp4", "b.mp4"):
        put(root / name, distinct(0))
    age(root)

    def run() -> None:
        for name in ("a.mp4", "b.mp4"):
            material.video_facts(name)

    run()
    os.utime(root / "a.mp4", ns=(LONG_AGO_NS + 1, LONG_AGO_NS + 1))
    assert counting.during(run) == (["a.mp4"], ["a.mp4"])


def test_files_that_swap_names_are_told_apart(root: Path, material: Material) -> None:
    """Though they have the same size and time of change, and renaming leaves both as they are."""
    for name in ("a.xml", "b.xml"):
        put(root / name, name)
    for name in ("a.zip", "b.zip"):
        zip_up(root / name, {"x.xml": name.encode()}, zipfile.ZIP_STORED)
    age(root)
    names = ("a.xml", "b.xml", "a.zip/x.xml", "b.zip/x.xml")
    before = [material.facts(name).sha256 for name in names]
    for suffix in (".xml", ".zip"):
        (root / f"a{suffix}").rename(root / "x")
        (root / f"b{suffix}").rename(root / f"a{suffix}")
        (root / "x").rename(root / f"b{suffix}")
    sizes = {(path.suffix, path.stat().st_size, path.stat().st_mtime_ns) for path in root.iterdir()}
    assert len(sizes) == 2
    a, b, in_a, in_b = before
    assert [material.facts(name).sha256 for name in names] == [b, a, in_b, in_a]
    for name, content in (("a", b"b.zip"), ("b", b"a.zip")):
        with material.local(f"{name}.zip/x.xml") as file:
            assert file.read_bytes() == content


def test_change_is_seen_though_the_time_of_change_was_set_back(
    root: Path, material: Material
) -> None:
    for content in (b"1", b"2"):
        put(root / "a.xml", content)
        zip_up(root / "b.zip", {"x.xml": content}, zipfile.ZIP_STORED)
        age(root)
        expected = sha256(content).hexdigest()
        for name in ("a.xml", "b.zip/x.xml"):
            assert material.facts(name).sha256 == expected


def test_change_at_once_after_a_look_is_seen(root: Path, material: Material) -> None:
    """Though size stays as it is, and the clock of the file system moves on every 10 ms only."""
    for number in range(30):
        path = put(root / "a.xml", f"{number:03d}")
        at = time.time_ns() // 10_000_000 * 10_000_000 + 1
        os.utime(path, ns=(at, at))
        assert material.facts("a.xml").sha256 == sha256(f"{number:03d}".encode()).hexdigest()


@pytest.mark.parametrize("offset_ns", [0, 3600 * 10**9, 3600 * 10**9 + 1])
def test_file_whose_next_change_would_not_show_is_not_remembered(
    root: Path, material: Material, offset_ns: int, counting: Counting
) -> None:
    """On a file system that counts seconds, or by a clock that is ahead."""
    path = put(root / "a.xml", "1")
    at = time.time_ns() // 10**9 * 10**9 + offset_ns
    os.utime(path, ns=(at, at))
    assert material.facts("a.xml").sha256 == sha256(b"1").hexdigest()
    path.write_bytes(b"2")
    os.utime(path, ns=(at, at))
    assert material.facts("a.xml").sha256 == sha256(b"2").hexdigest()
    assert len(counting.hashed) == 2


def test_file_that_is_written_while_it_is_read_is_not_remembered(
    root: Path, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(root / "a.xml", "1")
    age(root)
    hash_file = storage.sha256

    def write_and_hash(file: Path) -> str:
        file.write_bytes(b"2")
        return hash_file(file)

    monkeypatch.setattr(storage, "sha256", write_and_hash)
    assert material.facts("a.xml").sha256 == sha256(b"2").hexdigest()
    monkeypatch.undo()
    path.write_bytes(b"1")
    age(root)
    assert material.facts("a.xml").sha256 == sha256(b"1").hexdigest()


def test_what_another_version_found_in_a_video_does_not_count(
    root: Path, material: Material, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root / "a.mp4", distinct(0))
    material.video_facts("a.mp4")
    monkeypatch.setattr("yololstm.material._surveyor", lambda: "another")
    assert counting.during(lambda: material.video_facts("a.mp4")) == ([], ["a.mp4"])


def test_two_roots_share_a_cache(tmp_path: Path) -> None:
    facts = []
    for name in ("one", "two"):
        put(tmp_path / name / "a.xml", name)
        age(tmp_path / name)
        facts.append(Material(tmp_path / name, tmp_path / "cache").facts("a.xml"))
    assert [found.sha256 for found in facts] == [
        sha256(name.encode()).hexdigest() for name in ("one", "two")
    ]


def test_cache_that_is_damaged_stops_nothing(
    root: Path, material: Material, capsys: pytest.CaptureFixture[str]
) -> None:
    put(root / "a.mp4", distinct(0))
    expected = material.facts("a.mp4")
    remembering._database.cache_clear()
    for path in material.cache.iterdir():
        path.write_bytes(b"x" * 5000)
    assert material.facts("a.mp4") == expected
    assert "facts.sqlite: it is damaged" in capsys.readouterr().err


# --- zips ---


def test_files_and_problems_stand_side_by_side(root: Path, material: Material) -> None:
    put(root / "a.mp4", mp4_bytes())
    zip_up(root / "b.zip", {"c.mp4": mp4_bytes(), "d.zip": b""})
    put(root / "e.zip", b"not a zip")
    put(root / "f.zip.part0", b"PK")
    zip_up(root / "g.zip", {"../x.mp4": b""})
    found = material.listing({".mp4"})
    assert list(map(str, found.paths)) == ["a.mp4", "b.zip/c.mp4"]
    assert [problem.place for problem in found.problems] == ["g.zip/../x.mp4"]
    unreadable = [problem.place for problem in found.unreadable]
    assert unreadable == ["b.zip/d.zip", "e.zip", "f.zip.part*"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_local_gives_a_real_file(root: Path, material: Material, method: int) -> None:
    put(root / "a.mp4", mp4_bytes())
    zip_up(root / "b.zip", {"c/a.mp4": mp4_bytes()}, method)
    with material.local("a.mp4") as file:
        assert file == root / "a.mp4"
    with material.local("b.zip/c/a.mp4") as file:
        assert file.is_relative_to(material.cache)
        assert file.suffix == ".mp4"
        assert len(list(video.read(file))) == N_FRAMES


def test_zip_that_changed_gives_what_it_has_now(root: Path, material: Material) -> None:
    for content in (b"one", b"two"):
        zip_up(root / "a.zip", {"x.xml": content}, zipfile.ZIP_STORED)
        assert material.facts("a.zip/x.xml").sha256 == sha256(content).hexdigest()
        with material.local("a.zip/x.xml") as file:
            assert file.read_bytes() == content


def test_zip_may_lie_anywhere_under_any_name(root: Path, material: Material) -> None:
    nfd = unicodedata.normalize("NFD", "절도")
    zip_up(root / "이상행동 12" / f"[원천]TS_03.{nfd}.ZIP", {f"{nfd}/{nfd}.mp4": mp4_bytes()})
    (path,) = material.listing({".mp4"}).paths
    assert path == PurePosixPath("이상행동 12/[원천]TS_03.절도.ZIP/절도/절도.mp4")
    assert material.video_facts(path).info.n_frames == N_FRAMES


def test_names_of_a_korean_windows(root: Path, material: Material) -> None:
    raw = "절도/영상 1.mp4".encode("cp949")
    with ZipFile(root / "a.zip", "w") as file:
        file.writestr(ZipInfo("?" * len(raw)), mp4_bytes())
    content = (root / "a.zip").read_bytes()
    (root / "a.zip").write_bytes(content.replace(b"?" * len(raw), raw))
    (path,) = material.listing({".mp4"}).paths
    assert str(path) == "a.zip/절도/영상 1.mp4"
    assert material.video_facts(path).info.n_frames == N_FRAMES


def test_fault_of_a_member_is_named_by_its_place(root: Path, material: Material) -> None:
    sound = mp4_bytes()
    zip_up(root / "a.zip", {"b/cut.mp4": sound[:-60], "b/x.mp4": sound}, zipfile.ZIP_STORED)
    with pytest.raises(VideoError, match=r"^a\.zip/b/cut\.mp4: cut short"):
        material.video_facts("a.zip/b/cut.mp4")
    content = bytearray((root / "a.zip").read_bytes())
    content[content.index(b"PK\1\2") - 100] ^= 1
    (root / "a.zip").write_bytes(content)
    for call in (material.video_facts, material.facts):
        with pytest.raises(DataError, match=r"^a\.zip/b/x\.mp4: damaged in the zip"):
            call("a.zip/b/x.mp4")
    assert len(unpacked(material)) == 1
    with pytest.raises(DataError, match=r"^a\.zip/c\.mp4: no such file in the zip"):
        material.facts("a.zip/c.mp4")


def test_zip_that_went_bad_is_named_by_what_was_asked_for(root: Path, material: Material) -> None:
    put(root / "a.zip", b"not a zip")
    with pytest.raises(DataError, match=r"^a\.zip/x\.mp4: not a whole zip"):
        material.facts("a.zip/x.mp4")


def test_member_larger_than_what_is_kept_is_refused(root: Path) -> None:
    zip_up(root / "a.zip", {"x.mp4": bytes(10_001), "y.mp4": bytes(10_000)})
    material = Material(root, root.parent / "cache", unpacked_bytes=10_000)
    refused = pytest.raises(DataError, match=r"x\.mp4: 10001 bytes when unpacked, of at most 10000")
    with refused, material.local("a.zip/x.mp4"):
        pass
    with material.local("a.zip/y.mp4") as file:
        assert file.stat().st_size == 10_000


def test_no_more_than_the_limit_is_kept(root: Path) -> None:
    zip_up(root / "a.zip", {f"{i}.bin": bytes([i]) * 1000 for i in range(20)})
    material = Material(root, root.parent / "cache", unpacked_bytes=3500)
    for path in material.listing({".bin"}).paths:
        with material.local(path) as file:
            assert file.read_bytes() == bytes([int(path.stem)]) * 1000
        assert sum(kept.stat().st_size for kept in unpacked(material)) <= 3500
    assert len(unpacked(material)) == 3


def test_names_never_lead_out_of_the_cache(root: Path, material: Material) -> None:
    names = ["../x.mp4", "/x.mp4", "a/../../x.mp4", "..\\x.mp4", f"{'a' * 300}.mp4", "x.mp4/y.mp4"]
    zip_up(root / "a.zip", dict.fromkeys(names, mp4_bytes()))
    before = {path for path in root.parent.rglob("*") if "cache" not in path.parts}
    found = material.listing({".mp4"}).paths
    assert len(found) == 2
    for path in found:
        with material.local(path) as file:
            assert file.parent == material.cache / "unpacked"
    for name in names[:3]:
        with pytest.raises(DataError, match="no such file in the zip"):
            material.facts(f"a.zip/{name}")
    assert {path for path in root.parent.rglob("*") if "cache" not in path.parts} == before


# --- several at once ---


def read_all(material: Material) -> list[str]:
    found = []
    for path in material.listing({".bin"}).paths:
        with material.local(path) as file:
            content = file.read_bytes()
            assert content == bytes([int(path.stem)]) * 1000
            found.append(material.facts(path).sha256)
            assert file.read_bytes() == content
    return found


def test_processes_and_threads_share_the_cache(root: Path) -> None:
    zip_up(root / "a.zip", {f"{i}.bin": bytes([i]) * 1000 for i in range(40)})
    material = Material(root, root.parent / "cache", unpacked_bytes=2500)
    with SPAWN.Pool(2) as pool, ThreadPoolExecutor(3) as threads:
        results = [pool.apply_async(read_all, (material,)) for _ in range(2)]
        found = [future.result() for future in [threads.submit(read_all, material)] * 3]
        found += [result.get() for result in results]
    assert len(set(map(tuple, found))) == 1
    assert sum(kept.stat().st_size for kept in unpacked(material)) <= 2500


def test_it_survives_a_trip_between_processes(material: Material) -> None:
    assert pickle.loads(pickle.dumps(material)) == material  # noqa: S301


# --- faults on disk ---


def test_what_is_no_file_is_named(root: Path, material: Material) -> None:
    os.mkfifo(root / "pipe.mp4")
    (root / "nowhere.mp4").symlink_to("gone")
    (root / "folder.mp4").mkdir()
    assert list(map(str, material.listing({".mp4"}).paths)) == ["nowhere.mp4", "pipe.mp4"]
    problems = {"pipe.mp4": "it is not a file", "nowhere.mp4": "no such file"}
    problems |= {"folder.mp4": "it is not a file", "absent.mp4": "no such file", "": "not a file"}
    for path, problem in problems.items():
        for call in (
            material.facts,
            material.video_facts,
            lambda path: material.read_bytes(path, LIMIT),
            lambda path: material.content(path, LIMIT),
        ):
            with pytest.raises(DataError, match=f"{path}: .*{problem}"):
                call(path)


def test_video_with_a_fault_is_named(root: Path, material: Material) -> None:
    put(root / "a" / "x.mp4", b"this is no video" * 100)
    for _ in range(2):
        with pytest.raises(VideoError, match=r"^a/x\.mp4: not a video"):
            material.video_facts("a/x.mp4")
    put(root / "a" / "x.mp4", mp4_bytes())
    assert material.video_facts("a/x.mp4").info.n_frames == N_FRAMES


# --- a zip is as good as a folder ---

parts = st.sampled_from(
    ["a", "B", "절도", unicodedata.normalize("NFD", "파손"), "c d", ".h", "x.zip"]
)
file_names = st.lists(parts, min_size=0, max_size=3).flatmap(
    lambda folders: st.sampled_from(["1.mp4", "2.MP4", "절도.xml", "n.txt", "._1.mp4"]).map(
        lambda name: "/".join([*folders, name])
    )
)
contents = st.one_of(
    st.binary(max_size=50),
    st.integers(0, 3).map(distinct),
    st.integers(1, 900).map(lambda n: mp4_bytes()[:-n]),
)


def everything(material: Material, prefix: str) -> dict[str, object]:
    """Every fact, by path without the prefix; of a fault what it says."""
    found: dict[str, object] = {}
    for path in material.listing({".mp4", ".xml"}).paths:
        name = str(path).removeprefix(prefix)
        try:
            facts: Facts = material.facts(path)
            found[name] = (facts, material.read_bytes(path, LIMIT))
            info = material.video_facts(path)
            found[name] = (found[name], info.info, tuple(info.time_s))
        except DataError as error:
            problem = replace(error.problem, place=error.problem.place.removeprefix(prefix))
            found[name] = (found.get(name), problem)
    return found


@given(st.dictionaries(file_names, contents, max_size=6), st.booleans())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_zip_is_as_good_as_a_folder(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], is_stored: bool
) -> None:
    base = tmp_path_factory.mktemp("pair")
    for name, content in files.items():
        put(base / "folder" / "in" / name, content)
    (base / "folder").mkdir(exist_ok=True)
    method = zipfile.ZIP_STORED if is_stored else zipfile.ZIP_DEFLATED
    zip_up(base / "zipped" / "in.zip", files, method)
    of_folder = everything(Material(base / "folder", base / "cache"), "in/")
    of_zip = everything(Material(base / "zipped", base / "cache"), "in.zip/")
    assert of_folder == of_zip
    shown = [name for name in files if not any(part.startswith(".") for part in name.split("/"))]
    wanted = {
        unicodedata.normalize("NFC", n) for n in shown if n.lower().endswith((".mp4", ".xml"))
    }
    assert set(of_zip) == wanted


@given(st.binary(max_size=300), st.sampled_from(["", "before", "after"]))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_may_be_called_a_zip(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, where: str
) -> None:
    root = tmp_path_factory.mktemp("root")
    sound = zip_up(root / "b.zip", {"y.mp4": mp4_bytes()}).read_bytes()
    content = {"": noise, "before": noise + sound, "after": sound + noise}[where]
    put(root / "a.zip", content)
    material = Material(root, root.parent / "cache")
    found = material.listing({".mp4"})
    assert PurePosixPath("b.zip/y.mp4") in found.paths
    for path in found.paths:
        with nullcontext() if path.parts[0] == "b.zip" else suppress(DataError):
            assert material.video_facts(path).info.n_frames == N_FRAMES
