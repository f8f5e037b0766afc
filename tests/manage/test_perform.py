"""Carrying out steps: the parts, the progress, and failures."""

import json
from dataclasses import replace

import pytest

from opstasks.core.errors import CommandFailed, Interrupted, InvalidResponse, TimedOut, Unreachable
from opstasks.core.events import StepReached
from opstasks.core.result import Result
from opstasks.manage import access, perform
from opstasks.manage.actions import (
    ChangePackages,
    CloneRepository,
    ProveAccess,
    RemoveFile,
    SetMember,
    SetRights,
    StartUnit,
)
from opstasks.manage.inspect import INSPECT, ManageInspectRequest
from opstasks.manage.model import Description
from opstasks.manage.perform import APPLY, ApplyAnswer, ApplyRequest
from opstasks.manage.steps import ManageStep
from tests.fake_host import ANY, Reply, answered, failed
from tests.manage.manage_help import facts_of, typed

ASKED = ManageInspectRequest(pending="x")
FACTS = typed(facts_of(Description()))
PLACE = "/var/lib/opstasks/access"
RIGHTS = SetRights(path="/a", owner="root", group="root", mode="0640")
CLONE = CloneRepository(path="/c", url="u", ref="r", owner="o")
START = StartUnit(name="jobrunner")


def step(action, thing="", **more):
    return ManageStep("system", thing or type(action).__name__, "", "right", action, **more)


SSHD = step(RemoveFile(path="/etc/ssh/x", replaces="a hash", kept_in="/kept"), "sshd", access=True)


def run(host, steps, **more):
    return perform.perform(host, steps, **{"prove": True, "asked": ASKED} | more)


def parts(*counts, last):
    """The program's output: the number of actions done, after each; then the answer."""
    lines = [json.dumps({"part": number}) for number in counts]
    return Reply(out="\n".join([*lines, json.dumps(last), ""]))


def test_slow_steps_run_alone_and_packages_by_verb(fake_host):
    purge, install = ChangePackages(verb="purge"), ChangePackages(verb="install")
    actions = [purge, purge, install, RIGHTS, RIGHTS, CLONE, CLONE, START]
    host = fake_host()
    for part in ([purge, purge], [install], [RIGHTS, RIGHTS], [CLONE], [CLONE], [START]):
        host.expect(APPLY, ApplyRequest(tuple(part)), ApplyAnswer(len(part)), user="root")
    host.expect(INSPECT, ASKED, FACTS)
    assert run(host, [step(action) for action in actions]) == FACTS
    reached = [event for event in host.told if isinstance(event, StepReached)]
    assert [(event.text, event.brief) for event in reached[:3]] == [
        ("system: 2 changes (0 of 8 changes done)", "system"),
        ("system: ChangePackages (2 of 8 changes done)", "ChangePackages"),
        ("system: 2 changes (3 of 8 changes done)", "system"),
    ]
    assert reached[-1].text == "system: StartUnit (7 of 8 changes done)"


def test_steps_that_are_done_already_are_counted(fake_host):
    host = fake_host()
    host.expect(APPLY, ApplyRequest((RIGHTS,)), ApplyAnswer(1))
    host.expect(INSPECT, ASKED, FACTS)
    run(host, [step(RIGHTS, "/a")], done=[step(RIGHTS, "/lock")])
    assert host.steps == ["system: /a (1 of 2 changes done)"]


BROKEN = {"failed": {"reason": "no room", "detail": "on /srv", "traceback": "File x"}}


def rights(path, **more):
    return step(SetRights(path=path, owner="o", group="g", mode="0640"), path, **more)


def test_a_failure_names_the_steps_that_are_done_and_not_begun(fake_host):
    folder = "/some/rather/long/path"
    names = [f"/other/path/number/{number}" for number in range(12)]
    below = [f"{folder}/number/{number}" for number in range(27)]
    host = fake_host()
    host.expect(APPLY, ANY, parts(*range(1, 13), last=BROKEN))
    host.expect(INSPECT, ASKED, FACTS)
    with pytest.raises(CommandFailed) as caught:
        run(host, [rights(name) for name in (*names, folder, *below)])
    error = caught.value
    assert error.message == f"12 of 40 changes done; {folder} failed"
    reason, detail, *lines = error.tail.splitlines()
    assert (reason, detail) == (f"{folder}: no room", "on /srv")
    # The console shows no more of a line.
    assert all(len(line) < 300 for line in lines)
    done, left = " ".join(lines).split("not begun, because of that: ")
    assert done.strip() == "done: " + ", ".join(names)
    assert left == ", ".join(below)
    assert error.__cause__.traceback == "File x"
    assert error.hint == "fix it, then: inv -H tpp manage"


