from __future__ import annotations

import numpy as np

from yololstm.windows import Windows, WindowSpec

SPEC = WindowSpec(fps=3, length=4, hop=2, max_gap_s=1, min_valid=0.5)


def windows(n: int, clip: str) -> Windows:
    return Windows(
        x=np.full((n, 4, 26), n, dtype=np.float32),
        valid=np.ones((n, 4, 13), dtype=np.bool_),
        y=np.arange(n),
        clip=np.full(n, clip),
        take=np.full(n, f"take of {clip}"),
        track=np.ones(n, dtype=np.int32),
        start_s=np.arange(n) / 3,
        spec=SPEC,
    )


def test_spec_survives_json() -> None:
    assert WindowSpec.from_json(SPEC.to_json()) == SPEC


def test_concatenate_keeps_order_and_whole_names() -> None:
    both = Windows.concatenate([windows(2, "a"), windows(1, "much longer name")], SPEC)
    assert both.clip.tolist() == ["a", "a", "much longer name"]
    assert both.y.tolist() == [0, 1, 0]
    assert both.x[:, 0, 0].tolist() == [2, 2, 1]


def test_nothing_concatenated_is_empty_and_can_be_added_to() -> None:
    empty = Windows.concatenate([], SPEC)
    assert len(empty) == 0
    joined = Windows.concatenate([empty, windows(2, "a")], SPEC)
    for name, array in windows(2, "a").arrays().items():
        np.testing.assert_array_equal(joined.arrays()[name], array, err_msg=name)
        assert joined.arrays()[name].dtype.kind == array.dtype.kind


def test_rows_are_taken_from_every_array() -> None:
    taken = windows(3, "a")[np.array([True, False, True])]
    assert taken.y.tolist() == [0, 2]
    assert {len(array) for array in taken.arrays().values()} == {2}
