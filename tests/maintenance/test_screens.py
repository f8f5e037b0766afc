"""The screens of maintenance, in windows of several widths."""

import re
from dataclasses import replace

import pytest

from opstasks.core.clock import Clock
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.maintenance import (
    checklist_screen,
    pause_screen,
    reboot_screen,
    scheduled_screen,
    texts,
)
from opstasks.maintenance.cancel import CancelResult
from opstasks.maintenance.checklist import AfterFacts as Facts
from opstasks.maintenance.checklist import Checklist, make_lines
from opstasks.maintenance.onhost.database import RunningJob
from opstasks.maintenance.pause import PauseFacts, PausePlan, PauseResult
from opstasks.maintenance.prepare import PrepareResult, RebootPlan, RebootRequest
from opstasks.maintenance.records import Pause, UnreadableRecord
from opstasks.maintenance.scheduled import schedule_of
from opstasks.output.paragraphs import folded
from tests.maintenance.client_help import GOOD, NOW, OURS, READY, make_item, make_maintenance
from tests.screen_check import WIDTHS, check_fits, check_screen, text

CLOCK = Clock(NOW)
HOUR = 3600.0
BOB = Pause(
    who="bob@pc",
    why="database upgrade",
    since_at=NOW - 2400,
    until_at=NOW + 2 * HOUR,
    id="20270115T072000-4f2a9c",
    flag_at=NOW - 2400,
)
BY_HAND = Pause(since_at=NOW - 60, flag_at=NOW - 60)
ODD_TEXT = "a \x1b[31mred\x1b[0m text\nof a host, 日本語, which is long enough to be cut " * 3


# -- pause and unpause -----------------------------------------------------------------------


def paused(pause=None):
    return PauseFacts(pause, NOW, (), HostState(paused=pause is not None))


PAUSES = {
    "sandbox-1": PausePlan("pause", paused(), "host patches", 7200, NOW + 7200),
    "sandbox-2": PausePlan("replace", paused(BOB), "host patches", 7200, NOW + 7200),
    "tpp": PausePlan("nothing", paused(BY_HAND)),
}


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_plan_of_a_pause_says_whose_pause_it_replaces(width):
    check_screen(
        __file__, "pause-plan", width, pause_screen.pause_plan(PAUSES, CLOCK, width, wide=False)
    )


@pytest.mark.parametrize("width", [60, 80])
def test_the_plan_of_an_unpause_says_whose_pause_it_ends(width):
    facts = {"sandbox-1": paused(BOB), "sandbox-2": paused(BY_HAND), "tpp": paused()}
    check_screen(
        __file__, "unpause-plan", width, pause_screen.unpause_plan(facts, CLOCK, width, wide=False)
    )


def test_the_question_names_the_owner_of_each_pause():
    pauses = {"sandbox-1": BOB, "tpp": BY_HAND}
    assert pause_screen.question("End the pause", pauses) == (
        "End the pause of bob@pc on sandbox-1; of someone, by hand on tpp?"
    )


def test_a_pause_ends_with_its_state_and_how_to_undo_it():
    told = pause_screen.paused({"a": PAUSES["sandbox-1"]}, CLOCK)
    made = Pause(who="ann@pc", why="host patches", since_at=NOW, until_at=NOW + 7200)
    assert told.host(PauseResult(True, made, NOW)) == "paused until 10:00 (2h): host patches"
    assert told.whole(2) == "2 hosts paused"
    assert told.undo("a,b") == "inv -H a,b unpause"
    replaced = pause_screen.paused({"a": PAUSES["sandbox-2"]}, CLOCK)
    assert replaced.undo("a") == "", "an unpause would not bring back the other pause"
    assert told.host(PauseResult(False, BOB, NOW)).startswith("already paused by bob@pc")


def test_a_change_of_an_own_pause_is_undone_by_the_same_pause(monkeypatch):
    monkeypatch.setattr("opstasks.fleet.audit.who", lambda: BOB.who)
    changed = PausePlan("replace", paused(BOB), "host patches")
    assert pause_screen.paused({"a": changed}, CLOCK).undo("a") == (
        "inv -H a unpause; inv -H a pause --reason 'database upgrade' --for 2h"
    )
    other = PausePlan("change", paused(replace(BOB, why="disk")), "host patches")
    both = pause_screen.paused({"a": changed, "b": other}, CLOCK)
    assert both.undo("a,b") == "", "which one is not clear"
    new = pause_screen.paused({"a": changed, "b": PAUSES["sandbox-1"]}, CLOCK)
    assert new.undo("a,b") == "", "b was not paused before"
    idle = pause_screen.paused({"a": PAUSES["sandbox-1"], "b": PAUSES["tpp"]}, CLOCK)
    assert idle.undo("a") == "inv -H a unpause"


