"""prepare-reboot: refusing, scheduling and following."""

import json
from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct

from opstasks.core.errors import (
    InvalidResponse,
    Lost,
    Refused,
    TimedOut,
    Unreachable,
    VerifyFailed,
)
from opstasks.core.result import Result
from opstasks.core.state import HostState
from opstasks.fleet import audit
from opstasks.maintenance import prepare, prepare_own
from opstasks.maintenance.onhost.database import RunningJob
from opstasks.maintenance.onhost.records import ItemStep
from opstasks.maintenance.prepare import (
    CLAIMS,
    INSPECT,
    ClaimsAnswer,
    ClaimsRequest,
    PrepareInspectRequest,
    RebootPlan,
    RebootRequest,
)
from opstasks.maintenance.records import READ, MaintenanceRequest
from opstasks.maintenance.schedule import SCHEDULE, ScheduleAnswer
from opstasks.maintenance.site import site_for
from tests.fake_host import ANY, refused
from tests.maintenance.client_help import NOW, make_item, make_maintenance

PLAN = RebootPlan(now_at=NOW, due_at=NOW, due_there="now")
PREPARED = HostState(service="stopped", paused=True, prepared=True, boot_id="now")
SERVING = HostState(service="up", paused=False, prepared=False, boot_id="now")


@pytest.fixture
def host(fake_host, monkeypatch):
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    monkeypatch.setattr(audit, "who", lambda: "ann@laptop")
    return fake_host()


# -- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["22:00", " 07:05 ", "7:05", "2026-12-01 22:00", "2026-12-01T22:00", "2026-12-01 7:05"]
)
def test_valid_times_are_accepted(text):
    times = ("22:00", "07:05", "2026-12-01 22:00", "2026-12-01 07:05")
    assert prepare.check_at(text) in times


@pytest.mark.parametrize(
    "text",
    [
        "",
        "22",
        "24:00",
        "22:60",
        "2026-02-30 10:00",
        "now",
        "2026-12-01",
        "22:00; reboot",
        "22:00\n23:00",
        "\uff12\uff12:00",
    ],
)
def test_invalid_times_are_refused(text):
    with pytest.raises(Refused):
        prepare.check_at(text)


# -- before the question ---------------------------------------------------------------------


def inspected(host, plan, request=None, **options):
    """Inspect a host that answers with a plan."""
    request = request or RebootRequest()
    asked = PrepareInspectRequest(site_for(host.spec), request.at, request.delay_s)
    host.expect(INSPECT, asked, plan, user="root")
    return prepare.inspect(host, request, **{"yes": False, **options})


def test_a_host_that_can_be_prepared_is_shown(host):
    plan = replace(PLAN, jobs=(RunningJob("a", "w", "b", 5.0),), is_paused=True)
    assert inspected(host, plan, RebootRequest(at="22:00")) == plan


def test_a_host_with_problems_is_refused(host):
    with pytest.raises(Refused, match="cannot be prepared: no docker; no room") as caught:
        inspected(host, replace(PLAN, problems=("no docker", "no room")))
    assert caught.value.hint == "inv -H tpp status"


@pytest.mark.parametrize(
    ("problem", "hint"),
    [
        ("jobrunner is masked: systemd would not start it again", "systemctl unmask jobrunner,"),
        ("jobrunner would run as root, not as opensafely: /x", "systemctl cat jobrunner shows"),
        (
            "jobrunner-network.service is masked: systemd would not start it again",
            "unmask jobrunner-network.service,",
        ),
    ],
)
def test_a_unit_that_could_not_be_started_again_has_its_own_hint(host, problem, hint):
    with pytest.raises(Refused, match="cannot be prepared: jobrunner") as caught:
        inspected(host, replace(PLAN, problems=(problem, "no docker")))
    assert hint in caught.value.hint


def test_a_second_preparation_is_refused_unless_it_replaces(host):
    plan = replace(PLAN, scheduled=(make_item(who="bob", due_there="22:00"),))
    with pytest.raises(Refused, match=r"scheduled already by bob for 22:00 \(one\)") as caught:
        inspected(host, plan)
    assert "scheduled.cancel one" in caught.value.hint
    assert inspected(host, plan, RebootRequest(replace=True)) == plan


