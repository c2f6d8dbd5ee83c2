"""The model card: what a model was made of, how well it does, and where not to trust it.

Source: Mitchell et al., Model Cards for Model Reporting, arXiv:1810.03993.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yololstm.calibration import BINS
from yololstm.clips import NORMAL, SPLITS, Clip
from yololstm.evaluation import Evaluation
from yololstm.inference import Checkpoint
from yololstm.intervals import RESAMPLES
from yololstm.operating import RATES

_CONFUSIONS: Final = 5
_EVENT_COLUMNS: Final = (
    "caught",
    "recall",
    "of any label",
    "delay, median",
    "delay, 90 %",
    "false",
    "false an hour",
)

_DISTURBED: Final = {
    "noise": "joints off by {:.0%} of the torso",
    "dropped_joints": "{:.0%} of the joints absent",
    "dropped_frames": "{:.0%} of the frames absent",
    "fps": "{:g} frames a second",
    "size": "persons {:g} times as large",
}


@dataclass(frozen=True)
class Origin:
    """Where the data is from."""

    kind: str
    """Of data set, as params name it."""
    split: str
    """What is held out whole: take, store or camera."""
    synthetic: bool
    """It is the embedded sample."""


def write(
    trained: Checkpoint,
    result: Evaluation,
    clips: Sequence[Clip],
    origin: Origin,
    asked_rate: float,
) -> str:
    """Markdown. clips: of all splits; asked_rate: the false alarms an hour that were asked for."""
    parts = [
        _heading(trained, origin),
        _data(clips, trained.labels, origin),
        _numbers(result.metrics, trained.labels),
        _seeds(result.metrics, len(trained.members)),
        _events(result.metrics["event"], trained.labels),
        _operating_point(trained, asked_rate),
        _calibration(result.metrics["calibration"]),
        _confusions(result),
        _robustness(result.plots["robustness"].rows),
        _limits(result.metrics, origin),
    ]
    return "\n".join(line for part in parts for line in (*part, ""))


def _heading(trained: Checkpoint, origin: Origin) -> Iterator[str]:
    spec = trained.spec
    yield "# Model card"
    yield ""
    if origin.synthetic:
        yield (
            "**Every number here is of the embedded sample, which is synthetic: drawn figures in a"
            " drawn shop. They prove that the pipeline runs from video to metrics, and say nothing"
            " about how well a real shop is watched.**"
        )
        yield ""
    yield (
        f"`{trained.model}` names what a person does ({', '.join(trained.labels)}) from"
        f" {spec.length / spec.fps:.2f} s of 13 body joints, {spec.length} steps at {spec.fps:g} a"
        f" second, every {spec.hop / spec.fps:.2f} s. Scaling: {trained.scaling.kind}."
        f" Members: {len(trained.members)}, whose answers are averaged"
        f"{', each over both mirror images' if trained.mirrored else ''}. Weights of each:"
        f" {sum(t.numel() for t in trained.members[0].values()):,}."
    )
    yield ""
    yield (
        "It is meant to draw a person's attention to a moment of video. It is not evidence of what"
        " anybody did or meant, and nothing should be done to anybody because of it alone."
    )


def _data(clips: Sequence[Clip], labels: Sequence[str], origin: Origin) -> Iterator[str]:
    kind = f"`{origin.kind}`" + (", the embedded sample" if origin.synthetic else "")
    yield "## Data"
    yield ""
    yield f"Kind: {kind}. Held out whole: by {origin.split}."
    yield ""
    yield from _table(
        ("split", "clips", "takes", "hours", *labels),
        (_split(split, [c for c in clips if c.split == split], labels) for split in SPLITS),
    )


def _split(name: str, clips: Sequence[Clip], labels: Sequence[str]) -> list[str]:
    count = Counter(clip.label for clip in clips)
    hours = sum(clip.duration_s for clip in clips) / 3600
    takes = len({clip.take for clip in clips})
    return [name, f"{len(clips)}", f"{takes}", f"{hours:.2f}", *(f"{count[x]}" for x in labels)]


def _numbers(metrics: Mapping[str, Any], labels: Sequence[str]) -> Iterator[str]:
    yield "## On test, by window and by clip"
    yield ""
    yield (
        f"In brackets: 95 % intervals, by {RESAMPLES:,} resamples of the {metrics['takes']} takes."
    )
    yield ""
    yield from _table(
        ("", "accuracy", "macro F1", *(f"F1 {label}" for label in labels)),
        (
            [
                f"{level} ({metrics[f'{level}s']})",
                f"{metrics[level]['accuracy']:.3f}",
                f"{metrics[level]['macro_f1']:.3f}{_bracket(metrics[level]['macro_f1_95'])}",
                *(f"{metrics[level]['per_class'][label]['f1']:.3f}" for label in labels),
            ]
            for level in ("window", "clip")
        ),
    )


def _seeds(metrics: Mapping[str, Any], members: int) -> Iterator[str]:
    yield "## Over seeds"
    yield ""
    if members < 2:
        yield "A single model: how much another seed would change is not known."
        return
    yield f"Each of the {members} members alone (mean and standard deviation), and all together."
    yield ""
    yield from _table(
        ("", "accuracy alone", "together", "macro F1 alone", "together"),
        (
            [level, *_alone(metrics, level, "accuracy"), *_alone(metrics, level, "macro_f1")]
            for level in ("window", "clip")
        ),
    )


def _alone(metrics: Mapping[str, Any], level: str, name: str) -> list[str]:
    told = metrics["seeds"][level][name]
    return [f"{told['mean']:.3f} ± {told['std']:.3f}", f"{metrics[level][name]:.3f}"]


def _events(event: Mapping[str, Any], labels: Sequence[str]) -> Iterator[str]:
    yield "## On test, by event"
    yield ""
    yield (
        "An event is caught by an alarm of its label on somebody who takes part in it, raised"
        " between its start and one window after its end. An alarm is raised when a window ends;"
        " the delay is from the event's start to then. An alarm that overlaps nothing abnormal is"
        " false."
    )
    yield ""
    points = {"in use": "operating"} | {f"{r:g} an hour": f"at_{r:g}_per_hour" for r in RATES}
    yield from _table(
        ("thresholds", *_EVENT_COLUMNS),
        (_event_row(name, event[key]) for name, key in points.items()),
    )
    yield ""
    yield "Thresholds for a rate are chosen on test itself: they say what could be had at best."
    yield ""
    by_label = event["operating"]["per_class"]
    yield from _table(
        ("in use, by label", *_EVENT_COLUMNS),
        (_event_row(label, by_label[label]) for label in labels if label in by_label),
    )
    yield ""
    yield _resolution(event)


def _event_row(name: str, told: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{told['caught']} of {told['events']}",
        _number(told["recall"], 2) + _bracket(told.get("recall_95")),
        _number(told["recall_any_label"], 2),
        _number(told["delay_median_s"], 1, " s"),
        _number(told["delay_p90_s"], 1, " s"),
        f"{told['false_alarms']}",
        _number(told["false_alarms_per_hour"], 2) + _bracket(told.get("false_alarms_per_hour_95")),
    ]


def _resolution(event: Mapping[str, Any]) -> str:
    hours = event["normal_hours"]
    if hours <= 0:
        return "Test has no normal footage: nothing can be said about false alarms."
    text = (
        f"Test has {event['footage_hours']:.2f} hours, {hours:.2f} of them normal: a single false"
        f" alarm is {event['resolution_per_hour']:.2g} an hour, and no lower rate can be seen."
    )
    blind = [f"{rate:g}" for rate in RATES if rate * hours < 1]
    if blind:
        text += (
            f" At {', '.join(blind)} an hour the table therefore shows what is caught without any"
            " false alarm."
        )
    return text + (
        " The interval of the rate in use is that of a Poisson count: that none was seen does not"
        " mean that none will come."
    )


def _operating_point(trained: Checkpoint, asked_rate: float) -> Iterator[str]:
    rule = trained.rule
    yield "## Operating point"
    yield ""
    yield (
        f"Chosen on val for {asked_rate:g} false alarms an hour, shared equally among the labels;"
        " where val is too short to show that rate, for the best F1 of events."
        f" An event goes on at {rule.leave:g} of its threshold, counts from {rule.min_s:g} s on,"
        f" bridges {rule.merge_gap_s:g} s and rests for {rule.cool_down_s:g} s."
    )
    yield ""
    yield from _table(
        ("label", "threshold"),
        ([x, f"{rule.threshold(x):.3f}"] for x in trained.labels if x != NORMAL),
    )


def _calibration(told: Mapping[str, Any]) -> Iterator[str]:
    yield "## Calibration"
    yield ""
    yield (
        f"Temperature {told['temperature']:.3f}, fitted on val. Expected calibration error on test,"
        f" {BINS} bins of equal width: {told['ece']:.3f}; {told['ece_uncalibrated']:.3f} without."
    )


def _confusions(result: Evaluation) -> Iterator[str]:
    yield "## Known confusions"
    yield ""
    rows: list[list[str]] = []
    for level, name in (("clip", "confusion"), ("window", "confusion_windows")):
        pairs = Counter((str(a), str(b)) for a, b in result.plots[name].rows)
        actual = Counter(str(a) for a, _ in result.plots[name].rows)
        wrong = sorted((-n, a, b) for (a, b), n in pairs.items() if a != b)[:_CONFUSIONS]
        rows += [[level, a, b, f"{-n} of {actual[a]}"] for n, a, b in wrong]
    if rows:
        yield from _table(("level", "is", "taken for", "how often"), rows)
    else:
        yield "None on test."


def _robustness(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    as_it_is = {name: row for name, level, *row in rows if level == "0"}
    first = next(iter(as_it_is.values()))
    yield "## Where landmarks are worse"
    yield ""
    yield (
        f"{first[-1]} windows of test, their landmarks made worse in one way at a time; nobody is"
        " lost, and labels stay as they are. Macro F1 of windows is of those that are left; clips"
        " are named by what they have left."
    )
    yield ""
    yield from _table(
        ("landmarks", "macro F1, window", "macro F1, clip", "windows left"),
        [
            _robust("as they are", first, first),
            *(
                _robust(_DISTURBED[name].format(float(level)), row, as_it_is[name])
                for name, level, *row in rows
                if level != "0"
            ),
        ],
    )


def _robust(what: str, row: Sequence[Any], as_it_is: Sequence[Any]) -> list[str]:
    *_, window, clip, windows = row
    share = f"{windows / as_it_is[-1]:.0%}" if as_it_is[-1] else "-"
    return [what, _number(window, 3), f"{clip:.3f}", share]


def _limits(metrics: Mapping[str, Any], origin: Origin) -> Iterator[str]:
    yield "## Limits"
    yield ""
    if origin.synthetic:
        yield "- The data is synthetic. Train on footage of real shops before anything is watched."
    if origin.split == "take":
        yield (
            "- Test shares its shops and cameras with train; a shop that is new to the model is"
            " harder. `data.split: store` measures that."
        )
    yield (
        f"- {metrics['takes']} takes are in test: the intervals are as wide as that makes them, and"
        " know nothing of shops, actors or seasons that are not in it."
    )
    yield "- The abnormal behaviour is acted. What people do unasked may look otherwise."
    yield (
        "- Only joints are seen: no hands, no goods, no faces. Whoever is hidden, too small or out"
        " of view for most of a window is not judged."
    )
    yield "- An alarm cannot come before a window has ended."


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _bracket(interval: Mapping[str, float] | None) -> str:
    return f" [{interval['low']:.2f}, {interval['high']:.2f}]" if interval else ""
