"""A bounded folder of files that can be made again: those that were not used longest go first.

Several threads and processes may use it at once, and be killed while they do. Who uses a file holds
a shared lock on it (flock, which ends with its holder), and only a file that nobody holds is
deleted. What changes the folder's entries happens under one lock of the folder.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from yololstm.errors import YololstmError

_PART: Final = ".part"
_LOCK: Final = ".lock"


@dataclass(frozen=True)
class BoundedFolder:
    """limit: bytes. More lie there only while files in use leave no other way.

    max_files: so that looking through the folder stays quick.
    """

    folder: Path
    limit: int
    max_files: int = 256

    @contextmanager
    def file(self, name: str, size: int, write: Callable[[BinaryIO], None]) -> Iterator[Path]:
        """A file of ``size`` bytes, which stays as long as the block lasts.

        name: the same for the same bytes only. write: makes it, where it is not there; what it
        raises comes through and leaves nothing behind. Raises YololstmError where the folder cannot
        be written to.
        """
        path = self.folder / name
        try:
            held = self._held(path, size) or self._made(path, size, write)
        except OSError as error:
            problem = f"nothing can be unpacked ({error.strerror})"
            remedy = "Make room there, and see that it may be written to"
            raise YololstmError(self.folder, problem, remedy) from error
        with held:
            yield path

    def _held(self, path: Path, size: int) -> BinaryIO | None:
        """The file with a shared lock on it; None where it is not there, or not whole."""
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        fcntl.flock(file, fcntl.LOCK_SH)
        if _is_at(path, file) and os.fstat(file.fileno()).st_size == size:
            _mark_as_used(file)
            return file
        file.close()
        return None

    def _made(self, path: Path, size: int, write: Callable[[BinaryIO], None]) -> BinaryIO:
        part = self._reserved(path, size)
        try:
            write(part)
            part.flush()
            return self._published(part, path, size)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            part.close()
            raise

    def _reserved(self, path: Path, size: int) -> BinaryIO:
        """An empty file, locked by us, that counts as large as it is going to be."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._make_room(size)
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=path.stem, suffix=_PART)
            os.close(handle)
            part = Path(name).open("r+b")  # noqa: SIM115
            fcntl.flock(part, fcntl.LOCK_EX)
            part.truncate(size)
        return part

    def _published(self, part: BinaryIO, path: Path, size: int) -> BinaryIO:
        with self._locked():
            if (file := self._held(path, size)) is not None:  # somebody was faster
                Path(part.name).unlink()
                part.close()
                return file
            Path(part.name).chmod(0o644)
            Path(part.name).replace(path)
            _mark_as_used(part)
            fcntl.flock(part, fcntl.LOCK_SH)
            return part

    def _make_room(self, size: int) -> None:
        """Delete until ``size`` bytes more fit in, and what killed processes have left."""
        files = [entry for entry in self._entries() if not self._is_left_over(entry)]
        seen = sorted(((entry.stat(), entry) for entry in files), key=lambda s: s[0].st_mtime_ns)
        total, n = size + sum(stat.st_size for stat, _ in seen), 1 + len(seen)
        for stat, entry in seen:
            if total <= self.limit and n <= self.max_files:
                break
            if _deleted(Path(entry)):
                total, n = total - stat.st_size, n - 1

    def _entries(self) -> list[os.DirEntry[str]]:
        with os.scandir(self.folder) as entries:
            return [entry for entry in entries if entry.name != _LOCK]

    def _is_left_over(self, entry: os.DirEntry[str]) -> bool:
        return entry.name.endswith(_PART) and _deleted(Path(entry))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / _LOCK).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether it has not been deleted between opening and locking it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _mark_as_used(file: BinaryIO) -> None:
    """By a finer clock than the kernel would take."""
    now = time.time_ns()
    os.utime(file.fileno(), ns=(now, now))


def _deleted(path: Path) -> bool:
    """Delete a file, unless somebody holds it."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink()
        return True
