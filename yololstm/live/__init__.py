"""Live video: one camera, from its frames to what is known of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from yololstm.changes import Teller
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.live.engine import Engine, Heard
from yololstm.live.looking import Look, Looker
from yololstm.moments import Moment
from yololstm.streams import Shot, Stream
from yololstm.zones import Zone


def watch(
    stream: Stream,
    teller: Teller,
    extractor: Extractor,
    classifier: Classifier,
    zones: Callable[[], Sequence[Zone]] = tuple,
) -> Iterator[Moment]:
    """A camera's moments, as they come; in the last one, all of its events end.

    zones: asked for each frame, so that they can change meanwhile. Raises ParamsError for an
    extractor that looks ahead; what iterating the stream raises, after its events have ended.
    """
    looker = Looker(extractor, stream.rate())
    engine = Engine(classifier, float(looker.fps), smooth=looker.smooths)
    frame_s, arrived = 0.0, datetime.now(UTC)

    def moment(shot: Shot | None, look: Look | None, heard: Heard) -> Moment:
        changes = list(teller.changes(heard.signals, frame_s, arrived))
        known = (heard.verdicts, changes, frame_s, arrived)
        if look is None:
            return Moment(teller.camera, shot, None, *known)
        return Moment(teller.camera, shot, look.landmarks, *known, look.others)

    try:
        for shot in stream:
            if shot is None:
                looker.restart()
                yield moment(None, None, engine.finish(zones()))
            else:
                frame_s, arrived = shot.frame.time_s, shot.arrived
                look = looker.look(shot.frame)
                yield moment(shot, look, engine.feed(look.landmarks, frame_s, zones()))
    except Exception:
        yield moment(None, None, engine.finish(zones()))
        raise
    yield moment(None, None, engine.finish(zones()))