def test_an_unpause_ends_with_the_command_for_the_same_pause(monkeypatch):
    monkeypatch.setattr("opstasks.fleet.audit.who", lambda: BOB.who)
    told = pause_screen.unpaused({"a": paused(BOB)}, CLOCK)
    assert told.undo("a") == "inv -H a pause --reason 'database upgrade' --for 2h"
    assert told.host(PauseResult(True, None, NOW, before=BOB)) == "new jobs begin"
    assert told.host(PauseResult(False)) == "not paused, nothing to do"
    alike = pause_screen.unpaused({"a": paused(BOB), "b": paused(BOB), "c": paused()}, CLOCK)
    assert alike.undo("a,b") == "inv -H a,b pause --reason 'database upgrade' --for 2h"


@pytest.mark.parametrize(
    "pauses",
    [
        [],
        [OURS],
        [replace(BOB, who="ann")],
        [BY_HAND],
        [replace(BOB, until_at=NOW - 5)],
        [BOB, replace(BOB, why="disk")],
    ],
    ids=["none", "for a reboot", "somebody else's", "by hand", "over", "two different ones"],
)
def test_an_unpause_that_one_command_cannot_undo_offers_none(pauses, monkeypatch):
    monkeypatch.setattr("opstasks.fleet.audit.who", lambda: "ann" if OURS in pauses else BOB.who)
    told = pause_screen.unpaused({str(n): paused(p) for n, p in enumerate(pauses)}, CLOCK)
    assert told.undo("a,b") == ""


# -- scheduled -------------------------------------------------------------------------------

ID = "20270115T080000-4f2a9c"
REBOOT = make_item(
    id=ID,
    due_at=NOW + 4 * HOUR - 60,
    due_there="2027-01-15 11:59:00 UTC",
    who="ops@laptop",
    why="host patches",
    reboot=True,
    drain_s=HOUR,
)
END = make_item(
    id="20270115T072000-0b7711",
    kind="unpause",
    due_at=NOW + 2 * HOUR,
    due_there="2027-01-15 10:00:00 UTC",
    who="bob@pc",
    why="database upgrade",
)
DROPPED = make_item(
    id="20270114T220000-77aa00",
    boot_id="before",
    due_at=NOW - 10 * HOUR,
    due_there="2027-01-14 22:00:00 UTC",
    who="ops@laptop",
)
DONE = make_item(
    id="20270113T220000-12ab34",
    outcome="ready",
    step="done",
    boot_id="before",
    due_at=NOW - 34 * HOUR,
    finished_at=NOW - 34 * HOUR + 60,
    who="ops@laptop",
    why="host patches",
    reason="2 jobs requeued",
)
UNITS = {f"opstasks-{item.id}.timer": "active" for item in (REBOOT, END)}
RECORDS = {
    "sandbox-1": make_maintenance(REBOOT, END, DONE, pause=replace(BOB, id=END.id), units=UNITS),
    "sandbox-2": make_maintenance(DROPPED, DONE),
    "tpp": make_maintenance(),
}


def scheduled(width, *, limit=0, records=RECORDS, wide=False):
    result = FleetResult(
        [HostResult(host, "ok", schedule_of(found, limit)) for host, found in records.items()]
    )
    # As in a task: no first line names the zone in a pipe.
    clock = replace(CLOCK, is_whole=not width)
    screen = scheduled_screen.screen(
        lambda: clock, width, "inv -H all scheduled --all", with_past=bool(limit)
    )
    return screen.lines(result, width, wide=wide)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_scheduled_work_fits_and_says_what_needs_a_person(width):
    check_screen(__file__, "scheduled", width, scheduled(width))


@pytest.mark.parametrize("width", [80, 140])
def test_past_work_comes_last_on_request(width):
    check_screen(__file__, "scheduled-all", width, scheduled(width, limit=-1))


def test_nothing_scheduled_says_what_was_looked_for():
    empty = {"a": make_maintenance(DONE), "b": make_maintenance()}
    assert text(scheduled(80, records=empty)) == (
        "nothing is scheduled on 2 hosts; 1 past: inv -H all scheduled --all\n"
    )
    none = {"a": make_maintenance()}
    assert text(scheduled(80, records=none, limit=-1)) == (
        "nothing is scheduled on 1 host, and there is no past work\n"
    )


