from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

import cv2
import httpx
import numpy as np
import pytest

from tests.web import staged
from tests.web.conftest import TestClient, served
from tests.web.staged import Playing, Site
from yololstm import drawing
from yololstm.bulletin import Notice
from yololstm.drawing import Status
from yololstm.journal import Entry, Journal
from yololstm.web import filming, picturing
from yololstm.web.filming import Film, Picture

ZONE = {
    "name": "바닥",
    "mode": "count",
    "polygon": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]],
    "labels": ["theft"],
}
JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": f"Bearer {staged.TOKEN}"}


def decoded(jpeg: bytes) -> np.ndarray:
    """RGB"""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def test_how_cameras_are(site: Site, client: TestClient) -> None:
    site.live()
    site.play("door", 0)
    states = {one["camera"]: one for one in client.get("/api/cameras").json()["cameras"]}
    assert set(states) == {"door", "till"}
    assert (states["door"]["state"], states["till"]["state"]) == ("live", "connecting")
    door = client.get("/api/cameras/door").json()
    assert (door["looked"], door["width"], door["height"]) == (1, *staged.SIZE)
    assert client.get("/api/cameras/attic").status_code == 404


def test_a_picture_shows_who_is_there_and_what_they_do(site: Site, client: TestClient) -> None:
    path = "/api/cameras/door/picture.jpg"
    assert client.get(path).status_code == 404
    site.live()
    for step in range(4):
        site.play("door", step)
    plain = decoded(client.get(path, params={"plain": True}).content)
    assert np.abs(plain.astype(int) - staged.picture(3)).mean() < 4
    assert not _of(plain, "normal") and not _of(plain, "assault")
    drawn = decoded(client.get(path).content)
    assert drawn.shape == plain.shape == (360, 640, 3)
    assert _of(drawn, "normal") > 200 and not _of(drawn, "assault")
    site.tell(staged.change(1, "start", label="assault", ago_s=8))
    assert _of(decoded(client.get(path).content), "assault") > 200


def _of(image: np.ndarray, label: str) -> int:
    """Pixels of the label's colour, more or less."""
    colour = drawing.palette(staged.LABELS)[label]
    return int((np.abs(image.astype(int) - colour).max(axis=2) < 24).sum())


def test_what_was_said_of_people_of_late(site: Site, client: TestClient) -> None:
    site.live()
    path = "/api/cameras/door/verdicts"
    nothing = client.get(path).json()
    assert (nothing["frame_s"], nothing["verdicts"], nothing["tracks"]) == (None, [], [])
    shown = [site.play("door", step) for step in range(8)][-1]
    said = client.get(path, params={"seconds": 60}).json()
    assert said["frame_s"] == pytest.approx(shown.frame_s, abs=1e-6)
    assert said["tracks"] == [1, 2]
    assert [one["track"] for one in said["verdicts"]] == [1, 2, 1, 2]
    assert said["verdicts"][0]["probability"]["normal"] == 0.94
    assert client.get(path, params={"seconds": 0}).json()["verdicts"] == []
    for seconds in ("nan", "inf", "-1", "301", "x"):
        assert client.get(path, params={"seconds": seconds}).status_code == 422


def test_zones_are_kept_and_told(site: Site, client: TestClient) -> None:
    heard: list[Notice] = []
    site.bulletin.listen(heard.append)
    path = "/api/cameras/door/zones"
    assert client.get(path).json() == {"camera": "door", "zones": []}
    assert client.put(path, json=[ZONE]).json() == {"camera": "door", "zones": [ZONE]}
    assert client.get(path).json()["zones"] == [ZONE]
    assert [zone.to_dict() for zone in site.journal.zones("door")] == [ZONE]
    assert site.journal.zones("till") == []
    assert heard == [Notice("zones", {"camera": "door", "zones": [ZONE]})]
    assert client.put(path, json=[]).json()["zones"] == []
    assert client.put("/api/cameras/attic/zones", json=[]).status_code == 404


def test_zones_that_are_none_change_nothing(site: Site, client: TestClient) -> None:
    for zones in (
        [ZONE, ZONE],
        [ZONE | {"labels": ["flying"]}],
        [ZONE | {"labels": ["normal"]}],
        [ZONE | {"polygon": [[0, 0], [1, 1]]}],
        [ZONE | {"polygon": [[0, 0], [1, 1], [2, 0]]}],
        [ZONE | {"polygon": [[0, 0], [1, 1], [0.5]]}],
        [ZONE | {"polygon": [[0, 0], [1, 1], [0, 1e400]]}],
        [ZONE | {"mode": "else"}],
        [ZONE | {"name": " "}],
        [ZONE | {"name": "x" * 61}],
        [ZONE | {"name": str(i)} for i in range(33)],
        {"zones": []},
        None,
    ):
        body = json.dumps(zones).encode()
        response = client.put("/api/cameras/door/zones", content=body, headers=JSON)
        assert response.status_code == 422, zones
        assert set(response.json()["error"]) == {"place", "problem", "remedy"}
    assert site.journal.zones("door") == []


_HEAD = re.compile(rb"Content-Length: (\d+)\r\nX-Camera: (\w+)\r\n.*?\r\n\r\n", re.S)


def pictures(response: httpx.Response) -> Iterator[tuple[str, bytes]]:
    """Camera and JPEG of each part."""
    held = b""
    for chunk in response.iter_raw():
        held += chunk
        while match := _HEAD.search(held):
            end = match.end() + int(match[1])
            if len(held) < end:
                break
            yield match[2].decode(), held[match.end() : end]
            held = held[end:]


