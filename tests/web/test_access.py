from __future__ import annotations

import pytest

from yololstm.web import access
from yololstm.web.access import SESSION_S, Access

TOKEN = "a-token-of-tests-0123456789"


def test_the_token_alone_is_the_token() -> None:
    door = Access(TOKEN)
    assert door.is_token(TOKEN)
    for other in ("", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), "토큰", "\ud800"):
        assert not door.is_token(other)


def test_a_session_is_open_until_it_is_ended_or_its_time_is_over() -> None:
    now = [0.0]
    door = Access(TOKEN, lambda: now[0])
    ended, late = door.begin(), door.begin()
    assert ended != late
    assert len(late) >= 43  # 256 bits
    assert not door.is_open("") and not door.is_open(late[:-1])
    door.end(ended)
    assert not door.is_open(ended) and door.is_open(late)
    now[0] = SESSION_S - 1
    assert door.is_open(late)
    now[0] = SESSION_S
    assert not door.is_open(late)


def test_the_oldest_session_ends_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_MOST", 3)
    door = Access(TOKEN)
    names = [door.begin() for _ in range(5)]
    assert [door.is_open(name) for name in names] == [False, False, True, True, True]


def test_a_short_token_is_none() -> None:
    with pytest.raises(ValueError, match="16"):
        Access("short")