def test_a_record_that_cannot_be_read_is_named_and_nothing_is_promised():
    bad = (UnreadableRecord("20260101T000000-aaaaaa", "permission denied"),)
    shown = text(scheduled(120, records={"a": replace(make_maintenance(DONE), unreadable=bad)}))
    assert shown == (
        "nothing is scheduled on 1 host, as far as its records can be read\n"
        "a  the record 20260101T000000-aaaaaa cannot be read: permission denied\n"
    )


def test_the_host_s_own_time_is_shown_where_it_differs():
    item = replace(REBOOT, due_there="2027-01-15 12:59:00 BST")
    assert texts.due_text(item.due_at, item.due_there, CLOCK) == "11:59 (12:59 BST there)"
    assert texts.due_text(item.due_at, REBOOT.due_there, CLOCK) == "11:59"
    shown = text(scheduled(140, records={"a": make_maintenance(item, units=UNITS)}))
    assert "12:59 BST" in shown


@pytest.mark.parametrize(
    ("ahead_s", "shown"),
    [
        (3 * HOUR, "11:00 in 3h"),
        (19 * HOUR, "03:00 in 19h"),  # tomorrow, but not to be confused with today
        (30 * HOUR, "2027-01-16 14:00 in 1d6h"),
        (-HOUR, "07:00"),
        (-30 * HOUR, "2027-01-14 02:00"),
    ],
)
def test_a_moment_has_a_date_where_the_day_is_not_clear(ahead_s, shown):
    assert texts.when_text(NOW + ahead_s, CLOCK) == shown


@pytest.mark.parametrize("width", [60, 80])
def test_the_plan_of_a_cancel_says_what_happens_instead(width):
    chosen = {"sandbox-1": REBOOT, "sandbox-2": END}
    check_screen(__file__, "cancel-plan", width, scheduled_screen.cancel_plan(chosen, CLOCK, width))


def test_a_cancel_ends_with_the_command_that_schedules_it_again():
    told = scheduled_screen.cancelled({"tpp": REBOOT}, CLOCK)
    assert told.undo("tpp") == (
        "inv -H tpp prepare-reboot --at '2027-01-15 11:59' --drain 1h --reboot"
        " --reason 'host patches'"
    )
    done = replace(REBOOT, outcome="cancelled", reason="cancelled by ann@pc")
    assert told.host(CancelResult(True, done)) == "reboot 4f2a9c cancelled, cancelled by ann@pc"
    late = replace(REBOOT, due_at=NOW - 5)
    assert scheduled_screen.cancelled({"tpp": late}, CLOCK).undo("tpp") == ""
    assert scheduled_screen.cancelled({"a": REBOOT, "b": REBOOT}, CLOCK).undo("a,b") == ""


# -- prepare-reboot --------------------------------------------------------------------------

JOBS = (
    RunningJob("ovlotu2c4k6m7w3x", "study-b", "extract", NOW - 720),
    RunningJob("mhc4pvq2n5b7r3ty", "test", "longer", NOW - 780),
)
PLAN = RebootPlan(now_at=NOW, due_at=NOW, due_there="2027-01-15 08:00:00 UTC", jobs=JOBS)
LATER = replace(PLAN, due_at=NOW + 4 * HOUR, due_there="2027-01-15 12:00:00 UTC")
PLANS = {
    "sandbox-1": LATER,
    "sandbox-2": replace(
        LATER,
        jobs=(),
        is_serving=False,
        is_enabled=False,
        is_paused=True,
        pause=BOB,
        scheduled=(REBOOT,),
    ),
    "tpp": replace(LATER, jobs=(), is_ready=True, ready=make_item(who="bob@pc")),
}
LATER_REQUEST = RebootRequest(delay_s=4 * 3600, drain_s=3600, why="host patches")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_plan_of_a_preparation_names_jobs_and_what_it_replaces(width):
    lines = reboot_screen.plan_lines(PLANS, LATER_REQUEST, CLOCK, width, wide=False)
    check_screen(__file__, "prepare-plan", width, lines)


def test_the_plan_of_a_preparation_now_says_how_to_undo_it():
    lines = reboot_screen.plan_lines({"sandbox-1": PLAN}, RebootRequest(), CLOCK, 80, wide=False)
    check_screen(__file__, "prepare-now-plan", 80, lines)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (replace(PLAN, is_ready=True), "READY TO REBOOT already"),
        (replace(PLAN, is_ready=True, ready=make_item(who="bob")), "already, prepared by bob"),
        (
            replace(PLAN, dead=(make_item(who="bob", step="draining"),)),
            "takes the place of one by bob, which ended at 'draining'",
        ),
        (replace(PLAN, is_paused=True, pause=BOB), "stays paused after the boot"),
        (replace(PLAN, is_paused=True, pause=OURS), "the boot ends the pause"),
        (replace(PLAN, is_serving=False), "stopped"),
        (replace(PLAN, is_enabled=False), "the boot will not start it"),
        (replace(PLAN, scheduled=(make_item(who="bob"),)), "replaces one: "),
        (replace(PLAN, own=True), "the boot starts the service"),
        (replace(PLAN, jobs=JOBS[:1]), "1 running job will begin again"),
    ],
)
def test_the_operator_sees_what_will_happen(plan, words):
    lines = reboot_screen.plan_lines({"a": plan}, RebootRequest(), CLOCK, 200, wide=False)
    assert words in text(lines)


