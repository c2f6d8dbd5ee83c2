"""Live video: one camera, from its frames to what is known of its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from yololstm.changes import Teller
from yololstm.errors import VideoError
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.landmarks import Landmarks
from yololstm.live.engine import Engine, Heard
from yololstm.live.looking import Looker
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
    extractor that looks ahead; VideoError where a file breaks off, after its events have ended.
    """
    looker = Looker(extractor, stream.rate())
    engine = Engine(classifier, float(looker.fps), smooth=looker.smooths)
    frame_s, arrived = 0.0, datetime.now(UTC)

    def moment(shot: Shot | None, landmarks: Landmarks | None, heard: Heard) -> Moment:
        changes = list(teller.changes(heard.signals, frame_s, arrived))
        return Moment(teller.camera, shot, landmarks, heard.verdicts, changes, frame_s, arrived)

    try:
        for shot in stream:
            if shot is None:
                looker.restart()
                yield moment(None, None, engine.finish(zones()))
            else:
                frame_s, arrived = shot.frame.time_s, shot.arrived
                landmarks = looker.look(shot.frame)
                yield moment(shot, landmarks, engine.feed(landmarks, frame_s, zones()))
    except VideoError:
        yield moment(None, None, engine.finish(zones()))
        raise
    yield moment(None, None, engine.finish(zones()))
