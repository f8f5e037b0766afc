"""config.set and config.unset: the plan, the requests to the host, and the check."""

import json
from dataclasses import replace

import pytest

from opstasks.config import act, change_screen, plan
from opstasks.config.act import CHANGE, PREVIEW, ChangeAnswer
from opstasks.config.inspect import SHOW, inspect, show_request
from opstasks.config.keys import FILES, CodeKeys, ConfigKey, ConfigValue, EnvFile, HostConfig
from opstasks.config.onhost.secrecy import fingerprint
from opstasks.config.values import VALUES, ValuesAnswer, ValuesRequest, read_values
from opstasks.core.command import Secret
from opstasks.core.errors import CommandFailed, InvalidResponse, Refused, TimedOut, VerifyFailed
from opstasks.core.result import Result
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.lock import Owner
from tests.fake_host import Reply, refused

SPEC = HostSpec(name="h", backend="test")
TOKEN = "s3cr3t-of-the-backend"
CODE = CodeKeys(required=("BACKEND",), optional=("MAX_WORKERS", "JOB_SERVER_TOKEN"))


def config(*keys, stamp="1", seen=True):
    files = (*(EnvFile(name) for name in FILES[:3]), EnvFile(FILES[3], stamp=stamp))
    return HostConfig(keys, files, CODE, seen)


def workers(count, source="04_local.env", **over):
    return ConfigKey("MAX_WORKERS", ConfigValue(True, count), source, **over)


def step(wanted, source=""):
    """From 3 to another value."""
    value = None if wanted is None else ConfigValue(True, wanted)
    return plan.ConfigStep("MAX_WORKERS", ConfigValue(True, "3"), value, source)


# -- planning --------------------------------------------------------------------------------


def test_a_key_that_has_the_wanted_value_for_both_readers_needs_no_step():
    found = config(workers("3"))
    assert not plan.make_plan(found, {"MAX_WORKERS": "3"}, {}, unknown=False).changed
    found = config(workers("3", shell="other"))
    assert plan.make_plan(found, {"MAX_WORKERS": "3"}, {}, unknown=False).changed


def test_a_secret_is_in_a_plan_as_its_fingerprint_only():
    planned = plan.make_plan(config(), {"JOB_SERVER_TOKEN": TOKEN}, {}, unknown=False)
    assert TOKEN not in repr(planned)
    (step,) = planned.steps
    assert step.wanted_text() == f"secret, fingerprint {fingerprint('JOB_SERVER_TOKEN', TOKEN)}"


def test_a_removed_override_shows_the_value_that_applies_again():
    found = config(workers("3", over=("01_defaults.env", "03_backend.env")))
    (step,) = plan.make_plan(found, {"MAX_WORKERS": None}, {}, unknown=True).steps
    assert (step.now.text, step.wanted_text()) == ("3", "the value in 03_backend.env")
    found = config(workers("3", "03_backend.env"))
    planned = plan.make_plan(found, {"MAX_WORKERS": None}, {}, unknown=True)
    assert (planned.steps, len(planned.notes)) == ((), 1)


def test_unsetting_an_unknown_key_suggests_the_nearest_key():
    found = config(workers("3", "03_backend.env"))
    assert plan.notes(found, {"MAX_WORKER": None}) == (
        "nothing sets MAX_WORKER; did you mean MAX_WORKERS?",
    )
    assert plan.notes(found, {"OTHER": None}) == ("nothing sets OTHER",)


def test_a_preview_shows_the_steps_and_the_host_tries_them(fake_host):
    host = fake_host()
    wanted = {"MAX_WORKERS": "8"}
    host.expect(SHOW, show_request(host.spec, code=True), config(workers("3")))
    host.expect(PREVIEW, act.preview_request(host.spec, wanted), ChangeAnswer(True))
    planned = act.preview(host, wanted, unknown=False)
    assert planned.steps == (step("8", "04_local.env"),)
    assert planned.stamp == "1"


def test_a_preview_without_anything_to_do_asks_the_host_once(fake_host):
    host = fake_host()
    host.expect(SHOW, show_request(host.spec, code=True), config(workers("8")))
    assert not act.preview(host, {"MAX_WORKERS": "8"}, unknown=False).changed


def test_a_key_that_job_runner_does_not_read_is_refused_without_unknown(fake_host):
    host = fake_host()
    host.expect(SHOW, show_request(host.spec, code=True), config())
    with pytest.raises(Refused, match="did you mean MAX_WORKERS") as caught:
        act.preview(host, {"MAX_WORKER": "8"}, unknown=False)
    assert caught.value.host == "tpp"
    wanted = {"MAX_WORKER": "8"}
    host.expect(SHOW, show_request(host.spec, code=True), config())
    host.expect(PREVIEW, act.preview_request(host.spec, wanted), ChangeAnswer(True))
    assert act.preview(host, wanted, unknown=True).changed


