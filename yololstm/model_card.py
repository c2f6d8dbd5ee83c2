"""The model card: what a model was made of, how well it does, and where not to trust it.

One page, for whoever decides whether it is used: events first, as they are what a shop sees.
All else is in the metrics and plots beside it.

Source: Mitchell et al., Model Cards for Model Reporting, arXiv:1810.03993.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from yololstm.clips import NORMAL, SPLITS, Clip
from yololstm.evaluation import Evaluation
from yololstm.events import FALLBACK
from yololstm.intervals import RESAMPLES
from yololstm.operating import RATES, budget
from yololstm.splits import gaps
from yololstm.trained import Checkpoint

_CONFUSIONS: Final = 3

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
    synthetic: bool
    """It is the embedded sample."""


class _Shared(NamedTuple):
    """What test has in common with the clips that the model was made of."""

    what: str
    in_test: int
    known: int
    """How many of these are in train or val, too."""


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
        _events(result.metrics["event"], trained),
        _limits(result.metrics, clips, origin, trained.spec.length / trained.spec.fps),
        _thresholds(trained, clips, asked_rate),
        _data(clips, trained.labels, origin),
        _numbers(result.metrics, trained),
        _confusions(result),
        _robustness(result.plots["robustness"].rows),
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
        "It is meant to draw a person's attention to a moment of video. It is not evidence of what"
        " anybody did or meant, and nothing should be done to anybody because of it alone."
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


def _events(event: Mapping[str, Any], trained: Checkpoint) -> Iterator[str]:
    in_use, hours = event["operating"], event["normal_hours"]
    rates = {f"{r:g}": f"at_{r:g}_per_hour" for r in RATES if budget(r, hours)}
    yield "## Events of test"
    yield ""
    yield from _table(
        ("", "caught", "recall", "delay, median", "delay, 90 %", "false alarms", "an hour"),
        [
            _event_row("**all**", in_use),
            *(_event_row(label, told) for label, told in in_use["per_class"].items()),
            *(_event_row(f"all, at {rate} an hour", event[key]) for rate, key in rates.items()),
        ],
    )
    yield ""
    if rates:
        yield (
            "The last rows are what could be had at best: their thresholds were chosen on test"
            " itself."
        )
        yield ""
    yield (
        "An event is caught by an alarm of its label on somebody who takes part in it, raised"
        " between its start and one window after its end, or still on when it starts. The delay is"
        " from its start. An alarm is false where nothing but the normal happens from the start of"
        " what it reports until it is raised."
    )
    yield ""
    yield _resolution(event)


def _event_row(name: str, told: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{told['caught']} of {told['events']}",
        _number(told["recall"], 2) + _bracket(told.get("recall_95")),
        _number(told["delay_median_s"], 1, " s"),
        _number(told["delay_p90_s"], 1, " s"),
        f"{told['false_alarms']}",
        _number(told["false_alarms_per_hour"], 2) + _bracket(told.get("false_alarms_per_hour_95")),
    ]


def _resolution(event: Mapping[str, Any]) -> str:
    hours = event["normal_hours"]
    if hours <= 0:
        return (
            "At no moment of test would an alarm be false: nothing can be said about false alarms."
        )
    text = (
        f"Test was watched for false alarms for {hours:.2f} hours, of {event['footage_hours']:.2f}"
        f" that were looked at: a single one is {event['resolution_per_hour']:.2g} an hour. In"
        " brackets: 95 % intervals. That none was seen does not mean that none will come."
    )
    blind = [f"{rate:g}" for rate in RATES if not budget(rate, hours)]
    return text + (f" Rates of {', '.join(blind)} an hour cannot be seen so." if blind else "")


def _limits(
    metrics: Mapping[str, Any], clips: Sequence[Clip], origin: Origin, window_s: float
) -> Iterator[str]:
    shops = {shared.what: shared for shared in _shared(clips)}.get("stores")
    yield "## Limits"
    yield ""
    if origin.synthetic:
        yield "- The data is synthetic. Train on footage of real shops before anything is watched."
    if shops is None or shops.known:
        yield (
            f"- Test {'has' if shops else 'may have'} shops that train has, too; one that is new to"
            " the model is harder. `data.split: store` measures that, where clips name theirs."
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
    yield f"- An alarm cannot come before a window has ended, {window_s:.1f} s after its start."


def _thresholds(trained: Checkpoint, clips: Sequence[Clip], asked_rate: float) -> Iterator[str]:
    rule, abnormal = trained.rule, [label for label in trained.labels if label != NORMAL]
    yield "## Thresholds"
    yield ""
    yield f"{', '.join(f'{x} {rule.threshold(x):.3f}' for x in abnormal)}."
    yield ""
    match trained.thresholds:
        case "rate":
            yield (
                f"Chosen on val for false alarms at no more than {asked_rate:g} an hour, of all"
                " labels together."
            )
        case "f1":
            yield (
                f"Val is too short to see false alarms at {asked_rate:g} an hour, which is what"
                " was asked for. The thresholds were chosen on val for the best F1 of events"
                " instead: how often they will be wrong is not known."
            )
        case "default":
            yield f"Val has no windows to choose them on: each is {FALLBACK:g}, and untried."
    if trained.thresholds != "default":
        for gap in gaps(clips, abnormal, "val"):
            yield f"{gap[0].upper()}{gap[1:]}: its threshold knows of false alarms only."
    yield ""
    yield (
        f"An event starts with a window at its threshold and goes on at {rule.leave:g} of that,"
        f" counts from {rule.min_s:g} s on, bridges pauses of {rule.merge_gap_s:g} s, and comes"
        f" again only {rule.cool_down_s:g} s later."
    )


def _data(clips: Sequence[Clip], labels: Sequence[str], origin: Origin) -> Iterator[str]:
    yield "## Data"
    yield ""
    yield from _table(
        (f"clips of `{origin.kind}`", "all", "takes", "hours", *labels),
        (_split(split, [c for c in clips if c.split == split], labels) for split in SPLITS),
    )
    yield ""
    shared = _shared(clips)
    known = (f"{s.known} of its {s.in_test} {s.what}" for s in shared)
    yield f"What test has in common with train or val: {', '.join(known)}."
    unnamed = sorted({"takes", "stores", "cameras"} - {s.what for s in shared})
    if unnamed:
        yield f"Not all clips name their {' and '.join(unnamed)}."


def _split(name: str, clips: Sequence[Clip], labels: Sequence[str]) -> list[str]:
    count = Counter(clip.label for clip in clips)
    hours = sum(clip.duration_s for clip in clips) / 3600
    takes = len({clip.take for clip in clips})
    return [name, f"{len(clips)}", f"{takes}", f"{hours:.2f}", *(f"{count[x]}" for x in labels)]


def _shared(clips: Sequence[Clip]) -> list[_Shared]:
    """Of takes, of stores and of each store's cameras; of those that every clip names."""
    test = [clip for clip in clips if clip.split == "test"]
    made_of = [clip for clip in clips if clip.split in ("train", "val")]
    shared = []
    for what in ("take", "store", "camera"):
        if all(getattr(clip, what) for clip in (*test, *made_of)):
            theirs, ours = (
                {(clip.store if what == "camera" else "", getattr(clip, what)) for clip in part}
                for part in (made_of, test)
            )
            shared.append(_Shared(f"{what}s", len(ours), len(ours & theirs)))
    return shared


