"""Recordings go to another place, through fsspec."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import fsspec

from yololstm.errors import ParamsError
from yololstm.outbox import Message, Refused, Undelivered

_NOBODY: Final = (".shared.mp4", ".shared.jpg", ".parquet")
"""Files in which nobody is known."""


class Upload:
    """Delivers messages of the form ``{"event": id}``: the files that there are of it then.

    Each file has the same path below ``url`` as below the recordings. One that is there already, of
    the same size, is left, so that to deliver twice does no harm. No folder is told to others, and
    no bucket is made: a name with a slip in it must not lead customers to where nobody looks.
    """

    def __init__(
        self,
        recordings: Path,
        url: str,
        options: Mapping[str, Any],
        files_of: Callable[[str], Sequence[str]],
        *,
        blurred: bool,
    ) -> None:
        """options: for the file system. files_of: the files to send of an event, by its id, as
        paths below the recordings. blurred: none is sent in which somebody may be known. Raises
        ParamsError for an address of no kind that there is."""
        try:
            fsspec.get_filesystem_class(fsspec.utils.get_protocol(url))
        except (ValueError, ImportError) as error:
            raise ParamsError("upload.url", str(error), "Give one as s3://bucket/folder") from None
        self._recordings = recordings
        self._url = url
        self._options = dict(options)
        self._files_of = files_of
        self._blurred = blurred

    def __call__(self, message: Message) -> None:
        """Raises Refused where there is no file, or one is not here any more, is none of the
        recordings, or must not be sent; Undelivered for what may be over later. Neither has what is
        secret in its text."""
        try:
            event = str(json.loads(message.body)["event"])
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"no event ({type(error).__name__})") from None
        paths = [PurePosixPath(path) for path in self._files_of(event)]
        if not paths:
            raise Refused(f"{event}: there is nothing to send")
        for path in paths:
            self._check(path)
        for path in paths:
            try:
                self._send(path)
            except Exception as error:  # noqa: BLE001 - each file system has its own
                if not (self._recordings / path).is_file():
                    raise Refused(f"{path}: it is not here any more") from None
                raise Undelivered(f"{path}: {_why(error)}") from None

    def _check(self, path: PurePosixPath) -> None:
        if path.is_absolute() or ".." in path.parts:
            raise Refused(f"{path}: none of the recordings")
        if self._blurred and not path.name.endswith(_NOBODY):
            raise Refused(f"{path}: it is not blurred")
        if not (self._recordings / path).is_file():
            raise Refused(f"{path}: it is not here any more")

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
