"""The steps of a deploy, and what happens when a step fails: no host needed."""

import json
from dataclasses import replace

import msgspec
import pytest

from opstasks.core.errors import (
    CommandFailed,
    Incomplete,
    Interrupted,
    Lost,
    ProgramFailed,
    Refused,
    Unreachable,
    VerifyFailed,
)
from opstasks.core.state import HostState
from opstasks.deploy import apply
from opstasks.deploy.apply import LOOK, STEP, StepAnswer, StepRequest
from opstasks.deploy.plan import make_plan
from opstasks.deploy.release import ReleaseSpec
from opstasks.fleet import audit
from tests.deploy.facts_help import FACTS, RECORD, STAY
from tests.fake_host import Reply, failed, refused
from tests.faults import hints

SPEC = ReleaseSpec(
    id="r1",
    who="ann@laptop",
    kind="deploy",
    ref="main",
    state_dir="/home/opensafely/opstasks",
    code="/home/opensafely/jobrunner/code",
    lib="/home/opensafely/jobrunner/lib",
    config_dir="/home/opensafely/config",
    database="/home/opensafely/jobrunner/workdir/db.sqlite",
    unit="jobrunner",
    from_code="a" * 40,
    to_code="b" * 40,
    from_lib="c" * 40,
    to_lib="c" * 40,
    from_name="v1",
    to_name="v2",
    watch_s=15,
    keep_snapshots=5,
)
# The same for the release of RECORD.
RESUMED = replace(
    SPEC, id="20240101T000000-abc", who="a@b", ref="", from_lib="", to_lib="", reason=""
)
EMPTY = StepAnswer(0, "", ())
AT_V1 = HostState(service="up", code="a" * 40, lib="c" * 40, database_version=1, unfinished="")
AT_V2 = HostState(service="up", code="b" * 40, lib="c" * 40, database_version=2, unfinished="")
GOOD = {
    "begin": EMPTY,
    "switch": StepAnswer(2, "", ()),
    "serve": StepAnswer(0, "", ("KeyError",)),
    "finish": StepAnswer(0, "", now=AT_V2),
}
UNTOUCHED = StepAnswer(0, "database untouched", now=AT_V1)
BROKE = failed("it broke", "last words", "Traceback: line 7")


@pytest.fixture
def tpp(fake_host, monkeypatch):
    monkeypatch.setattr(audit, "new_run_id", lambda: "r1")
    monkeypatch.setattr(audit, "who", lambda: "ann@laptop")
    return fake_host()


def replace_state(state, **values):
    return msgspec.structs.replace(state, **values)


def expect_steps(tpp, spec=SPEC, task="deploy", **replies):
    """Expect the lock, then these steps and no others."""
    tpp.expect_lock(task)
    for step, reply in replies.items():
        tpp.expect(STEP, StepRequest(step, spec), reply, user="opensafely")


def expect_roll_back(tpp, reason, reply=UNTOUCHED):
    request = StepRequest("roll_back", replace(SPEC, reason=reason))
    tpp.expect(STEP, request, reply, user="opensafely")


def expect_look(tpp, found, spec=SPEC, **values):
    answer = StepAnswer(0, "", now=found, **values)
    tpp.expect(LOOK, StepRequest("look", spec), answer, user="opensafely")


def until(step, reply):
    """The replies of a release that reaches this step."""
    names = list(GOOD)[: list(GOOD).index(step)]
    return {**{name: GOOD[name] for name in names}, step: reply}


def test_every_step_is_done_in_order(tpp):
    expect_steps(tpp, **GOOD)
    result = apply.apply(tpp, make_plan(FACTS))
    assert (result.changed, result.to_name, result.database_version) == (True, "v2", 2)
    assert result.now == AT_V2
    assert result.notes == ("KeyError still occurs, as before the release",)


def test_a_host_at_its_target_is_not_touched(tpp):
    assert not apply.apply(tpp, make_plan(STAY)).changed


def test_a_restart_is_one_step(tpp):
    stay = replace(SPEC, to_code="a" * 40, watch_s=3)
    expect_steps(tpp, stay, "deploy.restart", restart=StepAnswer(0, "", now=AT_V1))
    plan = make_plan(
        replace(STAY, code=replace(STAY.code, target_name="v2")), restart=True, watch_s=3
    )
    result = apply.apply(tpp, plan)
    assert (result.notes, result.now) == (("restarted",), AT_V1)


