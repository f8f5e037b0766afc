"""The screens of the Level 3 sync, in windows of several widths."""

from dataclasses import replace

import pytest

from opstasks.core.clock import Clock
from opstasks.core.errors import Unreachable
from opstasks.core.result import FleetResult, HostResult
from opstasks.sync import screen
from opstasks.sync.act import SyncResult
from opstasks.sync.facts import SyncRecord, SyncState
from tests.screen_check import WIDTHS, check_fits, check_screen, text

NOW = 1_800_000_000.0
CLOCK = Clock(NOW)
LAST = SyncRecord(
    started_at=NOW - 70,
    ended_at=NOW - 60,
    copied=12,
    copied_bytes=3_355_443,
    items=tuple(f"study-b/out/table {n}.csv" for n in range(12)),
    skipped=("study-b/link",),
)
GOOD = SyncState(
    source="/e/FILESFORL4/workspaces",
    on=True,
    enabled=True,
    installed=True,
    last=LAST,
    last_success_at=NOW - 60,
    now_at=NOW,
)
FAILED = replace(
    GOOD,
    last=replace(
        LAST,
        error="not copied, because something else is in their place",
        hint="look at both, move one away",
        clashes=("study-c/out",),
    ),
    last_success_at=NOW - 7200,
)
OFF = replace(GOOD, on=False, enabled=False, last=SyncRecord(), last_success_at=0.0)
NO_SOURCE = SyncState(source="", now_at=NOW)


def status():
    return FleetResult(
        [
            HostResult("tpp", "ok", GOOD),
            HostResult("sandbox-1", "ok", FAILED),
            HostResult("sandbox-2", "ok", OFF),
            HostResult("emis", "ok", NO_SOURCE),
            HostResult("gone", "unreachable", error=Unreachable("no answer")),
        ]
    )


@pytest.mark.parametrize("width", [60, 80, 140])
def test_status_says_first_where_the_sync_is_on_and_what_needs_a_person(width):
    lines = screen.screen(lambda: CLOCK, width).lines(status(), width)
    check_screen(__file__, "status", width, lines)


def test_a_last_success_in_the_future_has_no_age():
    ahead = FleetResult([HostResult("tpp", "ok", replace(GOOD, last_success_at=NOW + 3600))])
    lines = text(screen.screen(lambda: CLOCK, 120).lines(ahead, 120))
    assert "unknown" in lines
    assert " ago" not in lines
    assert "has not run since the host's clock was set back" in lines


@pytest.mark.parametrize("verb", ["start", "stop", "once"])
def test_the_plan_says_what_it_is_now_and_afterwards(verb):
    states = {"tpp": GOOD, "sandbox-2": OFF, "emis": NO_SOURCE}
    check_screen(
        __file__, f"{verb}-plan", 80, screen.plan_lines(verb, states, CLOCK, 80, wide=False)
    )


@pytest.mark.parametrize(
    ("verb", "result", "told"),
    [
        ("start", SyncResult(True, "on", LAST), "sync on, 12 files (3.2 MiB) copied, 1 skipped"),
        ("start", SyncResult(False, "on", LAST), "on already"),
        ("start", SyncResult(True, "on", SyncRecord(NOW)), "sync on, the first run goes on"),
        ("stop", SyncResult(True, "off", LAST), "sync off"),
        ("stop", SyncResult(False, "off"), "off already"),
        ("once", SyncResult(True, "off", LAST), "sync off, 12 files (3.2 MiB) copied"),
        ("once", SyncResult(False, "on", replace(LAST, copied=0)), "sync on, nothing new to copy"),
    ],
)
def test_a_change_ends_with_the_state_and_what_was_copied(verb, result, told):
    assert screen.done(verb).host(result).startswith(told)


@pytest.mark.parametrize(
    ("verb", "undo"), [("start", "inv -H a,b sync.stop"), ("stop", "inv -H a,b sync.start")]
)
def test_a_change_ends_with_its_undo(verb, undo):
    assert screen.done(verb).undo("a,b") == undo
    assert screen.done("once").undo("a,b") == ""


def test_only_the_first_names_of_copied_files_are_shown():
    result = SyncResult(True, "on", LAST)
    shown = text(screen.copied_lines("tpp", result, 2))
    assert shown == (
        "tpp  copied study-b/out/table 0.csv\ntpp  copied study-b/out/table 1.csv\n"
        "tpp  … 10 more (--limit 0)\n"
    )
    assert len(screen.copied_lines("tpp", result, 0)) == 12
    many = SyncResult(True, "on", replace(LAST, copied=5000))
    assert "… 4988 more (the host keeps no more names)" in text(screen.copied_lines("tpp", many, 0))
    assert screen.copied_lines("tpp", SyncResult(False, "on", LAST), 0) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_long_and_odd_texts_fit_into_every_window(width):
    odd = "\x1b[31m日本語 " * 60
    last = replace(LAST, error=odd, hint=odd, clashes=(odd,), copied_bytes=2**60)
    state = replace(GOOD, source="/" + "s" * 40, last=last, result=odd, outdated=True)
    result = FleetResult([HostResult("h" * 30, "ok", state)])
    check_fits(screen.screen(lambda: CLOCK, width).lines(result, width), width)
    check_fits(screen.plan_lines("stop", {"h" * 30: state}, CLOCK, width, wide=False), width)