def _numbers(metrics: Mapping[str, Any], trained: Checkpoint) -> Iterator[str]:
    labels, members = trained.labels, len(trained.members)
    alone = ["macro F1 of a member"] if members > 1 else []
    yield "## Windows and clips of test"
    yield ""
    yield from _table(
        ("", "accuracy", "macro F1", *alone, *(f"F1 {label}" for label in labels)),
        (
            [
                f"{level} ({metrics[f'{level}s']})",
                f"{metrics[level]['accuracy']:.3f}",
                f"{metrics[level]['macro_f1']:.3f}{_bracket(metrics[level]['macro_f1_95'])}",
                *(_alone(metrics["seeds"][level]["macro_f1"]) for _ in alone),
                *(f"{metrics[level]['per_class'][label]['f1']:.3f}" for label in labels),
            ]
            for level in ("window", "clip")
        ),
    )
    yield ""
    yield f"In brackets: 95 % intervals, by {RESAMPLES:,} resamples of the takes." + (
        f" A member: mean and standard deviation of the {members}, each alone."
        if alone
        else " It is a single model: how much another seed would change is not known."
    )
    yield ""
    yield _calibration(metrics["calibration"], trained)


def _alone(told: Mapping[str, Any]) -> str:
    return f"{told['mean']:.3f} ± {told['std']:.3f}"


def _calibration(told: Mapping[str, Any], trained: Checkpoint) -> str:
    error = f"Expected calibration error on test: {told['ece']:.3f}"
    if not trained.temperature_fitted:
        return f"No temperature was fitted: val could not tell it. {error}."
    return (
        f"Temperature {trained.temperature:.3f}, fitted on val. {error};"
        f" {told['ece_uncalibrated']:.3f} without."
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
    hardest = {name: (level, row) for name, level, *row in rows if level != "0"}
    first = next(iter(as_it_is.values()))
    yield "## Where landmarks are worse"
    yield ""
    yield from _table(
        ("landmarks", "macro F1, window", "macro F1, clip", "windows left"),
        [
            _robust("as they are", first, first),
            *(
                _robust(_DISTURBED[name].format(float(level)), row, as_it_is[name])
                for name, (level, row) in hardest.items()
            ),
        ],
    )
    yield ""
    yield (
        f"Of {first[-1]} windows of test, their landmarks made worse in one way at a time, each at"
        " its worst; what less does is in `robustness.csv`. Macro F1 is of the windows that are"
        " left."
    )


def _robust(what: str, row: Sequence[Any], as_it_is: Sequence[Any]) -> list[str]:
    *_, window, clip, windows = row
    share = f"{windows / as_it_is[-1]:.0%}" if as_it_is[-1] else "-"
    return [what, _number(window, 3), f"{clip:.3f}", share]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def _bracket(interval: Mapping[str, float] | None) -> str:
    return f" [{interval['low']:.2f}, {interval['high']:.2f}]" if interval else ""