@pytest.mark.parametrize("step", GOOD)
def test_a_failed_step_goes_back_and_says_why(tpp, step):
    expect_steps(tpp, **until(step, BROKE))
    expect_roll_back(tpp, "it broke")
    with pytest.raises(VerifyFailed, match=r"v2 was not deployed: it broke. Now") as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert (caught.value.tail, caught.value.now) == ("last words", AT_V1)
    assert "the host is at v1, the service is up (database untouched)" in caught.value.message


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (replace_state(AT_V1, code="9" * 40), "the host is at 9999999999, the service is up"),
        (replace_state(AT_V1, service="stopped"), "the host is at v1, the service is stopped"),
        (replace_state(AT_V1, service=None), "the service is in an unknown state"),
        (HostState(), "the host is at an unknown commit, the service is in an unknown state"),
    ],
)
def test_an_error_says_only_what_was_read_after_going_back(tpp, now, text):
    expect_steps(tpp, **until("switch", BROKE))
    expect_roll_back(tpp, "it broke", StepAnswer(0, "", now=now))
    with pytest.raises(VerifyFailed) as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert text in caught.value.message
    assert caught.value.now == now


def test_a_release_whose_record_cannot_be_closed_is_not_undone(tpp):
    problem = "its record cannot be written: No space left on device"
    answer = StepAnswer(0, "", problem=problem, now=replace_state(AT_V2, unfinished="r1"))
    expect_steps(tpp, **until("finish", answer))
    with pytest.raises(VerifyFailed, match="v2 is in place, service up: its record") as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert caught.value.now.unfinished == "r1"


@pytest.mark.parametrize(
    ("cause", "first"),
    [
        ("full", "free some space there"),
        ("read-only", "find out why the disk is read-only (dmesg)"),
        ("no folder", "look at what is in /home/opensafely/opstasks instead of a folder"),
        ("closed", "as root: chown -R opensafely: /home/opensafely/opstasks; chmod -R u+rwX "),
        ("", "find out why /home/opensafely/opstasks cannot be written (ls -l)"),
        ("rm -rf /", "find out why /home/opensafely/opstasks cannot be written (ls -l)"),
    ],
)
@pytest.mark.parametrize("service", ["up", "stopped", None])
def test_what_is_said_of_an_unclosed_release_is_true(tpp, cause, first, service):
    now = replace_state(AT_V2, unfinished="r1", service=service)
    answer = StepAnswer(0, "", problem="its record cannot be written: x", cause=cause, now=now)
    expect_steps(tpp, **until("finish", answer))
    with pytest.raises(VerifyFailed) as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert "it serves" not in caught.value.message
    assert f"service {service or 'in an unknown state'}" in caught.value.message
    assert caught.value.hint.startswith(first)
    assert hints.command_of(caught.value.hint, [])[1] == [
        "deploy",
        "--yes",
        "--unfinished",
        "finish",
    ]


def test_no_step_says_start_when_the_service_stays_stopped(tpp, monkeypatch):
    said = []
    monkeypatch.setattr(tpp, "step", lambda text, *_: said.append(text))
    stopped = StepAnswer(0, "", now=replace_state(AT_V2, service="stopped"))
    idle = StepAnswer(0, "", serves=False)
    expect_steps(tpp, **{**GOOD, "begin": idle, "switch": idle, "finish": stopped})
    assert apply.apply(tpp, make_plan(FACTS)).now.service == "stopped"
    assert "leave the service stopped, as it was before" in said
    assert not any("start the service" in text for text in said)


def test_a_service_that_somebody_starts_meanwhile_is_started_and_watched(tpp):
    note = "jobrunner was started at 02:14:07 UTC"
    begun = StepAnswer(0, "", serves=False)
    moved = StepAnswer(2, "", notes=(note,), serves=True)
    expect_steps(tpp, **{**GOOD, "begin": begun, "switch": moved})
    assert note in apply.apply(tpp, make_plan(FACTS)).notes
    assert "start the service and watch it" in tpp.steps


