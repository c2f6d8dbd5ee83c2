from __future__ import annotations

import subprocess
import sys
import unicodedata
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

from tests.datasets.trees import put
from yololstm import finding
from yololstm.errors import DataError

NFD = unicodedata.normalize("NFD", "절도")
NFC = unicodedata.normalize("NFC", "절도")


def names(root: Path, *suffixes: str) -> list[str]:
    return [str(path) for path in finding.find(root, suffixes or {".mp4"}).paths]


def zip_up(path: Path, *members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as file:
        for member in members:
            file.writestr(member, member)
    return path


def test_files_and_members_are_found_at_any_depth_in_any_case(tmp_path: Path) -> None:
    for name in ("z.mp4", "절도/01. 원천/A.MP4", "b/c.xml"):
        put(tmp_path / name, "x")
    zip_up(tmp_path / "절도" / "TS 12.ZIP", "d.mp4", "03.이상행동/e.Mp4", "f.xml", "g.txt")
    assert names(tmp_path) == [
        "z.mp4",
        "절도/01. 원천/A.MP4",
        "절도/TS 12.ZIP/03.이상행동/e.Mp4",
        "절도/TS 12.ZIP/d.mp4",
    ]
    assert names(tmp_path, ".xml") == ["b/c.xml", "절도/TS 12.ZIP/f.xml"]


def test_folder_may_be_called_as_a_zip(tmp_path: Path) -> None:
    put(tmp_path / "a.zip" / "b.mp4", "x")
    assert names(tmp_path) == ["a.zip/b.mp4"]


def test_hidden_files_do_not_count(tmp_path: Path) -> None:
    for name in (".a.mp4", ".b/c.mp4", "__MACOSX/d.mp4", "._e.zip", ".f.zip.part0"):
        put(tmp_path / name, "x")
    assert finding.find(tmp_path, {".mp4"}) == finding.Listing()


def test_damaged_zip_hides_nothing_else(tmp_path: Path) -> None:
    zip_up(tmp_path / "a" / "sound.zip", "x.mp4")
    put(tmp_path / "a" / "broken.zip", b"PK\3\4 and then the line went dead")
    put(tmp_path / "y.mp4", "x")
    found = finding.find(tmp_path, {".mp4"})
    assert list(map(str, found.paths)) == ["a/sound.zip/x.mp4", "y.mp4"]
    assert found.problems == []
    (problem,) = found.unreadable
    assert problem.place == "a/broken.zip"
    assert "not a whole zip" in problem.problem


def test_fault_of_a_member_is_named_if_it_is_of_a_kind_that_is_sought(tmp_path: Path) -> None:
    zip_up(tmp_path / "a.zip", "../x.mp4", "../x.txt", "inner.zip")
    found = finding.find(tmp_path, {".mp4"})
    assert [problem.place for problem in found.problems] == ["a.zip/../x.mp4"]
    assert [problem.place for problem in found.unreadable] == ["a.zip/inner.zip"]


@pytest.mark.parametrize("numbers", [("part0", "part9", "part10"), ("001", "002", "010")])
def test_zip_in_pieces_can_be_joined_as_is_said(tmp_path: Path, numbers: tuple[str, ...]) -> None:
    folder = tmp_path / "root" / "b c"
    whole = zip_up(tmp_path / "whole.zip", "x.mp4").read_bytes()
    cuts = [whole[:20], whole[20:50], whole[50:]]
    for number, piece in zip(numbers, cuts, strict=True):
        put(folder / f"TS 12's.zip.{number}", piece)
    assert names(tmp_path / "root") == []
    (problem,) = finding.find(tmp_path / "root", {".mp4"}).unreadable
    assert problem.place == f"b c/TS 12's.zip.{'part' * numbers[0].startswith('part')}*"
    command = problem.remedy.removeprefix("Join them: `").removesuffix("`")
    subprocess.run(["bash", "-c", command], cwd=folder, check=True)
    assert (folder / "TS 12's.zip").read_bytes() == whole
    assert names(tmp_path / "root") == ["b c/TS 12's.zip/x.mp4"]
    assert finding.find(tmp_path / "root", {".mp4"}).unreadable == []


def test_decomposed_names_are_given_composed_and_still_lead_there(tmp_path: Path) -> None:
    assert NFC != NFD
    put(tmp_path / NFC / f"{NFD}.mp4", "1")
    put(tmp_path / f"{NFD} 2" / f"{NFC}.mp4", "2")
    zip_up(tmp_path / f"{NFD}.zip", f"{NFD}/x.mp4")
    found = names(tmp_path)
    assert found == [f"{NFC}/{NFC}.mp4", f"{NFC} 2/{NFC}.mp4", f"{NFC}.zip/{NFC}/x.mp4"]
    read = [finding.on_disk(tmp_path, PurePosixPath(name)).read_text() for name in found[:2]]
    assert read == ["1", "2"]
    assert finding.on_disk(tmp_path, PurePosixPath(f"{NFC}.zip")) == tmp_path / f"{NFD}.zip"


def test_what_is_not_there_would_lie_where_its_name_says(tmp_path: Path) -> None:
    for name in ("a.mp4", f"{NFC}/{NFC}.mp4", f"{NFD}/a.mp4"):
        assert finding.on_disk(tmp_path, PurePosixPath(name)) == tmp_path / name


def test_one_name_in_both_forms_is_told(tmp_path: Path) -> None:
    put(tmp_path / f"{NFC}.mp4", "1")
    put(tmp_path / f"{NFD}.mp4", "2")
    for form in (NFC, NFD):
        zip_up(tmp_path / f"{form}.zip", f"{form!a}.mp4")
    found = finding.find(tmp_path, {".mp4"})
    assert found.paths == []
    assert [problem.place for problem in found.problems] == [f"{NFC}.mp4"]
    assert [problem.place for problem in found.unreadable] == [f"{NFC}.zip"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "a.mp4", "x")
    zip_up(tmp_path / "elsewhere" / "b.zip", "c.mp4")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "root")
    assert names(tmp_path / "root") == ["link/a.mp4", "link/b.zip/c.mp4"]


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        finding.find(tmp_path / "nowhere", {".mp4"})


def test_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    put(tmp_path / "open" / "a.mp4", "x")
    closed = put(tmp_path / "closed" / "b.mp4", "x").parent
    closed.chmod(0)
    tmp_path.chmod(0o755)
    script = (
        "import os, sys; from pathlib import Path; from yololstm import finding;"
        "root = os.open(sys.argv[1], os.O_RDONLY); os.fchdir(root);"
        "os.geteuid() or os.setuid(65534);"  # root may read everything
        "found = finding.find(Path('.'), {'.mp4'}); print(*found.paths, found.unreadable)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    closed.chmod(0o755)
    assert done.stdout.startswith("open/a.mp4 [Problem(place='closed', problem='the folder cannot")
