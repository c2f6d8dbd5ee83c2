"""Actions: what a person does, as a pose for every moment, and scripts that string them together.

Actions are told for right-handed people; a left-handed one is the mirror image. Frequencies stay
below 1 Hz, so that three frames a second still show them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from yololstm.sample.body import ANKLE, Pose, Vector, blend

Action = Callable[[float], Pose]
"""Seconds since the clip began to a pose."""

Place = tuple[float, float]
"""x, y on the floor, metres."""

_Point = tuple[float, float, float]

_LOW_LEFT: Final[_Point] = (0.05, 0.09, -0.50)
_LOW_RIGHT: Final[_Point] = (0.05, -0.09, -0.50)
_FEET: Final = ((0.03, 0.11, ANKLE), (-0.02, -0.11, ANKLE))
_FIGHTING_FEET: Final = ((0.22, 0.12, ANKLE), (-0.2, -0.14, ANKLE))
_WIDE_FEET: Final = ((0.16, 0.17, ANKLE), (-0.14, -0.17, ANKLE))


def posed(
    left: _Point = _LOW_LEFT,
    right: _Point = _LOW_RIGHT,
    *,
    feet: tuple[_Point, _Point] = _FEET,
    lean: float = 0.03,
    roll: float = 0.0,
    twist: float = 0.0,
    crouch: float = 0.0,
    look: float = 0.0,
    nod: float = 0.05,
    grip: tuple[float, float] = (0.0, 0.0),
) -> Pose:
    """Units and frames as in Pose; look is to the left, nod is down."""
    return Pose(
        hands=np.array([left, right]),
        feet=np.array(feet),
        trunk=np.array([lean, roll, twist, crouch]),
        gaze=np.array([look, nod]),
        grip=np.array(grip),
    )


@dataclass(frozen=True)
class Cycle:
    """Key poses that repeat, each reached smoothly.

    keys: (share of the period, pose), the shares rising from 0; after the last comes the first.
    """

    keys: Sequence[tuple[float, Pose]]
    period_s: float
    phase: float = 0.0
    """Share of the period that has gone by at time 0."""

    def __call__(self, time_s: float) -> Pose:
        share = (time_s / self.period_s + self.phase) % 1.0
        starts = [start for start, _ in self.keys]
        index = int(np.searchsorted(starts, share, side="right")) - 1
        start, pose = self.keys[index]
        after, following = (*self.keys, (1.0, self.keys[0][1]))[index + 1]
        return blend(pose, following, smooth((share - start) / (after - start)))


def smooth(share: float) -> float:
    """0 to 1 over 0..1 without a jerk at either end."""
    x = min(max(share, 0.0), 1.0)
    return x * x * (3 - 2 * x)


# --- normal conduct ---


@dataclass(frozen=True)
class Walk:
    pace_hz: float
    """Double steps a second."""
    phase: float = 0.0
    right: _Point | None = None
    """Where the right hand is carried with an item; None: it swings."""

    def __call__(self, time_s: float) -> Pose:
        angle = 2 * np.pi * (time_s * self.pace_hz + self.phase)
        swing = 0.2 * np.cos(angle)
        return posed(
            left=(0.06 - swing, 0.09, -0.47),
            right=self.right or (0.06 + swing, -0.09, -0.47),
            feet=(self._foot(angle, 0.09), self._foot(angle + np.pi, -0.09)),
            lean=0.05,
            twist=0.08 * np.cos(angle),
            crouch=0.02 + 0.012 * np.cos(2 * angle),
            grip=(0.0, float(self.right is not None)),
        )

    @staticmethod
    def _foot(angle: float, left: float) -> _Point:
        turn = (angle / np.pi) % 2
        if turn < 1:
            return (0.26 * (1 - 2 * turn), left, ANKLE)
        lift = turn - 1
        return (0.26 * (2 * smooth(lift) - 1), left, ANKLE + 0.11 * float(np.sin(np.pi * lift)))


def stroll(rng: np.random.Generator, carrying: bool = False) -> Action:
    right = (0.24, -0.03, -0.28) if carrying else None
    return Walk(float(rng.uniform(0.7, 0.95)), float(rng.random()), right)


def look_along(rng: np.random.Generator) -> Action:
    """Stand and let the eyes wander over the goods."""
    yaw = float(rng.uniform(0.2, 0.5))
    keys = [
        (0.0, posed(look=yaw, nod=0.1)),
        (0.3, posed(look=yaw * 0.4, nod=0.2, roll=0.03)),
        (0.55, posed(look=-yaw, nod=0.05, roll=-0.03)),
        (0.8, posed(look=-yaw * 0.5, nod=0.2)),
    ]
    return Cycle(keys, float(rng.uniform(4.0, 6.0)), float(rng.random()))


def examine(rng: np.random.Generator) -> Action:
    """Take an item, read it before the chest, put it back where it was."""
    shelf, reading = _shelf(rng), (0.27, 0.04, float(rng.uniform(-0.22, -0.1)))
    beside = (reading[0] - 0.02, -0.1, reading[2] - 0.04)
    keys = [
        (0.0, posed(look=-0.2)),
        (0.1, posed(look=-0.3)),
        (0.24, _reaching(shelf)),
        (0.30, _reaching(shelf, grip=1)),
        (0.42, posed(left=beside, right=reading, nod=0.35, lean=0.06, grip=(0, 1))),
        (0.66, posed(left=beside, right=reading, nod=0.4, look=0.1, lean=0.06, grip=(0, 1))),
        (0.78, _reaching(shelf, grip=1)),
        (0.84, _reaching(shelf)),
        (0.95, posed(look=-0.2)),
    ]
    return Cycle(keys, float(rng.uniform(5.0, 6.5)), float(rng.random()))


def carry(rng: np.random.Generator) -> Action:
    """Stand with an item in the hand and look about the shelves."""
    hand = (0.24, -0.03, float(rng.uniform(-0.32, -0.2)))
    keys = [
        (0.0, posed(right=hand, nod=0.25, grip=(0, 1))),
        (0.5, posed(right=hand, look=0.3, nod=0.05, roll=0.03, grip=(0, 1))),
    ]
    return Cycle(keys, float(rng.uniform(3.5, 5.0)), float(rng.random()))


def phone(rng: np.random.Generator) -> Action:
    """Read from a telephone held before the chest."""
    hand = (0.26, 0.06, float(rng.uniform(-0.16, -0.06)))
    tap = (0.24, -0.12, hand[2] - 0.02)
    keys = [
        (0.0, posed(right=hand, nod=0.4, lean=0.05)),
        (0.35, posed(left=tap, right=hand, nod=0.4, lean=0.05)),
        (0.75, posed(right=hand, nod=0.35, look=0.15, lean=0.05)),
    ]
    return Cycle(keys, float(rng.uniform(4.0, 5.5)), float(rng.random()))


def stoop(rng: np.random.Generator) -> Action:
    """Bend to look at a low shelf, and come up again."""
    low = (0.32, -0.22, -0.30)
    keys = [
        (0.0, posed(look=-0.2)),
        (0.25, posed(look=-0.2, nod=0.2)),
        (0.45, posed(right=low, lean=0.38, crouch=0.16, look=-0.3, nod=0.1, feet=_WIDE_FEET)),
        (0.75, posed(right=low, lean=0.42, crouch=0.18, look=-0.2, nod=0.15, feet=_WIDE_FEET)),
    ]
    return Cycle(keys, float(rng.uniform(4.5, 6.0)), float(rng.random()))


def chat(rng: np.random.Generator) -> Action:
    """Talk to somebody, with a hand that talks too."""
    high = (0.26, -0.14, float(rng.uniform(-0.24, -0.12)))
    keys = [
        (0.0, posed()),
        (0.25, posed(right=high, nod=-0.02)),
        (0.4, posed(right=(0.3, -0.24, -0.24), nod=0.1)),
        (0.55, posed(right=high, nod=0.0)),
        (0.75, posed(nod=0.15, roll=0.03)),
    ]
    return Cycle(keys, float(rng.uniform(3.0, 4.5)), float(rng.random()))


BROWSING: Final = (look_along, examine, examine, phone, stoop)


def browse(rng: np.random.Generator) -> Action:
    return BROWSING[int(rng.integers(len(BROWSING)))](rng)


# --- theft ---


def steal(rng: np.random.Generator, into_bag: bool) -> Action:
    """Look around, take an item, hide it in the bag at the other hip or inside the jacket."""
    shelf = _shelf(rng)
    pocket = (0.15, 0.15, -0.36) if into_bag else (0.13, 0.13, -0.2)
    opening = (0.2, -0.01, -0.34) if into_bag else (0.2, -0.05, -0.14)
    deeper = (pocket[0] - 0.03, pocket[1] + 0.02, pocket[2] - 0.05)
    wary = float(rng.uniform(0.5, 0.75))

    def hiding(right: _Point, look: float, nod: float, grip: float) -> Pose:
        return posed(opening, right, lean=0.22, twist=0.15, look=look, nod=nod, grip=(0, grip))

    keys = [
        (0.0, posed(look=wary)),
        (0.13, posed(look=-wary, twist=-0.08)),
        (0.28, _reaching(shelf, look=0.2)),
        (0.36, _reaching(shelf, look=0.3, grip=1)),
        (0.5, hiding(pocket, 0.1, 0.35, 1)),
        (0.6, hiding(deeper, wary, 0.1, 0)),
        (0.74, hiding(pocket, -wary * 0.5, 0.15, 0)),
        (0.88, posed(look=wary * 0.5)),
    ]
    return Cycle(keys, float(rng.uniform(3.6, 4.8)), float(rng.uniform(0.0, 0.15)))


def _shelf(rng: np.random.Generator) -> _Point:
    """Where the right hand finds goods: ahead and to the right, at some height."""
    return (0.40, float(rng.uniform(-0.32, -0.2)), float(rng.uniform(-0.12, 0.12)))


def _reaching(shelf: _Point, look: float = -0.35, grip: float = 0.0) -> Pose:
    return posed(right=shelf, lean=0.14, twist=-0.15, look=look, nod=0.1, grip=(0, grip))


# --- assault: beat is the attacker's period, shared with the victim ---


def _guarding(
    left: _Point = (0.24, 0.03, -0.1),
    right: _Point = (0.22, -0.03, -0.12),
    *,
    feet: tuple[_Point, _Point] = _FIGHTING_FEET,
    lean: float = 0.12,
    twist: float = 0.0,
    crouch: float = 0.05,
) -> Pose:
    """Fists before the chest, one foot forward."""
    return posed(left, right, feet=feet, lean=lean, twist=twist, crouch=crouch)


def punch(beat_s: float, phase: float) -> Action:
    """One fist and then the other."""
    keys = [
        (0.0, _guarding()),
        (0.15, _guarding(right=(0.52, 0.08, 0.04), lean=0.24, twist=0.45)),
        (0.28, _guarding(right=(0.52, 0.08, 0.04), lean=0.24, twist=0.45)),
        (0.5, _guarding()),
        (0.65, _guarding(left=(0.52, -0.08, 0.04), lean=0.24, twist=-0.45)),
        (0.78, _guarding(left=(0.52, -0.08, 0.04), lean=0.24, twist=-0.45)),
    ]
    return Cycle(keys, beat_s, phase)


def kick(beat_s: float, phase: float) -> Action:
    """With the right foot, at the height of the belly."""
    standing = (-0.02, 0.09, ANKLE)
    left, right = (0.25, 0.28, -0.15), (-0.15, -0.25, -0.32)
    out = posed(left, right, feet=(standing, (0.70, -0.06, 0.62)), lean=-0.24, crouch=0.02)
    drawn = _guarding(feet=(standing, (0.22, -0.12, 0.4)), lean=0.0, crouch=0.02)
    keys = [(0.0, _guarding()), (0.2, drawn), (0.35, out), (0.5, out), (0.75, _guarding())]
    return Cycle(keys, beat_s, phase)


def shove(beat_s: float, phase: float) -> Action:
    """Both hands against the other's chest."""
    out = _guarding(left=(0.5, 0.02, -0.02), right=(0.5, -0.02, -0.02), lean=0.32)
    near = _guarding(left=(0.2, 0.06, -0.1), right=(0.2, -0.06, -0.1), lean=0.02)
    keys = [(0.0, near), (0.25, out), (0.45, out), (0.75, near)]
    return Cycle(keys, beat_s, phase)


