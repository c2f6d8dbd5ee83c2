from __future__ import annotations

from tests.people import clip
from yololstm.choosing import choose
from yololstm.clips import NORMAL


def test_clips_are_chosen_over_labels_then_takes_whatever_their_order() -> None:
    clips = [
        clip(f"{label}{t}-{c}", label, "test")
        for label in (NORMAL, "theft")
        for t in (1, 2)
        for c in (1, 2)
    ]
    chosen = [c.clip_id for c in choose(clips, 5)]
    assert chosen == ["theft1-1", "normal1-1", "theft2-1", "normal2-1", "theft1-2"]
    assert [c.clip_id for c in choose(clips[::-1], 5)] == chosen
    assert len(choose(clips, 100)) == 8
