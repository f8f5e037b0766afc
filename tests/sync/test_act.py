"""Starting, stopping and running the Level 3 sync, on a strict fake host."""

import pytest

from opstasks.core.command import cmd
from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.sync import act, facts, units
from opstasks.sync.act import UNITS, SyncResult, SyncUnitsAnswer, SyncUnitsRequest
from opstasks.sync.facts import INSPECT
from tests.fake_host import Reply, failed
from tests.sync.sync_help import SPEC, facts_with

ASKED = facts.inspect_request(SPEC)
FILES = units.files(SPEC)
OFF = {"timer": {"active_state": "inactive", "unit_file_state": "disabled"}}
ONLY_ENABLED = {"timer": {"active_state": "inactive", "unit_file_state": "enabled"}}
ONLY_ON = {"timer": {"active_state": "active", "unit_file_state": "disabled"}}
CRASHED = {
    "service": {"load_state": "loaded", "active_state": "failed", "result": "exit-code"},
    "last": {},
}
START = SyncUnitsRequest(SPEC.kept_in, FILES, enable=(units.TIMER,), restart=True)
STOP = SyncUnitsRequest(SPEC.kept_in, disable=(units.TIMER, units.SERVICE))


@pytest.fixture
def host(fake_host):
    return fake_host(level3_source=SPEC.level3_source)


def inspected(host, **over):
    host.expect(INSPECT, ASKED, facts_with(**over), user="opensafely")


def placed(host, request, reply=None):
    host.expect(UNITS, request, reply or SyncUnitsAnswer(True), user="root")


def last(started_at, ended_at=99.0, error="", copied=0):
    return {
        "last": dict(started_at=started_at, ended_at=ended_at, error=error, copied=copied),
    }


def test_start_does_nothing_if_the_sync_is_well(host):
    inspected(host)
    assert act.start(host) == SyncResult(False, "on", facts_with().last)


# The last record is of 10.0: the host's clock was set back since, or was not.
clocks = pytest.mark.parametrize("at", [5.0, 30.0])


@clocks
def test_start_waits_for_the_end_of_the_first_run(host, at):
    inspected(host, **OFF)
    host.expect_lock("sync.start")
    placed(host, START)
    inspected(host, **last(10.0))
    inspected(host, **last(at, 0.0))
    inspected(host, **last(at))
    result = act.start(host)
    assert (result.changed, result.last.ended_at) == (True, 99.0)


@clocks
def test_a_first_run_that_fails_is_a_failure(host, at):
    inspected(host, **OFF)
    host.expect_lock("sync.start")
    placed(host, START)
    inspected(host, **last(at, error="/e is not mounted"))
    with pytest.raises(VerifyFailed, match="its first run failed: /e is not mounted"):
        act.start(host)


def test_a_first_run_that_crashes_without_a_record_is_a_failure(host, monkeypatch):
    monkeypatch.setattr(act, "FIRST_RUN_S", 0)
    inspected(host, **CRASHED)
    host.expect_lock("sync.start")
    placed(host, START)
    inspected(host, **CRASHED)
    inspected(host, **CRASHED)
    with pytest.raises(CommandFailed, match=r"first run failed \(exit-code\)"):
        act.start(host)


def test_a_long_first_run_continues(host, monkeypatch):
    monkeypatch.setattr(act, "FIRST_RUN_S", 0)
    inspected(host, **OFF)
    host.expect_lock("sync.start")
    placed(host, START)
    for _ in range(2):
        inspected(host, **last(30.0, 0.0))
    assert act.start(host).last.ended_at == 0.0


def test_start_enables_a_timer_that_is_on_but_disabled(host):
    inspected(host, **ONLY_ON)
    host.expect_lock("sync.start")
    # The timer is restarted, to begin the run that we wait for.
    placed(host, START)
    inspected(host, **last(30.0))
    assert act.start(host).changed


def test_a_host_without_a_source_is_refused_before_any_round_trip(fake_host):
    for work in (act.start, act.once):
        with pytest.raises(Refused, match="level3_source"):
            work(fake_host())


