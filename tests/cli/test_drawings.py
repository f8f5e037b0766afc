"""Screens of the program itself as files that a person can read: golden/NAME-WIDTH.txt.

`UPDATE_GOLDEN=1 pytest ...` writes them anew. The screens of tasks are in tests/FEATURE/golden.
"""

import itertools
import re
import sys

import pytest

from opstasks.core import events
from opstasks.core.errors import OpsError, Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.deploy import told
from opstasks.deploy.apply import DeployResult
from opstasks.output import failures
from opstasks.output.console import Console
from opstasks.output.parts import text_of_line
from opstasks.output.progress import Progress
from opstasks.output.summary import Summary
from tests.fuzz.stage import Screen
from tests.screen_check import check_golden

WIDTHS = (60, 80)
HOSTS = "hosts: {tpp: {}, emis: {}}\ngroups: {prod: {}}"
VERSION = re.compile(r"opstasks \d\S+")


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    (tmp_path / "hosts.yaml").write_text(HOSTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hosts.yaml"


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("words", [(), ("--help", "jobs.logs"), ("--help", "deploy")])
def test_help_looks_like_its_drawing(run_here, monkeypatch, columns, words):
    monkeypatch.setattr("opstasks.cli.help_screens.help.USUAL_WIDTH", columns)
    lines = VERSION.sub("opstasks 0.0.0", run_here(*words).out).splitlines()
    name = "-".join(word.strip("-") for word in words) or "overview"
    check_golden(__file__, f"{name}-{columns}", [[line] for line in lines])


WRONG = (
    "-H all jobs.ls --limit abc",
    "-H all jobs.ls --limit=-1",
    "-H all jobs.ls --limt 5",
    "stop",
    "reboot",
    "tpp status",
    "run docker ps",
    "-H tp status",
    "-H all outputs",
    "-H all history deploy",
    "-H all outputs.show",
    "-H all deploy pending",
    "",
)


def test_wrong_usage_looks_like_its_drawing(run_here):
    lines = []
    for words in filter(None, WRONG):
        done = run_here(*words.split())
        assert done.code == 2
        lines += [f"$ inv {words}", *done.err.rstrip("\n").split("\n"), ""]
    check_golden(__file__, "wrong-usage", [[line] for line in lines[:-1]])


def test_errors_of_hosts_look_like_their_drawings():
    many = [OpsError("no account opensafely", host=f"many-{n}") for n in range(1, 37)]
    for error in many:
        error.hint = f"inv -H {error.host} manage"
    dead = Unreachable("no answer from 192.0.2.10:22 in 10 s", host="tpp")
    dead.hint = "is the host up, and the VPN?"
    failed = OpsError("cannot copy the database", host="emis", tail="disk I/O error\nrow 7")
    failed.now = HostState(service="up", paused=True)
    failed.hint = "inv -H emis doctor"
    for width in WIDTHS:
        groups = failures.grouped([*many, dead, failed])
        lines = [line for group in groups for line in failures.lines(group, width)]
        check_golden(__file__, f"errors-{width}", lines)


# What a deploy of two hosts reports, and when, in seconds.
STEPS = (
    (0.0, events.StepReached("sandbox-1", "stop the service, snapshot the database", "stopped")),
    (1.5, events.StepReached("sandbox-1", "move dependencies and code, migrate", "moved")),
    (4.0, events.StepReached("sandbox-1", "start the service and watch it", "watched", 15.0)),
)


def run_lines(width):
    """What is at the bottom of the terminal while a deploy watches, and then its end."""
    progress = Progress()
    progress.begin(events.HostBegun("sandbox-1", 1, 2), 0.0)
    for at_s, event in STEPS:
        assert progress.step(event, at_s, width) == []
    yield from progress.lines(12.0, width, 20)
    yield ["--- sandbox-1 has ended ---"]
    yield from progress.end("sandbox-1", 19.4, width)


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_deploy_of_two_hosts_looks_like_its_drawing(monkeypatch, columns):
    screen = Screen(True)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("opstasks.core.window.size", lambda: (columns, 24))
    words = told.told(
        lambda count: f"{count} hosts at v2.73.0",
        lambda hosts: "inv -H sandbox deploy.rollback",
        columns,
    )
    now_s = itertools.chain([0.0], itertools.repeat(23.5))
    monkeypatch.setattr("time.monotonic", lambda: next(now_s))
    summary = Summary(Console(no_color=True), ["sandbox-1", "sandbox-2"], words)
    items = [
        HostResult("sandbox-1", "changed", result("up", 1), elapsed_s=19.4),
        HostResult("sandbox-2", "changed", result("stopped", 1), elapsed_s=4.1),
    ]
    for item in items:
        summary.show(FleetResult([item]))
    summary.end(FleetResult(items))
    lines = [text_of_line(line) for line in run_lines(columns)] + screen.text().splitlines()
    check_golden(__file__, f"deploy-run-{columns}", [[line] for line in lines])


def result(service, jobs):
    return DeployResult(
        True, "v2.71.0", "v2.73.0", now=HostState(service=service), running_jobs=jobs
    )
