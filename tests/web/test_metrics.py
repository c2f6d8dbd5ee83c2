from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.web import staged
from tests.web.conftest import TestClient, program
from tests.web.staged import Site


def figures(client: TestClient) -> dict[tuple[str, ...], float]:
    """By name and the values of labels."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}


def test_figures_of_cameras_events_and_the_outbox(site: Site, client: TestClient) -> None:
    site.live("door")
    for step in range(3):
        site.play("door", step)
    site.tell(staged.change(1, "start"))
    site.tell(staged.change(1, "update"))
    site.tell(staged.change(2, "start", label="assault"))
    with site.database.writing() as connection:
        site.outbox.put(connection, "police", "key", b"{}")
    found = figures(client)
    assert found["yololstm_camera_up", "door"] == 1
    assert found["yololstm_camera_up", "till"] == 0
    assert found["yololstm_camera_frames_looked_at_total", "door"] == 3
    assert found["yololstm_camera_frames_dropped_total", "door"] == 0
    assert found["yololstm_camera_delay_seconds", "door"] < 60
    assert found["yololstm_events_total", "door", "theft"] == 1
    assert found["yololstm_events_total", "door", "assault"] == 1
    assert found["yololstm_outbox_waiting", "police"] == 1
    assert found["yololstm_outbox_refused", "police"] == 0
    assert 0 <= found["yololstm_outbox_oldest_seconds", "police"] < 60
    assert found[("process_resident_memory_bytes",)] > 1e6


def test_two_sites_of_a_process_count_apart(site: Site, client: TestClient) -> None:
    other = Site(site.folder / "other")
    site.tell(staged.change(1, "start"))
    assert ("yololstm_events_total", "door", "theft") in figures(client)
    assert ("yololstm_events_total", "door", "theft") not in figures(program(other))
    other.close()


def test_the_system_tells_whom_it_tells(tmp_path: Path) -> None:
    site = Site(tmp_path, channels=["police", "upload"], records=False)
    with site.database.writing() as connection:
        site.outbox.put(connection, "police", "a", b"{}")
        site.outbox.put(connection, "police", "b", b"{}")
        site.outbox.put(connection, "gone", "c", b"{}")
    now = datetime.now(UTC)
    for channel, why in {"police": "no answer", "gone": "no receiver"}.items():
        message = site.outbox.claim(channel, now)
        assert message is not None
        if channel == "gone":
            site.outbox.refused(message, why)
        else:
            site.outbox.failed(message, why, now + timedelta(seconds=60))
    said = program(site).get("/api/system").json()
    assert said["records"] is False
    assert list(said["outbox"]) == ["police", "upload", "gone"]
    police, upload, gone = said["outbox"].values()
    assert (police["waiting"], police["why"], police["is_told"]) == (2, "no answer", True)
    assert (upload["waiting"], upload["sent"], upload["why"]) == (0, 0, "")
    assert (gone["refused"], gone["why"], gone["is_told"]) == (1, "no receiver", False)
    site.close()


def test_the_system_tells_labels_the_disk_and_receivers(site: Site, client: TestClient) -> None:
    said = client.get("/api/system").json()
    assert [one["label"] for one in said["labels"]] == ["theft", "assault", "damage", "normal"]
    assert all(len(one["colour"]) == 7 for one in said["labels"])
    assert said["free_bytes"] > 0
    assert said["outbox"] == {}
