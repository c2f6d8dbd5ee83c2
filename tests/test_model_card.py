from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.footage import LABELS, SPEC, burst, clip, windows
from yololstm import evaluation, model_card, models, robustness
from yololstm.clips import Clip, Span
from yololstm.evaluation import Decision, Evaluation
from yololstm.events import Rule
from yololstm.model_card import Origin
from yololstm.robustness import Row
from yololstm.scaling import BodyScaling
from yololstm.trained import Checkpoint

RULE = Rule({"theft": 0.5, "assault": 0.75}, min_s=2.5)
ROBUSTNESS = [
    Row("noise", 0, 0.9, 0.8, 0.7, 54),
    Row("noise", 0.05, 0.8, 0.75, 0.65, 54),
    Row("fps", 0, 0.9, 0.8, 0.7, 54),
    Row("fps", 2, None, None, 0.25, 0),
    Row("size", 0, 0.9, 0.8, 0.7, 54),
    Row("size", 0.25, 0.7, 0.6, 0.5, 27),
]
SHOP = Origin(kind="aihub", synthetic=False)


def measured(normal_seconds: int = 60) -> tuple[Evaluation, list[Clip]]:
    theft = Span(6.0, 10.0, "theft")
    test = [clip("a-CA", theft), clip("b-CA", theft), clip("n-CA", seconds=normal_seconds)]
    said = {("a-CA", 1): burst(6), ("b-CA", 1): burst(99), ("n-CA", 1): burst(4)}
    made, probability = windows(said)
    near = (made.start_s >= 6) & (made.start_s <= 8) & (made.clip != "n-CA")
    made = replace(made, y=np.where(near, 0, 2))
    decision = Decision(LABELS, 1.0, RULE, clip_share=0.05)
    logits = np.log(np.maximum(probability, 1e-6))
    rng = np.random.default_rng(0)
    train = [replace(c, split="train", clip_id=f"x{c.clip_id}", take=f"x{c.take}") for c in test]
    val = [replace(c, split="val", clip_id=f"y{c.clip_id}", take=f"y{c.take}") for c in train]
    result = evaluation.evaluate(made, logits, test, {}, decision, rng)
    alone = {"mean": 0.5, "std": 0.125, "values": [0.375, 0.625]}
    levels = ("window", "clip")
    seeds = {level: {"accuracy": alone, "macro_f1": alone} for level in levels}
    return (
        result.joined("seeds", seeds).joined("robustness", {}, robustness.table(ROBUSTNESS)),
        [*train, *val, *test],
    )


def card(
    origin: Origin = SHOP,
    normal_seconds: int = 60,
    members: int = 2,
    clips: Sequence[Clip] | None = None,
    **changes: Any,
) -> str:
    result, known = measured(normal_seconds)
    states = (dict(models.build("bilstm", len(LABELS)).state_dict()),) * members
    trained = Checkpoint("bilstm", {}, states, BodyScaling(), SPEC, LABELS, rule=RULE)
    trained = replace(trained, **{"temperature": 1.25, "temperature_fitted": True, **changes})
    return model_card.write(trained, result, clips or known, origin, asked_rate=2.0)


def rows(text: str, title: str) -> list[list[str]]:
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_it_has_the_figures_of_the_metrics() -> None:
    text, (result, _) = card(), measured()
    _, _, window, of_clip = rows(text, "Windows and clips of test")
    assert window[:2] == ["window (54)", f"{result.metrics['window']['accuracy']:.3f}"]
    assert of_clip[:2] == ["clip (3)", "0.333"]
    interval = result.metrics["clip"]["macro_f1_95"]
    assert of_clip[2].endswith(f"[{interval['low']:.2f}, {interval['high']:.2f}]")
    _, _, whole, theft, assault = rows(text, "Events of test")
    assert whole[:2] == ["**all**", "0 of 2"]
    assert [row[:3] for row in (theft, assault)] == [
        *[["theft", "0 of 2", "0.00"], ["assault", "0 of 0", "-"]],
    ]
    assert "theft 0.500, assault 0.750." in text
    assert rows(text, "Data")[2][:3] == ["train", "3", "3"]
    assert ["clip", "normal", "theft", "1 of 1"] in rows(text, "Known confusions")


