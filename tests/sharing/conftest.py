from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sharing import servers
from tests.sharing.servers import S3, Sftp


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    with servers.sftp(tmp_path_factory.mktemp("sftp")) as server:
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with servers.s3() as server:
        yield server