ATTACKS: Final = (punch, kick, shove)


def recoil(beat_s: float, phase: float) -> Action:
    """Thrown back by every blow, arms before the face, and never quite upright between."""
    feet = ((0.12, 0.12, ANKLE), (-0.16, -0.12, ANKLE))
    cover = posed((0.22, -0.01, 0.06), (0.22, 0.01, 0.04), feet=feet, lean=-0.22, nod=-0.2)
    shaken = posed(
        (0.18, 0.06, -0.22), (0.18, -0.06, -0.24), feet=feet, lean=0.12, nod=0.2, crouch=0.06
    )
    keys = [(0.0, shaken), (0.2, cover), (0.4, cover), (0.7, shaken)]
    return Cycle(keys, beat_s, phase)


# --- damage ---


def smash(rng: np.random.Generator) -> Action:
    """Swing both hands from over the head down on the shelf."""
    out = float(rng.uniform(0.0, 0.12))
    feet = _WIDE_FEET
    up = posed((0.12, -0.08, 0.42), (0.12, 0.08, 0.42), feet=feet, lean=-0.1, nod=-0.1)
    down = posed(
        (0.44, -0.14 - out, -0.16), (0.44, 0.1 - out, -0.16), feet=feet, lean=0.36, crouch=0.06
    )
    keys = [(0.0, up), (0.12, up), (0.38, down), (0.55, down), (0.9, up)]
    return Cycle(keys, float(rng.uniform(1.5, 2.2)), float(rng.random()))


