"""What came out of clips, in numbers: counted clip by clip, and reported over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from yololstm.agreement import Agreement, agreement
from yololstm.clips import Clip
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.landmarks import Landmarks
from yololstm.quality import Tally, tally

_WORST: Final = 5
"""Clips that a report names."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one clip."""

    clip: Clip
    frames: int
    """That were looked at."""
    tally: Tally
    agreement: Agreement | None
    """With the data set's own keypoints, where it has any."""
    doubt: Problem | None = None
    """Why they cannot be compared with, where they cannot."""

    @classmethod
    def of(
        cls,
        clip: Clip,
        landmarks: Landmarks,
        truth: Landmarks | None = None,
        doubt: Problem | None = None,
    ) -> Self:
        """truth: the data set's own keypoints."""
        return cls(
            clip=clip,
            frames=landmarks.source.n_frames,
            tally=tally(landmarks),
            agreement=None if truth is None else agreement(landmarks, truth),
            doubt=doubt,
        )

    def to_json(self) -> bytes:
        """All but the clip."""
        numbers = {name: value for name, value in asdict(self).items() if name != "clip"}
        return json.dumps(numbers, sort_keys=True).encode()

    @classmethod
    def from_json(cls, clip: Clip, content: bytes) -> Self:
        numbers = json.loads(content)
        agreement, doubt = numbers["agreement"], numbers["doubt"]
        return cls(
            clip=clip,
            frames=numbers["frames"],
            tally=Tally(**numbers["tally"]),
            agreement=agreement and Agreement(**agreement),
            doubt=doubt and Problem(**doubt),
        )


def check(outcomes: Sequence[Outcome], left_out: Sequence[Problem], max_left_out: float) -> None:
    """Raises EmptyError where no clip is left, DataError where too many were left out."""
    n = len(outcomes) + len(left_out)
    example = f", for example {left_out[0].place}: {left_out[0].problem}" if left_out else ""
    if not outcomes:
        raise EmptyError("extract", f"none of {n} clips is left{example}", "Mend them")
    if len(left_out) > max_left_out * n:
        raise DataError(
            "extract",
            f"{len(left_out)} of {n} clips are left out, more than data.max_left_out{example}",
            "Mend them, or raise data.max_left_out",
        )


def summary(outcomes: Sequence[Outcome], left_out: Sequence[Problem], by_detector: bool) -> str:
    """In a line. by_detector: persons are those that detector.weights find."""
    nobody = sum(outcome.tally.persons == 0 for outcome in outcomes)
    said = f"{len(outcomes)} clips; {len(left_out)} left out; nobody in {nobody}"
    if by_detector and outcomes and nobody >= len(outcomes) / 2:
        return f"{said}. Give detector.weights that know such footage: see docs/data.md"
    return said


def report(outcomes: Sequence[Outcome], left_out: Sequence[Problem]) -> dict[str, Any]:
    """Numbers over all clips, how good the landmarks are as told from themselves, and how they
    agree with the data set's own keypoints.

    nobody: clips in which nobody appears, which are kept; not_compared: clips whose own keypoints
    have faults; official: by the split that the data set itself names; worst: the few clips whose
    persons have the landmarks of lowest quality.
    """
    total = sum((outcome.tally for outcome in outcomes), Tally())
    return {
        "clips": len(outcomes),
        "nobody": sum(outcome.tally.persons == 0 for outcome in outcomes),
        "frames": sum(outcome.frames for outcome in outcomes),
        "persons": total.persons,
        "tracks": total.tracks,
        "left_out": [asdict(problem) for problem in sorted(left_out)],
        "not_compared": [asdict(outcome.doubt) for outcome in outcomes if outcome.doubt],
        "quality": {
            "all": total.report(),
            "label": _reports([(outcome.clip.label, outcome.tally) for outcome in outcomes]),
            "worst": _worst(outcomes),
        },
        "pose": {
            "official": _reports(_agreements(outcomes, lambda clip: clip.split or "unlabelled")),
            "label": _reports(_agreements(outcomes, lambda clip: clip.label)),
        },
    }


def _worst(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    seen = [
        {"clip": outcome.clip.clip_id, **outcome.tally.report()}
        for outcome in outcomes
        if outcome.tally.persons
    ]
    return sorted(seen, key=lambda row: (row["quality"], row["clip"]))[:_WORST]


def _agreements(
    outcomes: Sequence[Outcome], group: Callable[[Clip], str]
) -> list[tuple[str, Agreement]]:
    return [(group(o.clip), o.agreement) for o in outcomes if o.agreement is not None]


def _reports(
    named: Sequence[tuple[str, Agreement]] | Sequence[tuple[str, Tally]],
) -> dict[str, dict[str, float | None]]:
    """Of the sum of what bears each name."""
    total: dict[str, Any] = {}
    for name, part in named:
        total[name] = total[name] + part if name in total else part
    return {name: sums.report() for name, sums in total.items()}
