"""What the tasks of maintenance show of their results."""

from dataclasses import replace

import invoke
import pytest

from opstasks.cli.app import App, Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.maintenance import pause_tasks, scheduled_tasks, tasks
from opstasks.maintenance.cancel import CancelResult
from opstasks.maintenance.checklist import Checklist, ChecklistLine
from opstasks.maintenance.pause import PauseResult
from opstasks.maintenance.prepare import PrepareResult
from opstasks.maintenance.scheduled import rows
from tests.maintenance.client_help import BY_BOB, NOW, UP, make_item, make_maintenance

ITEM = make_item(due_at=NOW + 3600, due_there="22:00", who="bob", reboot=True)


def test_a_pause_shows_who_made_it_and_until_when():
    assert pause_tasks._row(PauseResult(False)) == {"paused": False, "changed": False}
    shown = pause_tasks._row(PauseResult(True, replace(BY_BOB, since_at=NOW, until_at=NOW + 60)))
    assert (shown["by"], shown["since"], shown["until"]) == (
        "bob",
        "2027-01-15 08:00 UTC",
        "2027-01-15 08:01 UTC",
    )
    assert pause_tasks._row(PauseResult(True, BY_BOB))["until"] == "someone unpauses"
    by_hand = replace(BY_BOB, who="")
    assert pause_tasks._unpaused_row(PauseResult(True, by_hand))["was paused by"] == "hand"
    assert pause_tasks._unpaused_row(PauseResult(False))["was paused by"] == ""


def test_scheduled_work_shows_how_long_it_takes_to_come():
    (row,) = rows(make_maintenance(ITEM, units=UP), 0)
    what, state, when, span, *_ = scheduled_tasks._cells(row)
    assert (what, state, span) == ("prepare-reboot + reboot", "scheduled", "1h")
    assert when.startswith("22:00 (")
    assert scheduled_tasks._cells(replace(row, state="ready"))[3] == ""


def test_a_cancel_shows_what_was_cancelled():
    assert scheduled_tasks._cancelled(CancelResult(False))["what"] == "nothing was scheduled"
    done = replace(ITEM, outcome="cancelled", reason="cancelled by ann")
    shown = scheduled_tasks._cancelled(CancelResult(True, done))
    assert (shown["outcome"], shown["by"]) == ("cancelled: cancelled by ann", "bob")


def test_a_dry_cancel_names_every_candidate():
    assert scheduled_tasks._would([]) == {"would cancel": "nothing is scheduled"}
    (text,) = scheduled_tasks._would([ITEM, replace(ITEM, id="two")]).values()
    assert "(one) or prepare-reboot for 22:00" in text


def test_keep_going_passes_over_a_host_with_several_to_choose_from():
    found = {"a": [ITEM, replace(ITEM, id="two")], "b": [ITEM]}

    def choose(**options):
        ctx = Context(invoke.Config(), App(RunOptions(yes=True, **options)))
        return scheduled_tasks._choose_for_each(ctx, found)

    chosen, unclear = choose(keep_going=True)
    assert chosen == {"b": ITEM.id}
    assert [str(error) for error in unclear.values()] == [
        "a: 2 are scheduled. -> type one of these"
    ]
    with pytest.raises(Refused, match="a: 2 are scheduled"):
        choose()


def test_a_preparation_shows_its_time_or_its_requeued_jobs():
    later = tasks._row(PrepareResult(True, "scheduled", "one", NOW, "22:00"))
    assert later["when"].startswith("22:00")
    assert later["requeued"] == ""
    now = tasks._row(PrepareResult(True, "READY TO REBOOT", "one", requeued=("a", "b")))
    assert (now["when"], now["requeued"]) == ("", 2)


def test_a_checklist_with_a_bad_line_fails_its_host():
    good, bad = ChecklistLine("docker", True, "up"), ChecklistLine("pause", False, "paused", "x")
    result = FleetResult(
        [
            HostResult("a", "ok", Checklist((good,))),
            HostResult("b", "ok", Checklist((good, bad))),
            HostResult("c", "refused", error=Refused("no")),
        ]
    )
    judged = {item.host: item for item in tasks._judged(result, lambda value: value)}
    assert [judged[name].outcome for name in "abc"] == ["ok", "failed", "refused"]
    assert judged["b"].error.message == "pause: paused"
    assert judged["b"].error.hint == "x"
    assert tasks._list_of(PrepareResult(True, "scheduled")) is None


@pytest.mark.parametrize(("delay", "at"), [("1h", "22:00"), ("soon", ""), ("", "25:00")])
def test_invalid_times_are_refused(delay, at):
    with pytest.raises(Refused):
        tasks._times(delay, at, "", yes=False)
