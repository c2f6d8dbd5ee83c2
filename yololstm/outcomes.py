"""What came out of clips, in numbers: counted clip by clip, and reported over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from yololstm.clips import Clip
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.landmarks import Landmarks
from yololstm.pose import quality
from yololstm.pose.quality import Agreement


@dataclass(frozen=True)
class Outcome:
    """What came out of one clip."""

    clip: Clip
    frames: int
    """That were looked at."""
    persons: int
    """Boxes of persons over all frames."""
    posed: int
    """Those of them with landmarks."""
    tracks: int
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
        people = landmarks.persons()
        return cls(
            clip=clip,
            frames=landmarks.source.n_frames,
            persons=len(people),
            posed=int(np.isfinite(people.xy).any(axis=(1, 2)).sum()),
            tracks=len(np.unique(people.track)),
            agreement=None if truth is None else quality.agreement(landmarks, truth),
            doubt=doubt,
        )

    def to_json(self) -> bytes:
        """All but the clip."""
        numbers = {name: value for name, value in asdict(self).items() if name != "clip"}
        return json.dumps(numbers, sort_keys=True).encode()

    @classmethod
    def from_json(cls, clip: Clip, content: bytes) -> Self:
        numbers = json.loads(content)
        agreement, doubt = numbers.pop("agreement"), numbers.pop("doubt")
        return cls(
            clip=clip,
            **numbers,
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


def report(outcomes: Sequence[Outcome], left_out: Sequence[Problem]) -> dict[str, Any]:
    """Numbers over all clips, and how the landmarks agree with the data set's own keypoints.

    nobody: clips in which nobody appears, which are kept; not_compared: clips whose own keypoints
    have faults; official: by the split that the data set itself names.
    """
    persons, posed = (sum(getattr(o, name) for o in outcomes) for name in ("persons", "posed"))
    return {
        "clips": len(outcomes),
        "nobody": sum(outcome.persons == 0 for outcome in outcomes),
        "frames": sum(outcome.frames for outcome in outcomes),
        "persons": persons,
        "landmarks_share": posed / persons if persons else None,
        "tracks": sum(outcome.tracks for outcome in outcomes),
        "left_out": [asdict(problem) for problem in sorted(left_out)],
        "not_compared": [asdict(outcome.doubt) for outcome in outcomes if outcome.doubt],
        "pose": {
            "official": _agreements(outcomes, lambda clip: clip.split or "unlabelled"),
            "label": _agreements(outcomes, lambda clip: clip.label),
        },
    }


def _agreements(
    outcomes: Sequence[Outcome], group: Callable[[Clip], str]
) -> dict[str, dict[str, float | None]]:
    total: dict[str, Agreement] = {}
    for outcome in outcomes:
        if outcome.agreement is not None:
            name = group(outcome.clip)
            total[name] = total.get(name, Agreement()) + outcome.agreement
    return {name: agreement.report() for name, agreement in total.items()}
