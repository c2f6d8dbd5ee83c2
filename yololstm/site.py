"""site.yaml: the cameras of a shop, who is told of their events, and what is kept.

Secrets stand in the environment: ``${NAME}`` in a value is replaced by the variable of that name.
"""

from __future__ import annotations

import difflib
import os
import re
import ssl
from collections.abc import Collection, Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from yololstm import checked, notifying, streams
from yololstm.checked import Section
from yololstm.clips import NORMAL
from yololstm.errors import ParamsError
from yololstm.notifying import Template

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
"""Of a camera or a receiver: it stands in paths and addresses."""


def _is_name(value: str) -> str:
    if not re.fullmatch(NAME, value):
        # What stands there may be secret.
        raise ValueError("it stands in paths and addresses: letters a to z, digits, _ and -")
    return value


Name = Annotated[str, AfterValidator(_is_name)]
Port = Annotated[int, Field(ge=0, le=65535, strict=False)]
"""Of a variable too, which is a text."""
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Thresholds = dict[str, Share]


def _as_text(value: Any) -> Any:
    """The number of a webcam."""
    return str(value) if type(value) is int else value


def _is_quiet(value: str) -> str:
    if not _QUIET.fullmatch(value):
        raise ValueError("hours are like 22:00-06:30")
    return value


class Camera(Section):
    source: Annotated[SecretStr, BeforeValidator(_as_text)]
    """A path, the number of a webcam or an address."""
    realtime: bool = False
    """A file is played at its own pace."""
    verify: bool = True
    """Whether the certificate of rtsps or https must be one that is trusted."""


class Record(Section):
    before_s: Seconds = 5.0
    after_s: Seconds = 5.0
    longest_s: Annotated[float, Field(gt=0)] = 300.0
    """A clip is cut there, however long its event goes on."""
    keep_days: Annotated[float, Field(gt=0)] = 30.0
    keep_gb: Annotated[float, Field(gt=0)] = 20.0


class Receiver(Section):
    """Who is told, and of what."""

    name: Name
    template: Template = "event"
    """event: the lines of ``yololstm watch``; status: the label alone, as it once was."""
    updates: bool = True
    """Or only the start and the end of an event are told."""
    labels: Thresholds = Field(default_factory=dict)
    """The labels to tell of, and from which probability on; empty: all events."""
    cool_down_s: Seconds = 0.0
    """After an event of a camera and label has started, others are not told of for so long."""
    quiet: list[Annotated[str, AfterValidator(_is_quiet)]] = Field(default_factory=list)
    """Hours of local time at which nobody is told of an event that starts."""
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    keep_hours: Annotated[float, Field(gt=0, le=87_600)] = 72.0
    """What could not be delivered for so long is set aside."""
    ca_file: str = ""
    """Certificates, as PEM, of whom alone it is believed to be that receiver; empty: of those whom
    the system believes."""

    @property
    def quiet_hours(self) -> list[tuple[time, time]]:
        found = [_QUIET.fullmatch(value) for value in self.quiet]
        parts = [tuple(map(int, match.groups())) for match in found if match]
        return [(time(a, b), time(c, d)) for a, b, c, d in parts]


class Webhook(Receiver):
    kind: Literal["webhook"]
    url: SecretStr
    secret: SecretStr = SecretStr("")
    """Signs the body; empty: nothing is signed."""


class Mqtt(Receiver):
    kind: Literal["mqtt"]
    host: str
    port: Port = 1883
    tls: bool = False
    topic: str = Field(default_factory=lambda said: notifying.TOPICS[said.get("template", "event")])
    username: str = ""
    password: SecretStr = SecretStr("")


class Upload(Section):
    url: str = Field(repr=False)
    """Of a folder, as fsspec knows it: s3://bucket/folder."""
    blur: Literal["faces", "persons", "nothing"] = "faces"
    options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """For the file system: endpoint_url, key, secret."""


class Web(Section):
    host: str = "127.0.0.1"
    port: Port = 8080
    names: list[str] = Field(default_factory=list)
    """Host names by which it is asked for, besides localhost and addresses: behind a proxy, its."""
    proxies: list[str] = Field(default_factory=list)
    """Addresses of proxies, which are believed who asks them."""


