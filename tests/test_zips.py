from __future__ import annotations

import io
import random
import stat
import struct
import unicodedata
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yololstm import zips
from yololstm.errors import DataError

NOISE = random.Random(0).randbytes(300_000)
CONTENTS = {"a.bin": b"", "b/c.bin": b"x" * 700_000, "b/d.bin": NOISE}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.zip"


def put(path: Path, contents: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with ZipFile(path, "w", method) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return path


def unpacked(path: Path, name: str) -> bytes:
    return b"".join(zips.unpack(path, zips.listing(path).members[name], f"x.zip/{name}"))


def named_raw(path: Path, raw: bytes, system: int = 3) -> Path:
    """A zip of one file, whose name is these bytes and is not flagged as UTF-8."""
    info = ZipInfo("?" * len(raw))
    info.create_system = system
    with ZipFile(path, "w") as file:
        file.writestr(info, b"content")
    content = path.read_bytes()
    assert content.count(b"?" * len(raw)) == 2
    path.write_bytes(content.replace(b"?" * len(raw), raw))
    return path


def patched(path: Path, name: str, **fields: int) -> Path:
    """Both headers of a member, changed."""
    at = {"flags": (6, 8, "<H"), "method": (8, 10, "<H"), "crc": (14, 16, "<I")}
    at |= {"packed": (18, 20, "<I"), "size": (22, 24, "<I")}
    content = bytearray(path.read_bytes())
    with ZipFile(path) as file:
        local = file.getinfo(name).header_offset
    central = content.index(name.encode(), content.index(b"PK\1\2")) - 46
    for field, value in fields.items():
        in_local, in_central, layout = at[field]
        struct.pack_into(layout, content, local + in_local, value)
        struct.pack_into(layout, content, central + in_central, value)
    path.write_bytes(content)
    return path


# --- listing ---


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_out_as_they_went_in(path: Path, method: int) -> None:
    put(path, CONTENTS, method)
    members = zips.listing(path).members
    assert {name: unpacked(path, name) for name in members} == CONTENTS
    assert {name: member.size for name, member in members.items()} == {
        name: len(content) for name, content in CONTENTS.items()
    }


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_korean_names_are_told_without_the_flag(path: Path, encoding: str) -> None:
    named_raw(path, "이상행동/절도 1.mp4".encode(encoding))
    assert list(zips.listing(path).members) == ["이상행동/절도 1.mp4"]


def test_decomposed_names_are_composed(path: Path) -> None:
    name = "절도.mp4"
    put(path, {unicodedata.normalize("NFD", name): b"x"})
    assert name not in ZipFile(path).namelist()
    assert list(zips.listing(path).members) == [name]


def test_name_in_no_known_encoding_is_told(path: Path) -> None:
    named_raw(path, b"a\xff\xfe.mp4")
    found = zips.listing(path)
    assert not found.members
    (problem,) = found.problems
    assert (problem.place, problem.problem) == (
        r"a\xff\xfe.mp4",
        "its name is neither UTF-8 nor cp949",
    )


def test_backslashes_of_dos_part_folders(path: Path, tmp_path: Path) -> None:
    assert list(zips.listing(named_raw(path, b"a\\b.mp4", system=0)).members) == ["a/b.mp4"]
    other = named_raw(tmp_path / "y.zip", b"a\\b.mp4", system=3)
    assert list(zips.listing(other).members) == ["a\\b.mp4"]


def test_folders_and_hidden_files_do_not_count(path: Path) -> None:
    hidden = {"__MACOSX/._a.mp4", "b/__MACOSX/a.mp4", "._a.mp4", ".git/a.mp4", "b/.c.zip"}
    put(path, dict.fromkeys([*hidden, "b/", "a.mp4"], b""))
    assert zips.listing(path) == zips.Listing({"a.mp4": zips.listing(path).members["a.mp4"]}, ())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../a.mp4", "leads out of the zip"),
        ("b/../../a.mp4", "leads out of the zip"),
        ("/etc/a.mp4", "leads out of the zip"),
        ("a\n.mp4", "control characters"),
        ("b/c.ZIP", "a zip within a zip"),
    ],
)
def test_name_that_cannot_be_used_is_told(path: Path, name: str, problem: str) -> None:
    put(path, {name: b"x", "sound.mp4": b"x"})
    found = zips.listing(path)
    assert list(found.members) == ["sound.mp4"]
    assert [problem in p.problem and bool(p.remedy) for p in found.problems] == [True]