def test_a_value_that_the_host_refuses_is_refused(fake_host):
    host = fake_host()
    wanted = {"MAX_WORKERS": "many"}
    host.expect(SHOW, show_request(host.spec, code=True), config())
    host.expect(PREVIEW, act.preview_request(host.spec, wanted), refused("would not start"))
    with pytest.raises(Refused, match="would not start") as caught:
        act.preview(host, wanted, unknown=False)
    assert caught.value.hint == "inv -H tpp config.show MAX_WORKERS"


# -- applying --------------------------------------------------------------------------------

PLAN = plan.ConfigPlan((step("8"),), stamp="1")
WANTED = {"MAX_WORKERS": "8"}


def test_a_change_is_written_under_the_lock_and_verified(fake_host):
    host = fake_host()
    host.expect_lock("config.set")
    host.expect(CHANGE, act.change_request(host.spec, WANTED, "1"), ChangeAnswer(True))
    after = config(workers("8", running=ConfigValue(True, "3")))
    host.expect(SHOW, show_request(host.spec), after)
    result = act.apply(host, PLAN, WANTED)
    assert result == act.ConfigResult(
        True, (replace(PLAN.steps[0], after=ConfigValue(True, "8")),), needs_restart=True
    )
    assert host.steps == ["write 04_local.env: MAX_WORKERS"]


def test_a_removal_that_changes_nothing_running_needs_no_restart(fake_host):
    host = fake_host()
    planned = plan.ConfigPlan((step(None),), stamp="1")
    host.expect_lock("config.unset")
    request = act.change_request(host.spec, {"MAX_WORKERS": None}, "1")
    host.expect(CHANGE, request, ChangeAnswer(True))
    host.expect(SHOW, show_request(host.spec), config())
    done = act.apply(host, planned, {"MAX_WORKERS": None})
    assert (done.needs_restart, done.steps[0].after_text()) == (False, "not set")


def test_a_restart_is_due_where_the_running_values_are_unknown(fake_host):
    host = fake_host()
    host.expect_lock("config.set")
    host.expect(CHANGE, act.change_request(host.spec, WANTED, "1"), ChangeAnswer(True))
    host.expect(SHOW, show_request(host.spec), config(workers("8"), seen=False))
    assert act.apply(host, PLAN, WANTED).needs_restart


def test_a_value_that_is_not_there_after_the_change_fails(fake_host):
    host = fake_host()
    host.expect_lock("config.set")
    host.expect(CHANGE, act.change_request(host.spec, WANTED, "1"), ChangeAnswer(True))
    host.expect(SHOW, show_request(host.spec), config(workers("3")))
    with pytest.raises(VerifyFailed, match="MAX_WORKERS"):
        act.apply(host, PLAN, WANTED)


def test_an_empty_plan_takes_no_lock(fake_host):
    assert act.apply(fake_host(), plan.ConfigPlan(), WANTED) == act.ConfigResult(False)


def test_a_host_that_someone_else_changes_is_left_alone(fake_host):
    host = fake_host()
    host.expect_lock("config.set", held_by=Owner("alice@laptop", "deploy", "", "r1"))
    with pytest.raises(Refused, match="alice@laptop"):
        act.apply(host, PLAN, WANTED)


# -- secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "request_"),
    [
        (PREVIEW, act.preview_request(SPEC, {"A": TOKEN})),
        (CHANGE, act.change_request(SPEC, {"A": TOKEN}, "")),
    ],
    ids=["preview", "change"],
)
def test_a_value_is_on_standard_input_and_shown_nowhere(program, request_):
    command = program.command(request_)
    assert isinstance(command.stdin, Secret)
    assert TOKEN not in command.line()
    assert TOKEN not in repr(command)
    assert TOKEN not in repr(request_)


ORDINARY = "correct horse"


def typed(key="FOO", value=ORDINARY):
    """What `config.set KEY=-` makes of a typed value."""
    return {key: Secret(value)}


def foo(text="", **over):
    """The key FOO, in the local file; without a text as a secret."""
    mark = None if text else fingerprint("FOO", ORDINARY)
    return ConfigKey("FOO", ConfigValue(True, text, mark), "04_local.env", secret=not text, **over)


def test_a_value_that_was_typed_as_a_secret_is_one_whatever_its_key_is():
    planned = plan.make_plan(config(), typed(), {}, unknown=True)
    assert ORDINARY not in repr(planned)
    shown = [*change_screen.plan_rows({"h": planned}), *change_screen.undo({"h": planned})]
    assert ORDINARY not in repr(shown)
    assert planned.steps[0].wanted.fingerprint == fingerprint("FOO", ORDINARY)


def test_a_typed_secret_is_in_no_record_and_is_verified_by_its_fingerprint(fake_host):
    host = fake_host()
    planned = plan.make_plan(config(), typed(), {}, unknown=True)
    host.expect_lock("config.set")
    host.expect(CHANGE, act.change_request(host.spec, typed(), "1"), ChangeAnswer(True))
    after = replace(config(foo()), marked=("FOO",))
    host.expect(SHOW, show_request(host.spec, typed=["FOO"]), after)
    done = act.apply(host, planned, typed())
    assert ORDINARY not in repr(done)
    assert ORDINARY not in change_screen.done_text(done.steps)
    assert act.change_request(host.spec, typed(), "1").secret_keys == ("FOO",)