class Site(Section):
    folder: str = "data/live"
    """Journal, recordings and token."""
    cameras: Annotated[dict[Name, Camera], Field(default_factory=dict)]
    record: Record | None = None
    notify: list[Annotated[Webhook | Mqtt, Field(discriminator="kind")]] = Field(
        default_factory=list
    )
    upload: Upload | None = None
    web: Web = Web()


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Site:
    """Raises ParamsError naming the key; or the variable that is not set, or empty."""
    content = _read(path)
    filled = _filled({} if content is None else content, (), path, environ)
    site = checked.validate(path, filled, Site, "See docs/live.md", secret=True)
    names = [receiver.name for receiver in site.notify]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ParamsError(f"{path}: notify", f"{min(twice)} stands twice", "Rename one of them")
    if site.upload is not None and site.record is None:
        raise ParamsError(f"{path}: upload", "nothing is recorded", "Add a record section")
    for name, camera in site.cameras.items():
        _check_source(f"{path}: cameras.{name}.source", camera.source.get_secret_value())
    for receiver in site.notify:
        _check_receiver(f"{path}: notify.{receiver.name}", receiver)
    return site


def check_labels(site: Site, labels: Collection[str], path: Path) -> None:
    """labels: of the classifier. Raises ParamsError naming one that no event has, for nobody would
    ever be told of it; path: where the site stands."""
    abnormal = [label for label in labels if label != NORMAL]
    for receiver in site.notify:
        for label in receiver.labels:
            if label not in abnormal:
                near = difflib.get_close_matches(label, abnormal, n=1, cutoff=0.5)
                known = f"Known are {', '.join(abnormal)}"
                place = f"{path}: notify.{receiver.name}.labels.{label}"
                remedy = f"The nearest is {near[0]}" if near else known
                raise ParamsError(place, "no event has that label", remedy)


def _check_source(place: str, source: str) -> None:
    """Without saying what it is: a password may stand anywhere in it."""
    scheme, is_address, _ = source.partition("://")
    if is_address and scheme.lower() not in streams.SCHEMES:
        remedy = f"Give one of {', '.join(streams.SCHEMES)}, a path, or the number of a webcam"
        raise ParamsError(place, "an address of another kind", remedy)
    try:
        streams.check(source)
    except ParamsError as error:
        raise ParamsError(place, error.problem.problem, error.problem.remedy) from None


def _check_receiver(place: str, receiver: Webhook | Mqtt) -> None:
    if isinstance(receiver, Mqtt):
        notifying.check_topic(f"{place}.topic", receiver.topic, receiver.template)
        is_encrypted, remedy = receiver.tls, "Add tls: true"
    else:
        url = receiver.url.get_secret_value()
        is_encrypted, remedy = _is_https(f"{place}.url", url), "Give an address of https"
    if not receiver.ca_file:
        return
    if not is_encrypted:
        raise ParamsError(f"{place}.ca_file", "nothing is encrypted there", remedy)
    try:
        ssl.create_default_context(cafile=receiver.ca_file)
    except OSError as error:
        problem = f"no certificates can be read there ({type(error).__name__})"
        raise ParamsError(f"{place}.ca_file", problem, "Name a PEM file") from None


def _is_https(place: str, url: str) -> bool:
    """Raises ParamsError, without the address, for one that is none."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    is_text = url.isprintable() and " " not in url
    if not (is_whole and is_text and parts.scheme in ("http", "https")):
        raise ParamsError(place, "no address of http or https", "Give a whole one")
    return parts.scheme == "https"


def _read(path: Path) -> Any:
    try:
        content = checked.read(path, "Write one: docs/live.md has an example")
        if content is not None:
            _refuse_twice(path)
        return content
    except ParamsError as error:
        if not isinstance(error.__cause__, yaml.YAMLError):
            raise
        # What stands there may be secret.
        mark = getattr(error.__cause__, "problem_mark", None)
        place = str(path) if mark is None else f"{path}:{mark.line + 1}"
        raise ParamsError(place, "not YAML", "Mend that line, or the one before") from None


def _refuse_twice(path: Path) -> None:
    """Of two keys that are the same YAML keeps the last, and says nothing."""
    root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    left = [] if root is None else [root]
    while left:
        node = left.pop()
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    place = f"{path}:{key.start_mark.line + 1}"
                    raise ParamsError(place, f"{key.value} stands twice", "Rename one of them")
                seen.add(key.value)
                left.append(value)
        elif isinstance(node, yaml.SequenceNode):
            left += node.value


def _filled(value: Any, key: tuple[str, ...], path: Path, environ: Mapping[str, str]) -> Any:
    """The value with variables in the place of their names. key: where it stands."""
    if isinstance(value, dict):
        return {k: _filled(item, (*key, str(k)), path, environ) for k, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, (*key, str(i)), path, environ) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if not environ.get(name, "").strip():
            place, remedy = f"{path}: {'.'.join(key)}", f"export {name}=... before you start it"
            problem = "empty" if name in environ else "not set"
            raise ParamsError(place, f"the variable {name} is {problem}", remedy)
    return _VARIABLE.sub(lambda match: environ[match[1]], value)
