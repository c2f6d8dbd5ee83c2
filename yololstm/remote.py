"""Whether DVC's remote answers. Asked of a process of its own, which can be given up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

_SECRET: Final = ("password", "secret", "token", "key", "passphrase", "connection_string")
"""Parts of the names of settings whose values nobody may see."""
_PATHS: Final = ("keyfile", "key_path")
"""Settings that say where a secret is, which helps whoever seeks what is wrong."""


@dataclass(frozen=True)
class Answer:
    name: str
    """"" where there is no remote."""
    url: str
    """As ``bare`` has it."""
    problem: str
    """Why it is of no use; "" where it answers."""


def ask(folder: Path, timeout_s: float) -> Answer:
    """Ask the default remote of the DVC repository that ``folder`` is in for what it holds."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", __name__],
            cwd=folder,
            # S3 is otherwise asked five times.
            env={"AWS_MAX_ATTEMPTS": "1", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # Nothing of it has been looked through for secrets.
            stderr=subprocess.DEVNULL,
            # Without a terminal nobody is asked for a password: given up while it waits for one, it
            # would leave the terminal without echo.
            start_new_session=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        said, problem = _said(error.stdout or b""), f"no answer in {timeout_s:g} s"
    else:
        said = _said(done.stdout)
        problem = said.get("problem", "")
        if done.returncode and not problem:
            problem = f"DVC ended with status {done.returncode}"
    return Answer(said.get("name", ""), said.get("url", ""), problem)


def _said(told: bytes) -> dict[str, str]:
    """What of a process's output is ours: libraries print what they like."""
    said: dict[str, str] = {}
    for line in told.splitlines():
        with suppress(ValueError):
            words = json.loads(line)
            said |= words if isinstance(words, dict) else {}
    return said


def main() -> None:
    """Tell in lines of JSON: which remote it is, and then what is wrong with it."""
    from dvc.repo import Repo

    sys.excepthook = partial(tell, ())
    repository = Repo()
    name = repository.config["core"].get("remote")
    if not name:
        return
    settings = repository.config["remote"].get(name, {})
    sys.excepthook = partial(tell, secrets(settings))
    _say(name=name, url=bare(str(settings.get("url", ""))))
    store = repository.cloud.get_remote_odb(name)
    try:
        store.fs.ls(store.path)
    except FileNotFoundError as error:
        # Nobody has pushed yet; but of S3 that is also how it says that the bucket is not there.
        if "bucket" in str(error):
            raise


def bare(url: str) -> str:
    """Scheme, host and path alone: the rest may be secret. A path of this machine is as it is."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def secrets(settings: Mapping[str, Any]) -> list[str]:
    """What of a remote's settings nobody may see, as it stands there and as it is sent."""
    found = [
        value
        for name, value in settings.items()
        if isinstance(value, str) and name not in _PATHS and any(part in name for part in _SECRET)
    ]
    parts = urlsplit(str(settings.get("url", "")))
    if parts.netloc:
        found += [parts.password or "", parts.query, parts.fragment]
    return [secret for secret in {*found, *map(unquote, found)} if secret]


def tell(
    secrets: Sequence[str], _: type[BaseException], error: BaseException, __: TracebackType | None
) -> None:
    """For sys.excepthook: the first line of an error, without the secrets."""
    problem = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    # One may be part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        problem = problem.replace(secret, "***")
    _say(problem=problem)


def _say(**words: str) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
