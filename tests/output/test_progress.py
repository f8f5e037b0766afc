"""What is going on, as lines for the bottom of a terminal; times are given, nothing waits."""

import pytest

from opstasks.core.command import cmd
from opstasks.core.events import (
    CommandsEnded,
    CommandStarted,
    HostBegun,
    HostsAwaited,
    StepReached,
)
from opstasks.output.parts import text_of_line
from opstasks.output.progress import PATIENCE_S, Progress, step_line, took_text

HOSTS = ("a", "b", "tpp")


def texts(lines):
    return [text_of_line(line).rstrip() for line in lines]


def shown(progress, now_s, width=80, rows=20):
    return texts(progress.lines(now_s, width, rows))


def test_hosts_that_answer_at_once_are_not_announced():
    progress = Progress()
    progress.awaiting(HostsAwaited(HOSTS, HOSTS), 10.0, 80)
    assert shown(progress, 10.0 + PATIENCE_S / 2) == []
    progress.awaiting(HostsAwaited(HOSTS, ()), 10.1, 80)
    assert progress.is_idle


def test_the_hosts_that_have_not_answered_are_named():
    progress = Progress()
    progress.awaiting(HostsAwaited(HOSTS, HOSTS), 10.0, 80)
    progress.awaiting(HostsAwaited(HOSTS, ("tpp",)), 13.0, 80)
    assert shown(progress, 14.0) == ["2 of 3 hosts answered, waiting for tpp (4 s)"]
    progress.awaiting(HostsAwaited(("a",), ("a",)), 14.0, 80)
    assert shown(progress, 15.0) == ["waiting for a (5 s)"]


def test_a_host_that_is_asked_again_by_itself_is_named():
    """A task may ask the host of one job, after it has looked for the job on all hosts."""
    progress = Progress()
    progress.command(CommandStarted("tpp", "opensafely", cmd("true")), 10.0)
    progress.command(CommandStarted("tpp", "opensafely", cmd("true")), 12.0)
    assert shown(progress, 10.0 + PATIENCE_S / 2) == []
    assert shown(progress, 14.0) == ["waiting for tpp (4 s)"]
    progress.awaiting(HostsAwaited(HOSTS, HOSTS), 14.0, 80)
    assert shown(progress, 15.0) == ["0 of 3 hosts answered, waiting for a, b, tpp (1 s)"]
    progress.awaiting(HostsAwaited(HOSTS, ()), 16.0, 80)
    progress.command(CommandsEnded("tpp"), 16.0)
    assert (shown(progress, 19.0), progress.is_idle) == ([], True)


def test_a_command_that_shows_its_own_output_is_not_announced():
    progress = Progress()
    command = cmd("tail", "-f", "log").passing_on(lambda out, err: None)
    progress.command(CommandStarted("tpp", "opensafely", command), 10.0)
    assert (shown(progress, 14.0), progress.is_idle) == ([], True)


def test_the_first_of_many_hosts_are_named():
    progress = Progress()
    names = tuple(f"h{number}" for number in range(36))
    progress.awaiting(HostsAwaited(names, names), 0.0, 80)
    (line,) = shown(progress, 2.0)
    assert line == "0 of 36 hosts answered, waiting for h0, h1, h2 and 33 more (2 s)"


def test_rows_of_hosts_that_answered_are_above_the_progress():
    progress = Progress()
    progress.awaiting(HostsAwaited(HOSTS, HOSTS), 0.0, 80)
    progress.preview = lambda rows: [[f"row {number}"] for number in range(rows)]
    lines = shown(progress, 1.0, rows=5)
    assert lines[:4] == ["row 0", "row 1", "row 2", "… 2 more lines"]
    assert lines[4].startswith("0 of 3 hosts") and len(lines) == 5
    progress.awaiting(HostsAwaited(HOSTS, ()), 2.0, 80)
    assert shown(progress, 3.0) == []


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_low_window_shows_the_progress_before_anything_else(rows):
    progress = Progress()
    progress.awaiting(HostsAwaited(HOSTS, HOSTS), 0.0, 80)
    progress.preview = lambda rows: [["row"]] * 9
    lines = shown(progress, 1.0, rows=rows)
    assert len(lines) == rows and "waiting" in lines[-1]