def test_a_time_far_ahead_needs_yes(host):
    far = replace(PLAN, due_at=NOW + 8 * 86400)
    request = RebootRequest(at="2027-01-23 08:00")
    with pytest.raises(Refused, match="7 days"):
        inspected(host, far, request)
    assert inspected(host, far, request, yes=True) == far


def test_a_time_that_has_passed_is_refused_by_the_host(host):
    with pytest.raises(Refused, match="has passed on the host"):
        inspected(host, refused("20:00 has passed on the host"), RebootRequest(at="20:00"))


@pytest.mark.parametrize(
    "words",
    [
        {"now_at": None},
        {"due_at": 1e12},
        {"due_there": None},
        {"problems": [None]},
        {"is_serving": None},
        {"jobs": [{"id": None}]},
        {"jobs": [{"id": "a", "started_at": 1e12}]},
        {"jobs": [{"id": "a", "workspace": None}]},
        {"scheduled": [{"due_at": None}]},
    ],
)
def test_nonsense_of_a_host_is_an_invalid_response(words):
    told = {"now_at": NOW, "due_at": NOW, "due_there": "now", **words}
    with pytest.raises(InvalidResponse) as caught:
        INSPECT.decode(Result("", 0, json.dumps({"ok": told}), ""), "tpp")
    assert caught.value.host == "tpp"


# -- later and now ---------------------------------------------------------------------------


def test_work_for_later_is_scheduled_with_the_lock_held(host):
    request = RebootRequest(delay_s=60, drain_s=30, reboot=True, why="patches", replace=True)
    item = make_item(id="r1", due_at=NOW + 60, due_there="22:00")
    host.expect_lock("scheduled.add")
    host.expect(SCHEDULE, ANY, ScheduleAnswer(item), user="root")
    result = prepare.apply_later(host, request, replace(PLAN, due_at=NOW + 60))
    assert (result.state, result.id, result.due_there) == ("scheduled", "r1", "22:00")
    asked = host.seen[-1].request
    assert asked.replace
    assert (asked.item.drain_s, asked.item.reboot, asked.item.timed) == (30, True, True)
    assert (asked.item.who, asked.item.why, asked.item.lock_wait_s) == (
        "ann@laptop",
        "patches",
        600,
    )


def expect_claims(host, state):
    host.expect(CLAIMS, ClaimsRequest(site_for(host.spec)), ClaimsAnswer(state), user="root")


def expect_preparation(host, state=PREPARED, **words):
    """A preparation that begins at once, its record at the end, and the state that is read then."""
    host.expect(SCHEDULE, ANY, ScheduleAnswer(make_item(id="r1")), user="root")
    ended = make_item(**{"id": "r1", "timed": False, "step": "done", **words})
    host.expect(READ, MaintenanceRequest(site_for(host.spec)), make_maintenance(ended), user="root")
    if state:
        expect_claims(host, state)


def test_work_for_now_is_followed_to_its_end(host):
    expect_preparation(host, outcome="ready", requeued=("a",))
    result = prepare.apply_now(host, RebootRequest(), PLAN)
    assert (result.state, result.requeued, result.changed) == ("READY TO REBOOT", ("a",), True)
    assert result.now == PREPARED


@pytest.mark.parametrize("trouble", [Unreachable("connection lost"), TimedOut("no answer")])
@pytest.mark.parametrize("outcome", ["ready", "failed", "cancelled"])
def test_a_host_that_is_lost_after_the_work_is_in_an_unknown_state(host, outcome, trouble):
    """Not "unreachable", which would mean that nothing was touched."""
    expect_preparation(host, None, outcome=outcome)
    host.expect(CLAIMS, ClaimsRequest(site_for(host.spec)), trouble, user="root")
    with pytest.raises(Lost, match=f"r1 ended: {outcome}; then the connection was lost") as caught:
        prepare.apply_now(host, RebootRequest(), PLAN)
    assert caught.value.hint == "inv -H tpp scheduled"