def test_steps_that_do_not_need_a_failed_one_are_done(fake_host):
    steps = [rights("/a"), rights("/b"), rights("/b/c"), step(CLONE), rights("/d"), step(START)]
    host = fake_host()
    host.expect(APPLY, ApplyRequest(tuple(s.action for s in steps[:3])), parts(1, last=BROKEN))
    host.expect(APPLY, ApplyRequest((CLONE,)), parts(last=BROKEN))
    host.expect(APPLY, ApplyRequest((steps[4].action,)), ApplyAnswer(1))
    with pytest.raises(CommandFailed) as caught:
        run(host, [replace(s, area="config") for s in steps])
    assert caught.value.message == "2 of 6 changes done; /b, CloneRepository failed"
    lines = caught.value.tail.splitlines()
    assert lines[0::2][:2] == ["/b: no room", "CloneRepository: no room"]
    assert lines[-2:] == ["done: /a, /d", "not begun, because of that: /b/c, StartUnit"]


def test_login_files_are_changed_after_an_independent_failure(fake_host, monkeypatch):
    host = fake_host()
    host.expect(APPLY, ApplyRequest((CLONE,)), parts(last=BROKEN))
    expect_install(host)
    host.expect(access.CONFIRM, access.ConfirmRequest(PLACE), access.ConfirmAnswer(True))
    expect_proofs(host, monkeypatch, "")
    with pytest.raises(CommandFailed, match="1 of 2 changes done; CloneRepository failed"):
        run(host, [step(CLONE), SSHD])


def test_login_files_stay_if_an_account_failed(fake_host):
    host = fake_host()
    host.expect(APPLY, ANY, parts(last=BROKEN))
    with pytest.raises(CommandFailed, match="0 of 2 changes done; SetMember failed"):
        run(
            host, [replace(step(SetMember(group="g", user="u", joins=True)), area="accounts"), SSHD]
        )


def test_after_many_failures_nothing_more_is_tried(fake_host):
    host = fake_host()
    for failed_before in range(perform.MOST_FAILURES):
        actions = tuple(rights(f"/{number}").action for number in range(failed_before, 19))
        host.expect(APPLY, ApplyRequest(actions), parts(last=BROKEN))
    with pytest.raises(CommandFailed, match="0 of 20 changes done; /0, /1, /2, /3, /4 failed"):
        run(host, [*(rights(f"/{number}") for number in range(19)), SSHD])


def test_a_program_that_fails_after_its_last_step_is_a_failure(fake_host):
    host = fake_host()
    host.expect(APPLY, ANY, parts(1, 2, last=BROKEN))
    host.expect(INSPECT, ASKED, FACTS)
    with pytest.raises(CommandFailed, match="1 of 2 changes done; /b failed"):
        run(host, [rights("/a"), rights("/b")])


def test_the_hint_names_the_task_to_type_again(fake_host):
    host = fake_host()
    host.expect(APPLY, ANY, parts(last=BROKEN))
    host.expect(INSPECT, ASKED, FACTS)
    with pytest.raises(CommandFailed) as caught:
        run(host, [rights("/a")], again="users.disable rosa")
    assert caught.value.hint == "fix it, then: inv -H tpp users.disable rosa"


def test_a_step_that_takes_too_long_leaves_those_before_it_done(fake_host):
    host = fake_host()
    host.expect(APPLY, ANY, Reply(124, '{"part": 1}\n{"pa'))
    with pytest.raises(CommandFailed, match="1 of 3 changes done; two failed") as caught:
        run(host, [step(RIGHTS, "one"), step(RIGHTS, "two"), step(CLONE, "three")])
    # What it started may still run: nothing is done beside it.
    assert "not begun, because of that: three" in caught.value.tail


@pytest.mark.parametrize(
    "reply",
    [
        Reply(out='{"part": -1}\n{"ok": {"done": 1}}\n'),
        Reply(out='{"part": "1"}\n{"ok": {"done": 1}}\n'),
        Reply(out='{"ok": {"done": null}}\n'),
        Reply(out="hello\n"),
        Reply(out=""),
    ],
)
def test_an_invalid_response_is_reported_as_one(fake_host, reply):
    host = fake_host()
    host.expect(APPLY, ANY, reply)
    host.expect(INSPECT, ASKED, FACTS)
    with pytest.raises(InvalidResponse):
        run(host, [step(RIGHTS)])


@pytest.mark.parametrize(
    ("slow", "late", "stopped"),
    [([CLONE, START], 0, "1 of 2"), ([RIGHTS, RIGHTS], 1, "2 of 3"), ([], 1, "0 of 1")],
)
def test_ctrl_c_stops_between_two_parts(fake_host, slow, late, stopped):
    host = fake_host()
    batch = host.root.batch

    def stopping(commands):
        host.stop.set()
        return batch(commands)

    host.root.batch = stopping
    if slow:
        count = 2 if late else 1
        host.expect(APPLY, ApplyRequest(tuple(slow[:count])), ApplyAnswer(count))
    else:
        host.stop.set()
    with pytest.raises(Interrupted, match=f"at your request; {stopped} changes done"):
        run(host, [*(step(action) for action in slow), *[SSHD] * late])


