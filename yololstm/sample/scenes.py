"""What is acted in a take of each kind: normal conduct, the event, and normal conduct again.

Everybody keeps within 70 degrees or so of the cameras, and nobody stands before anybody else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from yololstm.sample import acting, looks
from yololstm.sample.acting import Action, Performance, Place, Script, bearing
from yololstm.sample.body import Body, Figure, stand
from yololstm.sample.looks import Look
from yololstm.sample.rendering import Shape
from yololstm.sample.shop import kiosk

_PACE_M_PER_S = 0.75


@dataclass(frozen=True)
class Role:
    body: Body
    look: Look
    performance: Performance

    def figure(self, time_s: float) -> Figure:
        place, heading = self.performance.where(time_s)
        return stand(self.body, place, heading, self.performance.pose(time_s))


@dataclass(frozen=True)
class Event:
    start_s: float
    end_s: float
    actors: int
    """How many of the cast do it: the first ones."""

    def frames(self, fps: int) -> tuple[int, int]:
        """The first and the last frame that lie within it."""
        return math.ceil(self.start_s * fps), math.floor(self.end_s * fps)


@dataclass(frozen=True)
class Scene:
    cast: tuple[Role, ...]
    event: Event | None
    props: tuple[Shape, ...] = ()


def theft(rng: np.random.Generator, seconds: float, number: int) -> Scene:
    """Goods go from the shelf into a shoulder bag or inside the jacket."""
    side = _side(rng)
    into_bag = number % 2 == 0
    look = _dress(rng, ("shoulder",) if into_bag else ("none", "backpack"), bag_side=-side)
    event = _event(rng, seconds, actors=1)
    bystander = number % 5 == 2
    place = (side * float(rng.uniform(1.05, 1.2)), float(rng.uniform(0.0, 0.5)))
    heading = side * _degrees(rng, 20, 45)
    script = _enter(rng, place, heading, side, event.start_s, walks=not bystander)
    script.act(acting.steal(rng, into_bag), event.end_s)
    if not bystander:
        _walk_on(rng, script, -side * float(rng.uniform(0.5, 1.0)), seconds)
    script.act(acting.look_along(rng), seconds)
    thief = Role(looks.random_body(rng), look, script.performance())
    others = (_bystander(rng, -side, seconds),) if bystander else ()
    return Scene((thief, *others), event)


def damage(rng: np.random.Generator, seconds: float, number: int) -> Scene:
    """A stand is smashed with both hands, or the goods are kicked and swept from the shelf."""
    side = _side(rng)
    event = _event(rng, seconds, actors=1)
    bystander = number % 5 == 2
    at_shelf = number % 3 != 0
    x = rng.uniform(1.1, 1.25) if at_shelf else rng.uniform(0.5, 1.0)
    place = (side * float(x), float(rng.uniform(0.0, 0.5)))
    heading = side * _degrees(rng, 35, 55)
    script = _enter(rng, place, heading, side, event.start_s, walks=not bystander)
    if at_shelf:
        first, second = rng.permutation(len(acting.WRECKING))[:2]
        turn_s = event.start_s + float(rng.uniform(0.4, 0.6)) * (event.end_s - event.start_s)
        script.act(acting.WRECKING[first](rng), turn_s)
        script.act(acting.WRECKING[second](rng), event.end_s)
    else:
        script.act(acting.smash(rng), event.end_s)
    if not bystander:
        _walk_on(rng, script, -side * float(rng.uniform(0.5, 1.0)), seconds)
    script.act(acting.look_along(rng), seconds)
    look = _dress(rng, ("none", "none", "backpack"))
    vandal = Role(looks.random_body(rng), look, script.performance())
    others = (_bystander(rng, -side, seconds),) if bystander else ()
    props = () if at_shelf else kiosk((place[0] + side * 0.64, place[1] - 0.2), look.bag_colour)
    return Scene((vandal, *others), event, tuple(props))


def assault(rng: np.random.Generator, seconds: float, number: int) -> Scene:
    """One walks up to another and strikes, kicks or shoves; seen from the side."""
    sign = _side(rng)
    event = _event(rng, seconds, actors=2)
    apart = float(rng.uniform(1.08, 1.35))
    x, y = float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.2, 0.4))
    attacker_at, victim_at = (x - sign * apart / 2, y), (x + sign * apart / 2, y)
    blows, suffering = _blows(rng)
    more_blows, more_suffering = _blows(rng)
    middle_s = (event.start_s + event.end_s) / 2

    attack = _approach(rng, attacker_at, sign, event.start_s)
    attack.act(blows, middle_s)
    attack.act(more_blows, event.end_s)
    _walk_on(rng, attack, attacker_at[0] - sign * float(rng.uniform(0.6, 0.9)), seconds)
    attack.act(acting.look_along(rng), seconds)

    victim = Script(victim_at, -sign * _degrees(rng, 15, 40), bool(rng.random() < 0.3))
    victim.act(acting.browse(rng), event.start_s - 0.5)
    victim.turn(acting.look_along(rng), -sign * _degrees(rng, 68, 80), event.start_s)
    victim.act(suffering, middle_s)
    victim.act(more_suffering, event.end_s)
    victim.turn(acting.look_along(rng), -sign * _degrees(rng, 30, 60), event.end_s + 0.6)
    victim.act(acting.look_along(rng), seconds)

    bags: tuple[looks.Bag, ...] = ("none", "none", "backpack", "shoulder")
    cast = tuple(
        Role(looks.random_body(rng), _dress(rng, bags), script.performance())
        for script in (attack, victim)
    )
    return Scene(cast, event)


def normal(rng: np.random.Generator, seconds: float, number: int) -> Scene:
    """Shopping: the movements that thefts and fights are mistaken for, without the deed."""
    return _two_customers(rng, seconds) if number % 3 == 1 else _one_customer(rng, seconds)


def _one_customer(rng: np.random.Generator, seconds: float) -> Scene:
    side = _side(rng)
    bag_side = -side
    place = (side * float(rng.uniform(1.05, 1.2)), float(rng.uniform(0.1, 0.6)))
    leave_s = seconds * float(rng.uniform(0.55, 0.75))
    turning_s = seconds * float(rng.uniform(0.3, 0.45))
    script = _enter(rng, place, side * _degrees(rng, 15, 45), side, turning_s, walks=True)
    script.act(acting.examine(rng), leave_s)
    carrying = bool(rng.random() < 0.5)
    _walk_on(rng, script, -side * float(rng.uniform(0.5, 1.0)), seconds, carrying)
    script.act(acting.carry(rng) if carrying else acting.browse(rng), seconds)
    customer = Role(looks.random_body(rng), _dress(rng, looks.BAGS, bag_side), script.performance())
    return Scene((customer,), None)


def _two_customers(rng: np.random.Generator, seconds: float) -> Scene:
    """Side by side, talking or each at their own; they do not touch."""
    apart, y = float(rng.uniform(1.4, 1.9)), float(rng.uniform(-0.1, 0.4))
    cast = []
    for side in (-1.0, 1.0):
        place = (side * apart / 2, y + float(rng.uniform(-0.15, 0.15)))
        script = Script(place, side * _degrees(rng, 0, 30), side > 0)
        first, second = np.sort(rng.uniform(0.25, 0.8, 2)) * seconds
        script.act(acting.browse(rng), float(first))
        script.turn(acting.look_along(rng), -side * _degrees(rng, 30, 60), float(first) + 0.7)
        script.act(acting.chat(rng), float(second))
        script.turn(acting.look_along(rng), side * _degrees(rng, 0, 40), float(second) + 0.7)
        script.act(acting.browse(rng), seconds)
        look = _dress(rng, looks.BAGS, bag_side=-side)
        cast.append(Role(looks.random_body(rng), look, script.performance()))
    return Scene(tuple(cast), None)


def _bystander(rng: np.random.Generator, side: float, seconds: float) -> Role:
    place = (side * float(rng.uniform(0.9, 1.2)), float(rng.uniform(0.3, 0.9)))
    script = Script(place, side * _degrees(rng, 0, 35), left_handed=side > 0)
    script.act(acting.browse(rng), seconds * float(rng.uniform(0.4, 0.6)))
    script.act(acting.browse(rng), seconds)
    bags: tuple[looks.Bag, ...] = ("none", "backpack", "handbag")
    look = _dress(rng, bags, -side)
    return Role(looks.random_body(rng), look, script.performance())


SCENES: dict[str, Callable[[np.random.Generator, float, int], Scene]] = {
    "theft": theft,
    "fight": assault,
    "broken": damage,
    "normal": normal,
}


def _enter(
    rng: np.random.Generator,
    place: Place,
    heading: float,
    side: float,
    until_s: float,
    walks: bool,
) -> Script:
    """Come to ``place`` from the other side, or be there already; then look at the goods.

    Whoever shops at the rack on the left (side -1) is right-handed, and the other way round."""
    left_handed = side > 0
    if walks and rng.random() < 0.7:
        start = (-side * float(rng.uniform(0.2, 0.9)), place[1] + float(rng.uniform(0.5, 0.9)))
        script = Script(start, bearing(start, place), left_handed)
        script.go(acting.stroll(rng), place, min(_walk_s(start, place), 0.65 * until_s))
        script.turn(acting.look_along(rng), heading, script.now_s + 0.6)
    else:
        script = Script(place, heading, left_handed)
    script.act(acting.browse(rng), until_s)
    return script


def _approach(rng: np.random.Generator, place: Place, sign: float, until_s: float) -> Script:
    """Walk up to ``place`` from further out, and face the one who stands beyond it."""
    start = (
        place[0] - sign * float(rng.uniform(0.7, 1.0)),
        place[1] + float(rng.uniform(0.2, 0.5)),
    )
    script = Script(start, bearing(start, place), bool(rng.random() < 0.3))
    walk_s = min(_walk_s(start, place), 0.6 * until_s)
    script.act(acting.look_along(rng), until_s - walk_s - 0.5)
    script.go(acting.stroll(rng), place, until_s - 0.5)
    script.turn(acting.look_along(rng), sign * _degrees(rng, 68, 80), until_s)
    return script


def _walk_on(
    rng: np.random.Generator, script: Script, x: float, seconds: float, carrying: bool = False
) -> None:
    """Walk over to ``x``, a little nearer to the cameras, and turn to them."""
    place = (x, script.place[1] - float(rng.uniform(0.4, 0.7)))
    action = acting.stroll(rng, carrying)
    script.turn(action, bearing(script.place, place), script.now_s + 0.7)
    script.go(action, place, min(script.now_s + _walk_s(script.place, place), seconds))
    heading = float(np.sign(x)) * _degrees(rng, 10, 40)
    script.turn(acting.look_along(rng), heading, script.now_s + 0.6)


def _blows(rng: np.random.Generator) -> tuple[Action, Action]:
    """What the attacker does and what it does to the victim, at one beat."""
    attack = acting.ATTACKS[int(rng.integers(len(acting.ATTACKS)))]
    beat_s, phase = float(rng.uniform(1.7, 2.2)), float(rng.random())
    if attack is not acting.punch:
        return attack(beat_s, phase), acting.recoil(beat_s, phase)
    if rng.random() < 0.3:
        return attack(1.3 * beat_s, phase), acting.punch(1.3 * beat_s, phase + 0.25)
    return attack(1.3 * beat_s, phase), acting.recoil(0.65 * beat_s, 2 * phase)


def _event(rng: np.random.Generator, seconds: float, actors: int) -> Event:
    start, share = rng.uniform(0.22, 0.38), rng.uniform(0.44, 0.56)
    return Event(float(start * seconds), float((start + share) * seconds), actors)


def _dress(rng: np.random.Generator, bags: tuple[looks.Bag, ...], bag_side: float = 1.0) -> Look:
    return looks.random_look(rng, bags[int(rng.integers(len(bags)))], bag_side)


def _side(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _degrees(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.radians(rng.uniform(low, high)))


def _walk_s(start: Place, end: Place) -> float:
    return float(np.hypot(end[0] - start[0], end[1] - start[1])) / _PACE_M_PER_S
