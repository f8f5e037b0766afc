"""The questions of the tasks before they continue an unfinished release."""

import io
from dataclasses import replace
from types import SimpleNamespace

import invoke
import pytest

from opstasks.cli.app import App, Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.deploy import tasks
from opstasks.deploy.facts import Dirt
from opstasks.deploy.plan import make_plan
from tests.deploy.facts_help import CODE, FACTS, RECORD


def context(**options):
    return Context(invoke.Config(), App(RunOptions(**options)))


@pytest.fixture
def begun(monkeypatch):
    """A list that gets an item for each changed host."""
    calls = []
    monkeypatch.setattr(tasks, "_roll", lambda *_: calls.append(1))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    return calls


def planned(facts):
    return FleetResult([HostResult("tpp", "ok", make_plan(facts))])


@pytest.mark.parametrize("choice", ["finish", "back"])
@pytest.mark.parametrize("dirt", [Dirt(staged=("a.py",)), Dirt(unstaged=("a.py",))])
@pytest.mark.parametrize("checkout", ["code", "lib"])
def test_edits_are_undone_only_after_a_yes(begun, choice, dirt, checkout):
    edited = replace(getattr(FACTS, checkout), dirt=dirt)
    plans = planned(replace(FACTS, releases=(RECORD,), **{checkout: edited}))
    with pytest.raises(Refused, match="Undo the edits on tpp") as caught:
        tasks._resume(context(), plans, list(plans), choice)
    assert ("--yes" in caught.value.hint, begun) == (True, [])
    tasks._resume(context(yes=True), plans, list(plans), choice)
    assert begun == [1]


@pytest.mark.parametrize(("choice", "deploys"), [("back", []), ("finish", [1]), ("", [1])])
def test_without_an_unfinished_release_back_deploys_nothing(begun, monkeypatch, choice, deploys):
    monkeypatch.setattr(tasks, "_plan", lambda *_, **__: make_plan(FACTS))
    ctx = context(yes=True)
    monkeypatch.setattr(type(ctx), "fleet", SimpleNamespace(gather=lambda read: planned(FACTS)))
    monkeypatch.setattr(ctx.app, "_fleet", None)
    tasks.apply(ctx, unfinished=choice)
    assert begun == deploys


def test_untracked_files_stay_and_need_no_question(begun):
    code = replace(CODE, dirt=Dirt(untracked=("x",)))
    plans = planned(replace(FACTS, code=code, releases=(RECORD,)))
    tasks._resume(context(), plans, list(plans), "back")
    assert begun == [1]
