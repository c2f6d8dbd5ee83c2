from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import program


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in: models, and a clip with somebody in it."""
    return program.lay_out(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def at_work(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shop)
    return shop
