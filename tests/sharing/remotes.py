"""Clones that share a remote, and what DVC says in them."""

from __future__ import annotations

import re
import subprocess
from hashlib import sha256
from pathlib import Path

from tests.miniature import environment, run
from tests.pages import blocks
from tests.people import ROOT

UP_TO_DATE = "Data and pipelines are up to date."
PAGE = ROOT / "docs" / "sharing.md"


def attempt(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command does in a folder, for somebody who has no keys anywhere. Nobody answers
    questions; fails where it takes more than five minutes."""
    shell = environment(folder) | {"HOME": str(folder / ".cache" / "home"), "SSH_AUTH_SOCK": ""}
    return subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in shell.items() if not name.startswith("AWS_")}
        | {"AWS_EC2_METADATA_DISABLED": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def succeed(folder: Path, *command: str) -> str:
    done = attempt(folder, *command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fresh(author: Path, folder: Path, config: str = "") -> Path:
    """A clone with an empty cache, and a configuration of its own."""
    run(folder.parent, "git", "clone", "--quiet", str(author), str(folder))
    if config:
        configure(folder, config)
    return folder


def installed(folder: Path) -> Path:
    """Where make installs nothing: the programs are those that run this."""
    (folder / ".venv").mkdir(exist_ok=True)
    (folder / ".venv" / ".installed").touch()
    return folder


def configure(folder: Path, remote: str) -> None:
    """remote: its options, a line each."""
    text = f"[core]\n    remote = test\n['remote \"test\"']\n{remote}\n"
    (folder / ".dvc" / "config.local").write_text(text, encoding="utf-8")


def recipe(name: str, **replaced: str) -> str:
    """The shell block of docs/sharing.md whose remark ends in a name, with other values for some
    that are told by a word of them."""
    found = blocks(PAGE.read_text(encoding="utf-8"), PAGE.name)
    (script,) = (b.code for b in found if b.remarked("not run").endswith(f": {name}"))
    for word, value in replaced.items():
        script, n = re.subn(rf"\S*\b{word}\b\S*", value, script)
        assert n, f"{PAGE.name}: {name} says nothing of {word}"
    return f"set -euo pipefail\n{script}"


def outputs(folder: Path) -> dict[str, str]:
    """The hash of every file below data/ that lies there."""
    files = sorted(file for file in (folder / "data").rglob("*") if file.is_file())
    return {str(f.relative_to(folder)): sha256(f.read_bytes()).hexdigest() for f in files}
