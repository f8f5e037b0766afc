"""What `jobs.kill` and `jobs.retry` show before and after a change."""

from dataclasses import replace

import pytest

from opstasks.jobs.change_screen import (
    PLAN_COLUMNS,
    RESULT_COLUMNS,
    kill_headline,
    kill_told,
    kill_warning,
    killed_notes,
    killed_rows,
    plan_rows,
    retried_notes,
    retry_told,
    step_lines,
)
from opstasks.jobs.kill import KilledJob, KillPlan, KillResult
from opstasks.jobs.model import Match
from opstasks.jobs.retry import RetryResult
from opstasks.output.paragraphs import folded
from opstasks.output.table import draw
from tests.jobs import recorded
from tests.jobs.recorded import NOW
from tests.screen_check import WIDTHS, check_fits, check_golden, check_whole, shown

ALL_STEPS = ("mark as killed", "stop container", "save log", "remove container", "remove volume")
PLANS = [
    KillPlan(Match("sandbox-1", recorded.EXTRACT, now=NOW), ALL_STEPS),
    KillPlan(Match("sandbox-2", recorded.WAITING, now=NOW), ALL_STEPS[:1]),
    KillPlan(Match("sandbox-2", recorded.OLD, now=NOW), ()),
]


def drawn(columns, rows, width):
    return draw(columns, rows, width).with_hint()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_plan_has_every_step_and_whole_ids(width):
    planned = [(plan.match, plan.steps) for plan in PLANS]
    lines = drawn(PLAN_COLUMNS, plan_rows(plan.match for plan in PLANS), width)
    lines += folded(step_lines(planned), width)
    check_fits(lines, width)
    check_whole(lines, [plan.match.job.id for plan in PLANS])
    check_golden(__file__, f"jobs.kill-plan-{width}", lines)


def test_steps_that_are_the_same_are_said_once():
    same = [(plan.match, ("mark as killed",)) for plan in PLANS]
    assert shown(step_lines(same)) == ["steps: mark as killed"]


def test_the_first_line_says_how_many_jobs_are_killed():
    assert kill_headline(PLANS, cleanup=True) == "2 jobs to kill, 1 with nothing to do"
    kept = "1 job to kill; containers and volumes are kept"
    assert kill_headline(PLANS[:1], cleanup=False) == kept
    assert kill_headline(PLANS[2:], cleanup=True) == "nothing to do"


def test_only_a_job_that_is_not_over_cannot_be_undone():
    (warning,) = shown(kill_warning(PLANS))
    assert "cannot be undone" in warning
    assert kill_warning(PLANS[2:]) == []


DONE = KilledJob("failed", "killed_by_admin", "killed")
IDLE = KilledJob("succeeded", "succeeded", "nothing to do")
QUICKER = KilledJob("succeeded", "succeeded", "ended first")


def test_the_end_of_a_kill_says_the_new_state():
    told = kill_told()
    assert told.host(KillResult(True, {"abc": DONE})) == "abc failed (killed_by_admin)"
    assert told.host(KillResult(True, {"abc": DONE, "def": IDLE})) == "1 job killed"
    assert told.whole(2) == "Killed on 2 hosts"
    assert told.undo("a,b") == ""


def test_of_several_jobs_each_has_a_row():
    found = {"one": KillResult(True, {"abc": DONE, "def": IDLE}), "two": KillResult(True, {})}
    rows = killed_rows(found)
    assert shown(drawn(RESULT_COLUMNS, rows, 80)) == [
        "HOST  JOB  NOW",
        "one   abc  failed (killed_by_admin)",
        "one   def  nothing to do: succeeded (succeeded)",
    ]
    assert killed_rows({"one": KillResult(True, {"abc": QUICKER})}) == []


def test_what_was_kept_has_the_command_that_removes_it():
    found = {"tpp": KillResult(True, {"abc": DONE, "def": IDLE})}
    (line,) = shown(killed_notes(found, cleanup=False))
    assert line == "remove later:  inv -H tpp jobs.kill abc"
    assert list(killed_notes(found, cleanup=True)) == []


def test_a_file_with_a_secret_is_named_with_the_variable():
    found = {"tpp": KillResult(True, {"abc": DONE}, {"/logs/metadata.json": ("DATABASE_URL",)})}
    lines = shown(killed_notes(found, cleanup=True))
    assert lines == [
        "! tpp: the value of DATABASE_URL is plain text in",
        "  /logs/metadata.json",
    ]


def test_a_file_that_may_have_a_secret_and_cannot_be_read_is_named():
    found = {"tpp": KillResult(True, {"abc": DONE}, unread={"/logs/metadata.json": "too large"})}
    assert shown(killed_notes(found, cleanup=True)) == [
        "! tpp: whether secrets are plain text is not known (too large) in",
        "  /logs/metadata.json",
    ]


def test_the_end_of_a_retry_says_what_to_type_while_the_job_runs():
    runs = RetryResult(True, "abc", "running", "executing", is_over=False)
    told = retry_told()
    assert told.host(runs) == "abc is running (executing), job-runner continues it"
    assert shown(retried_notes("tpp", runs)) == ["next:  inv -H tpp jobs.show abc"]
    over = replace(runs, state="succeeded", status_code="succeeded", is_over=True)
    assert told.host(over) == "abc succeeded"
    assert list(retried_notes("tpp", over)) == []