def kick_shelf(rng: np.random.Generator) -> Action:
    """Kick low and wide, leaning away, arms out for balance."""
    feet = ((-0.02, 0.1, ANKLE), (0.45, -0.42, 0.42))
    ready = posed((0.12, 0.2, -0.42), (0.1, -0.2, -0.42), feet=_WIDE_FEET, lean=0.08)
    out = posed((0.1, 0.4, -0.22), (0.05, -0.36, -0.28), feet=feet, lean=-0.16, roll=0.14)
    keys = [(0.0, ready), (0.28, out), (0.42, out), (0.75, ready)]
    return Cycle(keys, float(rng.uniform(1.6, 2.3)), float(rng.random()))


def sweep(rng: np.random.Generator) -> Action:
    """Sweep the goods from the shelf with one long arm."""
    there = posed(right=(0.32, -0.38, 0.08), lean=0.2, twist=-0.35, feet=_WIDE_FEET)
    here = posed(right=(0.34, 0.32, -0.06), lean=0.22, twist=0.45, feet=_WIDE_FEET)
    keys = [(0.0, there), (0.1, there), (0.4, here), (0.5, here)]
    return Cycle(keys, float(rng.uniform(1.7, 2.4)), float(rng.random()))


WRECKING: Final = (smash, kick_shelf, sweep)


