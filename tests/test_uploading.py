from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from tests.sharing import servers
from tests.sharing.servers import BUCKET, HOST, S3
from yololstm.outbox import Message, Refused, Undelivered
from yololstm.uploading import Upload

CLIP, PICTURE = "door/2026-01-05/a.shared.mp4", "door/2026-01-05/a.shared.jpg"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with servers.s3() as server:
        yield server


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    for path, content in ((CLIP, bytes(range(256)) * 400), (PICTURE, b"picture")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def message(*files: str) -> Message:
    body = json.dumps({"event": "a", "files": files}).encode()
    return Message(1, "upload", "a", body, datetime.now(UTC), 0)


def options(s3: S3) -> dict[str, object]:
    return {
        **{"endpoint_url": s3.endpoint, "key": s3.key, "secret": s3.secret},
        **{"config_kwargs": {"retries": {"max_attempts": 1}}},
    }


def test_files_have_the_same_paths_in_a_bucket(recordings: Path, s3: S3) -> None:
    upload = Upload(recordings, f"s3://{BUCKET}/cctv/", options(s3))
    upload(message(CLIP, PICTURE))
    assert s3.objects() == {f"cctv/{CLIP}": 102_400, f"cctv/{PICTURE}": 7}
    upload(message(CLIP, PICTURE))
    (recordings / PICTURE).write_bytes(b"a longer picture")
    upload(message(CLIP, PICTURE))
    assert s3.objects()[f"cctv/{PICTURE}"] == 16


def test_a_server_that_is_down_is_told_and_later_it_goes_through(
    recordings: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    port = servers.closed_port()
    later = options(S3(f"http://{HOST}:{port}", s3.key, s3.secret))
    upload = Upload(recordings, "s3://later", later)
    with pytest.raises(Undelivered) as told:
        upload(message(CLIP))
    assert s3.key not in str(told.value)
    assert CLIP in str(told.value)
    server = ThreadedMotoServer(HOST, port, verbose=False)
    server.start()
    try:
        with pytest.raises(Undelivered):  # there is no such bucket, and none is made
            upload(message(CLIP))
        files = fsspec.filesystem("s3", **later)
        assert not files.exists("later")
        files.mkdir("later")
        upload(message(CLIP))
        files.invalidate_cache()
        assert files.info(f"later/{CLIP}")["size"] == 102_400
    finally:
        server.stop()
    with pytest.raises(Undelivered):
        upload(message(PICTURE))


def test_a_wrong_key_is_told_without_it(recordings: Path, s3: S3) -> None:
    upload = Upload(recordings, f"s3://{BUCKET}", {**options(s3), "secret": "geheim"})
    with pytest.raises(Undelivered) as told:
        upload(message(CLIP))
    assert s3.key not in str(told.value)
    assert "geheim" not in f"{told.value!r} {upload!r}"


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_any_file_system_will_do(recordings: Path, tmp_path: Path, kind: str) -> None:
    root = f"{tmp_path}/there" if kind == "file" else "/there"
    files = fsspec.filesystem(kind)
    upload = Upload(recordings, f"{kind}://{root}", {})
    upload(message(CLIP, PICTURE))
    upload(message(CLIP))
    assert files.cat_file(f"{root}/{CLIP}") == (recordings / CLIP).read_bytes()
    assert files.size(f"{root}/{PICTURE}") == 7
    if kind == "file":
        (tmp_path / "there" / CLIP).write_bytes(b"broken off")
        upload(message(CLIP))
        assert files.size(f"{root}/{CLIP}") == 102_400


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([CLIP, "door/2026-01-05/gone.mp4"], "not here any more"),
        (["../site.yaml"], "none of the recordings"),
        (["/etc/passwd"], "none of the recordings"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    recordings: Path, tmp_path: Path, files: list[str], why: str
) -> None:
    upload = Upload(recordings, f"file://{tmp_path}/there", {})
    with pytest.raises(Refused, match=why):
        upload(message(*files))
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"event": "a"}', b'{"files": [1]}', b"\xff"])
def test_other_messages_are_refused(recordings: Path, body: bytes) -> None:
    upload = Upload(recordings, "memory://there", {})
    with pytest.raises(Refused):
        upload(Message(1, "upload", "a", body, datetime.now(UTC), 0))
