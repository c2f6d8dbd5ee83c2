"""Whether DVC's remote answers. Asked of a process of its own, which can be given up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

_SECRET: Final = ("password", "secret", "token", "key_id", "passphrase", "connection_string")
"""Parts of the names of settings whose values nobody may see."""


@dataclass(frozen=True)
class Answer:
    name: str
    """"" where there is no remote."""
    url: str
    """Without a name and a password."""
    problem: str
    """Why it is of no use; "" where it answers."""


def ask(repository: Path, timeout_s: float) -> Answer:
    """Ask the default remote of a repository of DVC's for what it holds."""
    command = [sys.executable, "-m", __name__]
    process = subprocess.Popen(
        command,
        cwd=repository,
        # S3 is otherwise asked five times.
        env={"AWS_MAX_ATTEMPTS": "1", **os.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        # Nothing of it has been looked through for secrets.
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        told, _ = process.communicate(timeout=timeout_s)
        late = ""
    except subprocess.TimeoutExpired:
        process.kill()
        told, _ = process.communicate()
        late = f"no answer in {timeout_s:g} s"
    said: dict[str, str] = {}
    for line in told.splitlines():
        said |= json.loads(line)
    problem = late or said.get("problem", "")
    if not problem and process.returncode:
        problem = f"DVC ended with status {process.returncode}"
    return Answer(said.get("name", ""), said.get("url", ""), problem)


def main() -> None:
    """Tell in lines of JSON: which remote it is, and then what is wrong with it."""
    from dvc.repo import Repo

    sys.excepthook = tell
    repository = Repo(".")
    name = repository.config["core"].get("remote")
    if not name:
        return
    settings = repository.config["remote"].get(name, {})
    conceal(settings)
    _say(name=name, url=bare(str(settings.get("url", ""))))
    store = repository.cloud.get_remote_odb(name)
    try:
        store.fs.ls(store.path)
    except FileNotFoundError as error:
        # Nobody has pushed yet; but of S3 that is also how it says that the bucket is not there.
        if "bucket" in str(error):
            raise


def bare(url: str) -> str:
    """Without a name and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


_secrets: Final[list[str]] = []


def conceal(settings: Mapping[str, Any]) -> None:
    """Let none of the secrets in a remote's settings be told by ``tell``."""
    named = [str(value) for key, value in settings.items() if any(part in key for part in _SECRET)]
    password = urlsplit(str(settings.get("url", ""))).password
    _secrets.extend(value for value in (*named, password) if value)


def tell(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    """For sys.excepthook."""
    problem = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    for secret in _secrets:
        problem = problem.replace(secret, "***")
    _say(problem=problem)


def _say(**words: str) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
