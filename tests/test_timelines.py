from __future__ import annotations

import numpy as np
import pytest

from tests.footage import LABELS, burst, clip, footage
from yololstm.clips import NORMAL, Span
from yololstm.drawing import palette
from yololstm.events import Rule
from yololstm.timelines import courses, sheet, table

THEFT = Span(6.0, 10.0, "theft")
RULE = Rule({"theft": 0.6})
COLOUR = np.array(palette(LABELS)["theft"])


def shop() -> tuple[list, list]:  # type: ignore[type-arg]
    clips = [clip("a-CA", THEFT), clip("n-CA"), clip("e-CA")]
    said = {("a-CA", 1): burst(6), ("a-CA", 2): burst(3, 0.3), ("n-CA", 1): burst(4)}
    return clips, courses(footage(clips, said), clips, RULE)


def test_a_course_says_what_is_known_at_each_moment() -> None:
    _, (theft, normal, empty) = shop()
    at = dict(zip(theft.time_s.round(3), theft.probability[:, 0], strict=True))
    assert np.isnan(at[1.917])  # no window has ended
    assert at[5.083] == pytest.approx(0.3)  # of the likelier person
    assert at[7.917] == pytest.approx(0.01)
    assert at[8.083] == pytest.approx(0.9)  # the window from 6 to 8 has ended
    assert at[9.083] == pytest.approx(0.01)
    assert np.isnan(empty.probability).all()
    assert ([e.raised_s for e in theft.alarms], theft.false_alarms) == ([8.0], [])
    assert [e.raised_s for e in normal.alarms] == [e.raised_s for e in normal.false_alarms] == [6.0]


def test_nothing_is_said_long_after_somebody_has_left() -> None:
    clips = [clip("a-CA")]
    (course,) = courses(footage(clips, {("a-CA", 1): [0.4] * 3}), clips, RULE)
    known = course.time_s[~np.isnan(course.probability[:, 0])]
    assert 2.0 <= known.min() < 2.2
    assert 4.8 < known.max() <= 5.0


def test_rows_say_what_is_labelled_and_leave_out_what_nobody_knows() -> None:
    _, drawn = shop()
    rows = list(table(drawn, LABELS))
    assert len({len(row) for row in rows}) == 1
    of_theft = [row for row in rows if row[0] == "a-CA"]
    assert {row[2] for row in of_theft if 6 <= float(str(row[1])) < 10} == {"theft"}
    assert {row[2] for row in of_theft if float(str(row[1])) < 6} == {NORMAL}
    assert of_theft[0][3:] == ("", "", "")
    assert {row[3:] for row in rows if row[0] == "e-CA"} == {("", "", "")}


def test_the_sheet_shows_bands_lines_and_alarms() -> None:
    _, drawn = shop()
    image = sheet(drawn, LABELS, RULE)
    panels = np.split(image[34:], 3, axis=1)

    def count(panel: np.ndarray) -> int:
        return int((np.abs(panel.astype(int) - COLOUR).max(axis=-1) < 30).sum())

    alone = [count(panel[:31]) for panel in panels]  # the triangles are above the field
    assert alone[0] > alone[1] > 10  # full, hollow
    assert alone[2] == 0
    assert count(panels[0][31:]) > count(panels[2][31:]) > 50  # the line; the dashes alone
    field = [panel[100, 34:448].astype(int) for panel in panels]
    assert (np.abs(field[0][130:200] - field[1][130:200]).max(axis=-1) > 20).mean() > 0.9
    assert (np.abs(field[0][:110] - field[1][:110]).max(axis=-1) > 20).mean() < 0.1


def test_the_same_courses_give_the_same_sheet_whatever_their_number() -> None:
    _, drawn = shop()
    np.testing.assert_array_equal(sheet(drawn, LABELS, RULE), sheet(drawn, LABELS, RULE))
    for n in (1, 4, 5):
        height, width, _ = sheet((drawn * 2)[:n], LABELS, RULE).shape
        assert (width, height) == (460 * min(n, 4), 34 + 190 * (1 + (n > 4)))
