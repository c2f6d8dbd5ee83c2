from __future__ import annotations

from yololstm.web.limiting import Allowance, Rates


def test_so_many_in_any_minute() -> None:
    now = [1000.0]
    rates = Rates(Allowance(logins=2, requests=1), lambda: now[0])
    assert rates.wait_s("login", "a") == 0
    now[0] += 20
    assert rates.wait_s("login", "a") == 0
    assert (rates.wait_s("login", "a"), rates.owed_s("login", "a")) == (40, 40)
    assert (rates.wait_s("login", "b"), rates.wait_s("request", "a")) == (0, 0)
    now[0] += 39.5
    assert rates.wait_s("login", "a") == 1
    now[0] += 0.5
    assert [rates.owed_s("login", "a") for _ in range(5)] == [0] * 5
    assert (rates.wait_s("login", "a"), rates.wait_s("login", "a")) == (0, 20)


def test_only_so_many_are_counted_and_who_came_last_is_kept() -> None:
    rates = Rates(Allowance(logins=1), lambda: 0.0, most=3)
    for who in ("1", "2", "3", "\ud800"):
        assert rates.wait_s("login", who) == 0
    assert len(rates._hits["login"]) == 3
    assert [rates.owed_s("login", who) for who in ("1", "2", "\ud800")] == [0, 60, 60]