def test_brief_steps_join_one_paragraph_with_their_seconds():
    progress = Progress()
    progress.begin(HostBegun("a", 1, 2), 0.0)
    assert shown(progress, 0.1) == ["[1/2] a  …"]
    for brief, now_s in (("stopped", 0.0), ("snapshot", 1.2), ("moved", 1.5)):
        assert progress.step(StepReached("a", f"{brief} now", brief=brief), now_s, 80) == []
    assert shown(progress, 4.0) == [
        "[1/2] a  stopped 1.2s  snapshot 0.3s",
        "         moved now  2.5s",
    ]
    assert texts(progress.end("a", 3.6, 80)) == ["[1/2] a  stopped 1.2s  snapshot 0.3s  moved 2.1s"]
    assert progress.is_idle


def test_a_paragraph_fits_into_the_window():
    progress = Progress()
    progress.begin(HostBegun("sandbox-1", 1, 2), 0.0)
    for number in range(6):
        progress.step(StepReached("sandbox-1", "x", brief=f"step-{number}"), float(number), 40)
    lines = texts(progress.end("sandbox-1", 6.0, 40))
    assert max(map(len, lines)) <= 40
    assert lines[0].startswith("[1/2] sandbox-1  step-0 1.0s")
    assert all(line.startswith(" " * 17) for line in lines[1:])


def test_a_watch_counts_its_seconds():
    progress = Progress()
    progress.begin(HostBegun("a", 1, 1), 0.0)
    progress.step(StepReached("a", "watching", lasts_s=15), 0.0, 80)
    assert shown(progress, 8.0) == ["[1/1] a  watching  8 of 15 s"]
    assert shown(progress, 99.0) == ["[1/1] a  watching  15 of 15 s"]


def test_a_step_without_a_brief_name_is_a_line_when_it_ends():
    progress = Progress()
    progress.begin(HostBegun("a", 1, 1), 0.0)
    progress.step(StepReached("a", "copy files"), 0.0, 80)
    over = progress.step(StepReached("a", "restart"), 2.0, 80)
    assert texts(over) == ["[1/1] a  copy files  2.0s"]


def test_a_step_of_a_host_that_is_read_ends_with_its_answer():
    progress = Progress()
    progress.awaiting(HostsAwaited(("a", "b"), ("a", "b")), 0.0, 80)
    progress.step(StepReached("a", "ask the service"), 0.0, 80)
    over = progress.awaiting(HostsAwaited(("a", "b"), ("b",)), 3.0, 80)
    assert texts(over) == ["a  ask the service  3.0s"]
    progress.awaiting(HostsAwaited(("a", "b"), ()), 3.0, 80)
    assert progress.is_idle


def test_a_step_outside_of_a_change_ends_with_the_result():
    progress = Progress()
    progress.step(StepReached("a", "read"), 0.0, 80)
    assert progress.is_between_hosts
    assert texts(progress.end_all(1.0, 80)) == ["a  read  1.0s"]
    assert progress.is_idle


def test_a_step_of_a_host_is_one_line_whatever_its_text():
    progress = Progress()
    progress.step(StepReached("a", "x\nerror  tpp is lost\x1b[2J"), 0.0, 80)
    (line,) = shown(progress, 0.0)
    assert line.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0s"), (19.44, "19.4s"), (90, "1m30s"), (-1, "0.0s")]
)
def test_how_long_something_took(seconds, text):
    assert took_text(seconds) == text


def test_in_a_pipe_a_step_is_told_when_it_begins():
    assert text_of_line(step_line(StepReached("a", "stop"), None)) == "a  stop"
    assert text_of_line(step_line(StepReached("a", "copy"), 2.0)) == "a  copy  (after 2.0s)"
