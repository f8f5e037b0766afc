"""What needs a person: entries with commands that stay whole."""

import pytest

from opstasks.output.entries import Entry, entry_lines
from tests.screen_check import check_fits, shown

CRASH = Entry(
    "sandbox-2",
    "died 3 times in 4m: RuntimeError: the job queue is in an impossible state",
    "red",
    (("look", "inv -H sandbox-2 logs"), ("undo", "inv -H sandbox-2 deploy.rollback")),
)
PAUSE = Entry("b", "paused")


def test_texts_are_aligned_and_commands_stand_below():
    assert shown(entry_lines([CRASH, PAUSE], 80)) == [
        "sandbox-2  died 3 times in 4m: RuntimeError: the job queue is in an impossible …",
        "           look: inv -H sandbox-2 logs   undo: inv -H sandbox-2 deploy.rollback",
        "b          paused",
    ]


def test_commands_that_do_not_fit_side_by_side_have_their_own_lines():
    assert shown(entry_lines([CRASH], 60))[1:] == [
        "           look: inv -H sandbox-2 logs",
        "           undo: inv -H sandbox-2 deploy.rollback",
    ]


def test_a_text_is_continued_where_a_person_must_read_all():
    lines = shown(entry_lines([CRASH], 60, wraps=True))
    assert "…" not in "".join(lines)
    assert " ".join(line.strip() for line in lines[:2]).endswith("impossible state")


def test_a_text_may_take_some_lines_before_it_is_cut():
    lines = shown(entry_lines([Entry("a", "word " * 99, most_lines=2)], 40))
    assert [len(lines), lines[0][-1], lines[1][-1]] == [2, "d", "…"]


def test_a_long_name_has_a_line_of_its_own_and_moves_no_other():
    long = Entry("x" * 40, "stopped")
    assert shown(entry_lines([long, PAUSE], 80)) == ["x" * 40, "   stopped", "b  paused"]


def test_in_a_pipe_an_entry_is_one_line_that_cannot_be_another():
    (line,) = shown(entry_lines([Entry("a", "x\nb  ok", "", (("look", "inv -H a logs"),))], 0))
    assert line == "a  x\\nb  ok  look: inv -H a logs"


@pytest.mark.parametrize("width", [32, 60, 80])
@pytest.mark.parametrize("wraps", [False, True])
def test_wide_and_hostile_characters_do_not_leave_the_window(width, wraps):
    odd = Entry("日本", "語\u202e\x1b[31m" * 30, "yellow")
    check_fits(entry_lines([odd], width, wraps=wraps), width)
