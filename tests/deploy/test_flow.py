"""From plans to results: what is shown, what is asked, and what is never done unasked."""

import io
import json
from dataclasses import replace

import invoke
import pytest
from invoke.exceptions import Exit

from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.core.state import HostState
from opstasks.deploy import apply, flow
from opstasks.deploy.apply import DeployResult
from opstasks.deploy.facts import Dirt
from opstasks.fleet.fleet import Fleet
from tests.deploy.facts_help import CODE, FACTS, RECORD
from tests.deploy.screens_help import BACK, NEW, OLD, STOPPED, plan, rollback
from tests.deploy.test_told import went_back
from tests.fake_host import FakeHost

NOPE = replace(OLD, code=replace(OLD.code, target="", target_name="", gained=(), error="no 'nope'"))
FULL = replace(
    OLD, host="tpp", code=replace(OLD.code, dirt=Dirt(unstaged=("a.py",))), may_control=False
)


@pytest.fixture
def context(monkeypatch):
    """A context with these hosts; the options are those of a run."""

    def make(*names, **options):
        fleet = Fleet([FakeHost(name) for name in names], keep_going=options.get("keep_going"))
        monkeypatch.setattr(Context, "fleet", fleet)
        return Context(invoke.Config(), App(RunOptions(**options)))

    return make


@pytest.fixture
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))


def planned(**plans):
    return FleetResult([HostResult(host, "ok", found) for host, found in plans.items()])


def run(ctx, plans, words=flow.DEPLOY, **how):
    """Run to the end; the exit code."""
    try:
        flow.roll(ctx, flow.judge(ctx, plans), words, **{"all_commits": False, **how})
    except Exit as ended:
        return ended.code
    return 0


def done(host, plan):
    now = HostState(service="up", code=plan.facts.code.target)
    return DeployResult(True, "v2.71.0", "v2.73.0", 3, "r1", (), now, 1)


# -- before the question ---------------------------------------------------------------------


def test_a_ref_that_is_nowhere_is_only_an_error(context, capsys):
    assert run(context("tpp"), planned(tpp=plan(NOPE))) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error  nothing was touched: /code: no 'nope' (tpp)")


def test_each_reason_against_a_deploy_has_its_next_step(context, capsys):
    run(context("tpp"), planned(tpp=plan(FULL)))
    err = capsys.readouterr().err
    assert "was changed by hand: 1 unstaged (a.py); 1 more problem (tpp)" in err
    assert err.count("may not start") == 1
    assert "may not start and stop the unit (next: inv -H tpp manage)" in err
    assert err.splitlines()[-1].startswith("next:  commit the changes upstream")


def test_a_refused_release_that_could_reach_the_host_is_said(context, capsys):
    found = replace(OLD, import_error="ImportError: x", is_confined=False)
    assert run(context("tpp"), planned(tpp=plan(found))) == 1
    assert "this host has no user namespaces" in capsys.readouterr().err


def test_a_stopped_host_with_nothing_to_do_says_so(context, capsys):
    assert run(context("tpp"), planned(tpp=plan(replace(NEW, service="stopped")))) == 0
    out = capsys.readouterr().out
    assert "nothing to do on tpp: at v2.73.0 already" in out
    assert "inv -H tpp service.start" in out


@pytest.mark.parametrize("words", [flow.DEPLOY, flow.ROLLBACK])
def test_a_dry_run_shows_the_plan_that_the_question_is_about(
    context, capsys, no_terminal, monkeypatch, words
):
    monkeypatch.setattr(apply, "apply", None)
    plans = planned(a=plan(OLD) if words is flow.DEPLOY else rollback(BACK))
    assert run(context("a", dry=True, hosts=("a",)), plans, words) == 0
    dry = capsys.readouterr().out
    with pytest.raises(Refused, match=r"on a\?|to a\?") as caught:
        run(context("a", hosts=("a",)), plans, words)
    assert caught.value.hint == "add --yes to agree"
    assert capsys.readouterr().out == dry
    assert "Undo: inv -H a deploy" in dry


