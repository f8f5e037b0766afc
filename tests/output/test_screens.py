"""The screen of a task: what it shows of answers, in a window, in a pipe and with -q."""

import pytest

from opstasks.cli.reading import HostReader
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.output.console import Console
from opstasks.output.parts import bad, text_of_line
from opstasks.output.screens import Screen, no_answer
from opstasks.output.table import Column

SCREEN = Screen(
    [Column("HOST"), Column("JOB"), Column("STATE")],
    lambda host, jobs: [[host, job, "running"] for job in jobs],
    headline=lambda result: [f"{sum(map(len, result.values.values()))} jobs"],
    notes=lambda host, jobs: [[f"{host}  many jobs"]] if len(jobs) > 1 else [],
    closing=lambda result: [["all: jobs.ls --all"]],
    nothing=lambda result: f"no job is running on {len(result.values)} hosts",
    ids=lambda jobs: jobs,
)


def ok(host, *jobs):
    return HostResult(host, "ok", jobs)


def dead(host):
    return HostResult(host, "unreachable", error=Unreachable("no answer", host=host))


def texts(results, width=80, screen=SCREEN):
    return [text_of_line(line) for line in screen.lines(FleetResult(results), width)]


class Fleet:
    """Stands in for a fleet whose answers are known."""

    def __init__(self, *batches):
        self._batches = batches
        self.hosts = []

    def gather(self, read, show, is_last):
        for batch in self._batches:
            show(FleetResult(batch))
        return FleetResult([item for batch in self._batches for item in batch])


def test_the_answer_comes_first_and_what_needs_a_person_below_the_table():
    assert texts([ok("a", "j1", "j2"), ok("b", "j3")]) == [
        "3 jobs",
        "HOST  JOB  STATE",
        "a     j1   running",
        "a     j2   running",
        "b     j3   running",
        "",
        "a  many jobs",
        "all: jobs.ls --all",
    ]


def test_an_empty_screen_says_what_was_looked_for():
    assert texts([ok("a"), ok("b")]) == [
        "0 jobs",
        "no job is running on 2 hosts",
        "all: jobs.ls --all",
    ]


def test_nothing_is_claimed_about_hosts_that_did_not_answer():
    assert "no job" not in " ".join(texts([dead("a")]))


def test_a_host_without_an_answer_has_a_row_where_each_host_has_one():
    screen = Screen([Column("HOST"), Column("STATE"), Column("X")], lambda h, v: [], no_answer)
    assert screen.table_rows(FleetResult([dead("a"), HostResult("b", "not started")])) == [
        ["a", bad("no answer"), ""],
        ["b", bad("not asked"), ""],
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_every_line_of_a_screen_fits_into_the_window(width):
    assert all(len(text) <= width for text in texts([ok("a", "job-1", "job-2")], width))


# -- in a pipe, and with -q ----------------------------------------------------------------------


def test_in_a_pipe_rows_come_as_hosts_answer(capsys):
    fleet = Fleet([ok("a", "j1")], [dead("c")], [ok("b", "j2", "j3")])
    HostReader(fleet, Console()).screen(None, SCREEN)
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "HOST  JOB  STATE",
        "a     j1   running",
        "b     j2   running",
        "b     j3   running",
        "b  many jobs",
        "all: jobs.ls --all",
    ]
    assert shown.err == "error  no answer (c)\n"


def test_with_q_each_id_is_a_line(capsys):
    fleet = Fleet([ok("a", "j1")], [dead("c")], [ok("b", "j2", "j3")])
    HostReader(fleet, Console(ids_only=True)).screen(None, SCREEN)
    shown = capsys.readouterr()
    assert shown.out == "j1\nj2\nj3\n"
    assert shown.err == "error  no answer (c)\n"
