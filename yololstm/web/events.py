"""Operations on events: what the journal has of them, what was recorded, what people say."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from yololstm.bulletin import Bulletin
from yololstm.journal import Entry, Journal
from yololstm.web import answering
from yololstm.web.answering import answer
from yololstm.web.refusing import RESPONSES, Refusal, content

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_MEDIA: Final = {
    "clip": ("video/mp4", ".mp4"),
    "shared": ("video/mp4", ".shared.mp4"),
    "picture": ("image/jpeg", ".jpg"),
    "landmarks": ("application/vnd.apache.parquet", ".parquet"),
}

Word = Annotated[str, Query(max_length=100)]
Time = Annotated[str, Query(max_length=40, json_schema_extra={"format": "date-time"})]


@dataclass(frozen=True)
class Feedback:
    verdict: Literal["right", "wrong"]
    corrected: str = ""
    """Which label it was, of one that is wrong."""


def router(
    journal: Journal, bulletin: Bulletin, folder: Path, labels: tuple[str, ...]
) -> APIRouter:
    """folder: of the recordings."""
    routes = APIRouter(prefix="/api/events", responses=RESPONSES)

    def find(id: str) -> Entry:
        if (entry := journal.entry(id)) is None:
            raise _unknown()
        return entry

    @routes.get("", responses=answer(answering.EVENTS))
    def events(
        camera: Word = "",
        label: Word = "",
        verdict: Literal["", "right", "wrong", "none"] = "",
        state: Literal["", "open"] = "",
        since: Time = "",
        before: Time = "",
        before_id: Word = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        """The newest first. verdict none: those of which nobody has said anything. state open:
        those that have not ended. Those that are older than a page follow with its last entry's
        start as before, and its id as before_id; more: whether there are any."""
        found = journal.entries(
            camera=camera,
            label=label,
            verdict=verdict,
            is_open=state == "open",
            since=_time("since", since),
            before=_time("before", before),
            before_id=before_id,
            limit=limit + 1,
        )
        more = len(found) > limit
        return {"events": [entry.to_dict() for entry in found[:limit]], "more": more}

    @routes.get("/{id}", responses=answer(answering.EVENT))
    def event(id: str) -> dict[str, Any]:
        """clip, picture, landmarks and shared are empty where there is no such file."""
        return find(id).to_dict()

    @routes.put("/{id}/feedback", responses=answer(answering.EVENT))
    def judge(id: str, feedback: Feedback) -> dict[str, Any]:
        """Whether it was so, in the place of what was said before."""
        _check(feedback, find(id), labels)
        entry = journal.judge(id, feedback.verdict, feedback.corrected)
        if entry is None:
            raise _unknown()
        bulletin.post("feedback", entry.to_dict())
        return entry.to_dict()

    @routes.delete("/{id}/feedback", responses=answer(answering.EVENT))
    def unjudge(id: str) -> dict[str, Any]:
        """Nobody has said anything of it."""
        entry = journal.unjudge(id)
        if entry is None:
            raise _unknown()
        bulletin.post("feedback", entry.to_dict())
        return entry.to_dict()

    @routes.get("/{id}/clip", response_class=FileResponse, responses=_files("clip"))
    def clip(request: Request, id: str, download: bool = False) -> Response:
        """H.264 in MP4; in parts, where Range asks for one."""
        return file(request, id, "clip", download)

    @routes.get("/{id}/shared", response_class=FileResponse, responses=_files("shared"))
    def shared(request: Request, id: str, download: bool = False) -> Response:
        """The copy of the clip in which nobody is known, where one is made."""
        return file(request, id, "shared", download)

    @routes.get("/{id}/picture", response_class=FileResponse, responses=_files("picture"))
    def picture(request: Request, id: str, download: bool = False) -> Response:
        """JPEG."""
        return file(request, id, "picture", download)

    @routes.get("/{id}/landmarks", response_class=FileResponse, responses=_files("landmarks"))
    def landmarks(request: Request, id: str, download: bool = False) -> Response:
        """Parquet, in the columns of the pipeline."""
        return file(request, id, "landmarks", download)

    def file(request: Request, id: str, kind: str, download: bool) -> Response:
        entry = find(id)
        opened = _opened(folder, getattr(entry, kind))
        stat = os.fstat(opened.fileno())
        media_type, suffix = _MEDIA[kind]
        # Whoever has logged out sees none of it; a picture need not come twice until then.
        tag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
        headers = {"ETag": tag, "Cache-Control": "no-store"}
        if kind == "picture":
            headers["Cache-Control"] = "private, no-cache"
            if request.headers.get("if-none-match") == tag:
                opened.close()
                return Response(status_code=304, headers=headers)
        try:
            _narrow(request, stat.st_size)
        except Refusal:
            opened.close()
            raise
        disposition = "attachment" if download else "inline"
        name = f"{entry.camera}-{_local(entry.started)}-{entry.label}{suffix}"
        return _Opened(
            opened,
            headers=headers,
            media_type=media_type,
            filename=name,
            stat_result=stat,
            content_disposition_type=disposition,
        )

    return routes


class _Opened(FileResponse):
    """Of a file that is open already: whatever becomes of its name, it is sent whole."""

    def __init__(self, opened: BinaryIO, **options: Any) -> None:
        super().__init__(f"/dev/fd/{opened.fileno()}", **options)
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._opened:
            await super().__call__(scope, receive, send)


def _local(moment: datetime) -> str:
    """By the site's clock, as its people know it."""
    return f"{moment.astimezone():%Y%m%d-%H%M%S%z}"


