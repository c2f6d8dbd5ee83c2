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
    assert told["extras"] == "-     pipeline, s3, ssh, export, openvino"
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
    assert installed.remedy("lxml.etree") == "pip install 'yololstm[pipeline]'"
    assert installed.remedy("sklearn") == installed.remedy("dask") == installed.remedy("lxml")
    assert installed.remedy("dvc_s3") == "pip install 'yololstm[s3]'"
    assert installed.remedy("numpy") == "pip install yololstm"
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


def test_secrets_are_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"url": "s3://bucket", "secret_access_key": SECRET, "access_key_id": "key-of-mine"}
    remote.conceal(settings)
    remote.tell(ValueError, ValueError(f"{SECRET} and key-of-mine are wrong\nmore"), None)
    assert capsys.readouterr().out == '{"problem": "*** and *** are wrong"}\n'
