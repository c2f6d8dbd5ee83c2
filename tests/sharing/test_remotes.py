"""What one clone pushes, another pulls: over SFTP and S3, to and from real servers."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from tests import drawn
from tests.miniature import copy, environment
from tests.sharing import servers
from tests.sharing.remotes import (
    UP_TO_DATE,
    attempt,
    configure,
    fresh,
    installed,
    outputs,
    recipe,
    succeed,
)
from tests.sharing.servers import S3, Sftp

#: What a person would still wait for, on a machine that has other work to do.
SOON_S = 30


@pytest.fixture(scope="module")
def author(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(miniature, tmp_path_factory.mktemp("author") / "project")


@pytest.fixture(scope="module")
def pushed(author: Path, sftp: Sftp) -> str:
    """A remote that has everything, as lines of a configuration."""
    remote = by_password(sftp, "pushed")
    configure(author, remote)
    succeed(author, "dvc", "push", "--run-cache")
    return remote


def by_password(server: Sftp, folder: str, password: str = servers.PASSWORD) -> str:
    return f"    url = {server.url(folder)}\n    password = {password}\n    timeout = 5"


def in_bucket(endpoint: str, key: str, secret: str) -> str:
    keys = f"    access_key_id = {key}\n    secret_access_key = {secret}\n"
    limits = "    connect_timeout = 1\n    read_timeout = 1\n    region = us-east-1"
    return f"    url = s3://{servers.BUCKET}/any\n    endpointurl = {endpoint}\n{keys}{limits}"


# --- the recipes ---


def test_ssh(author: Path, sftp: Sftp, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "id_lab")
    sftp.keys.append(key.export_public_key().decode())
    secrets = recipe("SSH, secrets", id_lab=str(tmp_path / "id_lab"))
    project = copy(author, tmp_path / "project")
    (project / ".dvc" / "config.local").unlink(missing_ok=True)
    succeed(project, "bash", "-c", recipe("SSH, author", store=sftp.url("lab")) + secrets)
    assert_handed_on(project, tmp_path / "new", secrets)


def test_s3(author: Path, s3: S3, tmp_path: Path) -> None:
    project = copy(author, tmp_path / "project")
    (project / ".dvc" / "config.local").unlink(missing_ok=True)
    succeed(project, "bash", "-c", recipe("S3, author", **{"s3.example": s3.endpoint}))
    secrets = recipe(
        "S3, secrets",
        AWS_ACCESS_KEY_ID=f"AWS_ACCESS_KEY_ID={s3.key}",
        AWS_SECRET_ACCESS_KEY=f"AWS_SECRET_ACCESS_KEY={s3.secret}",
    )
    assert_handed_on(project, tmp_path / "new", secrets)
    assert all(name.startswith("yololstm/") for name in s3.objects())


def assert_handed_on(project: Path, clone: Path, secrets: str) -> None:
    """By `make push` here and `make pull` there, with the recipe for secrets before each."""
    made = outputs(project)
    succeed(installed(project), "bash", "-c", f"{secrets}make push")
    installed(fresh(project, clone))
    assert len(outputs(clone)) < len(made)
    told = succeed(clone, "bash", "-c", f"{secrets}make --silent pull")
    assert told.splitlines()[-1] == UP_TO_DATE
    assert outputs(clone) == made
    assert "Running stage" not in succeed(clone, "dvc", "repro")
    assert outputs(clone) == made
    assert succeed(clone, "git", "status", "--porcelain") == ""


# --- what need not be pulled ---


def test_the_model_alone_can_be_pulled_and_run(author: Path, pushed: str, tmp_path: Path) -> None:
    clone = fresh(author, tmp_path / "clone", pushed)
    before = outputs(clone)
    succeed(clone, "bash", "-c", recipe("model"))
    came = {name: content for name, content in outputs(clone).items() if name not in before}
    assert sorted(came) == ["data/checkpoint.safetensors", "data/detector/weights.pt"]
    assert came.items() <= outputs(author).items()
    (clone / ".cache").mkdir(exist_ok=True)
    (clone / ".cache" / "models").symlink_to(drawn.pose_model().parent)
    clip = next((author / "data" / "raw" / "sample").rglob("*.mp4"))
    told = succeed(clone, "yololstm", "run", str(clip), "--out", str(tmp_path / "found"))
    assert told.startswith(f"{clip.name}: ")


def test_an_experiment_is_handed_on(author: Path, sftp: Sftp, tmp_path: Path) -> None:
    remote = by_password(sftp, "experiments")
    succeed(tmp_path, "git", "clone", "--quiet", "--bare", str(author), "everybody")
    project, clone = (fresh(tmp_path / "everybody", tmp_path / name, remote) for name in "ab")
    succeed(author, "cp", "-r", ".dvc/cache", str(project / ".dvc"))
    succeed(project, "dvc", "checkout", "--quiet")
    succeed(project, "dvc", "exp", "run", "--quiet", "-n", "small", "-S", "render.crf=40")
    tried = outputs(project)
    succeed(project, "bash", "-c", recipe("experiment, author", mine="small"))
    succeed(clone, "bash", "-c", recipe("experiment, others", mine="small"))
    assert "crf: 40" in (clone / "params.yaml").read_text(encoding="utf-8")
    assert outputs(clone) == tried
    assert UP_TO_DATE in succeed(clone, "dvc", "status", "dvc.yaml")


# --- what goes wrong ---


def test_an_interrupted_pull_goes_on_where_it_was(
    author: Path, pushed: str, sftp: Sftp, tmp_path: Path
) -> None:
    clone = fresh(author, tmp_path / "clone", pushed)
    came = killed_after(20, clone, "pull", lambda: objects(clone / ".dvc" / "cache"), sftp)
    before = {file: file.stat().st_mtime_ns for file in came}
    told = succeed(clone, "dvc", "pull", "--run-cache")
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())
    n_fetched = int(told.split(" files fetched")[0].split()[-1])
    assert n_fetched <= len(objects(author / ".dvc" / "cache")) - len(came)
    assert outputs(clone) == outputs(author)


def test_an_interrupted_push_goes_on_where_it_was(author: Path, sftp: Sftp, tmp_path: Path) -> None:
    remote = by_password(sftp, "interrupted")
    project = copy(author, tmp_path / "project")
    configure(project, remote)
    store = sftp.root / "interrupted"
    came = killed_after(20, project, "push", lambda: objects(store), sftp)
    before = {file: file.stat().st_mtime_ns for file in came}
    succeed(project, "dvc", "push", "--run-cache")
    assert all(file.stat().st_mtime_ns == then for file, then in before.items())
    clone = fresh(project, tmp_path / "clone", remote)
    succeed(clone, "dvc", "pull", "--run-cache")
    assert outputs(clone) == outputs(project)


def objects(store: Path) -> list[Path]:
    """What a cache or a remote has whole."""
    return [
        file for file in (store / "files").rglob("*") if file.is_file() and file.suffix != ".tmp"
    ]


def killed_after(
    n: int, folder: Path, command: str, done: Callable[[], list[Path]], server: Sftp
) -> list[Path]:
    """What was done when DVC was killed: at least so much, and not all."""
    server.pause_s = 0.1
    process = subprocess.Popen(
        ["dvc", command, "--run-cache", "--jobs", "4"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
    )
    try:
        give_up = time.monotonic() + 60
        while len(done()) < n and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.pause_s = 0.0
    assert process.returncode == -signal.SIGKILL, "it was through, or failed, before it was killed"
    return done()


def test_a_wrong_password_is_told(author: Path, pushed: str, sftp: Sftp, tmp_path: Path) -> None:
    clone = fresh(author, tmp_path / "clone", by_password(sftp, "pushed", "wrong"))
    for target in ("pull", "push"):
        assert "password: ERROR: " in failure(clone, target)


def test_a_wrong_key_of_s3_is_told(author: Path, s3: S3, tmp_path: Path) -> None:
    clone = fresh(author, tmp_path / "clone", in_bucket(s3.endpoint, s3.key, "wrong"))
    assert "Forbidden" in failure(clone, "pull")
    configure(clone, in_bucket(s3.endpoint, "AKIAWRONG", s3.secret))
    assert "Forbidden" in failure(clone, "pull")
    assert "any/" not in "".join(s3.objects())


def test_no_key_of_s3_is_told(author: Path, s3: S3, tmp_path: Path) -> None:
    without = in_bucket(s3.endpoint, "", "").replace("    access_key_id = \n", "")
    clone = fresh(author, tmp_path / "clone", without.replace("    secret_access_key = \n", ""))
    assert "Unable to locate credentials" in failure(clone, "pull")


def test_a_port_where_nobody_listens_is_told(author: Path, tmp_path: Path) -> None:
    port = servers.closed_port()
    clone = fresh(author, tmp_path / "clone", by_password(Sftp(tmp_path, port), "any"))
    assert "Connect call failed" in failure(clone, "pull")
    configure(clone, in_bucket(f"http://{servers.HOST}:{port}", "key", "secret"))
    assert "Could not connect to the endpoint URL" in failure(clone, "pull")


def test_a_host_that_never_answers_is_given_up(author: Path, tmp_path: Path) -> None:
    with servers.silent() as port:
        clone = fresh(author, tmp_path / "clone", by_password(Sftp(tmp_path, port), "any"))
        assert "ERROR: unexpected error - : : " in failure(clone, "pull")
        configure(clone, in_bucket(f"http://{servers.HOST}:{port}", "key", "secret"))
        assert "Read timeout on endpoint URL" in failure(clone, "pull")


def test_a_clone_without_a_remote_says_so(author: Path, tmp_path: Path) -> None:
    assert "No remote provided" in failure(fresh(author, tmp_path / "clone"), "pull")


def failure(clone: Path, target: str) -> str:
    """What `make` says when it fails: soon, in lines that are no traceback, and with what to do."""
    started = time.monotonic()
    done = attempt(installed(clone), "make", target)
    assert time.monotonic() - started < SOON_S
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "ERROR: " in done.stderr
    assert "See the end of docs/sharing.md." in done.stderr
    return done.stderr
