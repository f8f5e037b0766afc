"""The exit code of `status`: which hosts are not ok (docs/exit-codes.md)."""

from dataclasses import replace

import pytest

from opstasks.core.errors import ProgramFailed, Unreachable
from opstasks.deploy.release import Release
from opstasks.fleet import lock
from opstasks.jobs.join import HostContainers
from opstasks.jobs.model import Container, Job
from opstasks.jobs.read import JobsAnswer
from opstasks.maintenance.records import ScheduledItem
from opstasks.output.documents import fleet_document
from opstasks.status.verdict import conclude
from opstasks.sync.facts import SyncRecord, SyncState
from tests.status.status_help import (
    HOUR,
    JOBS,
    NOW,
    REBOOT,
    dying,
    fleet,
    judged,
    maintenance,
    pause,
    release,
    stopped,
    unit,
)

EXECUTING = Job("a", "w", "x", "running", "executing", updated_at=NOW - HOUR)
EXITED = Container("os-job-a", "i", "exited")
OLD = Job("b", "w", "x", "failed", "nonzero_exit", updated_at=NOW - HOUR)
LEFT = HostContainers((Container("os-job-b", "i", "exited"),), (OLD,))
SYNC = SyncState("/e", on=True, enabled=True, installed=True, now_at=NOW)
FAILED_ITEM = ScheduledItem(
    id="x",
    outcome="failed",
    reason="no room",
    step="stopping",
    boot_id="boot",
    finished_at=NOW - 60,
)
LOST_ITEM = replace(REBOOT, id="lost", boot_id="earlier")
LATE = {"who": "ann@laptop", "until_s": -600}

INTENDED = {
    "nothing": {},
    "a pause without an end": {"maintenance": maintenance(pause=pause(23 * HOUR))},
    "a pause with an end": {"maintenance": maintenance(pause=pause(48 * HOUR, HOUR))},
    "a pause that ends now": {"maintenance": maintenance(pause=pause(HOUR, -60))},
    "a stop": {"unit": stopped(23 * HOUR)},
    "a start": {"unit": unit(5, ActiveState="activating", SubState="start")},
    "a scheduled reboot": {"maintenance": maintenance(REBOOT)},
    "failed jobs": {"jobs": replace(JOBS, ended_day={"failed": 7})},
    "an almost full disk": {"disks_percent": {"/": 97}},
    "a repaired crash": {"unit": unit(900, NRestarts="1")},
    "a service that no boot starts": {"unit": unit(UnitFileState="disabled")},
    "a release that was undone": {"releases": (release(outcome="rolled back"),)},
    "a deploy at work": {
        "releases": (release(outcome=""),),
        "lock_owner": lock.Owner("ann@laptop", "deploy", "", "r"),
    },
    "a sync that is off": {"sync": replace(SYNC, on=False, last_success_at=NOW - HOUR)},
    "what an ended job left": {"jobs": JobsAnswer(NOW, {}, {}, (), docker=LEFT)},
}
WRONG = {
    "a crash": ("down", {"unit": dying(restarts=0)}),
    "a crash loop": ("down", {"unit": dying()}),
    "no unit": ("down", {"unit": unit(LoadState="not-found", ActiveState="inactive")}),
    "a failed unit": ("failed", {"unit": unit(ActiveState="failed", SubState="failed")}),
    "code without its database": ("failed", {"misfit": "the code needs database version 1"}),
    "a part that cannot be read": ("failed", {"problems": ("releases: no",)}),
    "a database that cannot be read": (
        "failed",
        {"jobs": JobsAnswer(0, {}, {}, (), problem="the database is locked")},
    ),
    "docker": ("failed", {"jobs": replace(JOBS, docker=HostContainers(problem="it hangs"))}),
    "a failed preparation": ("failed", {"maintenance": maintenance(FAILED_ITEM)}),
    "a failing sync": ("failed", {"sync": replace(SYNC, last=SyncRecord(error="no mount"))}),
    "a pause that is not known": (
        "failed",
        {"maintenance": replace(maintenance(), flag_error="no such table")},
    ),
    "a sync from before the clock was set back": (
        "stale",
        {"sync": replace(SYNC, last_success_at=NOW + HOUR)},
    ),
    "a late sync": ("stale", {"sync": replace(SYNC, last_success_at=NOW - HOUR)}),
    "a job without its container": (
        "stale",
        {"jobs": JobsAnswer(NOW, {}, {}, (EXECUTING,), docker=HostContainers((EXITED,)))},
    ),
    "an unfinished release": ("stale", {"releases": (release(outcome=""),)}),
    "a lock for hours": (
        "stale",
        {"lock_owner": lock.Owner("ann", "deploy", "2020-01-01T00:00:00+00:00", "r")},
    ),
    "lost work": ("stale", {"maintenance": maintenance(LOST_ITEM)}),
    "an old pause": ("forgotten", {"maintenance": maintenance(pause=pause(25 * HOUR))}),
    "a pause over its end": ("forgotten", {"maintenance": maintenance(pause=pause(HOUR, -600))}),
    "an old stop": ("forgotten", {"unit": stopped(25 * HOUR)}),
    "a sync that is off for days": (
        "forgotten",
        {"sync": replace(SYNC, on=False, last_success_at=NOW - 48 * HOUR)},
    ),
}
SILENT = Unreachable("no answer", host="b")


@pytest.mark.parametrize("facts", INTENDED.values(), ids=INTENDED)
def test_what_is_intended_or_can_wait_ends_with_0(facts):
    found = judged(**facts)
    assert found.ok, found.concerns
    assert conclude(fleet(tpp=found)).exit_code == 0


@pytest.mark.parametrize(("kind", "facts"), WRONG.values(), ids=WRONG)
def test_what_is_down_failed_stale_or_forgotten_ends_with_1(kind, facts):
    found = judged(**facts)
    assert found.concerns[0].kind == kind, found.concerns
    assert not found.ok
    assert conclude(fleet(tpp=found)).exit_code == 1


def test_each_kind_of_wrong_has_an_example():
    from opstasks.status import model

    assert {kind for kind, _ in WRONG.values()} == set(model.WRONG)


def test_no_answer_is_3_and_a_host_that_is_not_ok_counts_more():
    up, dead = judged(), judged(unit=dying())
    assert conclude(fleet(a=up, b=SILENT)).exit_code == 3
    assert conclude(fleet(a=dead, b=SILENT)).exit_code == 1
    assert conclude(fleet(a=up, b=ProgramFailed("no", host="b"))).exit_code == 1


def test_the_document_says_what_is_wrong_with_typed_values():
    host = fleet_document(conclude(fleet(tpp=judged(unit=dying()))))["hosts"]["tpp"]
    assert (host["outcome"], host["value"].ok) == ("failed", False)
    assert host["error"]["message"].startswith("down: died 3 times")
    assert host["error"]["hint"] == "inv -H tpp logs"


def test_a_host_that_is_not_ok_is_not_shown_a_second_time_as_an_error():
    (item,) = conclude(fleet(tpp=judged(unit=dying())))
    assert item.error.is_shown


def test_a_rollback_is_not_a_deploy():
    back = Release("r", kind="rollback", to_name="v2.71.0", outcome="deployed", started_at=NOW)
    found = judged(releases=(back,)).last_release
    assert (found.kind, found.to_name) == ("rollback", "v2.71.0")
