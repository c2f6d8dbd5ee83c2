"""Joints over time, with less of the noise that a pose backend adds to them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yololstm.landmarks import Category, Landmarks
from yololstm.skeleton import N_JOINTS

KINDS: Final = ("none", "one_euro", "savgol")

MAX_GAP_S: Final = 0.5
"""A joint that was absent for longer starts anew."""

_MIN_CUTOFF_HZ: Final = 1.0
_BETA: Final = 10.0
"""Hz for each of the person's heights a second. Acted movements at 30 frames a second, with noise
of 0.02 (0.05) torsos in each coordinate, are then 0.015 to 0.023 (0.036 to 0.041) torsos off
instead of 0.028 (0.071); at 4 up to 0.034 (0.044), because what is fast is held back."""
_SPEED_CUTOFF_HZ: Final = 1.0
_TINY: Final = 1e-6

_REACH_S: Final = 0.25
"""To both sides; less than MAX_GAP_S, so that no gap is bridged."""
_DEGREE: Final = 2
_ROUNDING_S: Final = 1e-6


def smooth(landmarks: Landmarks, kind: str) -> Landmarks:
    """Each person's joints, smoothed over presentation time; all else is as it was.

    kind: ``none``; ``one_euro``, which looks only back, as live video must; ``savgol``, which looks
    ahead as well, and delays nothing. Absent joints stay absent. ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {KINDS}")
    if kind == "none":
        return landmarks
    xy = landmarks.xy.copy()
    way = _one_euro if kind == "one_euro" else _savgol
    people = np.flatnonzero(landmarks.category == Category.PERSON)
    for track in np.unique(landmarks.track[people]):
        rows = people[landmarks.track[people] == track]
        xy[rows] = way(landmarks[rows])
    return replace(landmarks, xy=xy)


class OneEuro:
    """The One Euro filter of one person's joints: still joints are smoothed much, fast ones little.

    Source: Casiez, Roussel and Vogel, 1 € Filter, CHI 2012. The cutoff frequency is 1 Hz and 10 Hz
    more for each height of the person (of their box) that the joint moves in a second, whichever
    way: so the near are treated like the far, and tilting the camera changes nothing.
    """

    def __init__(self) -> None:
        self._seen_s = np.full(N_JOINTS, -np.inf)
        self._xy = np.zeros((N_JOINTS, 2))
        self._speed = np.zeros((N_JOINTS, 2))

    def update(self, time_s: float, xy: NDArray[np.floating], height: float) -> NDArray[np.float32]:
        """The joints of the next frame in which the person is seen.

        time_s: not before the last; a frame of the same time changes nothing. xy: (13, 2) pixels,
        NaN where absent; height: of their box, pixels. Returns (13, 2), NaN where absent.
        """
        known = np.isfinite(xy).all(axis=1)
        since = time_s - self._seen_s
        begins = known & (since > MAX_GAP_S)
        self._xy[begins], self._speed[begins] = xy[begins], 0.0

        goes = known & ~begins & (since > 0)
        step = since[goes, None]
        moved = xy[goes] - self._xy[goes]
        self._speed[goes] += _share(_SPEED_CUTOFF_HZ, step) * (moved / step - self._speed[goes])
        speed = np.linalg.norm(self._speed[goes], axis=1, keepdims=True) / max(height, _TINY)
        self._xy[goes] += _share(_MIN_CUTOFF_HZ + _BETA * speed, step) * moved

        self._seen_s[known] = time_s
        return np.where(known[:, None], self._xy, np.nan).astype(np.float32)


def _share(
    cutoff_hz: NDArray[np.float64] | float, step_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the newest value in the smoothed one: exponential smoothing with this cutoff."""
    turn = 2 * np.pi * cutoff_hz * step_s
    return turn / (turn + 1)


def _one_euro(track: Landmarks) -> NDArray[np.float32]:
    smoother = OneEuro()
    height = track.box[:, 3] - track.box[:, 1]
    rows = zip(track.time_s.tolist(), track.xy, height.tolist(), strict=True)
    return np.stack([smoother.update(*row) for row in rows])


def _savgol(track: Landmarks) -> NDArray[np.float32]:
    xy = track.xy.copy()
    for joint in range(N_JOINTS):
        known = np.isfinite(xy[:, joint]).all(axis=1)
        xy[known, joint] = _fitted(track.time_s[known], xy[known, joint].astype(np.float64))
    return xy


def _fitted(time_s: NDArray[np.float64], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each time, the parabola through all that is known within _REACH_S, by least squares: the
    filter of Savitzky and Golay (Analytical Chemistry 36, 1964), for times that need not be even.
    Where three points or fewer are near, which it would only repeat, they stay: as at 3 frames a
    second, where a step is no noise.

    time_s: (n,) increasing; xy: (n, 2).
    """
    powers = np.arange(2 * _DEGREE + 1)
    moments = np.zeros((len(xy), len(powers)))
    sums = np.zeros((len(xy), _DEGREE + 1, 2))
    for apart in range(len(xy)):
        i = np.arange(len(xy) - apart)
        i = i[time_s[i + apart] - time_s[i] <= _REACH_S + _ROUNDING_S]
        if not len(i):
            break
        for at, other in {(0, apart), (apart, 0)}:
            here, there = i + at, i + other
            weight = ((time_s[there] - time_s[here]) / _REACH_S)[:, None] ** powers
            moments[here] += weight
            sums[here] += weight[:, : _DEGREE + 1, None] * (xy[there] - xy[here])[:, None]
    many = np.flatnonzero(moments[:, 0] > _DEGREE + 1)
    places = powers[: _DEGREE + 1, None] + powers[: _DEGREE + 1]
    fits = np.linalg.pinv(moments[many][:, places], hermitian=True) @ sums[many]
    xy[many] += fits[:, 0]
    return xy