def test_a_prepared_host_is_left_alone(host):
    expect_claims(host, PREPARED)
    ready = make_item(who="bob")
    result = prepare.apply_now(host, RebootRequest(), replace(PLAN, is_ready=True, ready=ready))
    assert (result.state, result.changed) == ("READY TO REBOOT", False)
    assert (result.note, result.now) == ("prepared already by bob", PREPARED)


def test_a_host_that_was_rebooted_during_the_question_is_prepared_again(host):
    expect_claims(host, replace_struct(SERVING, boot_id="another"))
    expect_preparation(host, outcome="ready")
    assert prepare.apply_now(host, RebootRequest(), replace(PLAN, is_ready=True)).changed


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (replace_struct(SERVING, boot_id="another"), "has been rebooted since"),
        (replace_struct(PREPARED, boot_id="another"), "has been rebooted since"),
        (SERVING, "somebody has changed that since"),
    ],
)
def test_a_host_that_is_not_ready_any_more_is_not_called_ready(host, state, text):
    expect_preparation(host, state, outcome="ready")
    with pytest.raises(VerifyFailed, match=text) as caught:
        prepare.apply_now(host, RebootRequest(), PLAN)
    assert caught.value.now == state
    assert caught.value.hint.startswith("inv -H tpp ")


GONE = "20260101T000000-aaaaaa by alice for 22:00"
BEGUN = tuple(ItemStep(NOW, text) for text in ("wait for the lock", "check", "pause new jobs"))


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        ({"outcome": "refused", "reason": "no docker"}, Refused, "refused: no docker"),
        ({"outcome": "cancelled", "reason": "by bob"}, Refused, "cancelled: by bob"),
        (
            {"outcome": "cancelled", "reason": "by bob", "steps": BEGUN},
            VerifyFailed,
            "cancelled: by bob",
        ),
        (
            {"outcome": "failed", "reason": "broken"},
            VerifyFailed,
            "failed: broken",
        ),
        (
            {"outcome": "failed", "reason": "broken", "left": ("it is still paused",)},
            VerifyFailed,
            "broken; not restored: it is still paused",
        ),
    ],
)
def test_a_failed_preparation_is_an_error(host, words, kind, text):
    expect_preparation(host, SERVING, **words)
    with pytest.raises(kind, match=text) as caught:
        prepare.apply_now(host, RebootRequest(), PLAN)
    assert caught.value.now == SERVING


@pytest.mark.parametrize(
    ("state", "task"),
    [
        (SERVING, "status"),
        (replace_struct(SERVING, paused=True), "unpause"),
        (replace_struct(SERVING, service="failed", paused=True), "service.start"),
    ],
)
def test_the_hint_of_a_failed_preparation_restores_what_is_left(host, state, task):
    words = {"outcome": "failed", "was_active": True, "paused_by_us": True}
    expect_preparation(host, state, **words)
    with pytest.raises(VerifyFailed) as caught:
        prepare.apply_now(host, RebootRequest(), PLAN)
    assert caught.value.hint == f"inv -H tpp {task}"


@pytest.mark.parametrize("outcome", ["refused", "cancelled", "failed"])
@pytest.mark.parametrize(
    ("state", "task"),
    [(SERVING, "scheduled --all; "), (replace_struct(SERVING, paused=True), "unp")],
)
def test_a_preparation_that_replaced_another_is_never_refused(host, outcome, state, task):
    """Exit code 2 would mean that nothing was touched."""
    words = {"outcome": outcome, "reason": "no docker", "replaced": (GONE,), "paused_by_us": True}
    expect_preparation(host, state, **words)
    with pytest.raises(VerifyFailed) as caught:
        prepare.apply_now(host, RebootRequest(replace=True), PLAN)
    assert caught.value.message == f"{outcome}: no docker; {GONE} was cancelled before that"
    assert caught.value.hint.startswith(f"inv -H tpp {task}")


