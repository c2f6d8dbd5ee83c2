"""Whatever is asked, the server never fails."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.web import staged
from tests.web.conftest import program, stranger
from tests.web.staged import TOKEN, Site

HEADERS = {"Authorization": f"Bearer {TOKEN}", "Host": "localhost"}
JSON = {"Content-Type": "application/json"}
STREAMS = ("/api/updates", "/api/cameras/video", "/api/cameras/{name}/video")
"""They never end, so that a client that takes an answer whole waits for ever."""
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def busy() -> Iterator[Site]:
    """A site in which there is something to be found."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        site.live()
        site.play("door", 3)
        site.tell(staged.change(1))
        site.record(staged.name(1))
        yield site
        site.close()


def test_requests_made_up_from_the_document(busy: Site) -> None:
    schema = schemathesis.openapi.from_asgi("/api/openapi.json", busy.app, headers=HEADERS)
    found = [one.ok() for one in schema.get_all_operations()]
    asked = [one for one in found if one.path not in STREAMS]
    assert len(found) - len(asked) == len(STREAMS)
    assert len(asked) >= 15
    for operation in asked:
        _ask(operation)


def _ask(operation: Any) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=4,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        known = {"name": "door", "id": staged.name(1)}
        if case.path_parameters and len(str(case.path_parameters)) % 2:
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        case.call_and_validate(headers=HEADERS, checks=CHECKS)

    check()


ODD = [
    *("", "\0", "%00", "%ff", "%ed%a0%80", "..", "../../etc/passwd", "%2e%2e%2f", "a" * 5000),
    *("' OR 1=1 --", "9" * 400, "-1", "1e999", "nan", "{}", "null", "\U0001f480", "\r\nX: y"),
    *("2026-02-30T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"),
]
NAMES = ("camera", "label", "verdict", "since", "before", "before_id", "limit", "seconds", "plain")
BODIES = [
    *(b"", b"null", b"[]", b"{}", b"\xff\xfe", b'"\\ud800"', b"[" * 30_000, b"9" * 6000),
    *(b'{"token": "\\ud800\\udfff\\u0000"}', b'{"token": 1e999}', b'{"verdict": NaN}'),
    b'[{"name": "\\ud800", "mode": "count", "polygon": [[0,0],[1,0],[1,1]], "labels": []}]',
    b'[{"name": "a", "mode": "count", "polygon": [[NaN,0],[1,0],[1,1]], "labels": ["\\u0000"]}]',
]


def test_requests_that_nobody_thought_of(busy: Site) -> None:
    rng = random.Random(7)
    client, paths = program(busy), list(busy.app.openapi()["paths"])
    statuses = []
    for _ in range(200):
        path = rng.choice([one for one in paths if one not in STREAMS])
        place = rng.choice([*ODD, "door", staged.name(1)])
        url = path.replace("{name}", place).replace("{id}", place)
        if not url.replace(" ", "").isprintable():
            url = "/api/events/%0d"
        named = rng.choice(("Range", "If-Range", "Cookie", "Accept", "Origin"))
        response = client.request(
            rng.choice(("GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH")),
            url,
            params={rng.choice(NAMES): rng.choice(ODD) for _ in range(2)},
            content=rng.choice(BODIES),
            headers=JSON | {named: rng.choice(_SAFE)},
        )
        statuses.append(response.status_code)
        if response.status_code >= 400 and response.request.method != "HEAD":
            assert set(response.json()["error"]) == {"place", "problem", "remedy"}
    assert max(statuses) < 500
    assert {200, 404, 405, 422} <= set(statuses)


_SAFE = [one.encode("utf-8") for one in ODD if one.isprintable()]


def test_logins_that_nobody_thought_of(busy: Site) -> None:
    client = stranger(busy)
    for body in BODIES:
        response = client.post("/api/login", content=body, headers=JSON)
        assert response.status_code in (400, 401, 422), body
