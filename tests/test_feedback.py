from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import people
from yololstm import datasets, feedback, storage, video
from yololstm.actors import actors
from yololstm.catalogue import Found
from yololstm.clips import NORMAL
from yololstm.datasets import aihub
from yololstm.errors import EmptyError, ParamsError
from yololstm.journal import Entry
from yololstm.landmarks import Landmarks, Source
from yololstm.material import Material

LABEL_MAP = {"theft": "theft", "fight": "assault", "broken": "damage", "vandalism": "damage"}
NAMES = feedback.event_names(LABEL_MAP, aihub.EVENTS)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FPS, SECONDS = 10, 6
SOURCE = Source(128, 96, Fraction(FPS), FPS * SECONDS, "synthetic")


def seen() -> Landmarks:
    """Somebody at the left, 1, and at the right, 2."""
    times = np.arange(FPS * SECONDS) / FPS
    figure = np.tile(people.FIGURE * 15, (len(times), 1, 1))
    places = {1: (30, 40), 2: (95, 40)}
    return people.landmarks({t: (times, figure + xy) for t, xy in places.items()}, SOURCE)


def entry(folder: Path, id: str = "one", *, after_s: float = 0.0, **said: Any) -> Entry:
    """Of an event from 2 s to 5 s of a clip that was made."""
    camera = said.get("camera", "Door-1")
    clip = folder / camera / f"{id}.mp4"
    clip.parent.mkdir(parents=True, exist_ok=True)
    with video.writing(clip, Fraction(FPS), 128, 96) as writer:
        for n in range(FPS * SECONDS):
            writer.write(np.full((96, 128, 3), 40 + n, dtype=np.uint8))
    storage.write_landmarks(clip.with_suffix(".parquet"), seen())
    began = NOON + timedelta(seconds=after_s)
    values: dict[str, Any] = {
        **{"id": id, "camera": camera, "track": 2, "label": "theft", "state": "end"},
        **{"probability": 0.9, "verdict": "right", "corrected": "", "shared": ""},
        **{"started": began + timedelta(seconds=2), "ended": began + timedelta(seconds=5)},
        **{"raised": began + timedelta(seconds=4), "began": began},
        **{"clip": f"{camera}/{id}.mp4", "picture": "", "landmarks": f"{camera}/{id}.parquet"},
    }
    return Entry(**{**values, **said})


def found(out: Path, tmp_path: Path) -> Found:
    """As the pipeline reads it."""
    reader = datasets.reader("aihub", LABEL_MAP)
    return reader.read(Material(out, tmp_path / "material"))


def test_an_event_that_was_right_is_whose_it_was_from_start_to_end(tmp_path: Path) -> None:
    one = entry(tmp_path / "recordings")
    made = feedback.export([one], tmp_path / "recordings", tmp_path / "out", NAMES)
    assert made == feedback.Exported(1, [])
    read = found(tmp_path / "out", tmp_path)
    assert not (read.problems or read.warnings or read.unmapped or read.unreadable)
    (clip,) = read.clips
    (span,) = clip.spans
    assert (span.label, clip.label) == ("theft", "theft")
    assert (span.start_s, span.end_s) == pytest.approx((2.0, 5.0), abs=0.11)
    assert actors(seen(), span) == {2}
    assert clip.store == "SITE"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    recorded = (tmp_path / "recordings/Door-1/one.mp4").read_bytes()
    assert (tmp_path / "out" / clip.path).read_bytes() == recorded
    said = json.loads((tmp_path / "out" / feedback.MANIFEST).read_text())["clips"]
    assert said == [
        {
            **{"file": Path(clip.path).name, "event": "one", "camera": "Door-1"},
            **{"told": "theft", "verdict": "right", "label": "theft"},
            "started": "2026-11-23T12:00:02.000+00:00",
        }
    ]


