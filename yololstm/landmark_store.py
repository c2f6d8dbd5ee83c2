"""What was extracted once, kept by what it was made of, so that nobody extracts it again.

Each entry is one file that begins with a checksum of its key and content. It is written whole or
not at all, and read whole; nothing links to it. So any number of processes may share the folder and
be killed at any time, and the folder may be deleted: what it gives is what was put in, or nothing.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from yololstm.console import warn
from yololstm.storage import UNFINISHED, atomic

_MAGIC: Final = b"yololstm 1 "
_HEAD_LENGTH: Final = len(_MAGIC) + 64 + 1
_KEY: Final = re.compile(r"[0-9a-f]{16}/[0-9a-f]{64}")
_ABANDONED_S: Final = 3600


def is_key(key: str) -> bool:
    return _KEY.fullmatch(key) is not None


@dataclass(frozen=True)
class LandmarkStore:
    """Keys are ``recipe/material``: how it was made, in 16 hexadecimal digits, and out of what,
    in 64.

    limit: bytes of all entries together, which prune keeps to.
    """

    folder: Path
    limit: int

    def path(self, key: str) -> Path:
        if not is_key(key):
            raise ValueError(f"{key!r} is no key")
        return self.folder / key

    def put(self, key: str, content: bytes) -> None:
        """Raises YololstmError where the disk is full."""
        path = self.path(key)
        with atomic(path) as temporary:
            temporary.write_bytes(_head(path, content) + content)

    def get(self, key: str) -> bytes | None:
        """None where there is no such entry, or a damaged one, which is told and deleted."""
        return read(self.path(key))

    def prune(self) -> None:
        """Delete what was not used for longest, and what killed processes have left behind.

        What others use at this moment may go too: they make it again.
        """
        entries = sorted(self._entries(), key=lambda entry: entry.used_ns, reverse=True)
        total = 0
        for entry in entries:
            total += entry.bytes
            if total > self.limit:
                entry.path.unlink(missing_ok=True)

    def _entries(self) -> Iterator[_Entry]:
        now = time.time()
        for path in self.folder.glob("*/*"):
            try:
                seen = path.lstat()
                if stat.S_ISDIR(seen.st_mode):
                    continue
                if not path.name.startswith(UNFINISHED):
                    yield _Entry(path, seen.st_size, seen.st_mtime_ns)
                elif now - seen.st_mtime > _ABANDONED_S:
                    path.unlink()
            except FileNotFoundError:
                continue


@dataclass(frozen=True)
class _Entry:
    path: Path
    bytes: int
    used_ns: int


def read(path: Path) -> bytes | None:
    """LandmarkStore.get, for who knows the file but not the store."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        whole = b""
    content = whole[_HEAD_LENGTH:]
    if whole[:_HEAD_LENGTH] != _head(path, content):
        warn(f"{path}: what was extracted is damaged. It is extracted again.")
        # A folder stays; so does what may not be deleted.
        with suppress(OSError):
            path.unlink()
        return None
    with suppress(OSError):
        os.utime(path)
    return content


def _head(path: Path, content: bytes) -> bytes:
    key = "/".join(path.parts[-2:]).encode()
    return _MAGIC + sha256(key + content).hexdigest().encode() + b"\n"
