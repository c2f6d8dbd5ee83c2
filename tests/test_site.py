from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from datetime import time
from pathlib import Path

import pytest

from tests.certificates import certificate
from yololstm import site
from yololstm.errors import ParamsError
from yololstm.notifying import TOPICS, Template
from yololstm.site import Mqtt, Site, Webhook

WHOLE = """
folder: shop
cameras:
  door: {source: "${DOOR}"}
  till: {source: clips/till.mp4, realtime: true}
record: {before_s: 3, after_s: 4.5, keep_gb: 1}
notify:
- kind: webhook
  name: office
  url: https://example.com/${TOKEN}?again=${TOKEN}
  secret: ${SIGNS}
  labels: {theft: 0.9, assault: 0}
  cool_down_s: 60
  quiet: [22:00-06:30, 12:00-13:00]
- {kind: mqtt, name: lamp, host: 10.0.0.7, username: lamp, password: "${LAMP}", template: status}
upload: {url: s3://kept/shop, blur: persons, options: {key: me, secret: "${KEPT}"}}
web: {port: 0}
"""
SECRETS = {
    "DOOR": "rtsp://admin:geheim1@10.0.0.5/live",
    **{"TOKEN": "geheim2", "SIGNS": "geheim3", "LAMP": "geheim4", "KEPT": "geheim5"},
}


def load(folder: Path, text: str, environ: Mapping[str, str] = SECRETS) -> Site:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return site.load(path, environ)


def test_a_site_is_what_its_file_and_the_environment_say(tmp_path: Path) -> None:
    read = load(tmp_path, WHOLE)
    assert read.folder == "shop"
    assert list(read.cameras) == ["door", "till"]
    assert read.cameras["door"].source.get_secret_value() == SECRETS["DOOR"]
    assert [camera.realtime for camera in read.cameras.values()] == [False, True]
    assert read.record is not None
    assert (read.record.before_s, read.record.longest_s, read.record.keep_days) == (3, 300, 30)
    office, lamp = read.notify
    assert isinstance(office, Webhook)
    assert office.url.get_secret_value() == "https://example.com/geheim2?again=geheim2"
    assert office.secret.get_secret_value() == "geheim3"
    assert office.labels == {"theft": 0.9, "assault": 0}
    assert office.quiet_hours == [(time(22), time(6, 30)), (time(12), time(13))]
    assert isinstance(lamp, Mqtt)
    assert (lamp.password.get_secret_value(), lamp.port, lamp.tls) == ("geheim4", 1883, False)
    assert (lamp.template, lamp.quiet_hours) == ("status", [])
    assert (lamp.updates, lamp.keep_hours, lamp.ca_file) == (True, 72, "")
    assert read.upload is not None
    assert read.upload.options == {"key": "me", "secret": "geheim5"}
    assert (read.web.host, read.web.port) == ("127.0.0.1", 0)


def test_no_secret_is_shown(tmp_path: Path) -> None:
    read = load(tmp_path, WHOLE)
    assert "geheim" not in f"{read!r} {read}"


@pytest.mark.parametrize("text", ["", "cameras: {}", "# nothing yet\n"])
def test_nothing_need_be_said(text: str, tmp_path: Path) -> None:
    read = load(tmp_path, text)
    assert read == Site(cameras={})
    assert (read.record, read.upload, read.notify) == (None, None, [])
    assert read.web.host == "127.0.0.1"


def test_a_variable_is_a_value_and_nothing_more(tmp_path: Path) -> None:
    """Neither YAML nor the name of another variable."""
    odd = "a: {b: c}\n- ${SIGNS} # no"
    read = load(tmp_path, 'cameras: {door: {source: "<${ODD}>"}}', {"ODD": odd, "SIGNS": "x"})
    assert read.cameras["door"].source.get_secret_value() == f"<{odd}>"