def test_a_change_that_did_not_mark_the_key_fails(fake_host):
    host = fake_host()
    planned = plan.make_plan(config(), typed(), {}, unknown=True)
    host.expect_lock("config.set")
    host.expect(CHANGE, act.change_request(host.spec, typed(), "1"), ChangeAnswer(True))
    host.expect(SHOW, show_request(host.spec, typed=["FOO"]), config(foo()))
    with pytest.raises(VerifyFailed, match="FOO"):
        act.apply(host, planned, typed())


def test_a_marked_key_stays_a_secret_when_its_value_is_not_typed():
    found = replace(config(foo()), marked=("FOO",))
    for wanted in ({"FOO": "other"}, {"FOO": None}):
        planned = plan.make_plan(found, wanted, {}, unknown=True)
        assert "other" not in repr(planned)
    assert change_screen.undo({"h": planned}) == []
    unset = replace(config(), marked=("FOO",))
    assert "other" not in repr(plan.make_plan(unset, {"FOO": "other"}, {}, unknown=True))


def test_a_value_that_is_there_in_clear_is_marked_once():
    found = config(foo())  # the host hides it, because it was asked to
    assert plan.make_plan(found, typed(), {}, unknown=True).changed
    marked = replace(found, marked=("FOO",))
    assert not plan.make_plan(marked, typed(), {}, unknown=True).changed
    assert not plan.steps(config(), {}, ())


def test_only_the_change_makes_the_state_of_a_lost_host_unknown():
    assert CHANGE.command(act.change_request(SPEC, {}, "")).mutates
    assert not PREVIEW.command(act.preview_request(SPEC, {})).mutates


def values_request(host):
    return ValuesRequest(act.paths(host.spec), ("A", "B"))


def test_values_come_wrapped(fake_host):
    host = fake_host()
    host.expect(VALUES, values_request(host), ValuesAnswer({"A": Secret(TOKEN)}))
    assert read_values(host, ["B", "A"]) == {"A": Secret(TOKEN)}


@pytest.mark.parametrize("code", [1, 124, 137])
def test_an_interrupted_answer_with_values_is_not_shown(fake_host, code):
    host = fake_host()
    interrupted = json.dumps({"ok": {"values": {"A": {"value": TOKEN}}}})[:-3]
    host.expect(VALUES, values_request(host), Reply(code, interrupted))
    with pytest.raises((CommandFailed, TimedOut)) as caught:
        read_values(host, ["A", "B"])
    assert TOKEN not in repr(caught.value.__dict__)


@pytest.mark.parametrize("value", [None, 7, "bare", {"value": None}, {"value": 7}, {}])
def test_nonsense_values_are_an_invalid_response(value):
    answer = json.dumps({"ok": {"values": {"A": value}}})
    with pytest.raises(InvalidResponse) as caught:
        VALUES.decode(Result("", 0, answer, ""), "tpp")
    assert "bare" not in repr(caught.value.__dict__)


# -- nonsense --------------------------------------------------------------------------------

KEY = {"name": "A", "value": {"is_set": True, "text": "1"}}
FILE = {"name": "01_defaults.env"}


@pytest.mark.parametrize(
    "over",
    [
        {"keys": None},
        {"keys": [{**KEY, "name": None}]},
        {"keys": [{**KEY, "value": "1"}]},
        {"keys": [{**KEY, "shell": "perhaps"}]},
        {"keys": [{**KEY, "over": [1]}]},
        {"files": []},
        {"files": [FILE] * 5},
        {"files": [{**FILE, "mode": "rwx"}, FILE, FILE, FILE]},
        {"files": [{**FILE, "changed_at": -1.0}, FILE, FILE, FILE]},
        {"files": [{**FILE, "changed_at": 1e12}, FILE, FILE, FILE]},
        {"files": [{**FILE, "problems": [["x", "y"]]}, FILE, FILE, FILE]},
        {"code": {"required": "BACKEND"}},
        {"seen_running": "no"},
    ],
    ids=repr,
)
def test_a_nonsense_configuration_is_an_invalid_response(fake_host, over):
    host = fake_host()
    answer = {"keys": [KEY], "files": [FILE] * 4, "code": None, "seen_running": True}
    host.expect(SHOW, show_request(host.spec), Reply(out=json.dumps({"ok": answer})))
    assert inspect(host).get("A").value.text == "1"
    host.expect(SHOW, show_request(host.spec), Reply(out=json.dumps({"ok": {**answer, **over}})))
    with pytest.raises(InvalidResponse) as caught:
        inspect(host)
    assert caught.value.host == "tpp"


def test_a_pattern_from_the_host_is_never_a_regular_expression():
    code = CodeKeys(patterns=("(*_URL", "[", "*"))
    assert code.reads("ANY_THING")
    assert not CodeKeys(patterns=("(*_URL", "[", ".")).reads("A")
