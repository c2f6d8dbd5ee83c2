"""Operations on cameras: how they are, what they show, what is said of people, and zones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from yololstm.bulletin import Bulletin
from yololstm.clips import NORMAL
from yololstm.journal import Journal
from yololstm.web import answering, filming
from yololstm.web.answering import answer
from yololstm.web.filming import Film
from yololstm.web.refusing import RESPONSES, Refusal, content
from yololstm.web.streaming import Stream, Streams
from yololstm.web.watched import Camera, Monitor
from yololstm.zones import Zone

_MOVING: Final = content("multipart/x-mixed-replace")
_MOST_ZONES: Final = 32
_MOST_LETTERS: Final = 60

Names = Annotated[list[str] | None, Query()]
Seconds = Annotated[float, Query(ge=0, le=300, allow_inf_nan=False)]


def router(
    monitor: Monitor,
    journal: Journal,
    bulletin: Bulletin,
    films: Mapping[str, Film],
    small_films: Mapping[str, Film],
    streams: Streams,
) -> APIRouter:
    routes = APIRouter(prefix="/api/cameras", responses=RESPONSES)

    def find(name: str) -> Camera:
        if name not in monitor.cameras:
            raise _unknown()
        return monitor.cameras[name]

    @routes.get("", responses=answer(answering.CAMERAS))
    def cameras() -> dict[str, Any]:
        """How each camera is."""
        return {"cameras": [camera.status().to_dict() for camera in monitor.cameras.values()]}

    @routes.get("/video", response_class=Stream, responses=_MOVING)
    async def videos(
        request: Request,
        camera: Names = None,
        small: bool = False,
    ) -> Stream:
        """What several cameras show, of all where none is named, in one stream: JPEG pictures as
        multipart/x-mixed-replace, of which the header X-Camera says whose they are. small: 480
        pixels wide at most, in the place of 960."""
        names = list(films) if camera is None else list(dict.fromkeys(camera))
        return shown(request, names, small)

    @routes.get("/{name}", responses=answer(answering.CAMERA))
    def camera(name: str) -> dict[str, Any]:
        """How it is."""
        return find(name).status().to_dict()

    @routes.get("/{name}/picture.jpg", response_class=Response, responses=content("image/jpeg"))
    def picture(name: str, plain: bool = False, last: bool = False) -> Response:
        """What it shows now, a JPEG, of which the header X-At says when it arrived; plain: with
        nothing drawn on it; last: what it showed last, where it is not live."""
        find(name)
        still = films[name].still(plain=plain, last=last)
        if still is None:
            raise Refusal(404, name, "it shows nothing now", "Wait until it is live")
        headers = {"X-At": still.at.astimezone(UTC).isoformat(timespec="milliseconds")}
        return Response(still.jpeg, media_type="image/jpeg", headers=headers)

    @routes.get("/{name}/video", response_class=Stream, responses=_MOVING)
    async def video(request: Request, name: str, small: bool = False) -> Stream:
        """What it shows, as it comes: JPEG pictures as multipart/x-mixed-replace."""
        return shown(request, [name], small)

    @routes.get("/{name}/verdicts", responses=answer(answering.VERDICTS))
    def verdicts(name: str, seconds: Seconds = 60.0) -> dict[str, Any]:
        """What was said of people of late, as the notices of that name have it; tracks: who is
        seen now, nobody where it is not live."""
        found = find(name)
        latest, said = found.latest(), found.verdicts(seconds)
        moment = None if latest is None else latest[1]
        is_live = found.status().state == "live"
        landmarks = moment.landmarks if moment is not None and is_live else None
        seen = [] if landmarks is None else landmarks.tracks()
        return {
            "camera": name,
            "frame_s": None if moment is None else round(moment.frame_s, 6),
            "wall": None if moment is None else moment.at.astimezone(UTC).isoformat(),
            "verdicts": [verdict.to_dict(monitor.labels) for verdict in said],
            "tracks": [track for track, _ in seen],
        }

    @routes.get("/{name}/zones", responses=answer(answering.ZONES))
    def zones(name: str) -> dict[str, Any]:
        """Polygons are in shares of the picture; a zone without labels is for all of them."""
        find(name)
        return _said(name, journal.zones(name))

    @routes.put("/{name}/zones", responses=answer(answering.ZONES))
    def set_zones(name: str, zones: list[Zone]) -> dict[str, Any]:
        """In the place of those there were."""
        find(name)
        _check(zones, monitor.labels)
        journal.set_zones(name, zones)
        said = _said(name, zones)
        bulletin.post("zones", said)
        return said

    def shown(request: Request, names: list[str], small: bool) -> Stream:
        if not names or not set(names) <= set(films):
            raise _unknown()
        streams.check_room()
        parts = filming.parts([(small_films if small else films)[name] for name in names])
        return Stream(parts, streams, request.state.stays, filming.MEDIA_TYPE)

    return routes


def _unknown() -> Refusal:
    return Refusal(404, "camera", "there is no such camera", "See /api/cameras")


def _said(name: str, zones: list[Zone]) -> dict[str, Any]:
    return {"camera": name, "zones": [zone.to_dict() for zone in zones]}


def _check(zones: list[Zone], labels: tuple[str, ...]) -> None:
    """Raises Refusal for what Zone cannot know: other zones, and which labels there are."""
    names = [zone.name for zone in zones]
    known = set(labels) - {NORMAL}
    problem = remedy = ""
    if len(zones) > _MOST_ZONES:
        problem, remedy = f"there are more than {_MOST_ZONES}", "Draw fewer"
    elif len(set(names)) < len(names):
        problem, remedy = "two have the same name", "Rename one of them"
    elif any(len(name) > _MOST_LETTERS for name in names):
        problem, remedy = f"a name is longer than {_MOST_LETTERS} letters", "Choose a shorter one"
    elif any(set(zone.labels) - known for zone in zones):
        problem, remedy = "one is for an unknown label", f"Known are {', '.join(sorted(known))}"
    if problem:
        raise Refusal(422, "zones", problem, remedy)
