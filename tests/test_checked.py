from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from yololstm import checked
from yololstm.checked import Section
from yololstm.errors import ParamsError


class Cat(Section):
    kind: Literal["cat"]
    lives: int = 9


class Dog(Section):
    kind: Literal["dog"]
    barks: bool = True


class House(Section):
    door: str
    windows: Annotated[int, Field(gt=0)] = 4
    kept: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(default_factory=list)
    rooms: dict[str, Cat] = Field(default_factory=dict)


def refused(content: object, secret: bool = False) -> ParamsError:
    with pytest.raises(ParamsError) as raised:
        checked.validate(Path("house.yaml"), content, House, "Look again", secret=secret)
    return raised.value


@pytest.mark.parametrize(
    ("content", "value"), [(b"a: 1\nb: [x]\n", {"a": 1, "b": ["x"]}), (b"", None)]
)
def test_it_reads_what_stands_there(content: bytes, value: object, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert checked.read(tmp_path / "a.yaml", "Write one") == value


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: 1\nb: [c\nd: e", "not YAML .*line 3.* Mend the line"),
        (b"a: 1\nb: c: d", "not YAML .*line 2"),
        (b"a: 1\nb: !!python/object/apply:os.getcwd []\n", "not YAML .*line 2"),
        (b"a: \xff", "it cannot be read"),
    ],
)
def test_what_is_no_yaml_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ParamsError, match=rf"(?s)a\.yaml: {problem}"):
        checked.read(tmp_path / "a.yaml", "Write one")


def test_what_is_not_there_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"a\.yaml: no such file\. Write one\."):
        checked.read(tmp_path / "a.yaml", "Write one")
    with pytest.raises(ParamsError, match="it cannot be read"):
        checked.read(tmp_path, "Write one")


def test_what_is_right_is_made() -> None:
    said = {"door": "red", "windows": 2, "rooms": {"attic": {"kind": "cat"}}}
    made = checked.validate(Path("house.yaml"), said, House, "Look again")
    assert made == House(door="red", windows=2, rooms={"attic": Cat(kind="cat")})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, "house.yaml: door: Field required. Look again."),
        ({"door": 1}, "house.yaml: door: Input should be a valid string, not 1. Look again."),
        ({"door": "a", "windows": "2"}, "windows: Input should be a valid integer.*, not '2'"),
        ({"doors": "a"}, "house.yaml: doors: unknown key. The nearest is door."),
        ({"door": "a", "qqq": 1}, "house.yaml: qqq: unknown key. Known are door, windows, kept"),
        ({"door": "a", "rooms": {"attic": {"live": 1}}}, "rooms.attic.live: .* nearest is lives."),
        ({"door": "a", "kept": [{"kind": "dog", "brks": 1}]}, "nearest is barks."),
        ({"door": "a", "windows": 0}, "windows: Input should be greater than 0, not 0"),
        (None, "house.yaml: Input should be .*, not None"),
    ],
)
def test_the_first_thing_wrong_is_named(content: object, expected: str) -> None:
    assert re.search(expected, str(refused(content))), refused(content)


@pytest.mark.parametrize(
    "content",
    ["geheim", {"door": ["geheim"]}, {"door": "a", "windows": "geheim"}, {"dor": "geheim"}],
)
def test_what_is_secret_is_not_told(content: object) -> None:
    error = refused(content, secret=True)
    shown = "".join(traceback.format_exception(error))
    assert "house.yaml" in shown
    assert "geheim" not in shown


def test_nothing_can_be_changed() -> None:
    house = House(door="red")
    with pytest.raises(ValidationError):
        house.door = "blue"
