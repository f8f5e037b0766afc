"""pause and unpause: the requests to a host, in order."""

import json
from dataclasses import replace

import pytest

from opstasks.core.errors import CommandFailed, InvalidResponse, ProgramFailed, Refused
from opstasks.core.result import Result
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.fleet.lock import Owner
from opstasks.maintenance import pause as pausing
from opstasks.maintenance.onhost.records import UNPAUSE
from opstasks.maintenance.pause import (
    PAUSE,
    UNPAUSE_PROGRAM,
    PauseAnswer,
    PauseRequest,
    UnpauseAnswer,
    UnpauseRequest,
)
from opstasks.maintenance.records import READ, MaintenanceRequest, Pause
from opstasks.maintenance.schedule import SCHEDULE
from opstasks.maintenance.site import site_for
from tests.fake_host import ANY, failed
from tests.maintenance.client_help import BY_BOB, NOW, make_item, make_maintenance


@pytest.fixture
def host(fake_host, monkeypatch):
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    monkeypatch.setattr(audit, "who", lambda: "ann@laptop")
    return fake_host()


def expect_read(host, *items, **words):
    request = MaintenanceRequest(site_for(host.spec), with_flag=True)
    host.expect(READ, request, make_maintenance(*items, **words), user=host.spec.service_user)


BY_ANN = replace(BY_BOB, who="ann@laptop", why="old")
PAUSED = HostState(paused=True)
END = make_item(kind=UNPAUSE)


def expect_pause(host, made, user, **words):
    """A pause with the lock held; the request says what was seen and what is wanted."""
    host.expect_lock("pause")
    request = PauseRequest(site_for(host.spec), "ann@laptop", **words)
    host.expect(PAUSE, request, PauseAnswer(True, made, PAUSED), user=user)


def pause(host, **words):
    """Look, and do what was planned."""
    return pausing.pause(host, pausing.plan(host, **words))


def unpause(host):
    return pausing.unpause(host, pausing.inspect(host))


def test_a_pause_takes_the_lock_and_is_made_by_the_service_account(host):
    expect_read(host)
    made = Pause(who="ann@laptop", why="db", since_at=NOW, flag_at=NOW)
    expect_pause(host, made, "opensafely", why="db")
    result = pause(host, why="db")
    assert (result.changed, result.pause, result.now_at) == (True, made, NOW)
    assert result.now == PAUSED


def test_an_existing_pause_is_left_alone(host):
    expect_read(host, pause=BY_BOB)
    result = pause(host)
    assert (result.changed, result.pause, result.now.paused) == (False, BY_BOB, True)


OTHERS = [BY_BOB, replace(BY_BOB, who=""), replace(BY_ANN, task="prepare-reboot")]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    ("words", "flags"),
    [({"why": "it's mine"}, '--reason "it\'s mine"'), ({"for_s": 90}, "--for 1m30s")],
)
def test_the_pause_of_somebody_else_keeps_its_reason_and_end(host, other, words, flags):
    expect_read(host, pause=replace(other, why="upgrade", until_at=NOW + 60))
    with pytest.raises(Refused, match=r"paused already by .*until .*: upgrade") as caught:
        pausing.plan(host, **words)
    assert caught.value.hint.endswith(f": inv -H tpp pause --replace {flags}")


@pytest.mark.parametrize("other", OTHERS)
def test_a_pause_is_replaced_on_request_and_shown(host, other):
    expect_read(host, pause=other)
    expect_pause(host, BY_ANN, "opensafely", why="mine", seen_at=NOW, replace=True)
    plan = pausing.plan(host, why="mine", replace=True)
    assert plan.taken == other, "a question says whose it is"
    assert pausing.pause(host, plan).before == other


def test_ones_own_pause_is_replaced_without_a_question(host):
    expect_read(host, pause=BY_ANN)
    assert pausing.plan(host, why="mine", replace=True).taken is None


def test_the_end_of_a_replaced_pause_is_cancelled_by_root(host):
    expect_read(host, END, pause=replace(BY_BOB, id="one", until_at=NOW + 60))
    expect_pause(host, BY_ANN, "root", seen_at=NOW, replace=True)
    pause(host, replace=True)


def test_ones_own_pause_gets_a_new_reason_without_root(host):
    expect_read(host, END, pause=replace(BY_ANN, id="one", until_at=NOW + 60))
    expect_pause(host, BY_ANN, "opensafely", why="new", seen_at=NOW)
    plan = pausing.plan(host, why="new")
    assert plan.until_at == NOW + 60, "what is not named is kept"
    pausing.pause(host, plan)


def test_the_end_of_a_pause_is_scheduled_by_root(host):
    expect_read(host, pause=BY_ANN)
    host.expect_lock("pause")
    host.expect(PAUSE, ANY, PauseAnswer(True, BY_ANN), user="root")
    plan = pausing.plan(host, for_s=60)
    assert (plan.until_at, plan.why) == (NOW + 60, "old")
    pausing.pause(host, plan)
    item = host.seen[-1].request.end
    assert (item.id, item.kind, item.delay_s, item.timed) == ("r1", "unpause", 60, True)
    assert item.who == "ann@laptop"


def test_a_pause_that_fails_has_a_hint(host):
    expect_read(host)
    host.expect_lock("pause")
    host.expect(PAUSE, ANY, failed("systemd does not accept the work", "x", "line 1"))
    with pytest.raises(ProgramFailed, match="does not accept") as caught:
        pause(host, for_s=60)
    assert (caught.value.hint, caught.value.traceback) == ("inv -H tpp doctor", "line 1")


@pytest.mark.parametrize(
    ("ends", "login", "user"),
    [((), "ops", "opensafely"), ((END,), "ops", "root"), ((END,), "opensafely", "opensafely")],
)
def test_unpausing_takes_the_lock_only_when_there_is_a_pause(host, ends, login, user):
    """root cancels the scheduled end; without root, the end does nothing at its time."""
    host.login_name = login
    expect_read(host, *ends)
    assert not unpause(host).changed
    expect_read(host, *ends, pause=BY_BOB)
    host.expect_lock("unpause")
    request = UnpauseRequest(site_for(host.spec), BY_BOB.flag_at)
    answer = UnpauseAnswer(True, HostState(paused=False))
    host.expect(UNPAUSE_PROGRAM, request, answer, user=user)
    result = unpause(host)
    assert (result.changed, result.before, result.pause) == (True, BY_BOB, None)
    assert result.now.paused is False


@pytest.mark.parametrize(
    ("found", "is_others"),
    [(None, False), (BY_ANN, False), (BY_BOB, True), (replace(BY_BOB, who=""), True)],
)
def test_it_is_known_whose_pause_an_unpause_ends(host, found, is_others):
    expect_read(host, pause=found)
    assert pausing.inspect(host).is_others is is_others


def test_a_host_that_someone_else_changes_is_refused(host):
    expect_read(host)
    host.expect_lock("pause", held_by=Owner("bob@pc", "deploy", "", "r0"))
    with pytest.raises(Refused, match="bob@pc"):
        pause(host)


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
