from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from tests.sharing import servers
from tests.sharing.servers import BUCKET, HOST, S3
from yololstm.errors import ParamsError
from yololstm.outbox import Message, Refused, Undelivered
from yololstm.uploading import Upload

CLIP, PICTURE = "door/2026-01-05/a.shared.mp4", "door/2026-01-05/a.shared.jpg"
MESSAGE = Message(1, "upload", "a:recorded", b'{"event": "a"}', datetime.now(UTC), 0)


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


class Sending:
    """An upload that sends of event a what it is given."""

    def __init__(
        self,
        recordings: Path,
        url: str,
        options: Mapping[str, object] | None = None,
        *,
        blurred: bool = True,
    ) -> None:
        self._files: Sequence[str] = ()
        self.upload = Upload(recordings, url, options or {}, self._of, blurred=blurred)

    def __call__(self, *files: str) -> None:
        self._files = files
        self.upload(MESSAGE)

    def _of(self, event: str) -> Sequence[str]:
        assert event == "a"
        return self._files


def options(s3: S3) -> dict[str, object]:
    return {
        **{"endpoint_url": s3.endpoint, "key": s3.key, "secret": s3.secret},
        **{"config_kwargs": {"retries": {"max_attempts": 1}}},
    }


def test_files_have_the_same_paths_in_a_bucket(recordings: Path, s3: S3) -> None:
    upload = Sending(recordings, f"s3://{BUCKET}/cctv/", options(s3))
    upload(CLIP, PICTURE)
    assert s3.objects() == {f"cctv/{CLIP}": 102_400, f"cctv/{PICTURE}": 7}
    upload(CLIP, PICTURE)
    (recordings / PICTURE).write_bytes(b"a longer picture")
    upload(CLIP, PICTURE)
    assert s3.objects()[f"cctv/{PICTURE}"] == 16


def test_a_server_that_is_down_is_told_and_later_it_goes_through(
    recordings: Path, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    port = servers.closed_port()
    later = options(S3(f"http://{HOST}:{port}", s3.key, s3.secret))
    upload = Sending(recordings, "s3://later", later)
    with pytest.raises(Undelivered) as told:
        upload(CLIP)
    assert s3.key not in str(told.value)
    assert CLIP in str(told.value)
    server = ThreadedMotoServer(HOST, port, verbose=False)
    server.start()
    try:
        with pytest.raises(Undelivered):  # there is no such bucket, and none is made
            upload(CLIP)
        files = fsspec.filesystem("s3", **later)
        assert not files.exists("later")
        files.mkdir("later")
        upload(CLIP)
        files.invalidate_cache()
        assert files.info(f"later/{CLIP}")["size"] == 102_400
    finally:
        server.stop()
    with pytest.raises(Undelivered):
        upload(PICTURE)


def test_a_wrong_key_is_told_without_it(recordings: Path, s3: S3) -> None:
    upload = Sending(recordings, f"s3://{BUCKET}", {**options(s3), "secret": "geheim"})
    with pytest.raises(Undelivered) as told:
        upload(CLIP)
    assert s3.key not in str(told.value)
    assert "geheim" not in f"{told.value!r} {upload.upload!r}"


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_any_file_system_will_do(recordings: Path, tmp_path: Path, kind: str) -> None:
    root = f"{tmp_path}/there" if kind == "file" else "/there"
    files = fsspec.filesystem(kind)
    upload = Sending(recordings, f"{kind}://{root}")
    upload(CLIP, PICTURE)
    upload(CLIP)
    assert files.cat_file(f"{root}/{CLIP}") == (recordings / CLIP).read_bytes()
    assert files.size(f"{root}/{PICTURE}") == 7
    if kind == "file":
        (tmp_path / "there" / CLIP).write_bytes(b"broken off")
        upload(CLIP)
        assert files.size(f"{root}/{CLIP}") == 102_400


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([], "a: there is nothing to send"),
        ([CLIP, "door/2026-01-05/gone.shared.mp4"], "not here any more"),
        ([CLIP, "door/2026-01-05/plain.mp4"], "plain.mp4: it is not blurred"),
        (["door/2026-01-05/plain.jpg"], "plain.jpg: it is not blurred"),
        (["../site.yaml"], "none of the recordings"),
        (["/etc/passwd"], "none of the recordings"),
        (["door/2026-01-05/../../site.yaml"], "none of the recordings"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    recordings: Path, tmp_path: Path, files: list[str], why: str
) -> None:
    for name in ("plain.mp4", "plain.jpg"):
        (recordings / "door/2026-01-05" / name).write_bytes(b"somebody")
    with pytest.raises(Refused, match=why):
        Sending(recordings, f"file://{tmp_path}/there")(*files)
    assert not (tmp_path / "there").exists()


def test_what_is_sent_is_what_may_be_sent_when_it_goes(recordings: Path, tmp_path: Path) -> None:
    plain = "door/2026-01-05/a.mp4"
    (recordings / plain).write_bytes(b"somebody")
    (recordings / "door/2026-01-05/a.parquet").write_bytes(b"nobody")
    Sending(recordings, f"file://{tmp_path}/plain", blurred=False)(plain)
    assert (tmp_path / "plain" / plain).read_bytes() == b"somebody"
    # As it was put while nothing was to be blurred.
    body = b'{"event": "a", "files": ["%s"]}' % plain.encode()
    before = Message(1, "upload", "a:recorded", body, datetime.now(UTC), 0)
    files = [CLIP, PICTURE, "door/2026-01-05/a.parquet"]
    url = f"file://{tmp_path}/blurred"
    Upload(recordings, url, {}, lambda event: files, blurred=True)(before)
    there = tmp_path / "blurred"
    sent = {f"{path.relative_to(there)}" for path in there.rglob("*") if path.is_file()}
    assert sent == set(files)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"files": [1]}', b"\xff"])
def test_other_messages_are_refused(recordings: Path, body: bytes) -> None:
    upload = Upload(recordings, "memory://there", {}, lambda event: [CLIP], blurred=True)
    with pytest.raises(Refused, match="no event"):
        upload(Message(1, "upload", "a", body, datetime.now(UTC), 0))


def test_an_address_of_no_kind_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"upload\.url"):
        Upload(tmp_path, "s3x://bucket/a", {}, lambda event: [], blurred=True)
