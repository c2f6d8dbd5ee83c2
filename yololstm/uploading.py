"""Recordings go to another place, through fsspec."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec  # type: ignore[import-untyped]

from yololstm.outbox import Message, Refused, Undelivered


class Upload:
    """Delivers messages of the form ``{"event": id, "files": [path, ...]}``.

    Each file has the same path below ``url`` as below the recordings. One that is there already, of
    the same size, is left, so that to deliver twice does no harm. No folder is told to others, and
    no bucket is made: a name with a slip in it must not lead customers to where nobody looks.
    """

    def __init__(self, recordings: Path, url: str, options: Mapping[str, Any]) -> None:
        """options: for the file system."""
        self._recordings = recordings
        self._url = url
        self._options = dict(options)

    def __call__(self, message: Message) -> None:
        """Raises Refused where a file is not here any more, or is none of the recordings;
        Undelivered for what may be over later. Neither has what is secret in its text."""
        try:
            told = json.loads(message.body)
            paths = [PurePosixPath(path) for path in told["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"not a list of files ({type(error).__name__})") from None
        for path in paths:
            if path.is_absolute() or ".." in path.parts:
                raise Refused(f"{path}: none of the recordings")
            if not (self._recordings / path).is_file():
                raise Refused(f"{path}: it is not here any more")
        for path in paths:
            try:
                self._send(path)
            except Exception as error:  # noqa: BLE001 - each file system has its own
                if not (self._recordings / path).is_file():
                    raise Refused(f"{path}: it is not here any more") from None
                raise Undelivered(f"{path}: {_why(error)}") from None

    def _send(self, path: PurePosixPath) -> None:
        files, root = fsspec.core.url_to_fs(self._url, **self._options)
        here, there = self._recordings / path, f"{root.rstrip('/')}/{path}"
        size = here.stat().st_size
        if _size(files, there) == size:
            return
        # Object stores have no folders; to make one would make the bucket.
        if not files.async_impl:
            files.makedirs(there.rpartition("/")[0], exist_ok=True)
        files.put_file(str(here), there)
        if (came := _size(files, there)) != size:
            raise OSError(f"{came} of {size} bytes came there")


def _size(files: fsspec.AbstractFileSystem, path: str) -> int | None:
    """None where there is no such file."""
    files.invalidate_cache()
    try:
        return int(files.info(path)["size"])
    except FileNotFoundError:
        return None


def _why(error: Exception) -> str:
    """What others say may have addresses and keys in it."""
    code = getattr(error, "errno", None)
    name = type(error).__name__
    return f"{name} ({code})" if code else name
