from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ablation, peers
from benchmarks.runs import Learn
from tests.benchmarks.tables import table
from tests.people import LABELS

MODELS = {"whole": None, "no motion": peers.MotionlessBiLSTM}


@pytest.mark.parametrize(
    ("score", "verdict"),
    [
        ([0.93, 0.01], "better"),
        ([0.87, 0.01], "worse"),
        ([0.92, 0.01], "within the spread"),
        ([0.84, 0.05], "within the spread"),
    ],
)
def test_difference_counts_beyond_both_spreads(score: list[float], verdict: str) -> None:
    assert ablation.judged(score, [0.9, 0.0125]) == verdict


def test_a_row_for_each_variant_and_division_beside_the_whole(tmp_path: Path) -> None:
    path = table(tmp_path / "one.csv", 4, LABELS[:3])
    variants = {name: Learn(model, train={"epochs": 1}) for name, model in MODELS.items()}
    rows = ablation.measure(path, variants, seeds=2, workers=1)
    assert [(row["division"], row["recipe"]) for row in rows] == [
        (division, name) for division in ablation.DIVISIONS for name in MODELS
    ]
    assert {row["verdict"]["clip_accuracy"] for row in rows[::2]} == {"within the spread"}
    assert json.loads(json.dumps(rows)) == rows
    assert ablation.table(rows).row_count == 2


def test_variants_differ_from_the_whole() -> None:
    whole = ablation.VARIANTS[ablation.BASE]
    assert [name for name, variant in ablation.VARIANTS.items() if variant == whole] == [
        ablation.BASE
    ]
