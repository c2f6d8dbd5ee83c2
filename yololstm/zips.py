"""What lies in a zip, without unpacking more than one file of it at a time.

Source: PKWARE's APPNOTE.TXT 6.3, sections 4.3.7 and 4.3.12. Nothing that a zip says of itself is
trusted: neither names, nor sizes, nor that its bytes are sound.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipInfo

from yololstm.errors import DataError, Problem

SUFFIX: Final = ".zip"

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_SIGNATURE: Final = b"PK\3\4"
_ENCRYPTED: Final = 1 << 0 | 1 << 6 | 1 << 13
_UTF8: Final = 1 << 11
_MADE_ON_DOS: Final = 0
_CHUNK: Final = 2**18
_CONTROL: Final = re.compile(r"[\0-\x1f\x7f]")
#: What zipfile raises at a directory that makes no sense.
_DAMAGE: Final = (
    *(zipfile.BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError),
    *(ValueError, OverflowError, EOFError, OSError),
)
_FETCH_AGAIN: Final = "Download it again, or take it out of the data"
_UNZIP: Final = "Unzip it into the data, and take the zip out"
_CHOOSE: Final = "Unzip it, put right what is to be kept, and take the zip out"


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a zip, as the zip's directory describes it."""

    offset: int
    method: int
    flags: int
    packed: int
    """Bytes in the zip."""
    size: int
    """Bytes once unpacked."""
    crc: int

    @property
    def identity(self) -> str:
        return f"{self.offset}:{self.crc:08x}:{self.size}"


@dataclass(frozen=True)
class Listing:
    """members: by path in the zip, composed (NFC); hidden ones, and macOS's, are not among them.
    problems: members that cannot be told, or not be had; places are paths in the zip."""

    members: Mapping[str, Member]
    problems: tuple[Problem, ...]


def listing(path: Path) -> Listing:
    """Raises DataError where it is no zip. A zip that has not changed is read once."""
    try:
        seen = path.stat()
        if not stat.S_ISREG(seen.st_mode):
            raise zipfile.BadZipFile("it is not a file")
        return _listing(path, file_identity(seen))
    except _DAMAGE as error:
        problem = "the zip is empty" if _is_empty(path) else f"not a whole zip ({_told(error)})"
        raise DataError(path, problem, _FETCH_AGAIN) from error


def file_identity(seen: os.stat_result) -> tuple[int, ...]:
    """What is another if the file is, as far as can be told without reading it; the same that Git
    goes by. Size and time of change alone may stay when two files swap their names."""
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino


def unpack(path: Path, member: Member, place: str) -> Iterator[bytes]:
    """The bytes of a member, in pieces; they are known to be sound when the last has been given.

    place: for errors to name. Raises DataError where the member cannot be read, or holds other
    bytes than the zip's directory says; never gives more than that many.
    """
    _check_kind(member, place)
    try:
        with path.open("rb") as file:
            yield from _checked(_pieces(file, member), member)
    except _DAMAGE as error:
        raise DataError(place, f"damaged in the zip ({_told(error)})", _FETCH_AGAIN) from error
    except zlib.error as error:
        raise DataError(place, "damaged in the zip (not deflate)", _FETCH_AGAIN) from error


def is_hidden(name: str) -> bool:
    """Of a file or folder: hidden anywhere, or left by macOS in its zips."""
    return name.startswith(".") or name == "__MACOSX"


# --- directory ---


@functools.lru_cache(maxsize=256)
def _listing(path: Path, identity: tuple[int, ...]) -> Listing:
    with zipfile.ZipFile(path) as file:
        infos = file.infolist()
    copies: dict[str, list[Member]] = defaultdict(list)
    problems = []
    for info in infos:
        try:
            name = _checked_name(info)
        except DataError as error:
            problems.append(error.problem)
        else:
            copies[name].append(_member(info))
    members = {}
    for name, (first, *others) in copies.items():
        if name.endswith("/") or _is_hidden(PurePosixPath(name)):
            continue
        if any((other.crc, other.size) != (first.crc, first.size) for other in others):
            problems.append(Problem(name, "it stands in the zip twice, and differs", _CHOOSE))
        else:
            members[name] = first
    return Listing(members, tuple(problems))