def _files(kind: str) -> dict[int | str, dict[str, Any]]:
    media_type, _ = _MEDIA[kind]
    part = {"description": "A part of it", "content": {media_type: {}}}
    found = {**content(media_type), 206: part, 416: RESPONSES[404]}
    return {**found, 304: {"description": "As it was"}} if kind == "picture" else found


def _unknown() -> Refusal:
    return Refusal(404, "event", "there is no such event", "See /api/events")


def _check(feedback: Feedback, entry: Entry, labels: tuple[str, ...]) -> None:
    """Raises Refusal."""
    if not feedback.corrected:
        return
    known = [label for label in labels if label != entry.label]
    if feedback.verdict == "right":
        raise Refusal(422, "corrected", "an event that is right has none", "Leave it out")
    if feedback.corrected not in known:
        remedy = f"Known are {', '.join(known)}"
        raise Refusal(422, "corrected", "it is no other label", remedy)


def _opened(folder: Path, relative: str) -> BinaryIO:
    """A file below the folder, wherever links lead. Raises Refusal."""
    try:
        root = folder.resolve(strict=True)
        path = (root / relative).resolve(strict=True)
        if relative and path.is_relative_to(root) and path.is_file():
            return path.open("rb")
    except (OSError, ValueError, RuntimeError):
        pass
    problem = "nothing is recorded of it"
    raise Refusal(404, "event", problem, "It may come, or have been removed after its time")


def _narrow(request: Request, size: int) -> None:
    """Leaves a Range that asks for one part; forgets another, so that all is sent, as may be done
    with any. Raises Refusal for a part that is not there."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    first, last = match.groups() if match else ("", "")
    if not (first or last) or (first and last and int(first) > int(last)):
        kept = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
        request.scope["headers"] = kept
    elif (first and int(first) >= size) or (not first and int(last) == 0):
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, "Range", "it ends before", f"It has {size} bytes", headers)


def _time(place: str, said: str) -> datetime | None:
    """None for "". Raises Refusal."""
    if not said:
        return None
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        remedy = "Write 2026-11-23T05:00:00Z, or another offset in the place of Z"
        raise Refusal(422, place, "no time", remedy) from error
