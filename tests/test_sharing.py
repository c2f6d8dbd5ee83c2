from __future__ import annotations

from pathlib import Path

import pytest

from yololstm import sharing
from yololstm.errors import YololstmError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, reached through a link."""
    (tmp_path / "project" / "data" / "sample" / "part").mkdir(parents=True)
    (tmp_path / "link").symlink_to("project")
    monkeypatch.chdir(tmp_path / "link")
    return tmp_path / "project"


def shareable(root: str | Path) -> bool:
    return sharing.is_shareable(Path(root), ["data/sample", "data/other"])


def test_a_root_is_shareable_by_where_it_is(project: Path) -> None:
    for root in ("data/sample", "data/sample/", "./data/../data/sample", "data/other"):
        assert shareable(root)
    assert shareable(project / "data" / "sample")
    assert shareable(project.parent / "link" / "data" / "sample")


def test_nothing_else_is(project: Path) -> None:
    for root in ("data", "data/sample/part", "data/sample2", "/data/sample", "."):
        assert not shareable(root)


def test_a_link_is_what_it_leads_to(project: Path, tmp_path: Path) -> None:
    (tmp_path / "footage").mkdir()
    (project / "data" / "other").symlink_to(tmp_path / "footage")
    (project / "data" / "user").symlink_to("sample")
    assert not shareable("data/other")
    assert shareable("data/user")


def test_in_the_place_of_pictures_there_is_a_note_alone() -> None:
    out, private = Path("out"), Path("private/renders")
    for folder in (out, private):
        (folder / "before").mkdir(parents=True)
    given = sharing.folder_for_pictures(Path("data/user"), ["data/sample"], out, private)
    assert given == private
    assert not [*private.iterdir()]
    (note,) = out.iterdir()
    assert note.read_text(encoding="utf-8").endswith("are not handed on.\n")
    told = note.read_text(encoding="utf-8")
    assert "pictures of data/user" in told
    assert "are in private/renders on" in told


def test_a_note_goes_when_the_pictures_may_be_shared() -> None:
    out, private = Path("out"), Path("private")
    sharing.folder_for_pictures(Path("data/user"), ["data/sample"], out, private)
    sharing.folder_for_pictures(Path("data/sample"), ["data/sample"], out, private)
    assert not [*out.iterdir()]


def test_what_a_link_leads_to_is_not_emptied(tmp_path: Path) -> None:
    kept = tmp_path / "disk" / "mine.txt"
    kept.parent.mkdir()
    kept.touch()
    Path("private").symlink_to(kept.parent)
    with pytest.raises(YololstmError, match="private: no folder"):
        sharing.folder_for_pictures(Path("data/user"), [], Path("out"), Path("private"))
    assert kept.exists()


def test_pictures_that_may_be_shared_are_where_dvc_keeps_them() -> None:
    out, private = Path("out"), Path("private")
    assert sharing.folder_for_pictures(Path("data/sample"), ["data/sample"], out, private) == out
    assert not private.exists()