def _member(info: ZipInfo) -> Member:
    return Member(
        offset=info.header_offset,
        method=info.compress_type,
        flags=info.flag_bits,
        packed=info.compress_size,
        size=info.file_size,
        crc=info.CRC,
    )


def _checked_name(info: ZipInfo) -> str:
    """That of a folder ends with a slash.

    Raises DataError where no file should be called so, or should be there at all.
    """
    name = _decoded_name(info)
    path = PurePosixPath(name)
    if name.endswith("/"):
        return f"{path}/"
    if _CONTROL.search(name):
        raise DataError(_CONTROL.sub("?", name), "its name holds control characters", _CHOOSE)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise DataError(name, "its name leads out of the zip", _CHOOSE)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(name, "it is a link, not a file", "Put the file itself into the zip")
    if path.suffix.lower() == SUFFIX and not _is_hidden(path):
        raise DataError(name, "a zip within a zip is not looked into", "Unzip the outer one")
    return str(path)


def _is_hidden(path: PurePosixPath) -> bool:
    return any(map(is_hidden, path.parts))


def _decoded_name(info: ZipInfo) -> str:
    """Names that are not flagged as UTF-8 are in whatever the zip's maker had: on a Korean Windows
    cp949. zipfile decodes those as cp437, which loses nothing."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8:
        name = _decoded(name.encode("cp437"))
    if info.create_system == _MADE_ON_DOS:
        name = name.replace("\\", "/")
    return unicodedata.normalize("NFC", name)


def _decoded(raw: bytes) -> str:
    for encoding in ("utf-8", "cp949"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    shown = raw.decode("ascii", "backslashreplace")
    raise DataError(shown, "its name is neither UTF-8 nor cp949", _CHOOSE)


# --- content ---


def _check_kind(member: Member, place: str) -> None:
    if member.flags & _ENCRYPTED:
        remedy = "Unzip it with its password into the data, and take the zip out"
        raise DataError(place, "it is encrypted", remedy)
    if member.method not in (ZIP_STORED, ZIP_DEFLATED):
        problem = f"packed by a method that is not read (number {member.method})"
        raise DataError(place, problem, _UNZIP)


def _pieces(file: BinaryIO, member: Member) -> Iterator[bytes]:
    file.seek(member.offset)
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    if signature != _SIGNATURE:
        raise zipfile.BadZipFile("there is no file where the directory says")
    file.seek(name_bytes + extra_bytes, os.SEEK_CUR)
    packed = _limited(file, member.packed)
    return packed if member.method == ZIP_STORED else _inflated(packed)


def _limited(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    while n_bytes > 0:
        piece = file.read(min(n_bytes, _CHUNK))
        if not piece:
            raise zipfile.BadZipFile("the zip breaks off")
        n_bytes -= len(piece)
        yield piece


def _inflated(packed: Iterator[bytes]) -> Iterator[bytes]:
    """However much comes out of a piece, it comes out in pieces."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in packed:
        while piece and not inflate.eof:
            yield inflate.decompress(piece, _CHUNK)
            piece = inflate.unconsumed_tail
    yield inflate.flush()


def _checked(pieces: Iterator[bytes], member: Member) -> Iterator[bytes]:
    size, crc = 0, 0
    for piece in pieces:
        size += len(piece)
        if size > member.size:
            raise zipfile.BadZipFile(f"it holds more than the {member.size} bytes it should")
        crc = zlib.crc32(piece, crc)
        yield piece
    if size < member.size:
        raise zipfile.BadZipFile(f"it holds {size} of {member.size} bytes")
    if crc != member.crc:
        raise zipfile.BadZipFile("its checksum is another")


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def _told(error: Exception) -> str:
    if isinstance(error, struct.error):
        return "it breaks off"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
