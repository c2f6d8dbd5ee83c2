from __future__ import annotations

import html
import re

from tests.web.conftest import TestClient


def test_the_api_page_says_what_is_sent_and_what_comes_back(client: TestClient) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", client.get("/api/docs").text))
    put = text.partition("PUT /api/cameras/{name}/zones")[2].partition("GET ")[0]
    assert '"mode": "count or ignore"' in put.partition("Send")[2]
    assert '"camera": "string", "zones": [{"name"' in put.partition("Comes back")[2]
    events = text.partition("GET /api/events")[2].partition("GET ")[0]
    assert "verdict right or wrong or none, in the query" in events
    assert '"probability": "number"' in events


def test_files_are_sent_once(client: TestClient) -> None:
    first = client.get("/static/app.js")
    again = client.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert client.get("/static/nothing.js").status_code == 404
