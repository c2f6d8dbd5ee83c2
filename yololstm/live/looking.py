"""Frames as they come, looked at by the extractor of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yololstm.errors import ParamsError
from yololstm.extractor import Extractor
from yololstm.following import Following
from yololstm.landmarks import Category, Landmarks, Source
from yololstm.video import Frame

_AHEAD: Final = {
    "detect_every": (1, "where persons are in between, it tells once it has looked again"),
    "rejoin_s": (0.0, "who came back, it tells once they have"),
    "still_s": (0.0, "what never moves, it tells at the end"),
}


def refuse_ahead(looking: Mapping[str, Any]) -> None:
    """Raises ParamsError where settings, by the names of ExtractionSettings, look ahead: what is to
    come cannot be waited for live."""
    for name, (value, why) in _AHEAD.items():
        if looking[name] != value:
            raise _ahead(name, f"it looks ahead: {why}", f"{value:g}")
    if looking["smoothing"] == "savgol":
        raise _ahead("smoothing", "savgol looks ahead", "one_euro or none")


class Look(NamedTuple):
    """Who is in a frame."""

    landmarks: Landmarks
    """Of those who are followed."""
    others: NDArray[np.float32]
    """(N, 4) pixels: persons whom the detector was too unsure of for that."""


class Looker:
    """Landmarks frame by frame, as Extractor.extract gives them file by file: not smoothed, and
    with those who are seen in one frame alone."""

    def __init__(self, extractor: Extractor, fps: Fraction) -> None:
        """fps: the rate at which it is called. Raises ParamsError as refuse_ahead does."""
        refuse_ahead(vars(extractor.settings))
        self._extractor = extractor
        self.fps = fps
        self.smooths = extractor.settings.smoothing == "one_euro"
        """Whether the settings ask for it."""
        self._following = Following(fps)
        self._before = self._highest = 0

    def look(self, frame: Frame) -> Look:
        (scene,) = self._extractor.sight.look([frame.image])
        seen, rows = self._following.update(scene.found)
        persons = np.flatnonzero(scene.found.category == Category.PERSON)
        others = scene.found.box[np.setdiff1d(persons, rows)]
        height, width = frame.image.shape[:2]
        source = Source(width, height, self.fps, 0, self._extractor.name)
        track = (seen.track + self._before).astype(np.int32)
        self._highest = int(track.max(initial=self._highest))
        return Look(self._extractor.rows(frame, scene[rows], track, source), others)

    def restart(self) -> None:
        """After a break in which everybody may have gone: whoever is seen then has a new number."""
        self._before = self._highest
        self._following = Following(self.fps)


def _ahead(name: str, problem: str, remedy: str) -> ParamsError:
    return ParamsError(f"extract.{name}", problem, f"Set it to {remedy} to watch live")
