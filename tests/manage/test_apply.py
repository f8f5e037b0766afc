"""manage on one host: the shown plan is carried out, with one number of changes."""

import copy

import pytest

from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.manage import apply, inspect, screen, show
from opstasks.manage.apply import ManageRequest
from opstasks.manage.perform import APPLY, ApplyAnswer, ApplyRequest
from tests.fake_host import ANY, failed
from tests.manage.manage_help import described, facts_of, plan_of, typed
from tests.screen_check import shown

SECRET = "/home/opensafely/secret"
PROFILE = "/etc/profile.d/opstasks.sh"
LOCK = ("/var/lib/opstasks", "/var/lib/opstasks/lock")


@pytest.fixture(scope="module")
def wanted():
    return described("sandbox")


@pytest.fixture
def facts(wanted):
    return copy.deepcopy(facts_of(wanted))


@pytest.fixture
def host(fake_host):
    return fake_host(backend="sandbox")


def expect_inspect(host, wanted, facts):
    asked = inspect.request(wanted, host.spec)
    host.expect(inspect.INSPECT, asked, typed(facts), user="root")


def expect_apply(host, planned):
    actions = tuple(step.action for step in planned.todo)
    host.expect(APPLY, ApplyRequest(actions), ApplyAnswer(len(actions)), user="root")


def changed(facts, *paths):
    """The same host, with other rights of these paths."""
    facts = copy.deepcopy(facts)
    for path in paths:
        facts["paths"][path]["mode"] = "0777"
    return facts


def test_a_plan_is_made_in_one_round_trip(host, facts, wanted):
    expect_inspect(host, wanted, changed(facts, SECRET))
    planned = apply.plan(host, wanted, ManageRequest())
    assert [step.thing for step in planned.steps] == [SECRET]


def test_a_host_as_described_is_not_locked(host, facts, wanted):
    planned = plan_of(facts, wanted)
    assert not apply.apply(host, wanted, planned, ManageRequest()).changed


def test_the_plan_that_was_shown_is_carried_out_and_verified(host, facts, wanted):
    before = changed(facts, SECRET, PROFILE)
    planned = plan_of(before, wanted)
    host.expect_lock("manage")
    expect_inspect(host, wanted, before)
    expect_apply(host, planned)
    expect_inspect(host, wanted, facts)
    done = apply.apply(host, wanted, planned, ManageRequest())
    assert (done.changed, done.changes) == (True, 2)
    assert host.steps == [
        "inspect again",
        "directories, system: 2 changes (0 of 2 changes done)",
    ]


def test_paths_created_by_taking_the_lock_count_as_done_changes(host, facts, wanted):
    bare = changed(facts, SECRET)
    bare["paths"] |= dict.fromkeys(LOCK)
    planned, locked = plan_of(bare, wanted), changed(facts, SECRET)
    host.expect_lock("manage")
    expect_inspect(host, wanted, locked)
    expect_apply(host, plan_of(locked, wanted))
    expect_inspect(host, wanted, facts)
    done = apply.apply(host, wanted, planned, ManageRequest())
    # One number: in the question, in the progress, in the result.
    assert screen.question({"tpp": len(planned.todo)}) == "Make 3 changes on tpp?"
    assert host.steps[-1] == f"directories: {SECRET} (2 of 3 changes done)"
    (line, *_) = shown(screen.plan_lines({"tpp": planned}, 80))
    assert line == "tpp: 3 changes"
    assert done.changes == show.report(planned, with_diff=False).changes == 3
    assert screen.TOLD.host(done) == "3 changes made, now as described"


def test_a_host_that_changed_since_the_plan_was_shown_is_refused(host, facts, wanted):
    planned = plan_of(changed(facts, SECRET), wanted)
    host.expect_lock("manage")
    expect_inspect(host, wanted, changed(facts, SECRET, PROFILE))
    with pytest.raises(Refused, match="the host changed since the plan was shown"):
        apply.apply(host, wanted, planned, ManageRequest())


LOAD_ENV = "/home/opensafely/config/load-env"
OLD_SSHD = "/etc/ssh/sshd_config.d/50-opstasks.conf"
UNIT = "/etc/systemd/system/jobrunner.service"


def edited(facts, path, number):
    """The host after an edit by hand: each number is another edit."""
    rights = {"kind": "file", "owner": "root", "group": "root", "mode": "0644"}
    now = {**(facts["paths"][path] or rights), "sha256": f"hash {number}", "text": f"{number}\n"}
    return {**facts, "paths": {**facts["paths"], path: now}}


def with_umask(facts, _, number):
    return {**facts, "settings": {**facts["settings"], "UMASK": [f"UMASK 02{number}"]}}


def with_mode(facts, path, number):
    now = {**facts["paths"][path], "mode": f"077{number}"}
    return {**facts, "paths": {**facts["paths"], path: now}}


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (edited, UNIT),
        (edited, LOAD_ENV),
        (edited, OLD_SSHD),
        (with_umask, ""),
        (with_mode, SECRET),
    ],
)
def test_a_thing_that_was_edited_again_after_the_plan_is_refused(host, facts, wanted, change, path):
    first, again = (change(facts, path, number) for number in (1, 2))
    planned = plan_of(first, wanted)
    assert len(planned.todo) == 1
    host.expect_lock("manage")
    expect_inspect(host, wanted, again)
    with pytest.raises(Refused, match="the host changed since the plan was shown"):
        apply.apply(host, wanted, planned, ManageRequest())


def test_what_changes_by_itself_does_not_refuse_a_plan(facts, wanted):
    plans = []
    for state, count in (("failed", 3), ("inactive", 5)):
        now = copy.deepcopy(facts)
        now["units"]["jobrunner"]["active_state"] = state
        (tree,) = now["trees"].values()
        tree.update(wrong=count, examples=["w/bad"])
        plans.append(plan_of(now, wanted))
    assert len(plans[0].todo) == 2
    assert apply.is_same(*plans, besides=set())


def test_a_host_that_still_differs_afterwards_is_a_failure(host, facts, wanted):
    before = changed(facts, SECRET)
    planned = plan_of(before, wanted)
    host.expect_lock("manage")
    expect_inspect(host, wanted, before)
    expect_apply(host, planned)
    expect_inspect(host, wanted, before)
    with pytest.raises(VerifyFailed, match=f"applied, but still differs: {SECRET}"):
        apply.apply(host, wanted, planned, ManageRequest())


def test_a_step_that_fails_ends_the_run(host, facts, wanted):
    before = changed(facts, SECRET)
    host.expect_lock("manage")
    expect_inspect(host, wanted, before)
    host.expect(APPLY, ANY, failed("No space left on device"))
    expect_inspect(host, wanted, before)
    with pytest.raises(CommandFailed, match=f"0 of 1 changes done; {SECRET} failed"):
        apply.apply(host, wanted, plan_of(before, wanted), ManageRequest())


def test_a_running_service_that_reads_changed_files_is_noted(host, facts, wanted):
    before = copy.deepcopy(facts)
    before["paths"]["/home/opensafely/config/03_backend.env"].update(sha256="x", text="")
    planned = plan_of(before, wanted)
    host.expect_lock("manage")
    expect_inspect(host, wanted, before)
    expect_apply(host, planned)
    expect_inspect(host, wanted, facts)
    done = apply.apply(host, wanted, planned, ManageRequest())
    assert done.stale == ("jobrunner",)
    (line,) = shown(screen.after_lines("tpp", done))
    assert line.endswith("still runs with the old settings: inv -H tpp service.restart")