def test_a_restart_is_named_by_what_is_there_afterwards(tpp):
    """Somebody may have moved the checkout while the service was restarted."""
    there = replace_state(AT_V1, code="9" * 40, database_version=3)
    stay = replace(SPEC, to_code="a" * 40, watch_s=3)
    expect_steps(tpp, stay, "deploy.restart", restart=StepAnswer(0, "", now=there))
    plan = make_plan(
        replace(STAY, code=replace(STAY.code, target_name="v2")), restart=True, watch_s=3
    )
    result = apply.apply(tpp, plan)
    assert (result.to_name, result.database_version) == ("9" * 10, 3)


def test_a_refused_restart_leads_to_the_new_plan(tpp):
    stay = replace(SPEC, to_code="a" * 40, watch_s=3)
    text = "/code was moved to 9999999999 after the plan was shown"
    expect_steps(tpp, stay, "deploy.restart", restart=refused(text))
    plan = make_plan(
        replace(STAY, code=replace(STAY.code, target_name="v2")), restart=True, watch_s=3
    )
    with pytest.raises(Refused, match="was moved to") as caught:
        apply.apply(tpp, plan)
    assert caught.value.hint == "inv -H tpp deploy"


@pytest.mark.parametrize(
    ("cause", "hint"), [("full", "free some space"), ("read-only", "dmesg"), ("", "logs --since")]
)
def test_a_deploy_that_a_disk_stopped_says_what_helps_with_the_disk(tpp, cause, hint):
    text = json.dumps({"failed": {"reason": "it broke", "cause": cause}})
    expect_steps(tpp, **until("begin", Reply(out=text)))
    expect_roll_back(tpp, "it broke")
    with pytest.raises(VerifyFailed, match="it broke") as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert hint in caught.value.hint


def test_the_error_keeps_the_hosts_traceback(tpp):
    expect_steps(tpp, **until("switch", BROKE))
    expect_roll_back(tpp, "it broke")
    with pytest.raises(VerifyFailed) as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert isinstance(caught.value.__cause__, ProgramFailed)
    assert caught.value.__cause__.traceback == "Traceback: line 7"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(137), "deploy.steps ended with exit code 137, without an answer"),
        (Reply(0, ""), "invalid response from the host: it is empty"),
        (
            Reply(0, '{"ok": {"version": 1, "how": null, "as_before": []}}'),
            "invalid response from the host: Expected `str`, got `null` - at `$.how`",
        ),
        (
            Reply(0, '{"ok": {"version": -1, "how": "", "as_before": []}}'),
            "invalid response from the host: Expected `int` >= 0 - at `$.version`",
        ),
    ],
    ids=["killed", "no answer", "no text", "no count"],
)
def test_a_step_without_a_valid_answer_goes_back(tpp, reply, reason):
    expect_steps(tpp, **until("switch", reply))
    expect_roll_back(tpp, reason)
    with pytest.raises(VerifyFailed, match="the host is at v1"):
        apply.apply(tpp, make_plan(FACTS))


GIT_KILLED = {"reason": "cannot check out abc", "detail": "killed by signal 9", "cause": "killed"}


@pytest.mark.parametrize(
    "reply", [Reply(137), Reply(143), Reply(out=json.dumps({"failed": GIT_KILLED}))]
)
def test_a_step_back_that_was_killed_is_done_once_more(tpp, reply):
    expect_steps(tpp, **until("switch", BROKE))
    expect_roll_back(tpp, "it broke", reply)
    expect_roll_back(tpp, "it broke")
    with pytest.raises(VerifyFailed, match="the host is at v1"):
        apply.apply(tpp, make_plan(FACTS))


@pytest.mark.parametrize("reply", [failed("disk full"), refused("disk full")])
@pytest.mark.parametrize("there", [True, False])
def test_a_failure_to_go_back_names_the_snapshot_and_the_next_command(tpp, reply, there):
    expect_steps(tpp, **until("switch", BROKE))
    expect_roll_back(tpp, "it broke", reply)
    now = replace_state(AT_V2, service="stopped", unfinished="r1")
    expect_look(tpp, now, replace(SPEC, reason="it broke"), has_snapshot=there)
    words = "it broke; and going back to v1 failed: disk full"
    with pytest.raises(CommandFailed, match=words) as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert "--unfinished back" in caught.value.hint
    assert ("/snapshots/r1.sqlite" in caught.value.hint) is there
    assert caught.value.now == now


