from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from tests.web import staged
from tests.web.conftest import TestClient
from tests.web.staged import Site
from yololstm import storage
from yololstm.bulletin import Notice
from yololstm.web import events


def numbers(response: Any) -> list[int]:
    return [int(event["id"].replace("-", ""), 16) for event in response.json()["events"]]


@pytest.fixture
def told(site: Site) -> Site:
    """Six events, the sixth the oldest; of two at once, the third and the fourth."""
    for number, ago_s in zip(range(1, 7), (100, 200, 300, 300, 90_000, 100_000), strict=True):
        label = "assault" if number % 2 else "theft"
        camera = "till" if number == 2 else "door"
        change = staged.change(number, camera=camera, label=label, ago_s=ago_s)
        site.tell(change)
    return site


def test_events_come_newest_first_and_filtered(told: Site, client: TestClient) -> None:
    assert numbers(client.get("/api/events")) == [1, 2, 4, 3, 5, 6]
    assert numbers(client.get("/api/events?camera=till")) == [2]
    assert numbers(client.get("/api/events?label=theft")) == [2, 4, 6]
    told.journal.judge(staged.name(4), "wrong", "normal")
    assert numbers(client.get("/api/events?verdict=wrong")) == [4]
    day = datetime.now(UTC) - timedelta(days=1)
    assert numbers(client.get("/api/events", params={"since": day.isoformat()})) == [1, 2, 4, 3]
    assert numbers(client.get("/api/events", params={"before": day.isoformat()})) == [5, 6]
    assert (
        numbers(
            client.get("/api/events?camera=%00&label=\udcff".encode("utf-8", "replace").decode())
        )
        == []
    )


def test_every_event_is_on_one_page(told: Site, client: TestClient) -> None:
    found, asked, pages = [], {"limit": "1"}, 0
    while True:
        response = client.get("/api/events", params=asked)
        found += numbers(response)
        said, pages = response.json(), pages + 1
        if not said["more"]:
            break
        last = said["events"][-1]
        asked |= {"before": last["started"], "before_id": last["id"]}
    assert (found, pages) == ([1, 2, 4, 3, 5, 6], 6)


def test_odd_questions_are_told_what_is_wrong(client: TestClient) -> None:
    for query in (
        *("limit=0", "limit=201", "limit=x", f"limit={'9' * 400}", "verdict=maybe"),
        *("since=yesterday", "since=2026-11-23", "since=2026-11-23T00:00:00"),
        *("before=0001-01-01T00:00:00%2B14:00", "before=2026-13-01T00:00:00Z", "since=%00"),
        f"camera={'x' * 101}",
    ):
        response = client.get(f"/api/events?{query}")
        assert response.status_code == 422, query
        assert all(response.json()["error"].values())


def test_one_event(told: Site, client: TestClient) -> None:
    entry = told.journal.entry(staged.name(1))
    assert entry is not None
    assert client.get(f"/api/events/{staged.name(1)}").json() == entry.to_dict()
    for id in (staged.name(99), "%00", "x" * 3000, "..", "1'--"):
        assert client.get(f"/api/events/{id}").status_code == 404


def test_what_people_say_is_kept_and_told(told: Site, client: TestClient) -> None:
    heard: list[Notice] = []
    told.bulletin.listen(heard.append)
    path = f"/api/events/{staged.name(1)}/feedback"
    said = client.put(path, json={"verdict": "wrong", "corrected": "normal"}).json()
    assert (said["verdict"], said["corrected"]) == ("wrong", "normal")
    entry = told.journal.entry(staged.name(1))
    assert entry is not None and (entry.verdict, entry.corrected) == ("wrong", "normal")
    assert heard == [Notice("feedback", said)]
    assert client.put(path, json={"verdict": "right"}).json()["corrected"] == ""
    unknown = f"/api/events/{staged.name(99)}/feedback"
    assert client.put(unknown, json={"verdict": "right"}).status_code == 404


def test_what_nobody_has_judged_is_found_and_a_slip_taken_back(
    told: Site, client: TestClient
) -> None:
    heard: list[Notice] = []
    told.journal.judge(staged.name(1), "wrong", "normal")
    told.journal.judge(staged.name(2), "right")
    assert numbers(client.get("/api/events?verdict=none")) == [4, 3, 5, 6]
    told.bulletin.listen(heard.append)
    said = client.delete(f"/api/events/{staged.name(1)}/feedback").json()
    assert (said["verdict"], said["corrected"]) == ("", "")
    assert heard == [Notice("feedback", said)]
    assert numbers(client.get("/api/events?verdict=none")) == [1, 4, 3, 5, 6]
    assert client.delete(f"/api/events/{staged.name(99)}/feedback").status_code == 404


def test_what_goes_on_is_found_however_old(told: Site, client: TestClient) -> None:
    told.tell(staged.change(9, "start", ago_s=1e6))
    told.tell(staged.change(10, "update", camera="till", ago_s=1e5))
    assert numbers(client.get("/api/events?state=open")) == [10, 9]
    told.tell(staged.change(9, "end", ago_s=1e6))
    assert numbers(client.get("/api/events?state=open&camera=till")) == [10]


