"""YAML that people write, checked: types, ranges, and no key that nobody reads."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from yololstm.errors import ParamsError


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


_S = TypeVar("_S", bound=Section)


def read(path: Path, absent: str) -> Any:
    """What the file says. absent: the remedy where there is none. Raises ParamsError."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(path, "no such file", absent) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(path, f"it cannot be read ({error})", "Name a text file") from error
    except yaml.YAMLError as error:
        raise ParamsError(path, f"not YAML ({error})", "Mend the line that is named") from error


def validate(path: Path, content: Any, model: type[_S], remedy: str, *, secret: bool = False) -> _S:
    """Raises ParamsError naming the key, and the nearest known one where it is unknown.

    remedy: for values that may not stand there; secret: they are not to be told.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(path, error, model, remedy, secret) from (None if secret else error)


def _explain(
    path: Path, error: ValidationError, model: type[Section], remedy: str, secret: bool
) -> ParamsError:
    """The first thing wrong; an unknown key before the absence of the one it was meant to be."""
    found = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")[0]
    key = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        name, known = str(found["loc"][-1]), _keys(model, found["loc"][:-1])
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        nearest = f"The nearest is {near[0]}" if near else f"Known are {', '.join(known)}"
        return ParamsError(f"{path}: {key}", "unknown key", nearest)
    problem = found["msg"].removeprefix("Value error, ")
    untold = secret or found["type"] in ("missing", "value_error")
    got = "" if untold else f", not {found['input']!r}"
    return ParamsError(f"{path}: {key}".rstrip(": "), problem + got, remedy)


def _keys(model: type[Section], place: tuple[int | str, ...]) -> list[str]:
    """Of the sections that may stand there."""
    models = [model]
    for part in place:
        fields = [m.model_fields[str(part)].annotation for m in models if part in m.model_fields]
        models = [section for field in fields for section in _sections(field)] or models
    return list(dict.fromkeys(name for one in models for name in one.model_fields))


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)