def test_link_is_told(path: Path) -> None:
    info = ZipInfo("a.mp4")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(path, "w") as file:
        file.writestr(info, "/etc/passwd")
    found = zips.listing(path)
    assert not found.members
    assert "it is a link" in found.problems[0].problem


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_same_name_twice_is_told_if_it_differs(path: Path) -> None:
    with ZipFile(path, "w") as file:
        for name, content in (("a", b"1"), ("a", b"1"), ("b", b"1"), ("b", b"2")):
            file.writestr(name, content)
    found = zips.listing(path)
    assert list(found.members) == ["a"]
    assert [problem.place for problem in found.problems] == ["b"]


@pytest.mark.parametrize("keep", [0, 1, 100, -30])
def test_zip_cut_off_is_told(path: Path, keep: int) -> None:
    put(path, CONTENTS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"x\.zip: (the zip is empty|not a whole zip)"):
        zips.listing(path)


def test_zip_that_changed_is_read_again(path: Path) -> None:
    put(path, {"a": b"1"})
    assert list(zips.listing(path).members) == ["a"]
    put(path, {"a": b"1", "b": b"2"})
    assert list(zips.listing(path).members) == ["a", "b"]


def test_folder_is_no_zip(path: Path) -> None:
    path.mkdir()
    with pytest.raises(DataError, match="it is not a file"):
        zips.listing(path)


# --- content ---


def test_encrypted_member_is_refused(path: Path) -> None:
    patched(put(path, CONTENTS), "b/c.bin", flags=1)
    with pytest.raises(DataError, match=r"x\.zip/b/c\.bin: it is encrypted\. Unzip it with"):
        unpacked(path, "b/c.bin")
    assert unpacked(path, "b/d.bin") == CONTENTS["b/d.bin"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(path: Path, method: int) -> None:
    put(path, CONTENTS, method)
    with pytest.raises(DataError, match=f"a method that is not read \\(number {method}\\)"):
        unpacked(path, "b/c.bin")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_bytes_are_refused(path: Path, method: int) -> None:
    put(path, CONTENTS, method)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") - 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.zip/b/d\.bin: damaged in the zip"):
        unpacked(path, "b/d.bin")
    assert unpacked(path, "b/c.bin") == CONTENTS["b/c.bin"]


def test_member_never_gives_more_than_it_promises(path: Path) -> None:
    """Even with the checksum of what it promises."""
    put(path, {"bomb": bytes(50_000_000)})
    patched(path, "bomb", size=1000, crc=zlib.crc32(bytes(1000)))
    given = 0
    with pytest.raises(DataError, match="more than the 1000 bytes it should"):
        for piece in zips.unpack(path, zips.listing(path).members["bomb"], "bomb"):
            given += len(piece)
    assert given <= 1000


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_member_gives_no_less_than_it_promises(path: Path, method: int) -> None:
    patched(put(path, {"a": b"x" * 100}, method), "a", size=101)
    with pytest.raises(DataError, match="it holds 100 of 101 bytes"):
        unpacked(path, "a")


def test_bomb_is_unpacked_in_small_pieces(path: Path) -> None:
    put(path, {"bomb": bytes(50_000_000)})
    assert path.stat().st_size < 60_000
    pieces = zips.unpack(path, zips.listing(path).members["bomb"], "bomb")
    assert max(map(len, pieces)) <= 2**18


@pytest.mark.parametrize("offset", [1, 10**6, 2**32 - 2])
def test_member_that_is_not_where_it_should_be(path: Path, offset: int) -> None:
    put(path, CONTENTS)
    content = bytearray(path.read_bytes())
    entry = content.index(b"b/c.bin", content.index(b"PK\1\2")) - 46
    struct.pack_into("<I", content, entry + 42, offset)
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        unpacked(path, "b/c.bin")


# --- anything at all ---


def sound_zip() -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("a.mp4", "b/절도.xml"):
            file.writestr(name, name * 50)
    return buffer.getvalue()


SOUND = sound_zip()


def read_all(path: Path, content: bytes) -> None:
    """Nothing comes out that is not named, or more than was promised; nothing but DataError."""
    path.write_bytes(content)
    with suppress(DataError):
        for name, member in zips.listing(path).members.items():
            assert name
            assert ".." not in name.split("/")
            with suppress(DataError):
                assert len(b"".join(zips.unpack(path, member, name))) == member.size


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(path: Path, content: bytes) -> None:
    read_all(path, content)
    read_all(path, content + SOUND)
    read_all(path, SOUND + content)


@given(st.dictionaries(st.integers(0, len(SOUND) - 1), st.integers(0, 255), max_size=8))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_read_or_refused(path: Path, changes: dict[int, int]) -> None:
    content = bytearray(SOUND)
    for place, value in changes.items():
        content[place] = value
    read_all(path, bytes(content))
