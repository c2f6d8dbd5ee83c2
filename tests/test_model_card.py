from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from tests.footage import LABELS, SPEC, burst, clip, windows
from yololstm import evaluation, model_card, models, robustness
from yololstm.clips import Clip, Span
from yololstm.evaluation import Decision, Evaluation
from yololstm.events import Rule
from yololstm.inference import Checkpoint
from yololstm.model_card import Origin
from yololstm.robustness import Row
from yololstm.scaling import BodyScaling

RULE = Rule({"theft": 0.5, "assault": 0.75}, min_s=2.5)
ROBUSTNESS = [
    Row("noise", 0, 0.9, 0.8, 0.7, 54),
    Row("noise", 0.05, 0.8, 0.75, 0.65, 54),
    Row("fps", 0, 0.9, 0.8, 0.7, 54),
    Row("fps", 2, None, None, 0.25, 0),
    Row("size", 0, 0.9, 0.8, 0.7, 54),
    Row("size", 0.25, 0.7, 0.6, 0.5, 27),
]
SHOP = Origin(kind="aihub", split="store", synthetic=False)


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
    train = [replace(c, split="train", clip_id=f"x{c.clip_id}") for c in test]
    result = evaluation.evaluate(made, logits, test, {}, decision, rng)
    alone = {"mean": 0.5, "std": 0.125, "values": [0.375, 0.625]}
    levels = ("window", "clip")
    seeds = {level: {"accuracy": alone, "macro_f1": alone} for level in levels}
    return (
        result.joined("seeds", seeds).joined("robustness", {}, robustness.table(ROBUSTNESS)),
        [*train, *test],
    )


def card(origin: Origin = SHOP, normal_seconds: int = 60, members: int = 2) -> str:
    result, clips = measured(normal_seconds)
    states = (dict(models.build("bilstm", len(LABELS)).state_dict()),) * members
    trained = Checkpoint(
        "bilstm", {}, states, BodyScaling(), SPEC, LABELS, temperature=1.25, rule=RULE
    )
    return model_card.write(trained, result, clips, origin, asked_rate=2.0)


def rows(text: str, title: str) -> list[list[str]]:
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_it_has_the_figures_of_the_metrics() -> None:
    text, (result, _) = card(), measured()
    _, _, window, of_clip = rows(text, "On test, by window and by clip")
    assert window[:2] == ["window (54)", f"{result.metrics['window']['accuracy']:.3f}"]
    assert of_clip[:2] == ["clip (3)", "0.333"]
    interval = result.metrics["clip"]["macro_f1_95"]
    assert of_clip[2].endswith(f"[{interval['low']:.2f}, {interval['high']:.2f}]")
    event = rows(text, "On test, by event")
    assert event[2][:2] == ["in use", "0 of 2"]
    assert rows(text, "Operating point")[2:] == [["theft", "0.500"], ["assault", "0.750"]]
    assert "for 2 false alarms an hour" in text
    assert rows(text, "Data")[2][:3] == ["train", "3", "3"]
    assert ["clip", "normal", "theft", "1 of 1"] in rows(text, "Known confusions")


def test_it_says_how_seeds_differ() -> None:
    (_, _, window, _), (result, _) = rows(card(), "Over seeds"), measured()
    together = f"{result.metrics['window']['accuracy']:.3f}"
    assert window[:3] == ["window", "0.500 ± 0.125", together]
    alone = card(members=1)
    assert rows(alone, "Over seeds") == []
    assert "A single model" in alone


def test_it_says_what_worse_landmarks_cost() -> None:
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


def test_it_says_which_rates_so_little_footage_cannot_show() -> None:
    assert "At 1, 2, 5 an hour the table therefore" in card()
    assert "At 1 an hour the table therefore" in card(normal_seconds=2400)
    assert "the table therefore" not in card(normal_seconds=4000)


def test_it_says_what_a_split_by_take_does_not_measure() -> None:
    assert "shares its shops" not in card()
    assert "shares its shops" in card(replace(SHOP, split="take"))


def test_the_same_results_give_the_same_card() -> None:
    assert card() == card()
