"""pause and unpause: the requests to a host, in order."""

import json
from dataclasses import replace

import pytest

from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed, Refused
from opstasks.core.result import Result
from opstasks.fleet import audit
from opstasks.fleet.lock import Owner
from opstasks.maintenance import pause as pausing
from opstasks.maintenance.pause import (
    PAUSE,
    UNPAUSE_PROGRAM,
    PauseAnswer,
    PauseRequest,
    UnpauseAnswer,
    UnpauseRequest,
)
from opstasks.maintenance.records import READ, MaintenanceRequest, Pause
from opstasks.maintenance.schedule import SCHEDULE, ScheduleAnswer
from opstasks.maintenance.site import site_for
from tests.fake_host import ANY, failed
from tests.maintenance.client_help import BY_BOB, NOW, make_item, make_maintenance


@pytest.fixture
def host(fake_host, monkeypatch):
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    monkeypatch.setattr(audit, "who", lambda: "ann@laptop")
    return fake_host()


def expect_read(host, **words):
    request = MaintenanceRequest(site_for(host.spec), with_flag=True)
    host.expect(READ, request, make_maintenance(**words), user=host.spec.service_user)


def test_a_pause_takes_the_lock_and_is_made_by_the_service_account(host):
    expect_read(host)
    host.expect_lock("pause")
    request = PauseRequest(site_for(host.spec), "ann@laptop", "db")
    made = Pause(who="ann@laptop", why="db", since_at=NOW, flag_at=NOW)
    host.expect(PAUSE, request, PauseAnswer(True, made), user="opensafely")
    result = pausing.pause(host, why="db")
    assert (result.changed, result.pause, result.now_at) == (True, made, NOW)


def test_an_existing_pause_is_left_alone(host):
    expect_read(host, pause=BY_BOB)
    assert pausing.pause(host) == pausing.PauseResult(False, BY_BOB, NOW)


def test_the_end_of_a_pause_is_scheduled_first_by_root(host):
    expect_read(host, pause=replace(BY_BOB, why="old"))
    host.expect_lock("pause")
    end = make_item(id="r1", due_at=NOW + 60)
    host.expect(SCHEDULE, ANY, ScheduleAnswer(end), user="root")
    request = PauseRequest(site_for(host.spec), "ann@laptop", "", NOW + 60, "r1")
    host.expect(PAUSE, request, PauseAnswer(True, BY_BOB), user="opensafely")
    pausing.pause(host, for_s=60)
    item = host.seen[1].request.item
    assert (item.id, item.kind, item.delay_s, item.timed) == ("r1", "unpause", 60, True)
    assert (item.who, item.why) == ("ann@laptop", "old")


def test_an_end_that_cannot_be_scheduled_pauses_nothing(host):
    expect_read(host)
    host.expect_lock("pause")
    host.expect(SCHEDULE, ANY, failed("systemd does not accept the work", "x", "line 1"))
    with pytest.raises(ProgramFailed, match="does not accept") as caught:
        pausing.pause(host, for_s=60)
    assert (caught.value.hint, caught.value.traceback) == ("inv -H tpp status", "line 1")


def test_unpausing_takes_the_lock_only_when_there_is_a_pause(host):
    expect_read(host)
    assert pausing.unpause(host) == pausing.PauseResult(False, None, NOW)
    expect_read(host, pause=BY_BOB)
    host.expect_lock("unpause")
    request = UnpauseRequest(site_for(host.spec))
    host.expect(UNPAUSE_PROGRAM, request, UnpauseAnswer(True), user="opensafely")
    assert pausing.unpause(host) == pausing.PauseResult(True, BY_BOB, NOW)


def test_a_host_that_someone_else_changes_is_refused(host):
    expect_read(host)
    host.expect_lock("pause", held_by=Owner("bob@pc", "deploy", "", "r0"))
    with pytest.raises(Refused, match="bob@pc"):
        pausing.pause(host)


@pytest.mark.parametrize(
    ("problem", "task"), [("the database does not exist", "manage"), ("disk I/O error", "doctor")]
)
def test_a_flag_that_cannot_be_read_has_a_hint(host, problem, task):
    expect_read(host, flag_error=problem)
    with pytest.raises(CommandFailed, match=f"cannot read the flag: {problem}") as caught:
        pausing.inspect(host)
    assert caught.value.hint == f"inv -H tpp {task}"


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        (PAUSE, {"changed": True, "pause": None}),
        (PAUSE, {"changed": None, "pause": {}}),
        (PAUSE, {"changed": True, "pause": {"until_at": 1e12}}),
        (PAUSE, {"changed": True, "pause": {"who": 3}}),
        (UNPAUSE_PROGRAM, {"changed": "yes"}),
        (SCHEDULE, {"item": None}),
        (SCHEDULE, {"item": {"due_at": 1e12}}),
    ],
)
def test_nonsense_of_a_host_is_an_invalid_response(program, answer):
    with pytest.raises(InvalidResponse) as caught:
        program.decode(Result("", 0, json.dumps({"ok": answer}), ""), "tpp")
    assert caught.value.host == "tpp"