@pytest.mark.parametrize(
    ("corrected", "label"),
    [(NORMAL, NORMAL), ("damage", "damage"), ("assault", "assault")],
)
def test_an_event_that_was_wrong_is_what_it_was(tmp_path: Path, corrected: str, label: str) -> None:
    one = entry(tmp_path / "recordings", verdict="wrong", corrected=corrected)
    feedback.export([one], tmp_path / "recordings", tmp_path / "out", NAMES)
    (clip,) = found(tmp_path / "out", tmp_path).clips
    assert clip.label == label
    assert [span.label for span in clip.spans] == ([] if label == NORMAL else [label])


def test_clips_that_overlap_are_one_take_and_know_each_others_events(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    both = [
        entry(folder, "one"),
        entry(folder, "two", after_s=1.5, track=1, label="assault"),
        entry(folder, "three", after_s=60),
        entry(folder, "four", after_s=1.5, camera="till"),
    ]
    assert feedback.export(both, folder, tmp_path / "out", NAMES).clips == 4
    clips = sorted(found(tmp_path / "out", tmp_path).clips, key=lambda clip: clip.path)
    takes = [clip.take for clip in clips]
    assert len(set(takes)) == 2
    shared = [clip for clip in clips if takes.count(clip.take) == 3]
    assert [clip.camera for clip in shared] == ["CA", "CB", "CC"]
    told = sorted(sorted(span.label for span in clip.spans) for clip in shared)
    assert told == [["assault", "theft"], ["assault", "theft"], ["theft"]]
    both_of = next(clip for clip in shared if len(clip.spans) == 2)
    whose = {span.label: actors(seen(), span) for span in both_of.spans}
    assert whose == {"theft": {2}, "assault": {1}}


def test_what_cannot_be_learned_from_is_left_out_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    good = entry(folder, "good")
    gone = replace(entry(folder, "gone", after_s=100), clip="", began=None)
    lost = entry(folder, "lost", after_s=200)
    (folder / lost.clip).unlink()
    beside = entry(folder, "beside", after_s=300)
    unsaid = entry(folder, "unsaid", after_s=301, verdict="")
    blind = entry(folder, "blind", after_s=400)
    (folder / blind.landmarks).unlink()
    nobody = entry(folder, "nobody", after_s=500, track=9)
    odd = entry(folder, "odd", after_s=600, label="dance")
    vague = entry(folder, "vague", after_s=700, verdict="wrong")
    made = feedback.export(
        [good, gone, lost, beside, unsaid, blind, nobody, odd, vague],
        folder,
        tmp_path / "out",
        NAMES,
    )
    assert made.clips == 1
    told = {problem.place.split()[-1]: problem.problem for problem in made.left_out}
    assert told == {
        **dict.fromkeys(("gone", "lost"), "its clip is gone"),
        "beside": "of 1 other events in its clip nobody said what they were",
        "vague": "nobody said what it was instead",
        "blind": "its landmarks are gone",
        "nobody": "nobody knows where its person was",
        "odd": "no event of data.label_map is dance",
    }
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_version_is_never_changed(tmp_path: Path) -> None:
    one = entry(tmp_path / "recordings")
    feedback.export([one], tmp_path / "recordings", tmp_path / "out", NAMES)
    before = sorted((p.name, p.read_bytes()) for p in (tmp_path / "out").iterdir())
    with pytest.raises(ParamsError, match="it is there already"):
        feedback.export([one], tmp_path / "recordings", tmp_path / "out", NAMES)
    assert sorted((p.name, p.read_bytes()) for p in (tmp_path / "out").iterdir()) == before


def test_nothing_is_no_data_set(tmp_path: Path) -> None:
    unsaid = entry(tmp_path / "recordings", verdict="")
    with pytest.raises(EmptyError, match="Judge events on the page first"):
        feedback.export([unsaid], tmp_path / "recordings", tmp_path / "out", NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["recordings"]


def test_events_are_called_as_the_label_map_calls_them() -> None:
    assert NAMES == {"theft": "theft", "assault": "fight", "damage": "broken"}
