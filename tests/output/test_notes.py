"""Named texts below each other, with commands that stay whole."""

from dataclasses import replace

import pytest

from opstasks.output.notes import Note, headline, named_lines, note, note_lines
from opstasks.output.parts import Painted, bad, bold, odd
from tests.screen_check import WIDTHS, check_fits, shown

CRASH = Note(
    bold("sandbox-2"),
    bad("died 3 times in 4m: RuntimeError: the job queue is in an impossible state"),
    (("look", "inv -H sandbox-2 logs"), ("undo", "inv -H sandbox-2 deploy.rollback")),
    most_lines=1,
)
PAUSE = Note("b", "paused")


def test_texts_are_aligned_and_commands_stand_below():
    assert shown(note_lines([CRASH, PAUSE], 80)) == [
        "sandbox-2  died 3 times in 4m: RuntimeError: the job queue is in an impossible …",
        "           look: inv -H sandbox-2 logs   undo: inv -H sandbox-2 deploy.rollback",
        "b          paused",
    ]


def test_commands_that_do_not_fit_side_by_side_have_their_own_lines():
    assert shown(note_lines([CRASH], 60))[1:] == [
        "           look: inv -H sandbox-2 logs",
        "           undo: inv -H sandbox-2 deploy.rollback",
    ]


def test_a_text_is_continued_where_a_person_must_read_all():
    lines = shown(note_lines([replace(CRASH, most_lines=0)], 60))
    assert "…" not in "".join(lines)
    assert " ".join(line.strip() for line in lines[:2]).endswith("impossible state")


def test_a_text_may_take_some_lines_before_it_is_cut():
    lines = shown(note_lines([Note("a", "word " * 99, most_lines=2)], 40))
    assert [len(lines), lines[0][-1], lines[1][-1]] == [2, "d", "…"]


def test_a_long_name_has_a_line_of_its_own_and_moves_no_other():
    long = Note("x" * 40, "stopped")
    assert shown(note_lines([long, PAUSE], 80)) == ["x" * 40, "   stopped", "b  paused"]


def test_in_a_pipe_a_note_is_one_line_that_cannot_be_another():
    (line,) = shown(note_lines([Note("a", "x\nb  ok", (("look", "inv -H a logs"),))], 0))
    assert line == "a  x\\nb  ok  look: inv -H a logs"


@pytest.mark.parametrize("width", [32, 60, 80])
@pytest.mark.parametrize("most_lines", [0, 1])
def test_wide_and_hostile_characters_do_not_leave_the_window(width, most_lines):
    hostile = Note("日本", odd("語\u202e\x1b[31m" * 30), most_lines=most_lines)
    check_fits(note_lines([hostile], width), width)


def test_what_is_next_follows_a_note():
    lines = note("a", "the lock is held", 80, "inv -H a lock.show", "inv -H a doctor")
    assert shown(lines) == [
        "a  the lock is held",
        "   next: inv -H a lock.show   next: inv -H a doctor",
    ]


def test_a_command_to_type_is_never_divided():
    command = f"inv -H tpp outputs.rm study --file {'x' * 90}"
    assert f"   next: {command}" in shown(note("a", "x", 60, command))


def test_a_sentence_of_what_to_do_is_continued_below_itself():
    lines = shown(note("a", "x", 40, "remove what is not needed from the disk"))
    assert lines[1:] == ["   next: remove what is not needed from", "   the disk"]


# -- named values --------------------------------------------------------------------------------

PATH = "/srv/high_privacy/logs/2026-11/os-job-zvwxyabcdefg2345"
VALUES = [("host", "tpp"), ("command", "python " * 30), ("log", PATH), ("odd", "日本語 " * 30)]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_value_is_wider_than_the_window(width):
    lines = named_lines(VALUES, width)
    check_fits(lines, width)
    assert any(PATH in line for line in shown(lines))


def test_a_value_is_continued_below_its_beginning():
    lines = shown(named_lines([("a", "1"), ("words", "one two three four five six seven")], 40))
    assert lines == ["a      1", "words  one two three four five six seven"]
    lines = shown(named_lines([("words", "one two three four five six seven")], 30))
    assert lines == ["words  one two three four five", "       six seven"]


def test_a_path_that_does_not_fit_beside_its_name_stands_below():
    assert shown(named_lines([("log files", PATH)], 60)) == ["log files", f"  {PATH}"]


def test_in_a_pipe_each_value_is_one_line():
    assert shown(named_lines([("a", "x " * 500)], 0)) == ["a  " + "x " * 499 + "x"]


def test_a_value_keeps_its_colour_and_is_one_line():
    (line,) = named_lines([("state", bad("a\nb"))], 80)
    assert line[-1] == Painted("a\\nb", "red")


# -- the first line ------------------------------------------------------------------------------


def test_a_headline_leaves_out_what_does_not_fit():
    assert shown([headline(["2 hosts"], 80, "02:13 UTC")]) == ["2 hosts  02:13 UTC"]
    assert shown([headline(["2 hosts"], 10, "02:13 UTC")]) == ["2 hosts"]
