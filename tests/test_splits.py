from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from yololstm.clips import SPLITS
from yololstm.splits import by_take

labels_of_takes = st.dictionaries(st.text(max_size=6), st.sampled_from("abcd"), max_size=60)
shares = st.floats(0, 1)


@given(labels_of_takes, shares, shares, st.integers(0, 9))
def test_every_take_gets_one_split_and_every_label_stays_in_train(
    takes: dict[str, str], val_share: float, test_share: float, seed: int
) -> None:
    splits = by_take(takes, val_share=val_share, test_share=test_share, seed=seed)
    assert splits.keys() == takes.keys()
    assert set(splits.values()) <= set(SPLITS)
    assert {takes[take] for take, split in splits.items() if split == "train"} == set(
        takes.values()
    )


@given(labels_of_takes, st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_three_takes_of_a_label_reach_every_split(
    takes: dict[str, str], val_share: float, test_share: float
) -> None:
    splits = by_take(takes, val_share=val_share, test_share=test_share, seed=0)
    for label, n in Counter(takes.values()).items():
        if n >= 3:
            assert {splits[take] for take in takes if takes[take] == label} == set(SPLITS)


@given(labels_of_takes, st.randoms())
def test_order_is_of_no_account(takes: dict[str, str], random: object) -> None:
    shuffled = sorted(takes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = {take: takes[take] for take in shuffled}
    assert by_take(takes, val_share=0.2, test_share=0.2, seed=3) == by_take(
        again, val_share=0.2, test_share=0.2, seed=3
    )


@given(st.integers(3, 60))
def test_shares_are_rounded_up(n: int) -> None:
    takes = {f"take {i}": "theft" for i in range(n)}
    splits = by_take(takes, val_share=0.1, test_share=0.2, seed=0)
    counts = Counter(splits.values())
    assert counts["test"] == -(-n * 2 // 10)
    assert counts["val"] == -(-n // 10)
    assert counts["train"] == n - math.ceil(n / 10) - math.ceil(n / 5)


@given(labels_of_takes, st.text(max_size=6), st.sampled_from("abcd"))
def test_a_new_take_moves_at_most_one_other_over_either_border(
    takes: dict[str, str], name: str, label: str
) -> None:
    before = by_take(takes, val_share=0.2, test_share=0.2, seed=0)
    if name in takes:
        return
    after = by_take({**takes, name: label}, val_share=0.2, test_share=0.2, seed=0)
    assert sum(before[take] != after[take] for take in takes) <= 2


def test_the_seed_matters() -> None:
    takes = {f"take {i}": "theft" for i in range(30)}
    first, second = (by_take(takes, val_share=0.2, test_share=0.2, seed=s) for s in (0, 1))
    assert first != second


def test_scarce_takes_go_to_train_then_test() -> None:
    for n, expected in ((1, {"train"}), (2, {"train", "test"}), (3, {"train", "val", "test"})):
        takes = {f"take {i}": "theft" for i in range(n)}
        assert set(by_take(takes, val_share=0.2, test_share=0.2, seed=0).values()) == expected


def test_share_of_nothing_holds_nothing_back() -> None:
    takes = {f"take {i}": "theft" for i in range(9)}
    assert set(by_take(takes, val_share=0, test_share=0, seed=0).values()) == {"train"}