def test_a_dry_run_for_a_program_has_the_facts(context, capsys):
    run(context("a", "b", dry=True, json=True), planned(a=plan(OLD), b=plan(NEW)))
    hosts = json.loads(capsys.readouterr().out)["hosts"]
    assert hosts["a"]["value"]["code"]["target_name"] == "v2.73.0"
    assert [hosts[name]["value"]["nothing_to_do"] for name in "ab"] == [False, True]


def test_the_question_names_the_hosts_that_change(context, no_terminal):
    plans = planned(a=plan(OLD), b=plan(NEW), c=plan(STOPPED))
    with pytest.raises(Refused, match=r"^Deploy to a, c\? "):
        run(context("a", "b", "c"), plans)


# -- afterwards ------------------------------------------------------------------------------


def test_only_hosts_with_something_to_do_are_changed(context, capsys, monkeypatch):
    changed = []
    monkeypatch.setattr(
        apply, "apply", lambda host, plan: changed.append(host.name) or done(host, plan)
    )
    plans = planned(a=plan(OLD), b=plan(NEW), c=plan(STOPPED))
    assert run(context("a", "b", "c", yes=True, hosts=("all",)), plans) == 0
    lines = capsys.readouterr().out.splitlines()
    assert changed == ["a", "c"]
    assert lines[-3].startswith("[1/2] a  DONE  v2.73.0, service up, 1 job goes on  ")
    assert lines[-1].startswith("2 hosts at v2.73.0 in ")
    # `-H all` would also roll back b, which was not changed.
    assert lines[-1].endswith("Undo: inv -H a,c deploy.rollback")


def test_the_undo_command_selects_hosts_as_they_were_selected(context, capsys, monkeypatch):
    monkeypatch.setattr(apply, "apply", done)
    plans = planned(a=plan(OLD), b=plan(STOPPED))
    for typed, flag in ((("pair",), "-H pair"), (("@failed",), "-H a,b")):
        run(context("a", "b", yes=True, hosts=typed), plans)
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.endswith(f"Undo: inv {flag} deploy.rollback")


def test_a_rollback_is_undone_by_a_deploy_of_what_was_there(context, capsys, monkeypatch):
    monkeypatch.setattr(apply, "apply", done)
    run(context("a", yes=True, hosts=("a",)), planned(a=rollback(BACK)), flow.ROLLBACK)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"Undo: inv -H a deploy --ref {'b' * 12} --lib-ref {'c' * 12}")


def test_a_restart_has_nothing_to_undo(context, capsys, monkeypatch):
    monkeypatch.setattr(apply, "apply", done)
    run(context("a", yes=True), planned(a=plan(NEW, restart=True)))
    assert "Undo" not in capsys.readouterr().out


def test_every_host_has_the_same_kind_of_result(context, capsys, monkeypatch):
    monkeypatch.setattr(apply, "apply", done)
    run(context("a", "b", yes=True, json=True), planned(a=plan(OLD), b=plan(NEW)))
    hosts = json.loads(capsys.readouterr().out)["hosts"]
    assert [hosts[name]["outcome"] for name in "ab"] == ["changed", "ok"]
    assert [hosts[name]["value"]["changed"] for name in "ab"] == [True, False]
    assert hosts["b"]["value"]["now"]["service"] == "up"


def goes_back(host, plan):
    raise went_back()


def test_a_host_that_went_back_says_so_once_and_stops_the_others(context, capsys, monkeypatch):
    monkeypatch.setattr(apply, "apply", goes_back)
    plans = planned(**{"sandbox-1": plan(OLD), "b": plan(OLD)})
    assert run(context("sandbox-1", "b", yes=True), plans) == 1
    out, err = capsys.readouterr()
    assert "[1/2] sandbox-1  BACK ON v2.71.0 after " in err
    assert "      cause  RuntimeError: the job queue is in an impossible state" in err
    assert "error" not in err
    assert err.splitlines()[-1] == "not started: b"
    assert "DONE" not in out
    assert "hosts at" not in out


