from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.miniature import miniature as miniature

# A machine with other work to do is slow, not wrong.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real material that YOLOLSTM_REAL_DATA names: data/ and models/."""
    folder = os.environ.get("YOLOLSTM_REAL_DATA")
    if not folder:
        pytest.skip("YOLOLSTM_REAL_DATA is not set: no real video and weights to test on")
    return Path(folder)