# --- scripts ---


@dataclass(frozen=True)
class Mark:
    """Where a person is at a moment, and which way the body faces."""

    time_s: float
    place: Place
    heading: float


@dataclass(frozen=True)
class Performance:
    """All that one person does in a take: the actions by their starts, and the way between marks.

    One action passes into the next within ``blend_s`` around the start of the latter.
    """

    beats: tuple[tuple[float, Action], ...]
    marks: tuple[Mark, ...]
    left_handed: bool
    blend_s: float = 0.4

    def pose(self, time_s: float) -> Pose:
        pose = self.beats[0][1](time_s)
        for start, action in self.beats[1:]:
            share = (time_s - start) / self.blend_s + 0.5
            if share > 0:
                pose = blend(pose, action(time_s), smooth(share))
        return pose.mirrored() if self.left_handed else pose

    def where(self, time_s: float) -> tuple[Vector, float]:
        """(2,) place on the floor, and heading."""
        times = [mark.time_s for mark in self.marks]
        index = int(np.clip(np.searchsorted(times, time_s) - 1, 0, len(times) - 2))
        a, b = self.marks[index], self.marks[index + 1]
        share = smooth((time_s - a.time_s) / (b.time_s - a.time_s))
        place = (1 - share) * np.array(a.place) + share * np.array(b.place)
        return place, (1 - share) * a.heading + share * b.heading


def bearing(start: Place, end: Place) -> float:
    """The heading of a walk from start to end."""
    return float(np.arctan2(end[0] - start[0], start[1] - end[1]))


class Script:
    """Writes a performance down, from its first moment on."""

    def __init__(self, place: Place, heading: float, left_handed: bool) -> None:
        self._beats: list[tuple[float, Action]] = []
        self._marks = [Mark(0.0, place, heading)]
        self._left_handed = left_handed

    @property
    def now_s(self) -> float:
        return self._marks[-1].time_s

    @property
    def place(self) -> Place:
        return self._marks[-1].place

    def act(self, action: Action, until_s: float) -> None:
        """Stay, and do this; nothing where the moment has passed."""
        if until_s > self.now_s:
            self._beats.append((self.now_s, action))
            self._marks.append(Mark(until_s, self.place, self._marks[-1].heading))

    def go(self, action: Action, place: Place, until_s: float) -> None:
        """Walk straight to ``place``; the body is turned that way first."""
        heading = bearing(self.place, place)
        self.turn(action, heading, self.now_s + 0.5)
        if until_s > self.now_s:
            self._beats.append((self.now_s, action))
            self._marks.append(Mark(until_s, place, heading))

    def turn(self, action: Action, heading: float, until_s: float) -> None:
        """Turn on the spot, already doing this."""
        if until_s > self.now_s and heading != self._marks[-1].heading:
            self._beats.append((self.now_s, action))
            self._marks.append(Mark(until_s, self.place, heading))

    def performance(self) -> Performance:
        return Performance(tuple(self._beats), tuple(self._marks), self._left_handed)