def test_video_goes_on_and_is_drawn_only_while_somebody_watches(site: Site) -> None:
    site.live()
    site.live("till")
    with served(site) as url, Playing(site, "door", "till"):
        ask = httpx.stream("GET", f"{url}/api/cameras/door/video", headers=BEARER, timeout=30)
        with ask as response:
            kind = response.headers["content-type"]
            assert kind.startswith("multipart/x-mixed-replace; boundary=")
            seen = [jpeg for _, jpeg in zip(range(4), pictures(response), strict=False)]
            assert {camera for camera, _ in seen} == {"door"}
            assert len({jpeg for _, jpeg in seen}) == 4
            assert _films() == ["film door"]
            both = httpx.stream("GET", f"{url}/api/cameras/video", headers=BEARER, timeout=30)
            with both as other:
                names = {name for _, (name, _) in zip(range(8), pictures(other), strict=False)}
            assert names == {"door", "till"}
            some = f"{url}/api/cameras/video?camera=till&small=true"
            with httpx.stream("GET", some, headers=BEARER, timeout=30) as other:
                name, jpeg = next(pictures(other))
            assert (name, decoded(jpeg).shape) == ("till", (270, 480, 3))
        _until(lambda: not _films() and not len(site.app.state.streams))


def test_who_comes_and_goes_is_drawn_for_once(site: Site) -> None:
    site.live()
    film, seen = _film(site), list[Picture]()
    with Playing(site, "door"):
        for _ in range(6):
            film.watch(lambda picture: None)()
        leave = film.watch(seen.append)
        _until(lambda: len(seen) > 3)
        assert len(_films()) == 1
        leave()
        _until(lambda: not _films())
        _until_it_shows(film)
    _until(lambda: not _films())


def test_a_picture_that_fails_ends_no_film(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    drawn, faults = picturing.drawn, [RuntimeError("odd"), RuntimeError("odd")]

    def fails_twice(*args: Any, **options: Any) -> bytes | None:
        if faults:
            raise faults.pop()
        return drawn(*args, **options)

    monkeypatch.setattr(picturing, "drawn", fails_twice)
    monkeypatch.setattr(filming, "_WAIT_S", 0.05)
    site.live()
    with Playing(site, "door"):
        _until_it_shows(_film(site))
    assert not faults
    assert [one.getMessage() for one in caplog.records] == ["door: a picture could not be made"]
    _until(lambda: not _films())


def test_of_one_who_does_two_things_the_other_is_shown_on() -> None:
    going_on = filming._GoingOn("door")

    def hear(id: str, label: str, probability: float, state: str = "update") -> None:
        about = {"id": id, "camera": "door", "track": 1, "label": label, "state": state}
        going_on.hear(Notice("change", about | {"probability": probability}))

    hear("a", "theft", 0.7)
    hear("b", "assault", 0.9)
    assert going_on.likeliest() == {1: Status("assault", 0.9)}
    hear("b", "assault", 0.9, "end")
    assert going_on.likeliest() == {1: Status("theft", 0.7)}
    going_on.clear()
    assert going_on.likeliest() == {}


def test_what_ends_while_it_is_read_has_ended(site: Site) -> None:
    site.tell(staged.change(1, "start"))
    going_on = filming._GoingOn("door")
    read = site.journal.open_entries

    class Slow:
        def open_entries(self, camera: str) -> list[Entry]:
            entries = read(camera)
            site.tell(staged.change(1, "end"))
            return entries

    leave = site.bulletin.listen(going_on.hear)
    going_on.read(cast(Journal, Slow()))
    leave()
    assert going_on.likeliest() == {}


def test_what_was_shown_is_not_shown_as_now(site: Site, client: TestClient) -> None:
    path = "/api/cameras/door"
    site.live()
    shown = site.play("door", 3)
    at = client.get(f"{path}/picture.jpg").headers["x-at"]
    assert datetime.fromisoformat(at) == shown.at.replace(
        microsecond=shown.at.microsecond // 1000 * 1000
    )
    site.cameras["door"]._set("lost", "unplugged")
    assert client.get(f"{path}/picture.jpg").status_code == 404
    assert client.get(f"{path}/picture.jpg?last=true").headers["x-at"] == at
    said = client.get(f"{path}/verdicts").json()
    assert (said["tracks"], len(said["verdicts"])) == ([], 2)
    film, seen = _film(site), list[Picture]()
    leave = film.watch(seen.append)
    site.play("door", 4)
    time.sleep(0.3)
    assert not seen
    site.live()
    site.play("door", 5)
    _until(lambda: seen)
    leave()
    _until(lambda: not _films())


def _film(site: Site) -> Film:
    monitor = site.monitor
    return Film(monitor.cameras["door"], monitor.labels, site.journal, site.bulletin)


def _until_it_shows(film: Film) -> None:
    seen: list[Picture] = []
    leave = film.watch(seen.append)
    _until(lambda: seen)
    leave()


def test_an_unknown_camera_has_no_video(client: TestClient) -> None:
    for path in ("/api/cameras/attic/video", "/api/cameras/video?camera=door&camera=attic"):
        assert client.get(path).status_code == 404


def test_video_ends_with_the_session(site: Site) -> None:
    site.live()
    with (
        served(site) as url,
        Playing(site, "door"),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        client.post("/api/login", json={"token": staged.TOKEN})
        with client.stream("GET", "/api/cameras/door/video") as response:
            parts = pictures(response)
            next(parts)
            asked = {"X-Requested-With": "test"}
            cookies = {"Cookie": "; ".join(f"{k}={v}" for k, v in client.cookies.items())}
            httpx.post(f"{url}/api/logout", headers=asked | cookies)
            assert sum(1 for _ in parts) < 50


def _films() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("film ")]


def _until(is_so: object, patience_s: float = 30) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
