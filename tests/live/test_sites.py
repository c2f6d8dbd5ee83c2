"""A site as programs: what is owed survives them, and one camera does not disturb another."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.live.program import PATIENCE_S, Program
from tests.receiving import Answer, Receiver, receiver
from tests.serving import Camera, camera
from yololstm import video
from yololstm.database import Database
from yololstm.journal import Journal

TOKEN = "a token that nobody guesses"


@pytest.fixture
def filming(shop: Path) -> Iterator[Camera]:
    """Somebody who stands still."""
    frames = list(video.read(shop / "spotted.mp4"))
    with camera(lambda _: frames[len(frames) // 2].image, fps=8) as made:
        yield made


def site(path: Path, **sections: Any) -> str:
    path.write_text(yaml.safe_dump({"folder": str(path.with_suffix("")), **sections}))
    return str(path)


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def states(till: Receiver) -> dict[str, list[str]]:
    """What the receiver was told of each event, each telling once."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for post in till.taken:
        said = json.loads(post.body)
        told[said["id"]][post.key] = said["state"]
    return {event: list(of.values()) for event, of in told.items()}


def test_no_event_is_lost_where_the_watcher_is_killed(
    shop: Path, filming: Camera, tmp_path: Path
) -> None:
    # It fails until the first watcher is dead, and every third time after.
    is_back = threading.Event()
    with receiver(lambda n: Answer(204 if is_back.is_set() and n % 3 else 503)) as till:
        url = f"http://127.0.0.1:{till.port}/geheim"
        path = site(
            tmp_path / "site.yaml",
            notify=[{"name": "till", "kind": "webhook", "url": "${HOOK}", "secret": "${KEY}"}],
        )
        options = (filming.url, "--camera", "door", "--fps", "6", "--site", path)
        first = Program(shop, *options, HOOK=url, KEY="geheim")
        try:
            started = first.next("start")
            first.next("update", started["id"])
            until(lambda: any("till: " in line for line in first.stderr))  # that it failed
        finally:
            first.process.kill()
        first.end(signal.SIGKILL)
        assert not till.taken
        is_back.set()
        second = Program(shop, *options, HOOK=url, KEY="geheim")
        try:
            again = second.next("start")
            assert second.end(signal.SIGTERM) == 0
        finally:
            second.process.kill()
        # What the second had no time for is delivered by whoever comes next.
        third = Program(shop, *options, HOOK=url, KEY="geheim")
        try:
            third.next("start")
            until(lambda: "end" in states(till).get(again["id"], ()))
            assert third.end(signal.SIGTERM) == 0
        finally:
            third.process.kill()
        told = states(till)
    assert set(told) >= {started["id"], again["id"]}
    for event in (started["id"], again["id"]):
        assert (told[event][0], told[event][-1]) == ("start", "end")
        assert told[event].count("start") == told[event].count("end") == 1
    assert "update" in told[started["id"]]
    assert all("X-Yololstm-Signature" in post.headers for post in till.taken)
    assert "geheim" not in "".join([*first.stderr, *second.stderr, *third.stderr])


def test_a_site_is_served_whatever_becomes_of_a_camera(
    shop: Path, filming: Camera, tmp_path: Path
) -> None:
    path = site(
        tmp_path / "site.yaml",
        cameras={
            "door": {"source": "${DOOR}"},
            "gone": {"source": "http://somebody:geheim@127.0.0.1:9/"},
            "broken": {"source": "data/checkpoint.safetensors"},
        },
        record={"before_s": 1, "after_s": 0.5},
        web={"port": 0},
    )
    program = Program(
        shop, path, "--fps", "6", command="serve", DOOR=filming.url, YOLOLSTM_TOKEN=TOKEN
    )
    try:
        until(lambda: any("http://127.0.0.1:" in line for line in program.stderr))
        (at,) = (m[0] for m in map(re.compile(r"http://127\S+\d").search, program.stderr) if m)
        with httpx.Client(base_url=at, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            assert httpx.get(f"{at}/api/cameras").status_code == 401
            assert httpx.get(f"{at}/health").json() == {"status": "ok"}

            def state(name: str) -> str:
                return str(client.get(f"/api/cameras/{name}").json()["state"])

            until(lambda: state("door") == "live" and state("broken") == "failed")
            assert state("gone") in ("connecting", "lost")
            events = lambda: client.get("/api/events").json()["events"]  # noqa: E731
            until(events)
            assert {event["camera"] for event in events()} == {"door"}
            assert client.get("/api/cameras/door/picture.jpg").content[:2] == b"\xff\xd8"
            filming.cut()
            until(lambda: all(event["state"] == "end" and event["clip"] for event in events()))
            clip = client.get(f"/api/events/{events()[0]['id']}/clip")
            assert clip.headers["content-type"] == "video/mp4"
            filming.resume()
            before = len(events())
            until(lambda: len(events()) > before)
        began = time.monotonic()
        assert program.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 30
    finally:
        program.process.kill()
    told = "".join(program.stderr)
    assert "geheim" not in told
    assert TOKEN not in told
    assert "broken: failed (data/checkpoint.safetensors: not a video" in told
    database = Database(tmp_path / "site/journal.db")
    assert Journal(database).open_entries() == []
    database.close()
