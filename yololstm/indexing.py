"""From what was found in a data set to an index that can be relied on, and an account of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from yololstm import census, page, sharing, storage, thumbnails
from yololstm.catalogue import Found
from yololstm.clips import IGNORED, NORMAL, Clip
from yololstm.errors import DataError, EmptyError, Problem
from yololstm.material import Material
from yololstm.page import Picture

_PLACE: Final = "data.root"
_SHOWN: Final = 3
_TOLD: Final = 20


def examined(found: Found, labels: Sequence[str]) -> Found:
    """With what only all clips together show as its first warnings; see census.doubts."""
    return replace(found, warnings=[*census.doubts(found.clips, labels), *found.warnings])


def build(found: Found, *, labels: Sequence[str], max_left_out: float) -> list[Clip]:
    """The clips that were found, ordered by clip_id.

    max_left_out: the share of what was found that may have faults.

    Raises EmptyError where nothing was found. Raises DataError where something could not be opened
    that hides nobody knows how many clips, where too much has faults, or where a clip bears another
    label than ``labels`` or normal.
    """
    _check_whole(found)
    _check_found(found, max_left_out)
    _check_labels(found.clips, labels)
    return sorted(found.clips, key=lambda clip: clip.clip_id)


def write_report(
    found: Found, labels: Sequence[str], material: Material, *, json: Path, html: Path
) -> None:
    """An account of the data set: as JSON, and as HTML with pictures; see as_json and as_html."""
    storage.write_json(json, as_json(found, labels))
    _write(html, as_html(found, labels, material))


def write_report_in_two(
    found: Found,
    labels: Sequence[str],
    material: Material,
    *,
    json: Path,
    html: Path,
    private: Path,
) -> None:
    """The same, but pictures are in ``private`` alone: ``html`` may be handed on."""
    write_report(found, labels, material, json=json, html=private)
    _write(html, as_html(found, labels, material, sharing.elsewhere(material.root, private)))


def _write(file: Path, content: str) -> None:
    with storage.atomic(file) as temporary:
        temporary.write_text(content, encoding="utf-8")


def as_json(found: Found, labels: Sequence[str]) -> dict[str, Any]:
    """The census of the clips, and what was left out or is doubtful."""
    return {
        **census.to_json(census.count(found.clips, labels)),
        "left_out": len(found.problems) + len(found.unmapped),
        "left_out_for_faults": len(found.problems),
        "unreadable": [asdict(problem) for problem in found.unreadable],
        "problems": [asdict(problem) for problem in found.problems],
        "unmapped": [asdict(problem) for problem in found.unmapped],
        "warnings": [asdict(problem) for problem in found.warnings],
    }


def as_html(found: Found, labels: Sequence[str], material: Material, instead: str = "") -> str:
    """The same to be read, under the name of the root, with pictures of some clips.

    instead: what is said in the place of pictures; there are none then.
    """
    examples = census.examples(found.clips, labels)
    return page.render(
        material.root.absolute().name,
        census.count(found.clips, labels),
        page.Findings(found.problems, found.unmapped, found.warnings, found.unreadable),
        [*map(Picture, examples)] if instead else thumbnails.pictures(material, examples),
        instead,
    )


def told(problems: Sequence[Problem]) -> list[str]:
    """A line each; for the first only, where they are many."""
    more = len(problems) - _TOLD
    lines = [str(problem) for problem in problems[:_TOLD]]
    return [*lines, f"and {more} more such, which the report lists"] if more > 0 else lines


def summary(found: Found) -> str:
    """One line for a person."""
    takes = len({clip.take for clip in found.clips})
    left_out = len(found.problems) + len(found.unmapped)
    unopened = f"; {len(found.unreadable)} not opened" if found.unreadable else ""
    return f"{len(found.clips)} clips of {takes} takes; {left_out} left out{unopened}"


# --- checks ---


def _check_whole(found: Found) -> None:
    if found.unreadable:
        first, *more = found.unreadable
        others = f"; and {len(more)} more such" if more else ""
        problem = f"{first.problem}, so that nobody knows what is missing{others}"
        raise DataError(first.place, problem, first.remedy)


def _check_found(found: Found, max_left_out: float) -> None:
    if not found.clips:
        problem = f"no clip was found{_examples([*found.problems, *found.unmapped])}"
        raise EmptyError(_PLACE, problem, "Check data.kind and data.root")
    n_faults, n = len(found.problems), len(found.clips) + len(found.problems)
    if n_faults / n > max_left_out:
        problem = (
            f"{n_faults} of {n} have faults ({n_faults / n:.0%}), more than data.max_left_out"
            f" ({max_left_out:.0%}){_examples(found.problems)}"
        )
        raise DataError(_PLACE, problem, "Mend them, or raise data.max_left_out")


def _examples(problems: Sequence[Problem]) -> str:
    shown = "; ".join(f"{problem.place}: {problem.problem}" for problem in problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f" ({shown}{more})" if problems else ""


def _check_labels(clips: Sequence[Clip], labels: Sequence[str]) -> None:
    borne = {span.label for clip in clips for span in clip.spans}
    if unknown := sorted(borne - {*labels, NORMAL, IGNORED}):
        problem = f"clips are labelled {', '.join(unknown)}, which labels does not name"
        raise DataError(_PLACE, problem, "Add it to labels in params.yaml")
