"""Live video: one camera, from its frames to what is told of its events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from yololstm.errors import VideoError
from yololstm.extractor import Extractor
from yololstm.inference import Classifier
from yololstm.live.engine import Engine
from yololstm.live.looking import Looker
from yololstm.live.telling import Change, Teller
from yololstm.streams import Stream


def watch(
    stream: Stream, teller: Teller, extractor: Extractor, classifier: Classifier
) -> Iterator[Change]:
    """What becomes of a camera's events, as it becomes known; in the end, all of them end.

    Raises ParamsError for an extractor that looks ahead; VideoError where a file breaks off, after
    its events have ended.
    """
    looker = Looker(extractor, stream.rate())
    engine = Engine(classifier, float(looker.fps), smooth=looker.smooths)
    frame_s, arrived = 0.0, datetime.now(UTC)
    try:
        for shot in stream:
            if shot is None:
                signals = engine.finish()
                looker.restart()
            else:
                frame_s, arrived = shot.frame.time_s, shot.arrived
                signals = engine.feed(looker.look(shot.frame), frame_s)
            yield from teller.changes(signals, frame_s, arrived)
    except VideoError:
        yield from teller.changes(engine.finish(), frame_s, arrived)
        raise
    yield from teller.changes(engine.finish(), frame_s, arrived)
