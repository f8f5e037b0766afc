"""The screens of lock.show and lock.break, in windows of several widths."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.lock import NAMELESS, Owner
from opstasks.locks import screen
from opstasks.locks.break_lock import HeldLock, LockBreakResult, LockProcess
from opstasks.output.paragraphs import folded
from tests.screen_check import WIDTHS, check_fits, check_screen, text

NOW = 1_800_000_000.0
CLOCK = Clock(NOW)
SINCE = datetime.fromtimestamp(NOW - 720, UTC).isoformat()
ALICE = Owner("alice@laptop", "deploy", SINCE, "20270115T074800-4f2a9c")
STEP = LockProcess(4711, 1, "opensafely", 700.0, "git fetch --quiet origin", session=9)
MINE = LockProcess(4700, 1, "nobody", 60.0, "sleep 600")
HELD = HeldLock(ALICE, (STEP,))


def shown(width, **found):
    result = FleetResult([HostResult(host, "ok", held) for host, held in found.items()])
    # As in a task: no first line names the zone in a pipe.
    clock = replace(CLOCK, is_whole=not width)
    return screen.screen(lambda: clock, width).lines(result, width)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_hosts_that_are_being_changed_are_shown(width):
    found = {"tpp": HELD, "emis": HeldLock(None), "sandbox": HeldLock(NAMELESS, (MINE,))}
    found["other"] = HeldLock(NAMELESS)
    check_screen(__file__, "show", width, shown(width, **found))


def test_without_a_change_it_says_how_many_hosts_were_looked_at():
    found = {"a": HeldLock(None), "b": HeldLock(None), "c": HeldLock(None)}
    assert text(shown(80, **found)) == "no host is being changed, 3 hosts looked at\n"


@pytest.mark.parametrize("kill", [False, True])
def test_the_plan_of_a_break_names_the_owner_and_the_processes(kill):
    lines = screen.break_plan("tpp", HELD, CLOCK, 80, kill=kill, wide=False)
    check_screen(__file__, f"break-plan{'-kill' if kill else ''}", 80, lines)


def test_a_free_lock_has_nothing_to_break():
    lines = screen.break_plan("tpp", HeldLock(None), CLOCK, 80, kill=False, wide=False)
    assert text(lines) == "tpp: the lock is free, nothing to do\n"


def test_a_break_ends_with_what_was_stopped_and_what_to_do_next():
    told = screen.broken(CLOCK)
    assert told.host(LockBreakResult(True, ALICE, (4711,))) == (
        "lock free, 1 process of alice@laptop, deploy, since 07:48 UTC (12m) stopped"
    )
    assert told.host(LockBreakResult(False)) == "the lock is free already"
    assert text(screen.next_lines("tpp", ALICE)) == (
        "next:  run deploy again on tpp: it inspects the host and then continues\n"
    )
    assert "its task" in text(screen.next_lines("tpp", NAMELESS))


@pytest.mark.parametrize("width", WIDTHS)
def test_long_and_odd_texts_fit_into_every_window(width):
    odd = "\x1b[31m日本語 " * 40
    process = msgspec.structs.replace(STEP, command=odd, user="u" * 32, unit="x" * 40)
    owner = Owner("o" * 40, "t" * 40, SINCE, "")
    held = {"h" * 30: HeldLock(owner, (process,)), "g": HeldLock(NAMELESS, (process,))}
    check_fits(shown(width, **held), width)
    lines = screen.break_plan(
        "g", HeldLock(NAMELESS, (process,)), CLOCK, width, kill=True, wide=False
    )
    check_fits(folded(lines, width), width)


def test_in_a_pipe_each_moment_has_its_zone():
    assert re.search(r"20\d\d-\d\d-\d\d 07:48 UTC", text(shown(0, tpp=HELD)))