# -- login files ---------------------------------------------------------------------------------


def expect_install(host):
    host.expect(
        access.INSTALL, access.install_request(host, [SSHD.action]), access.InstallAnswer(1)
    )


def expect_proofs(host, monkeypatch, *problems):
    """Fresh connections, one after the other: "" is a good one."""
    left = list(problems)

    def prove(user):
        assert user == "root"
        if problem := left.pop(0):
            raise Unreachable(problem)

    monkeypatch.setattr(host, "prove", prove)
    monkeypatch.setattr(host, "pause", lambda seconds: None)
    return left


def test_a_tested_change_is_confirmed(fake_host, monkeypatch):
    host = fake_host()
    expect_install(host)
    host.expect(access.CONFIRM, access.ConfirmRequest(PLACE), access.ConfirmAnswer(True))
    host.expect(INSPECT, ASKED, FACTS)
    left = expect_proofs(host, monkeypatch, "refused", "")
    assert run(host, [SSHD]) == FACTS
    assert left == []


def test_a_change_that_fails_its_test_is_undone(fake_host, monkeypatch):
    host = fake_host()
    expect_install(host)
    host.expect(access.RESTORE, access.RestoreRequest(PLACE), access.RestoreAnswer(True))
    expect_proofs(host, monkeypatch, "refused", "refused", "no sudo")
    with pytest.raises(CommandFailed, match="0 of 1 changes done; sshd failed") as caught:
        run(host, [SSHD])
    assert caught.value.tail.startswith(
        "sshd: the old files are in effect again: a fresh connection failed: no sudo\n"
    )


def test_a_change_that_cannot_be_undone_says_why_it_should_be_and_what_stays(
    fake_host, monkeypatch
):
    host = fake_host()
    expect_install(host)
    host.expect(access.RESTORE, ANY, failed("/a was not restored: no space left on device"))
    expect_proofs(host, monkeypatch, "refused", "refused", "no sudo")
    with pytest.raises(CommandFailed, match="0 of 1 changes done; sshd failed") as caught:
        run(host, [SSHD])
    assert caught.value.tail.startswith(
        "sshd: a fresh connection failed: no sudo; /a was not restored: no space left on device\n"
    )


def test_a_change_that_was_undone_before_its_confirmation_has_failed(fake_host, monkeypatch):
    host = fake_host()
    expect_install(host)
    host.expect(access.CONFIRM, access.ConfirmRequest(PLACE), access.ConfirmAnswer(False))
    expect_proofs(host, monkeypatch, "")
    with pytest.raises(CommandFailed, match="sshd failed") as caught:
        run(host, [SSHD])
    assert "restored before the confirmation" in caught.value.tail


def test_a_file_that_the_host_rejects_is_not_tested(fake_host, monkeypatch):
    host = fake_host()
    host.expect(
        access.INSTALL, ANY, failed("x: sshd failed; the old files were restored", "line 3: bad")
    )
    expect_proofs(host, monkeypatch)
    with pytest.raises(CommandFailed, match="sshd failed") as caught:
        run(host, [SSHD])
    assert "the old files were restored\nline 3: bad\n" in caught.value.tail


def test_without_a_test_no_connection_is_made(fake_host, monkeypatch):
    host = fake_host()
    host.expect(
        access.INSTALL, access.install_request(host, [ProveAccess()]), access.InstallAnswer(1)
    )
    host.expect(access.CONFIRM, ANY, access.ConfirmAnswer(True))
    host.expect(INSPECT, ASKED, FACTS)
    expect_proofs(host, monkeypatch)
    run(host, [step(ProveAccess(), access=True)], prove=False)


@pytest.mark.parametrize("program", [access.INSTALL, access.CONFIRM, access.RESTORE])
@pytest.mark.parametrize(
    "answer", ["{}", '{"done": -1}', '{"was_in_place": null}', '{"restored": "yes"}', "[]", "null"]
)
def test_an_invalid_answer_about_access_is_reported_as_one(program, answer):
    with pytest.raises(InvalidResponse, match="invalid response from the host"):
        program.decode(Result("", 0, f'{{"ok": {answer}}}\n', ""), "tpp")


def test_an_answer_with_parts_is_decoded_and_a_timeout_is_reported():
    text = answered(ApplyAnswer(2), parts=[1, 2]).out
    assert APPLY.decode(Result("", 0, text, ""), "tpp") == ApplyAnswer(2)
    with pytest.raises(TimedOut):
        APPLY.decode(Result("", 124, "", "", perform.APPLY_TIMEOUT_S), "tpp")
