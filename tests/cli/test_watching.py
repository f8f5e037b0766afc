"""`--watch` of tasks that read hosts: rounds of answers, until Ctrl-C."""

import io
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit

from opstasks.cli import watching
from opstasks.core import events
from opstasks.core.errors import Refused, Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.output import live
from opstasks.output.console import Console
from opstasks.output.screens import Screen, no_answer
from opstasks.output.table import Column
from tests.screen_check import shown

SCREEN = Screen(
    (Column("HOST"), Column("FOUND")), lambda host, value: [[host, value]], failed=no_answer
)
SILENT = HostResult("b", "unreachable", error=Unreachable("no answer", host="b", hint="is it up?"))


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Fleet:
    """Answers in two parts in each round; the third round is interrupted."""

    def __init__(self):
        self.hosts = [SimpleNamespace(name=name) for name in ("a", "b")]
        self.outcomes = SimpleNamespace(is_kept=True)
        self.rounds = 0
        self.observer = events.ignore

    def gather(self, read, *, show, on_tick):
        self.rounds += 1
        if self.rounds == 3:
            raise KeyboardInterrupt
        self.observer(events.HostsAwaited(("a", "b"), ("b",)))
        show(FleetResult([HostResult("a", "ok", f"round {self.rounds}")]))
        on_tick()
        show(FleetResult([SILENT]))
        self.observer(events.HostsAwaited(("a", "b"), ()))


@pytest.fixture
def watched(monkeypatch):
    """What a run on a terminal drew, and the fleet."""
    out = Terminal()
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(watching.time, "sleep", lambda seconds: None)
    fleet = Fleet()
    ctx = SimpleNamespace(console=Console(no_color=True), fleet=fleet, quiet_fleet=fleet)
    with pytest.raises(Exit) as ended:
        watching.watch_hosts(ctx, lambda host: "", lambda: SCREEN, 2)
    assert ended.value.code == 130
    return out.getvalue(), fleet


def test_rows_are_drawn_as_they_arrive_and_the_last_ones_stay(watched):
    text, _ = watched
    first, *_ = text.split(live.HOME)[1:]
    assert "round 1" in first
    assert "awaited" in first
    assert "no answer" not in first
    kept = text.partition(live.LEAVE)[2]
    assert "round 2" in kept
    assert "error  no answer (b)" in kept
    assert "next:  is it up?" in kept


def test_the_terminal_is_as_it_was_and_the_run_is_not_recorded(watched):
    text, fleet = watched
    assert text.startswith(live.ENTER)
    assert text.count(live.LEAVE) == 1
    assert not fleet.outcomes.is_kept


def test_a_screen_that_has_not_changed_is_not_sent_again(monkeypatch):
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    with live.Display(Console(no_color=True)) as display:
        display.draw([["a"]])
        before = len(out.getvalue())
        display.draw([["a"]])
        assert len(out.getvalue()) == before


def test_lines_that_do_not_fit_are_counted():
    lines = shown(live.within([[f"line {n}"] for n in range(30)], 12, 10))
    assert len(lines) == 10
    assert lines[-1].startswith("… 21 more")
    assert all(len(line) <= 12 for line in lines)


@pytest.mark.parametrize("every_s", [0.0, -1.0, 0.1, 3601.0, float("nan"), float("inf")])
def test_an_interval_that_is_too_short_or_long_is_refused(every_s):
    with pytest.raises(Refused, match=r"^--every"):
        live.check(every_s, is_quiet=False)


def test_watch_needs_a_terminal_and_no_document(monkeypatch):
    with pytest.raises(Refused, match="a document must"):
        live.check(2, is_quiet=True)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    with pytest.raises(Refused, match="needs a terminal"):
        live.check(2, is_quiet=False)