def test_a_refused_step_does_not_go_back(tpp):
    expect_steps(tpp, begin=refused("release r1 is deployed already"))
    with pytest.raises(Refused, match="deployed already") as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert caught.value.hint == "inv -H tpp deploy.releases"


def test_a_step_refused_after_the_first_one_is_incomplete(tpp):
    expect_steps(tpp, **until("switch", refused("release r1 is being rolled back")))
    expect_look(tpp, AT_V1)
    with pytest.raises(Incomplete, match="being rolled back") as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert caught.value.now == AT_V1


def test_a_lost_connection_does_not_go_back(tpp):
    expect_steps(tpp, **until("switch", Unreachable("connection lost")))
    with pytest.raises(Lost) as caught:
        apply.apply(tpp, make_plan(FACTS))
    assert caught.value.exit_code == 4


def test_a_bug_in_our_code_goes_back(tpp):
    expect_steps(tpp, **until("switch", ZeroDivisionError("oops")))
    expect_roll_back(tpp, "internal error: ZeroDivisionError: oops")
    with pytest.raises(VerifyFailed, match="the host is at v1"):
        apply.apply(tpp, make_plan(FACTS))


def test_ctrl_c_between_steps_goes_back(tpp):
    expect_steps(tpp)
    expect_roll_back(tpp, "stopped by the operator")
    tpp.stop.set()
    with pytest.raises(Interrupted, match="the host is at v1"):
        apply.apply(tpp, make_plan(FACTS))


def unfinished(**values):
    return make_plan(replace(FACTS, releases=(replace(RECORD, **values),)))


def test_the_reason_of_a_failed_release_stays_when_a_person_goes_back(tpp):
    spec = replace(RESUMED, reason="the migration failed: x")
    refusal = refused("jobrunner is masked: systemd would not start it again")
    expect_steps(tpp, spec, "deploy.resume", roll_back=refusal)
    plan = unfinished(reason=spec.reason, rolling_back=True)
    with pytest.raises(Refused, match="is masked") as caught:
        apply.resume(tpp, plan, roll_back=True)
    assert "systemctl unmask jobrunner" in caught.value.hint


def test_a_release_that_cannot_be_finished_says_what_helps_with_the_unit(tpp):
    refusal = refused("jobrunner is masked: systemd would not start it again")
    expect_steps(tpp, RESUMED, begin=refusal)
    with pytest.raises(Refused, match="is masked") as caught:
        apply.resume(tpp, unfinished(), roll_back=False)
    assert "systemctl unmask jobrunner" in caught.value.hint


BACK = replace(RESUMED, reason="its client disappeared")


def test_an_unfinished_release_is_finished(tpp):
    expect_steps(tpp, RESUMED, **GOOD)
    assert apply.resume(tpp, unfinished(), roll_back=False).to_name == "v2"


@pytest.mark.parametrize(
    ("rolling_back", "roll_back"), [(False, True), (True, True), (True, False)]
)
def test_an_unfinished_release_is_rolled_back(tpp, rolling_back, roll_back):
    expect_steps(tpp, BACK, "deploy.resume", roll_back=StepAnswer(0, "restored", now=AT_V1))
    result = apply.resume(tpp, unfinished(rolling_back=rolling_back), roll_back=roll_back)
    assert (result.to_name, result.notes, result.now) == ("v1", ("restored",), AT_V1)


@pytest.mark.parametrize("back", [True, False])
def test_resume_refuses_a_release_that_another_person_ended(tpp, back):
    ended = refused("release x is deployed already")
    if back:
        expect_steps(tpp, BACK, "deploy.resume", roll_back=ended)
    else:
        expect_steps(tpp, RESUMED, begin=ended)
    with pytest.raises(Refused, match="deployed already") as caught:
        apply.resume(tpp, unfinished(), roll_back=back)
    assert caught.value.hint == "inv -H tpp deploy.releases"


def test_resume_refuses_without_an_unfinished_release(tpp):
    with pytest.raises(Refused, match="no release is unfinished"):
        apply.resume(tpp, make_plan(FACTS), roll_back=True)
