from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from yololstm import params
from yololstm.sample.making import make
from yololstm.sample.takes import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def default() -> Settings:
    return Settings(**params.load(ROOT / "params.yaml").sample.model_dump())


@pytest.fixture(scope="session")
def tiny(default: Settings) -> Settings:
    """Two takes of a kind, the second for validation, in small pictures."""
    return replace(default, takes=2, seconds=8.0, width=426, height=240, detector_images=10)


@pytest.fixture(scope="session")
def made(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny sample in tree/ and boxes/."""
    root = tmp_path_factory.mktemp("sample")
    make(tiny, root / "tree", root / "boxes", workers=1)
    return root
