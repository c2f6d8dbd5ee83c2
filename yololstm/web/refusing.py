"""What is not done is told in one shape: the place, the problem and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from yololstm.errors import YololstmError

_PARTS: Final = ("place", "problem", "remedy")
_TOLD: Final = {
    "type": "object",
    "properties": {part: {"type": "string"} for part in _PARTS},
    "required": list(_PARTS),
}
_REFUSED: Final = {"type": "object", "properties": {"error": _TOLD}, "required": ["error"]}
_WHY: Final = {
    400: "It cannot be read",
    401: "Not logged in",
    403: "Asked by another site",
    404: "There is none",
    413: "Too large",
    422: "Not what is expected",
    429: "Asked too often",
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": why, "content": {"application/json": {"schema": _REFUSED}}}
    for status, why in _WHY.items()
}
"""Of any operation of the API, for its document."""


def content(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Of one that answers with something else than JSON."""
    return {200: {"content": {media_type: {}}}}


_STATUSES: Final = {
    404: ("there is none", "See /api/docs"),
    405: ("that cannot be done here", "See /api/docs"),
}


class Refusal(Exception):  # noqa: N818 - it is the answer
    """Raised by an operation that cannot be done as it is asked for."""

    def __init__(
        self,
        status: int,
        place: str,
        problem: str,
        remedy: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, place, problem, remedy)
        self.response = refused(status, place, problem, remedy, headers)


def refused(
    status: int, place: str, problem: str, remedy: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    error = {"place": place, "problem": problem, "remedy": remedy}
    return JSONResponse({"error": error}, status, dict(headers or {}))


def tell(app: FastAPI) -> None:
    """Every error of the app has that shape."""
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _other)
    app.add_exception_handler(YololstmError, _ours)
    app.add_exception_handler(Exception, _unforeseen)


async def _refusal(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return error.response


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    """The first thing wrong. What stands there is not repeated: it may be anything."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    problem = str(first["msg"]).removeprefix("Value error, ")
    return refused(422, _printable(place), _printable(problem), "See /api/docs")


async def _other(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    problem, remedy = _STATUSES.get(error.status_code, ("that cannot be read", "See /api/docs"))
    return refused(error.status_code, "request", problem, remedy, error.headers)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    """Something of this machine; its paths are nobody's business."""
    assert isinstance(error, YololstmError)
    remedy = "See what the program says on stderr"
    return refused(503, "site", "what is asked for cannot be read now", remedy)


async def _unforeseen(_: Request, error: Exception) -> JSONResponse:
    """The server says on stderr what it was."""
    return refused(500, "site", "something went wrong", "See what the program says on stderr")


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")[:300]
