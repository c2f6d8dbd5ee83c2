from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import drawn
from yololstm import doctor, installed, remote, video
from yololstm.cli import app
from yololstm.errors import VideoError
from yololstm.weights import POSE_LANDMARKER

SECRET = "hunter-2-hunter"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked() -> tuple[int, dict[str, str]]:
    """The exit status, and each line by its topic; the mark before it."""
    result = CliRunner().invoke(app, ["doctor"])
    lines = result.stdout.splitlines()[1:]
    return result.exit_code, {line[6:21].strip(): line[:6] + line[21:] for line in lines}


def test_what_is_there_and_what_is_not(desk: Path) -> None:
    status, told = asked()
    assert status == 1
    assert told["packages"].startswith("ok    torch ")
    assert told["extras"] == "-     pipeline, s3, ssh, live, export, openvino"
    assert "CPU: " in told["device"]
    assert told["video"] == f"ok    H.264 written and read, {video.LIBRARY}"
    assert told["params.yaml"] == "-     none here: defaults count"
    assert told["pose"].startswith(
        f"LACKS .cache/models/{POSE_LANDMARKER}: it is not there. Run yo"
    )
    assert told["DVC remote"] == "-     no DVC repository here"
    assert told["run, torch"] == "LACKS lacks pose, detector, classifier"
    assert told["run, onnx"] == "LACKS lacks pose, detector.onnx, behaviour.onnx"
    assert list(desk.iterdir()) == []


def test_one_runtime_is_enough(desk: Path) -> None:
    for path in (Path(".cache/models", POSE_LANDMARKER), Path("data/export/detector.onnx")):
        path.parent.mkdir(parents=True)
        shutil.copy(drawn.pose_model(), path)
    assert asked()[0] == 1
    Path("data/export/behaviour.onnx").write_bytes(b"a model")
    status, told = asked()
    assert status == 0
    assert told["pose"].endswith("ce0cd48f484b, as yololstm itself says")
    assert told["behaviour.onnx"].endswith(", checksum not known")
    assert told["caches"].startswith("-     .cache/models 9.4 MB")
    assert told["run, torch"] == "LACKS lacks detector, classifier"
    assert told["run, onnx"].startswith("ok    ready")


def test_onnx_runs_no_backend_that_finds_persons(desk: Path) -> None:
    text = (drawn.ROOT / "params.yaml").read_text(encoding="utf-8")
    assert "  backend: mediapipe" in text
    Path("params.yaml").write_text(text.replace("  backend: mediapipe", "  backend: yolo-pose"))
    for path in map(Path, ("data/export/detector.onnx", "data/export/behaviour.onnx")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a model")
    drawn.untaught_pose(desk).rename("yolo11n-pose.pt")
    status, told = asked()
    assert status == 1
    assert told["pose"].startswith("ok    yolo11n-pose.pt  ")
    assert told["run, torch"] == "LACKS lacks classifier"
    assert told["run, onnx"] == "LACKS yolo-pose runs by torch alone"
    Path("data/checkpoint.safetensors").write_bytes(b"a model")
    assert asked()[0] == 0


def test_params_that_cannot_be_read(desk: Path) -> None:
    Path("params.yaml").write_text((drawn.ROOT / "params.yaml").read_text() + "\nodd: 1\n")
    status, told = asked()
    assert status == 1
    assert told["params.yaml"].startswith("LACKS params.yaml: odd: unknown key")
    Path("params.yaml").write_text((drawn.ROOT / "params.yaml").read_text())
    assert asked()[1]["params.yaml"] == "ok    valid"


def test_codec_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> Iterator[object]:
        raise VideoError(path, "no decoder", "Install one")

    monkeypatch.setattr(video, "read", read)
    assert doctor.codecs().state == "lacking"
    monkeypatch.setattr(video, "read", lambda _: iter([1]))
    assert doctor.codecs().text == "of 4 frames written, 1 were read"


def test_extra_of_a_module_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed.remedy("lxml.etree") == ""
    assert installed.remedy("nobody") == ""
    monkeypatch.setattr(installed, "_version", lambda _: "")
    assert (
        installed.remedy("lxml.etree")
        == "pip install '.[pipeline]' in its clone, or its 'WHEEL[pipeline]'"
    )
    assert installed.remedy("sklearn") == installed.remedy("dask") == installed.remedy("lxml")
    assert installed.remedy("dvc_s3") == "pip install '.[s3]' in its clone, or its 'WHEEL[s3]'"
    assert installed.remedy("numpy") == "pip install '.' in its clone, or its 'WHEEL'"
    assert installed.remedy("torch").endswith("--runtime onnx does without")


# --- the remote ---


@pytest.fixture
def repository(desk: Path) -> Path:
    dvc("init", "--no-scm", "--quiet")
    return desk


def dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)