@pytest.mark.parametrize(
    ("request_", "plan", "asked"),
    [
        (RebootRequest(), PLAN, "Prepare a, b for a reboot now?"),
        (RebootRequest(reboot=True), PLAN, "Prepare and REBOOT a, b now?"),
        (LATER_REQUEST, LATER, "Prepare a, b for a reboot at 12:00 in 4h?"),
    ],
)
def test_the_question_says_what_where_and_when(request_, plan, asked):
    plans = {"a": plan, "b": plan}
    assert reboot_screen.question(["a", "b"], plans, request_, CLOCK) == asked


def test_a_preparation_ends_with_what_to_do_next_and_how_to_undo_it():
    now = HostState(service="stopped", paused=True, prepared=True)
    told = reboot_screen.prepared({"a": PLAN}, RebootRequest(), {}, CLOCK)
    result = PrepareResult(True, "READY TO REBOOT", "one", requeued=("a",), now=now)
    assert told.host(result) == "READY TO REBOOT, service stopped, 1 job waits for the boot"
    assert told.whole(1) == "1 host READY TO REBOOT"
    assert told.undo("a") == "inv -H a service.start unpause"
    assert text([reboot_screen.next_line(["a"])]) == (
        "next:  reboot the host, then: inv -H a after-reboot\n"
    )
    assert told.host(PrepareResult(False, "READY TO REBOOT", note="prepared already by bob")) == (
        "READY TO REBOOT already, prepared already by bob"
    )


BY_BOB = {"is_paused": True, "pause": BOB}
UNDOS = [
    (PLAN, "service.start unpause"),
    (replace(PLAN, is_serving=False), "unpause"),
    (replace(PLAN, is_paused=True, pause=OURS), "service.start unpause"),
    (
        replace(PLAN, is_serving=False, dead=(make_item(was_active=True, step="stopping"),)),
        "service.start unpause",
    ),
    (replace(PLAN, **BY_BOB), "service.start"),
    (replace(PLAN, is_paused=True), "service.start"),
    (replace(PLAN, is_serving=False, **BY_BOB), ""),
    (replace(PLAN, own=True), "service.start"),
    (replace(PLAN, own=True, is_serving=False), ""),
]


@pytest.mark.parametrize(("plan", "words"), UNDOS)
def test_the_undo_of_a_preparation_starts_and_unpauses_only_what_it_changes(plan, words):
    """Whoever stopped the service before, or paused the host, meant that to last."""
    plans, request = {"a": plan}, RebootRequest()
    command = f"inv -H a {words}" if words else ""
    assert reboot_screen.prepared(plans, request, {}, CLOCK).undo("a") == command
    shown = text(reboot_screen.plan_lines(plans, request, CLOCK, 0, wide=False))
    assert shown.partition("Until the reboot, undo: ")[2].strip() == command


def test_hosts_whose_undo_differs_have_a_command_each():
    stopped = replace(PLAN, is_serving=False)
    plans = {"a": PLAN, "b": stopped, "c": PLAN, "d": replace(PLAN, is_ready=True)}
    shown = text(reboot_screen.plan_lines(plans, RebootRequest(), CLOCK, 0, wide=False))
    both = "inv -H a,c service.start unpause; inv -H b unpause"
    assert f"Until the reboot, undo: {both}\n" in shown
    assert reboot_screen.prepared(plans, RebootRequest(), {}, CLOCK).undo("a,b,c") == both


TIMES = {
    "tokyo-backend-1": replace(LATER, due_there="2027-01-15 21:00:00 JST", jobs=()),
    "sandbox-2": replace(LATER, due_at=NOW + 9 * HOUR, due_there="2027-01-15 17:00:00 UTC"),
}


@pytest.mark.parametrize("width", [60, 80, 140])
def test_times_that_differ_are_always_on_the_screen(width):
    request = RebootRequest(at="22:00", keep_paused=True)
    shown = text(reboot_screen.plan_lines(TIMES, request, CLOCK, width, wide=False))
    asked = reboot_screen.question(list(TIMES), TIMES, request, CLOCK)
    assert "at the times above" in asked
    for plan in TIMES.values():
        assert texts.due_text(plan.due_at, plan.due_there, CLOCK) in shown