def test_it_says_how_thresholds_came_about() -> None:
    ways = {
        "rate": "false alarms at no more than 2 an hour",
        "f1": "too short to see false alarms at 2 an hour",
        "default": "each is 0.5",
    }
    for way in ways:
        text = card(thresholds=way)
        assert [words in text for words in ways.values()] == [other == way for other in ways]
        assert ("Val has no clip of assault" in text) == (way != "default")
    assert "Val has no clip of theft" not in card(thresholds="rate")


def test_it_says_whether_probabilities_were_calibrated() -> None:
    assert "Temperature 1.250, fitted on val." in card()
    unfitted = card(temperature_fitted=False)
    assert "fitted on val" not in unfitted
    assert "No temperature was fitted" in unfitted


def test_it_says_how_seeds_differ() -> None:
    (_, _, window, _), (result, _) = rows(card(), "Windows and clips of test"), measured()
    assert window[2].startswith(f"{result.metrics['window']['macro_f1']:.3f} ")
    assert window[3] == "0.500 ± 0.125"
    alone = card(members=1)
    assert "0.500 ± 0.125" not in alone
    assert "a single model" in alone


def test_it_says_what_the_worst_landmarks_cost() -> None:
    assert rows(card(), "Where landmarks are worse")[2:] == [
        ["as they are", "0.800", "0.700", "100%"],
        ["joints off by 5% of the torso", "0.750", "0.650", "100%"],
        ["2 frames a second", "-", "0.250", "0%"],
        ["persons 0.25 times as large", "0.600", "0.500", "50%"],
    ]


def test_it_has_words_for_every_disturbance() -> None:
    assert list(model_card._DISTURBED) == list(robustness._DISTURBANCES)


def test_every_table_is_a_table() -> None:
    for title in re.findall(r"^## (.*)$", card(), flags=re.MULTILINE):
        for table in re.split(r"\n(?!\|)", card().split(f"## {title}\n")[1].split("\n## ")[0]):
            widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
            assert len(widths) <= 1, table


def test_it_says_where_the_numbers_are_of_drawn_people() -> None:
    assert "synthetic" not in card()
    assert "**Every number here is of the embedded sample" in card(replace(SHOP, synthetic=True))


def test_rates_that_so_little_footage_cannot_show_are_left_out() -> None:
    def shown(text: str) -> list[str]:
        return [row[0] for row in rows(text, "Events of test") if "an hour" in row[0]]

    little, more, most = (card(normal_seconds=n) for n in (60, 2400, 4000))
    assert shown(little) == []
    assert "Rates of 1, 2, 5 an hour cannot be seen" in little
    assert shown(more) == ["all, at 2 an hour", "all, at 5 an hour"]
    assert "Rates of 1 an hour cannot be seen" in more
    assert len(shown(most)) == 3
    assert "cannot be seen" not in most


def test_it_says_what_test_has_in_common_with_train_whatever_the_split_was_called() -> None:
    def split(**of_test: Any) -> str:
        _, clips = measured()
        named = [replace(c, store="S1", camera="CA") for c in clips]
        return card(clips=[replace(c, **of_test) if c.split == "test" else c for c in named])

    by_take, by_store, by_camera = split(), split(store="S2"), split(camera="CB")
    assert "train or val: 0 of its 3 takes, 1 of its 1 stores, 1 of its 1 cameras." in by_take
    assert "train or val: 0 of its 3 takes, 0 of its 1 stores, 0 of its 1 cameras." in by_store
    assert "train or val: 0 of its 3 takes, 1 of its 1 stores, 0 of its 1 cameras." in by_camera
    assert ["Test has shops" in text for text in (by_take, by_store, by_camera)] == [
        *(True, False, True),
    ]
    leaked = split(take="xa")
    assert "train or val: 1 of its 1 takes" in leaked


def test_it_does_not_say_what_clips_do_not_name() -> None:
    _, clips = measured()
    text = card(clips=[replace(c, store="", camera="") for c in clips])
    assert "train or val: 0 of its 3 takes." in text
    assert "Not all clips name their cameras and stores." in text
    assert "Test may have shops" in text


def test_the_same_results_give_the_same_card() -> None:
    assert card() == card()