def test_odd_feedback_changes_nothing(told: Site, client: TestClient) -> None:
    path, kind = f"/api/events/{staged.name(1)}/feedback", {"Content-Type": "application/json"}
    for body in (
        b'{"verdict": "right", "corrected": "normal"}',
        b'{"verdict": "wrong", "corrected": "assault"}',
        b'{"verdict": "wrong", "corrected": "flying"}',
        b'{"verdict": "wrong", "corrected": "\\ud800"}',
        b'{"verdict": "wrong", "corrected": 1}',
        b'{"verdict": ""}',
        b"{}",
        b"[1]",
        b"null",
        b'{"verdict"',
    ):
        assert client.put(path, content=body, headers=kind).status_code == 422, body
    entry = told.journal.entry(staged.name(1))
    assert entry is not None and entry.verdict == ""


@pytest.fixture
def recorded(told: Site) -> Site:
    told.record(staged.name(1))
    return told


def test_files_of_an_event(recorded: Site, client: TestClient) -> None:
    path = f"/api/events/{staged.name(1)}"
    clip, picture = client.get(f"{path}/clip"), client.get(f"{path}/picture")
    assert (clip.headers["content-type"], clip.content[4:8]) == ("video/mp4", b"ftyp")
    assert (picture.headers["content-type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")
    landmarks = client.get(f"{path}/landmarks", params={"download": True})
    kept = recorded.folder / "kept.parquet"
    kept.write_bytes(landmarks.content)
    assert len(storage.read_landmarks(kept)) == 2
    said = landmarks.headers["content-disposition"]
    assert said.startswith("attachment") and said.endswith("-assault.parquet")
    assert clip.headers["content-disposition"].startswith("inline")
    assert client.get(f"/api/events/{staged.name(2)}/clip").status_code == 404
    assert client.get(f"{path}/shared").status_code == 404


def test_parts_of_a_clip(recorded: Site, client: TestClient) -> None:
    path = f"/api/events/{staged.name(1)}/clip"
    whole = client.get(path).content
    for asked, part in {
        "bytes=0-9": slice(0, 10),
        "bytes=5-": slice(5, None),
        "bytes=-7": slice(-7, None),
        "bytes=0-999999999": slice(0, None),
    }.items():
        response = client.get(path, headers={"Range": asked})
        assert (response.status_code, response.content) == (206, whole[part]), asked
    for asked in ("bytes=99999999-", "bytes=-0"):
        response = client.get(path, headers={"Range": asked})
        assert response.status_code == 416
        assert response.headers["content-range"] == f"bytes */{len(whole)}"
        assert response.json()["error"]["place"] == "Range"
    odd = ("bytes=9-3", "bytes=-", "pages=1-2", "bytes=0-1,4-5", f"bytes={'9' * 50}-", "bytes=a-b")
    for asked in (*odd, ""):
        response = client.get(path, headers={"Range": asked})
        assert (response.status_code, response.content) == (200, whole), asked


def test_a_copy_for_others(recorded: Site, client: TestClient) -> None:
    entry = recorded.journal.entry(staged.name(1))
    assert entry is not None
    shared = entry.clip.replace(".mp4", ".shared.mp4")
    (recorded.folder / "recordings" / shared).write_bytes(b"nobody")
    kept = {kind: getattr(entry, kind) for kind in ("clip", "picture", "landmarks")}
    recorded.desk.recorded(entry.id, **kept, shared=shared)
    response = client.get(f"/api/events/{entry.id}/shared", params={"download": True})
    assert (response.content, response.headers["content-type"]) == (b"nobody", "video/mp4")
    said = unquote(response.headers["content-disposition"])
    assert said.endswith(f"door-{entry.started.astimezone():%Y%m%d-%H%M%S%z}-assault.shared.mp4")


def test_nothing_recorded_is_left_in_a_browser(recorded: Site, client: TestClient) -> None:
    path = f"/api/events/{staged.name(1)}"
    for kind in ("clip", "landmarks"):
        assert client.get(f"{path}/{kind}").headers["cache-control"] == "no-store"
    first = client.get(f"{path}/picture")
    assert first.headers["cache-control"] == "private, no-cache"
    again = client.get(f"{path}/picture", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_file_that_goes_meanwhile_is_sent_whole(recorded: Site) -> None:
    entry = recorded.journal.entry(staged.name(1))
    assert entry is not None
    path = recorded.folder / "recordings" / entry.clip
    whole = path.read_bytes()
    response = events._Opened(
        path.open("rb"), media_type="video/mp4", filename="clip.mp4", stat_result=path.stat()
    )
    path.unlink()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await response(scope, receive, send)

    assert TestClient(app).get("/").content == whole
    assert response._opened.closed


def test_files_elsewhere_are_not_given(recorded: Site, client: TestClient) -> None:
    """Whatever the journal says."""
    (recorded.folder / "secret").write_text("secret")
    root, id = recorded.folder / "recordings", staged.name(2)
    (root / "link").symlink_to(recorded.folder)
    (root / "linked.mp4").symlink_to(recorded.folder / "secret")
    climbing = ("../secret", "/etc/passwd", "door/../../secret", "link/secret", "linked.mp4")
    for stored in (*climbing, "door", ".", "\0"):
        recorded.desk.recorded(id, clip=stored, picture=stored, landmarks=stored, shared="")
        for kind in ("clip", "picture", "landmarks"):
            response = client.get(f"/api/events/{id}/{kind}")
            assert response.status_code == 404, stored
            assert "secret" not in response.text