def test_what_only_looks_like_a_variable_stays(tmp_path: Path) -> None:
    read = load(tmp_path, 'cameras: {door: {source: "$DOOR ${1} $${}"}}')
    assert read.cameras["door"].source.get_secret_value() == "$DOOR ${1} $${}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cameras: {door: {source: '${NOWHERE}'}}", "cameras.door.source: the variable NOWHERE is"),
        ("notify: [{kind: '${NOWHERE}'}]", "notify.0.kind: the variable NOWHERE is not set"),
        ("cameras: {door: {sorce: '0'}}", "cameras.door.sorce: unknown key. The nearest is source"),
        ("cameras: {door: {source: [0]}}", "cameras.door.source: Input should be a valid string"),
        ("cameras: {door: {}}", "cameras.door.source: Field required"),
        ("cameras: {'../door': {source: '0'}}", "it stands in paths and addresses"),
        ("cameras: {'': {source: '0'}}", "it stands in paths"),
        ("[]", "valid dictionary"),
        ("web: {host: 1}", "web.host"),
        ("web: {port: 70000}", "web.port: Input should be less"),
        ("record: {keep_days: 0}", "record.keep_days: Input should be greater than 0"),
        ("record: {before_s: .inf}", "record.before_s: Input should be a finite number"),
        ("record: {before_s: -1}", "record.before_s"),
        ("notify: [{kind: pigeon, name: a}]", "notify.0: Input tag 'pigeon'"),
        ("notify: [{kind: webhook, name: a}]", "notify.0.webhook.url: Field required"),
        (
            "notify: [{kind: webhook, name: a, url: b, tmeplate: c}]",
            "notify.0.webhook.tmeplate: unknown key. The nearest is template",
        ),
        ("notify: [{kind: mqtt, name: a/b, host: c}]", "notify.0.mqtt.name: it stands in paths"),
        ("notify: [{kind: mqtt, name: a, host: c, labels: {theft: 2}}]", "labels.theft: Input"),
        (
            "notify: [{kind: mqtt, name: a, host: c}, {kind: webhook, name: a, url: b}]",
            "notify: a stands twice",
        ),
        ("upload: {url: s3://a}", "upload: nothing is recorded. Add a record section"),
        ("record: {}\nupload: {url: s3://a, blur: eyes}", "upload.blur: Input should be 'faces'"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as raised:
        load(tmp_path, text)
    assert str(tmp_path / "site.yaml") in str(raised.value)
    assert told in str(raised.value)


def mqtt(**said: object) -> str:
    return f"notify: [{json.dumps({'kind': 'mqtt', 'name': 'lamp', 'host': 'h', **said})}]"


def webhook(url: str, **said: object) -> str:
    return f"notify: [{json.dumps({'kind': 'webhook', 'name': 'till', 'url': url, **said})}]"


@pytest.mark.parametrize("template", ["event", "status"])
def test_a_topic_goes_by_what_is_told(template: Template, tmp_path: Path) -> None:
    (lamp,) = load(tmp_path, mqtt(template=template)).notify
    assert isinstance(lamp, Mqtt)
    assert lamp.topic == TOPICS[template]
    (lamp,) = load(tmp_path, mqtt(template=template, topic="a/{camera}")).notify
    assert isinstance(lamp, Mqtt)
    assert lamp.topic == "a/{camera}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (mqtt(topic="a/{labl}"), "notify.lamp.topic: {labl} is not known"),
        (mqtt(topic="a/#"), "notify.lamp.topic: it is empty, or has wildcards"),
        (mqtt(topic="a", template="status"), "notify.lamp.topic: a status is that of a camera"),
        (
            mqtt(topic="{camera}/{label}", template="status"),
            "notify.lamp.topic: a status is that of a camera",
        ),
        *[
            (webhook(url), "notify.till.url: no address of http or https")
            for url in (
                *("geheim", "ftp://a/geheim", "http:geheim", "http:///geheim", "http://a b/geheim"),
                *("https://a:geheim/", "http://a:99999/geheim", "http://[geheim", "//a/geheim"),
                "http://a/\ngeheim",
            )
        ],
        *[
            (f"cameras: {{door: {{source: '{source}'}}}}", "cameras.door.source: an address of ano")
            for source in ("rtmp://geheim", "file:///geheim", "geheim:geheim@rtsp://a", "://geheim")
        ],
        (mqtt(ca_file="geheim.pem"), "notify.lamp.ca_file: nothing is encrypted there. Add tls"),
        (webhook("http://a", ca_file="geheim.pem"), "till.ca_file: nothing is encrypted there"),
        (mqtt(tls=True, ca_file="geheim.pem"), "lamp.ca_file: no certificates can be read there"),
        (webhook("https://a", ca_file="."), "till.ca_file: no certificates can be read there"),
        (mqtt(keep_hours=0), "keep_hours: Input should be greater than 0"),
    ],
)
def test_who_is_told_wrongly_is_named_with_the_file(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as raised:
        load(tmp_path, text)
    assert raised.value.problem.place.startswith(f"{tmp_path / 'site.yaml'}: ")
    assert told in str(raised.value)
    assert "geheim" not in "".join(traceback.format_exception(raised.value))


def test_certificates_of_ones_own(tmp_path: Path) -> None:
    own, key = certificate(tmp_path)
    for text in (mqtt(tls=True, ca_file=f"{own}"), webhook("HTTPS://a", ca_file=f"{own}")):
        assert load(tmp_path, text).notify[0].ca_file == f"{own}"
    with pytest.raises(ParamsError, match=r"no certificates can be read there \(SSLError\)"):
        load(tmp_path, mqtt(tls=True, ca_file=f"{key}"))


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_variable_is_none(value: str, tmp_path: Path) -> None:
    """It would leave messages unsigned, or a door without a password."""
    text = webhook("http://a", secret="${SIGNS}")
    with pytest.raises(ParamsError) as raised:
        load(tmp_path, text, {"SIGNS": value})
    assert "notify.0.secret: the variable SIGNS is empty. export SIGNS=" in str(raised.value)


def test_a_label_that_no_event_has_is_named(tmp_path: Path) -> None:
    labels, path = ("theft", "assault", "damage"), tmp_path / "site.yaml"
    site.check_labels(load(tmp_path, WHOLE), labels, path)
    with pytest.raises(ParamsError) as raised:
        site.check_labels(load(tmp_path, mqtt(labels={"theft": 0.5, "teft": 0.8})), labels, path)
    assert f"{raised.value}" == (
        f"{path}: notify.lamp.labels.teft: no event has that label. The nearest is theft."
    )
    with pytest.raises(ParamsError, match=r"\. Known are theft, assault, damage\.$"):
        site.check_labels(load(tmp_path, mqtt(labels={"xyz": 0})), labels, path)


@pytest.mark.parametrize(
    "hours", ["22:00", "24:00-06:00", "22:60-06:00", "9:00-10:00", "22:00 - 06:00", "22:00-06:00\n"]
)
def test_hours_are_two_times_of_a_day(hours: str, tmp_path: Path) -> None:
    text = "notify: [{kind: mqtt, name: a, host: b, quiet: ['22:00-06:30', " + repr(hours) + "]}]"
    with pytest.raises(ParamsError, match=r"quiet\.1: hours are like 22:00-06:30"):
        load(tmp_path, text.replace("'22:00-06:00\\n'", '"22:00-06:00\\n"'))


@pytest.mark.parametrize(
    "text",
    [
        "cameras:\n  door: {sources: '${DOOR}'}",
        "cameras: '${DOOR}'",
        "cameras: {door: '${DOOR}'}",
        "cameras: {door: {source: {'${DOOR}': '${DOOR}'}}}",
        "notify: [{kind: webhook, name: '${DOOR}', url: '${DOOR}', secret: ['${DOOR}']}]",
        "upload: {url: '${DOOR}', blur: '${DOOR}', options: '${DOOR}'}",
        "web: {port: '${DOOR}'}",
    ],
)
def test_what_is_wrong_is_not_said_where_it_may_be_secret(text: str, tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as raised:
        load(tmp_path, text)
    error: BaseException | None = raised.value
    while error is not None:
        assert "geheim" not in str(error)
        error = error.__cause__


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"none\.yaml: no such file\. Write one"):
        site.load(tmp_path / "none.yaml", {})


def test_what_is_no_yaml_is_named_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("web: {port: 1}\nnotify:\n- {secret: geheim\n")
    with pytest.raises(ParamsError) as raised:
        site.load(path)
    assert raised.value.problem.problem == "not YAML"
    assert re.fullmatch(rf"{path}:\d", raised.value.problem.place)
    told = "".join(traceback.format_exception(raised.value))
    assert "geheim" not in told


def test_numbers_may_be_texts_and_a_webcam_a_number(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("cameras: {till: {source: 0}}\nweb: {port: '${PORT}'}\n")
    read = site.load(path, {"PORT": "8081"})
    assert read.cameras["till"].source.get_secret_value() == "0"
    assert read.web.port == 8081
    with pytest.raises(ParamsError, match=r"web\.port"):
        site.load(path, {"PORT": "many"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cameras:\n  a: {source: '0'}\n  a: {source: '1'}\n", "site.yaml:3: a stands twice"),
        ("cameras: {계산대: {source: '0'}}", "letters a to z, digits, _ and -"),
        (
            "cameras: {a: {source: 'rtsp://user:geh/eim#@10.0.0.5/x'}}",
            "site.yaml: cameras.a.source: no host can be made out",
        ),
    ],
)
def test_what_a_camera_cannot_be_called_or_come_from(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError) as raised:
        site.load(path)
    assert told in str(raised.value)
    assert "geh" not in str(raised.value)
