"""A data set's files: where they lie, what they hold, and what was learned of them before.

They lie in folders or in zips, which are read in place: a file in a zip is named as if the zip were
a folder, ``TS_12.zip/a.mp4``. A zip within a zip is not looked into.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from yololstm import finding, storage, video, zips
from yololstm.errors import DataError, VideoError
from yololstm.finding import Listing
from yololstm.remembering import Remembered
from yololstm.unpacking import BoundedFolder
from yololstm.video import FrameTimes, VideoInfo
from yololstm.zips import Member

_SUFFIX: Final = re.compile(r"\.[A-Za-z0-9]{1,8}")

#: How long a file may be written to without its time of change getting on. Linux looks at its clock
#: every few milliseconds; some file systems keep whole seconds, FAT two of them.
_GRAIN_NS: Final = 20_000_000
_COARSE_GRAIN_NS: Final = 2_000_000_000


@dataclass(frozen=True)
class Facts:
    """Which bytes a file is."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class VideoFacts(Facts):
    info: VideoInfo
    time_s: NDArray[np.float64]
    """(frames,) presentation times; see video.frame_times."""


@dataclass(frozen=True)
class Material:
    """The files below ``root``. Paths are POSIX, relative to it, and composed (NFC).

    cache: a folder for what is unpacked, and for facts that need not be found out twice.
    unpacked_bytes: how much of what is unpacked is kept at most, and so how large one file in a zip
    may be.
    """

    root: Path
    cache: Path
    unpacked_bytes: int = 4 * 2**30

    def listing(self, suffixes: Collection[str]) -> Listing:
        """Files at any depth, also in zips, with one of these suffixes in any case, and what had
        to be left out.

        Links to folders are followed, each folder once. Hidden files, such as macOS leaves in its
        zips, do not count. Raises DataError where there is no such folder, or where a name is not
        Unicode, as when a Korean zip was unpacked without its encoding.
        """
        return finding.find(self.root, suffixes)

    @contextmanager
    def local(self, path: PurePosixPath | str) -> Iterator[Path]:
        """A file that can be opened by its path, for as long as the block lasts.

        Raises DataError where it lies in a zip and cannot be had out of it.
        """
        with self._on_disk(self._place(path)) as file:
            yield file

    def read_bytes(self, path: PurePosixPath | str, limit: int) -> bytes:
        """Raises DataError where the file cannot be read or has more than ``limit`` bytes."""
        return _read(self._place(path), limit)

    def content(self, path: PurePosixPath | str, limit: int) -> tuple[bytes, Facts]:
        """``read_bytes`` and ``facts`` in one go, which hashes only what is new."""
        place = self._place(path)
        with self._known(place) as known:
            content = _read(place, limit)
            if "sha256" not in known:
                known |= {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
            return content, _facts(known)

    def facts(self, path: PurePosixPath | str) -> Facts:
        """Raises DataError where the file cannot be read."""
        place = self._place(path)
        with self._known(place) as known:
            if "sha256" not in known:
                known |= _hashed(place)
            return _facts(known)

    def video_facts(self, path: PurePosixPath | str) -> VideoFacts:
        """Raises VideoError, which names the file as ``path``, or DataError as ``local`` does."""
        place = self._place(path)
        with self._known(place) as known:
            if known.get("surveyed_by") != _surveyor():
                with self._on_disk(place) as file:
                    known |= _surveyed(file, place.name)
                    if "sha256" not in known:
                        known |= _hashed(replace(place, file=file, member=None))
            return _video_facts(known)

    def _place(self, path: PurePosixPath | str) -> _Place:
        """Raises DataError where it should be in a zip, but is not."""
        name, parts = str(path), PurePosixPath(path).parts
        for i in range(1, len(parts)):
            if parts[i - 1].lower().endswith(zips.SUFFIX):
                file = finding.on_disk(self.root, PurePosixPath(*parts[:i]))
                if file.is_file():
                    return _in_zip(name, file, "/".join(parts[i:]))
        return _Place(name, finding.on_disk(self.root, PurePosixPath(path)))

    @contextmanager
    def _known(self, place: _Place) -> Iterator[dict[str, Any]]:
        """What was learned of a file before; what the block adds will be known from then on.

        Git's rule for its index: facts are kept only of a file whose next change will show.
        """
        remembered = Remembered(self.cache / "facts.sqlite")
        seen = place.look()
        before = remembered.get(place.key, place.identity(seen)) or {}
        may_be_kept = bool(before) or all(map(_has_settled, (seen.st_mtime_ns, seen.st_ctime_ns)))
        known = dict(before)
        yield known
        if may_be_kept and known != before and place.identity(seen) == place.identity(place.look()):
            remembered.put(place.key, place.identity(seen), known)

    @contextmanager
    def _on_disk(self, place: _Place) -> Iterator[Path]:
        if place.member is None:
            yield place.file
            return
        if place.member.size > self.unpacked_bytes:
            problem = f"{place.member.size} bytes when unpacked, of at most {self.unpacked_bytes}"
            raise DataError(place.name, problem, "Unzip it into the data, and take the zip out")
        folder = BoundedFolder(self.cache / "unpacked", self.unpacked_bytes)
        with folder.file(place.name_for_copy(), place.member.size, place.write) as file:
            yield file


# --- where files lie ---


@dataclass(frozen=True)
class _Place:
    """A file on disk, or in a zip on disk."""

    name: str
    """As it was asked for, which errors name."""
    file: Path
    """The file itself, or the zip."""
    inner: str = ""
    """Its path in the zip."""
    member: Member | None = None

    @property
    def key(self) -> str:
        return os.path.join(os.path.realpath(self.file), self.inner)  # noqa: PTH118

    def look(self) -> os.stat_result:
        """Raises DataError where there is no file."""
        try:
            seen = self.file.stat()
        except FileNotFoundError as error:
            raise DataError(self.name, "no such file", "Fetch it, or index anew") from error
        except OSError as error:
            raise _unreadable(self, error) from error
        if not stat.S_ISREG(seen.st_mode):
            raise DataError(self.name, "it is not a file", "Take it out of the data")
        return seen

    def identity(self, seen: os.stat_result) -> str:
        """What is another if the file is; and where a file system numbers its files anew at every
        mount, too often."""
        within = f":{self.member.identity}" if self.member else ""
        return f"{':'.join(map(str, zips.file_identity(seen)))}{within}"

    def name_for_copy(self) -> str:
        """Another one for other bytes."""
        whole = f"{self.key}\0{self.identity(self.look())}".encode("utf-8", "surrogateescape")
        suffix = PurePosixPath(self.inner).suffix
        return sha256(whole).hexdigest()[:32] + (suffix if _SUFFIX.fullmatch(suffix) else "")

    def pieces(self) -> Iterator[bytes]:
        """The bytes of a file in a zip."""
        assert self.member is not None
        return zips.unpack(self.file, self.member, self.name)

    def write(self, file: BinaryIO) -> None:
        file.writelines(self.pieces())


def _in_zip(name: str, file: Path, inner: str) -> _Place:
    try:
        member = zips.listing(file).members[inner]
    except DataError as error:
        raise DataError(name, error.problem.problem, error.problem.remedy) from error
    except KeyError as error:
        raise DataError(name, "no such file in the zip", "Fetch it, or index anew") from error
    return _Place(name, file, inner, member)


# --- facts ---


def _has_settled(changed_ns: int) -> bool:
    """Whether a further change of a file will show in its time of change; waits a moment for it."""
    age = time.time_ns() - changed_ns
    if changed_ns % 1_000_000_000 == 0:
        return age > _COARSE_GRAIN_NS
    if 0 <= age <= _GRAIN_NS:
        time.sleep((_GRAIN_NS - age) / 1e9)
    return age >= 0


def _read(place: _Place, limit: int) -> bytes:
    place.look()
    if place.member is not None and place.member.size > limit:
        raise _too_large(place, limit)
    try:
        if place.member is not None:
            return b"".join(place.pieces())
        with place.file.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise _unreadable(place, error) from error
    if len(content) > limit:
        raise _too_large(place, limit)
    return content


def _hashed(place: _Place) -> dict[str, Any]:
    if place.member is not None:
        digest = sha256()
        for piece in place.pieces():
            digest.update(piece)
        return {"sha256": digest.hexdigest(), "bytes": place.member.size}
    try:
        return {"sha256": storage.sha256(place.file), "bytes": place.file.stat().st_size}
    except OSError as error:
        raise _unreadable(place, error) from error


def _surveyed(file: Path, name: str) -> dict[str, Any]:
    try:
        info, times = video.survey(file)
    except VideoError as error:
        raise VideoError(name, error.problem.problem, error.problem.remedy) from error
    return {
        "surveyed_by": _surveyor(),
        **vars(info),
        "fps": str(info.fps),
        "tick": str(times.tick),
        "steps": _runs(np.diff(times.ticks)),
    }


@functools.cache
def _surveyor() -> str:
    """What another surveyor found out does not count."""
    sources = b"".join(Path(file).read_bytes() for file in (__file__, video.__file__))
    return f"{sha256(sources).hexdigest()[:16]}, {video.LIBRARY}"


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Each value with the times that it follows itself; a steady rate is one run."""
    starts = np.flatnonzero(np.diff(values, prepend=values[:1] - 1))
    lengths = np.diff(starts, append=len(values))
    return list(zip(values[starts].tolist(), lengths.tolist(), strict=True))


def _facts(known: Mapping[str, Any]) -> Facts:
    return Facts(known["sha256"], known["bytes"])


def _video_facts(known: Mapping[str, Any]) -> VideoFacts:
    steps, lengths = np.array(known["steps"], np.int64).reshape(-1, 2).T
    ticks = np.concatenate([[0], np.cumsum(np.repeat(steps, lengths))])
    fps, tick = Fraction(known["fps"]), Fraction(known["tick"])
    return VideoFacts(
        **vars(_facts(known)),
        info=VideoInfo(fps, known["n_frames"], known["width"], known["height"]),
        time_s=FrameTimes(ticks, tick).time_s,
    )


def _unreadable(place: _Place, error: OSError) -> DataError:
    return DataError(place.name, f"cannot be read ({error.strerror})", "Fetch the file again")


def _too_large(place: _Place, limit: int) -> DataError:
    return DataError(place.name, f"more than {limit} bytes", "Take it out of the data")
