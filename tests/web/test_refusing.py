from __future__ import annotations

import pytest

from tests.web.conftest import TestClient
from tests.web.staged import TOKEN, Site
from yololstm.errors import DataError


@pytest.mark.parametrize(
    ("error", "status"),
    [(DataError("/secret/journal.db", "damaged", "Mend it"), 503), (RuntimeError("secret"), 500)],
)
def test_what_goes_wrong_here_is_told_without_what_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(site.journal, "entries", broken)
    client = TestClient(site.app, "http://localhost", raise_server_exceptions=False)
    response = client.get("/api/events", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == status
    assert set(response.json()["error"]) == {"place", "problem", "remedy"}
    assert "secret" not in response.text