def test_units_that_cannot_be_installed_are_a_failure(host):
    inspected(host, **OFF)
    host.expect_lock("sync.start")
    placed(host, START, failed("systemd does not accept the units", "line 3", "Traceback"))
    with pytest.raises(CommandFailed, match="cannot set up the sync: systemd does not") as caught:
        act.start(host)
    assert (caught.value.tail, caught.value.__cause__.traceback) == ("line 3", "Traceback")


def test_stop_does_nothing_if_the_sync_is_off(host):
    inspected(host, **OFF)
    assert not act.stop(host).changed


@pytest.mark.parametrize("left", [OFF, ONLY_ON, ONLY_ENABLED])
def test_a_start_claims_only_what_it_read_afterwards(host, left):
    inspected(host, **OFF)
    host.expect_lock("sync.start")
    placed(host, START)
    inspected(host, **last(30.0), **left)
    with pytest.raises(VerifyFailed, match="started, but it is off again") as caught:
        act.start(host)
    assert caught.value.hint.endswith("inv -H tpp sync.start")


@pytest.mark.parametrize(("left", "state"), [(OFF, "off"), ({}, "on")])
def test_once_shows_the_state_after_the_run(host, left, state):
    host.expect_lock("sync.once")
    placed(host, SyncUnitsRequest(SPEC.kept_in, FILES))
    inspected(host)
    host.expect(RUN, "", user="root")
    inspected(host, **last(30.0), **left)
    assert act.once(host).state == state


@pytest.mark.parametrize("left", [{}, ONLY_ON, ONLY_ENABLED])
def test_a_sync_that_does_not_stop_is_a_failure(host, left):
    inspected(host)
    host.expect_lock("sync.stop")
    placed(host, STOP)
    inspected(host, **left)
    with pytest.raises(VerifyFailed, match="still on"):
        act.stop(host)


def test_stop_also_disables_the_start_at_the_next_boot(host):
    inspected(host, **ONLY_ENABLED)
    host.expect_lock("sync.stop")
    placed(host, STOP)
    inspected(host, **OFF)
    assert act.stop(host).changed


RUN = cmd("systemctl", "start", units.SERVICE)


def test_once_does_not_join_a_run_that_began_too_early(host):
    host.expect_lock("sync.once")
    placed(host, SyncUnitsRequest(SPEC.kept_in, FILES))
    inspected(host, service={"load_state": "loaded", "active_state": "activating"})
    host.expect(RUN, "", user="root")
    host.expect(RUN, "", user="root")
    inspected(host, **last(30.0, copied=2))
    result = act.once(host)
    assert (result.changed, result.state, result.last.copied) == (True, "on", 2)


@clocks
def test_once_shows_what_it_copied(host, at):
    host.expect_lock("sync.once")
    placed(host, SyncUnitsRequest(SPEC.kept_in, FILES))
    inspected(host)
    host.expect(RUN, "", user="root")
    inspected(host, **last(at, copied=7))
    assert act.once(host).last.copied == 7


@pytest.mark.parametrize("record", [{}, {"last": {}}], ids=["the old one", "none"])
def test_once_without_a_record_is_a_failure(host, record):
    host.expect_lock("sync.once")
    placed(host, SyncUnitsRequest(SPEC.kept_in, FILES))
    inspected(host)
    host.expect(RUN, Reply(1, err="job failed"), user="root")
    inspected(host, **record)
    with pytest.raises(CommandFailed, match="no record") as caught:
        act.once(host)
    assert (caught.value.returned, caught.value.tail) == (1, "job failed")


def test_a_failed_run_shows_the_advice_of_its_record_but_not_as_a_hint(host):
    host.expect_lock("sync.once")
    placed(host, SyncUnitsRequest(SPEC.kept_in, FILES))
    inspected(host)
    host.expect(RUN, Reply(1), user="root")
    inspected(host, last={"started_at": 30.0, "ended_at": 31.0, "error": "x", "hint": "do y"})
    with pytest.raises(VerifyFailed, match="the run failed: x") as caught:
        act.once(host)
    assert caught.value.tail == "do y"
    assert caught.value.hint == "inv -H tpp sync.once; once that is corrected"


def test_a_host_that_is_being_changed_is_not_touched(host):
    from opstasks.fleet.lock import Owner

    inspected(host, **OFF)
    host.expect_lock("sync.start", held_by=Owner("ann", "deploy", "", "1"))
    with pytest.raises(Refused, match="ann"):
        act.start(host)
