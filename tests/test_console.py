from __future__ import annotations

import pytest

from yololstm.console import exit_on_error, progress
from yololstm.errors import EmptyError


def test_our_errors_become_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    @exit_on_error
    def stage() -> None:
        raise EmptyError("data/index.csv", "no clips", "Check data.root")

    with pytest.raises(SystemExit) as exit_:
        stage()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "error: data/index.csv: no clips. Check data.root.\n"


def test_bugs_stay_bugs() -> None:
    @exit_on_error
    def stage() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stage()


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("extract", total=3, unit="clips") as advance:
        for _ in range(3):
            advance(1)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