def test_remote_that_answers(repository: Path) -> None:
    said = doctor.dvc_remote(repository)
    assert (said.state, said.text) == ("note", "none is set: dvc remote add --default NAME URL")
    dvc("remote", "add", "--quiet", "--default", "shelf", str(repository / "shelf"))
    said = doctor.dvc_remote(repository)
    assert (said.state, said.text) == ("ok", f"shelf ({repository / 'shelf'}) answers")
    (repository / "src").mkdir()
    assert doctor.dvc_remote(repository / "src") == said


def test_remote_that_refuses_and_one_that_is_silent(repository: Path) -> None:
    """In time, and without a word of what must not be told."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"ssh://somebody:{SECRET}@127.0.0.1:{port}/shelf"
        dvc("remote", "add", "--quiet", "--default", "far", url)
        dvc("remote", "modify", "--quiet", "--local", "far", "password", SECRET)
        begun = time.monotonic()
        answer = remote.ask(repository, 8)
        assert time.monotonic() - begun < 30
        assert answer == remote.Answer("far", f"ssh://127.0.0.1:{port}/shelf", "no answer in 8 s")
    said = doctor.dvc_remote(repository)
    assert said.state == "note"
    assert "fails: " in said.text
    assert "Connect call failed" in said.text
    assert SECRET not in said.text
    assert "somebody" not in said.text


ASKS = """
import sys
from pathlib import Path
from yololstm import remote
print(remote.ask(Path(sys.argv[1]), 60))
"""


def test_nobody_is_asked_for_a_password(repository: Path) -> None:
    """Not at the terminal either, which would be left without echo."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    url = f"ssh://somebody@127.0.0.1:{port}/shelf"
    dvc("remote", "add", "--quiet", "--default", "far", url)
    dvc("remote", "modify", "--quiet", "far", "ask_password", "true")
    at_terminal = "import pty, sys; pty.spawn(sys.argv[1:])"
    command = [sys.executable, "-c", at_terminal, sys.executable, "-c", ASKS, str(repository)]
    done = subprocess.run(
        command, cwd=drawn.ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=90
    )
    assert b"Enter a password" not in done.stdout
    assert b"Connect call failed" in done.stdout


@pytest.fixture
def chatty(desk: Path) -> Path:
    """Here another DVC is imported, of which libraries print what they like."""
    (desk / "dvc").mkdir()
    (desk / "dvc" / "__init__.py").touch()
    (desk / "dvc" / "repo.py").write_text(
        "print('Warning: old', 12, ['a'], None, sep='\\n')\n"
        "class Repo:\n"
        "    def __init__(self):\n"
        "        raise ValueError('no repository')\n"
    )
    return desk


def test_what_libraries_print_is_no_answer(chatty: Path) -> None:
    assert remote.ask(chatty, 60) == remote.Answer("", "", "no repository")


@pytest.mark.parametrize(
    "settings",
    [
        {"secret_access_key": SECRET},
        {"access_key_id": SECRET},
        {"account_key": SECRET},
        {"sse_customer_key": SECRET},
        {"oss_key_secret": SECRET},
        {"connection_string": SECRET, "url": "azure://box"},
        {"url": f"ssh://me:{SECRET}@host/shelf"},
        {"url": f"https://host/shelf?{SECRET}"},
        {"url": f"https://host/shelf#{SECRET}"},
        {"url": "ssh://me:hunter%2D2-hunter@host/shelf"},
        {"url": f"ssh://me:hunter@{SECRET}@host/shelf", "password": SECRET},
    ],
)
def test_secrets_are_not_told(settings: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert SECRET not in remote.bare(settings.get("url", ""))
    error = ValueError(f"{SECRET} is no good\nmore")
    remote.tell(remote.secrets(settings), ValueError, error, None)
    assert capsys.readouterr().out == '{"problem": "*** is no good"}\n'


def test_what_is_no_secret_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"url": "/disk#1/a?b", "keyfile": "~/.ssh/id", "ask_password": True}
    assert remote.secrets(settings) == []
    assert remote.bare("/disk#1/a?b") == "/disk#1/a?b"
    assert remote.bare("s3://bucket/a@b") == "s3://bucket/a@b"
    remote.tell(["hunter", SECRET], ValueError, ValueError(f"{SECRET} or hunter."), None)
    assert capsys.readouterr().out == '{"problem": "*** or ***"}\n'