def test_a_document_has_the_error_of_a_host_that_went_back(context, capsys, monkeypatch):
    monkeypatch.setattr(apply, "apply", goes_back)
    run(context("sandbox-1", yes=True, json=True), planned(**{"sandbox-1": plan(OLD)}))
    found = json.loads(capsys.readouterr().out)["hosts"]["sandbox-1"]
    assert found["outcome"] == "failed"
    assert found["error"]["message"].startswith("broken-crash was not deployed: jobrunner did not")
    assert found["error"]["now"]["service"] == "up"


# -- unfinished releases ---------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch, no_terminal):
    """A list that gets an item for each run that changes hosts."""
    calls = []
    monkeypatch.setattr(flow, "carry_out", lambda *_: calls.append(1))
    return calls


def continue_unfinished(ctx, plans, choice):
    flow.continue_unfinished(ctx, plans, choice, not_deployed="")


@pytest.mark.parametrize("choice", ["finish", "back"])
@pytest.mark.parametrize("dirt", [Dirt(staged=("a.py",)), Dirt(unstaged=("a.py",))])
@pytest.mark.parametrize("checkout", ["code", "lib"])
def test_edits_are_undone_only_after_a_yes(context, begun, choice, dirt, checkout):
    edited = replace(getattr(FACTS, checkout), dirt=dirt)
    plans = planned(tpp=plan(replace(FACTS, releases=(RECORD,), **{checkout: edited})))
    with pytest.raises(Refused, match="Undo the edits on tpp") as caught:
        continue_unfinished(context("tpp"), plans, choice)
    assert ("--yes" in caught.value.hint, begun) == (True, [])
    continue_unfinished(context("tpp", yes=True), plans, choice)
    assert begun == [1]


def test_untracked_files_stay_and_need_no_question(context, begun):
    code = replace(CODE, dirt=Dirt(untracked=("x",)))
    plans = planned(tpp=plan(replace(FACTS, code=code, releases=(RECORD,))))
    continue_unfinished(context("tpp"), plans, "back")
    assert begun == [1]


def test_a_dry_run_shows_the_unfinished_release_and_continues_nothing(context, begun, capsys):
    plans = planned(tpp=plan(replace(FACTS, releases=(RECORD,))))
    continue_unfinished(context("tpp", dry=True), plans, "")
    out = capsys.readouterr().out
    assert "tpp  UNFINISHED release v1 to v2" in out
    assert "back    return to v1, with its database" in out
    assert begun == []


def test_nothing_is_deployed_where_no_release_is_unfinished(context, begun, capsys):
    flow.nothing_unfinished(context("tpp"), planned(tpp=plan(OLD)))
    assert capsys.readouterr().out == "nothing to do: no release is unfinished on tpp\n"
    assert begun == []


# -- hosts that cannot be changed ------------------------------------------------------------


def some_fail():
    return planned(a=plan(OLD), b=plan(NOPE))


def test_a_host_without_a_plan_stops_the_others_and_says_how_to_go_on(context, capsys):
    assert run(context("a", "b", yes=True), some_fail()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == "nothing was changed; --keep-going goes on with a"
    assert err.count("no 'nope'") == 1


def test_with_keep_going_the_reasons_come_before_the_question(context, capsys, no_terminal):
    with pytest.raises(Refused, match=r"^Deploy to a\? "):
        run(context("a", "b", keep_going=True), some_fail())
    out, err = capsys.readouterr()
    assert "no 'nope'" in err
    assert out.startswith("a: v2.71.0 -> v2.73.0")


def test_a_dry_run_shows_the_plans_of_the_other_hosts(context, capsys):
    assert run(context("a", "b", dry=True), some_fail()) == 2
    out, err = capsys.readouterr()
    assert out.startswith("a: v2.71.0 -> v2.73.0")
    assert err.count("no 'nope'") == 1
