"""Every screen of every task, with long and odd answers, in windows of every width.

Help and the overview are in tests/cli/test_help.py, which also goes through all tasks.
"""

import os
import re

import pytest

from opstasks.namespace import namespace
from tests.output import odd_hosts as hosts
from tests.output import screen_rules as rules
from tests.output.every_screen import NO_SCREEN, ROWS

# A command of ours that does not say in which file its hosts are.
COMMAND = re.compile(r"(?<![\w/.-])inv (?!--help |--list)(?!.*--inventory )[-a-z][^`\\;]*")
# What a hostile host sends, and a comment of a file that `manage` writes.
OF_OTHERS = {"inv -H all jobs.kill", "inv manage"}
WIDTHS = (60, 80, 100, 140, 200)
ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.fixture(scope="module", autouse=True)
def patch(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, hosts.prepared(patch, tmp_path_factory.mktemp("o")):
        yield patch


def check(run, columns):
    """Nothing is wider than the window, and no value is broken."""
    lines = rules.lines_of(run.out) + rules.lines_of(run.err)
    assert rules.too_wide(lines, columns) == [], f"wider than {columns}"
    assert rules.broken(lines, hosts.WHOLE) == [], f"broken at {columns}"
    assert rules.unseen(run.out + run.err) == []


@ROW
def test_each_screen_fits_into_every_window(row, patch):
    for number in row.numbers:
        for columns in WIDTHS:
            check(row.run(patch, number, columns), columns)
    check(row.run(patch, row.numbers[-1], 80, "--wide"), 80)


@pytest.mark.parametrize("row", [row for row in ROWS if row.shows], ids=lambda row: row.name)
def test_each_scene_shows_what_it_is_for(row, patch):
    run = row.run(patch, row.numbers[0], 140)
    assert row.shows in run.out + run.err
    assert "internal error" not in run.err


@ROW
def test_each_screen_shows_what_a_pipe_gets_or_says_that_it_does_not(row, patch):
    number = row.numbers[-1]
    window = row.run(patch, number, 100, "--no-color")
    assert not rules.has_colours(window.out)
    pipe = row.run(patch, number, 0)
    assert "\x1b" not in pipe.out + pipe.err
    assert rules.broken(rules.lines_of(pipe.out), hosts.WHOLE) == []
    lines = rules.lines_of(window.out)
    missing = rules.shown(rules.lines_of(pipe.out), hosts.WHOLE) - rules.shown(lines, hosts.WHOLE)
    assert not missing or rules.has_mark(lines)


@ROW
def test_each_command_to_type_is_about_the_hosts_of_the_same_file(row, patch):
    """Without --inventory, it would change hosts of another file that have the same names."""
    file = os.environ["OPSTASKS_HOSTS"]
    for number in row.numbers:
        run = row.run(patch, number, 0, "--inventory", file)
        assert set(COMMAND.findall(run.out + run.err)) - OF_OTHERS == set()


def test_each_task_has_a_row_or_a_reason():
    rows = {row.words[0] for row in ROWS}
    default = {"deploy.apply": "deploy", "scheduled.show": "scheduled"}
    named = [default.get(name, name) for name in namespace.task_names]
    assert sorted(set(named) - rows - set(NO_SCREEN)) == []
    assert sorted((rows | set(NO_SCREEN)) - set(named)) == []