def test_with_reboot_the_host_is_checked_after_its_boot(host, monkeypatch):
    waited = []

    def wait(host, before, limit_s, while_up):
        waited.append((before, limit_s))
        expect_claims(host, replace_struct(SERVING, boot_id="another"))

    monkeypatch.setattr(prepare, "wait_for_boot", wait)
    monkeypatch.setattr(prepare, "check_after_reboot", lambda host: "the checklist")
    expect_preparation(host, None, outcome="ready")
    result = prepare.apply_now(host, RebootRequest(reboot=True, boot_wait_s=60), PLAN)
    assert (result.state, result.checklist) == ("REBOOTED", "the checklist")
    assert (waited, result.now.boot_id) == ([("now", 60)], "another")


def test_a_reboot_that_the_host_called_off_is_an_error(host, monkeypatch):
    """What the record says is left is said, with the task that restores it."""
    changed = {"outcome": "failed", "reason": "somebody has changed the host", "was_active": True}
    ended = make_item(id="r1", step="done", left=("jobrunner is stopped",), **changed)

    def wait(host, before, limit_s, while_up):
        request = MaintenanceRequest(site_for(host.spec))
        host.expect(READ, request, make_maintenance(ended), user="root")
        expect_claims(host, replace_struct(SERVING, service="stopped"))
        while_up()

    monkeypatch.setattr(prepare, "wait_for_boot", wait)
    expect_preparation(host, None, outcome="ready")
    with pytest.raises(VerifyFailed, match="somebody has changed the host; not restored") as caught:
        prepare.apply_now(host, RebootRequest(reboot=True, boot_wait_s=60), PLAN)
    assert caught.value.hint == "inv -H tpp service.start"


def test_on_the_host_itself_the_reboot_is_not_waited_for(fake_host, monkeypatch):
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    host = fake_host(local=True)
    expect_preparation(host, None, outcome="ready")
    assert prepare.apply_now(host, RebootRequest(reboot=True), PLAN).state == "REBOOTING"


# -- as the service account --------------------------------------------------------------------


@pytest.fixture
def own(host):
    """A host where the service account runs the task itself."""
    host.login_name = "opensafely"
    return host


@pytest.mark.parametrize(
    ("words", "user"),
    [
        ({}, "opensafely"),
        ({"why": "patches"}, "opensafely"),
        ({"delay_s": 60}, "root"),
        ({"at": "22:00"}, "root"),
        ({"drain_s": 60}, "root"),
        ({"reboot": True}, "root"),
        ({"keep_paused": True}, "root"),
        ({"replace": True}, "root"),
    ],
)
def test_the_service_account_prepares_with_its_own_rights_where_it_can(own, words, user):
    request = RebootRequest(**words)
    asked = PrepareInspectRequest(site_for(own.spec), request.at, request.delay_s)
    own.expect(INSPECT, asked, PLAN, user=user)
    assert prepare.inspect(own, request, yes=False).own == (user == "opensafely")


def expect_own(host, answer):
    host.expect_lock("prepare-reboot")
    host.expect(prepare_own.OWN, ANY, answer, user="opensafely")


def test_the_service_account_gets_a_prepared_host(own):
    expect_own(own, prepare_own.OwnAnswer(True, ("a",), PREPARED))
    result = prepare.apply_now(own, RebootRequest(), replace(PLAN, own=True))
    assert (result.state, result.requeued, result.now) == ("READY TO REBOOT", ("a",), PREPARED)
    assert "the boot starts the service" in result.note


def test_a_disabled_service_is_not_said_to_start_with_the_boot(own):
    expect_own(own, prepare_own.OwnAnswer(True, (), PREPARED))
    plan = replace(PLAN, own=True, is_enabled=False)
    assert "the boot does not start it" in prepare.apply_now(own, RebootRequest(), plan).note


def test_a_service_that_was_started_meanwhile_is_not_called_ready(own):
    expect_own(own, prepare_own.OwnAnswer(True, ("a",), SERVING))
    with pytest.raises(VerifyFailed, match="somebody has changed that since: service up") as caught:
        prepare.apply_now(own, RebootRequest(), replace(PLAN, own=True))
    assert caught.value.now == SERVING