@pytest.mark.parametrize("width", range(30, 80, 7))
def test_the_time_in_the_first_line_is_not_cut(width):
    plans = {"sandbox-1": replace(LATER, due_at=NOW + 40 * HOUR)}
    request = RebootRequest(at="2027-01-17 00:00", reboot=True)
    (first, *_) = reboot_screen.plan_lines(plans, request, CLOCK, width, wide=False)
    assert "…" not in text([first])


def test_an_undo_of_a_cancel_gives_only_ones_own_pause_an_end():
    """`pause` refuses to change the pause of somebody else."""
    end = replace(END, who=audit.who())
    assert scheduled_screen.cancelled({"tpp": end}, CLOCK).undo("tpp") == (
        "inv -H tpp pause --for 2h"
    )
    other = replace(END, who="bob@elsewhere")
    assert scheduled_screen.cancelled({"tpp": other}, CLOCK).undo("tpp") == ""


def test_a_preparation_for_later_ends_with_its_id():
    told = reboot_screen.prepared({"a": LATER, "b": LATER}, LATER_REQUEST, {"a": ID}, CLOCK)
    later = PrepareResult(True, "scheduled", ID, NOW + HOUR, "2027-01-15 09:00:00 UTC")
    assert told.host(later) == "scheduled for 09:00, id 4f2a9c"
    assert told.undo("a") == "inv -H a scheduled.cancel 4f2a9c"
    assert told.undo("a,b") == "inv -H a,b scheduled.cancel"


# -- after-reboot ----------------------------------------------------------------------------


def checklists():
    """A host that recovered, and one that did not."""
    down = replace(GOOD, has_docker=False, mounted=("/",))
    good = Checklist(make_lines("sandbox-1", Facts(GOOD, make_maintenance(READY))), True)
    bad = Checklist(make_lines("sandbox-2", Facts(down, make_maintenance(READY, pause=OURS))))
    return FleetResult([HostResult("sandbox-1", "ok", good), HostResult("sandbox-2", "ok", bad)])


@pytest.mark.parametrize("width", [60, 80, 140])
def test_checks_that_fail_come_first_with_the_command_to_type(width):
    screen = checklist_screen.screen(lambda: CLOCK, width)
    one = FleetResult([checklists().results[1]])
    check_screen(__file__, "after-reboot", width, screen.lines(one, width))


@pytest.mark.parametrize("width", [60, 80])
def test_with_several_hosts_the_checks_that_are_ok_share_a_row(width):
    screen = checklist_screen.screen(lambda: CLOCK, width, is_whole=False)
    check_screen(__file__, "after-reboot-all", width, screen.lines(checklists(), width))


def test_a_host_that_recovered_says_so_in_the_first_line():
    good = FleetResult([checklists().results[0]])
    first, *_ = checklist_screen.screen(lambda: CLOCK, 80).lines(good, 80)
    assert text([first]).startswith("all 8 checks ok on 1 host")


# -- any window, any text --------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("wide", [False, True])
def test_long_and_odd_texts_fit_into_every_window(width, wide):
    odd = {"who": "o" * 40, "why": ODD_TEXT}
    item = replace(REBOOT, **odd, due_at=NOW + 40 * HOUR)
    dropped = replace(DROPPED, **odd, reason=ODD_TEXT)
    records = {"h" * 30: make_maintenance(item, dropped, units=UNITS)}
    if not wide:
        check_fits(scheduled(width, records=records), width)
    pause = replace(BOB, **odd)
    plans = {"h" * 30: PausePlan("replace", paused(pause), ODD_TEXT, 60, NOW + 60)}
    check_fits(pause_screen.pause_plan(plans, CLOCK, width, wide=False), width)
    check_fits(scheduled_screen.cancel_plan({"h" * 30: item}, CLOCK, width), width)
    jobs = (RunningJob("j" * 16, "w" * 60, "a" * 60, NOW - 5),)
    plan = replace(LATER, pause=pause, is_paused=True, scheduled=(item,), jobs=jobs)
    lines = reboot_screen.plan_lines({"h" * 30: plan}, LATER_REQUEST, CLOCK, width, wide=False)
    check_fits(folded(lines, width), width)


def test_in_a_pipe_each_moment_has_its_zone():
    (row,) = [line for line in text(scheduled(0)).splitlines() if "4f2a9c" in line]
    assert re.search(r"20\d\d-\d\d-\d\d 11:59 UTC in 3h59m", row)
