"""What a deploy decides from facts, and what it does when a step fails: no host needed."""

import io
import json
from dataclasses import replace

import invoke
import pytest

from opstasks.cli.app import App, Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import (
    CommandFailed,
    Interrupted,
    Lost,
    Refused,
    Unreachable,
    VerifyFailed,
)
from opstasks.core.result import FleetResult, HostResult
from opstasks.deploy import act
from opstasks.deploy import tasks as task
from opstasks.deploy.facts import Database, Facts, Repo
from opstasks.deploy.plan import make, preview, unfinished_lines
from opstasks.deploy.release import Release
from opstasks.fleet.lock import Owner
from opstasks.primitives.git import Commit, Dirt
from tests.fake import FakeHost

COMMIT = Commit("abc1234", "A", "Say hello")
CODE = Repo("/code", "main", "a" * 40, "v1", "b" * 40, "v2", gained=(COMMIT,))
LIB = Repo("/lib", "main", "c" * 40, "v1", "c" * 40, "v1")
FACTS = Facts(
    code=CODE,
    lib=LIB,
    database=Database(
        exists=True,
        size_bytes=10**6,
        user_version=1,
        quick_check="ok",
        jobs=(("job1", "ws", "act", "running"),),
    ),
    free_bytes=10**9,
    unit_state="active",
    unit_loaded=True,
    may_control=True,
    docker_answers=True,
    lock_owner=None,
    releases=(),
    migrations=((2, "ALTER TABLE job"),),
    code_version=2,
)
STAY = replace(
    FACTS, code=replace(CODE, target=CODE.head, gained=()), migrations=(), code_version=1
)
RECORD = Release(
    id="20240101T000000-abc",
    who="a@b",
    from_code="a" * 40,
    to_code="b" * 40,
    from_name="v1",
    to_name="v2",
    step="moved",
    snapshot="/snap",
    from_version=1,
    to_version=2,
)


# -- deciding --------------------------------------------------------------------------------


def test_a_good_host_has_a_plan_without_problems():
    plan = make(FACTS)
    assert plan.problems == ()
    assert not plan.nothing_to_do


def test_a_host_at_its_target_has_nothing_to_do_unless_a_restart_is_asked_for():
    assert make(STAY).nothing_to_do
    assert not make(STAY, restart=True).nothing_to_do


def test_an_unfinished_release_is_something_to_do():
    assert not make(replace(STAY, releases=(RECORD,))).nothing_to_do


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"code": replace(CODE, error="cannot fetch: no route")}, "cannot fetch"),
        ({"lib": replace(LIB, dirt=Dirt(staged=("a.py",)))}, "1 staged (a.py)"),
        ({"lock_owner": Owner("bob@x", "deploy", "", "1")}, "bob@x"),
        ({"unit_loaded": False}, "no unit"),
        ({"may_control": False}, "may not start"),
        ({"docker_answers": False}, "docker does not answer"),
        ({"free_bytes": 10**6}, "MiB free"),
        ({"database": Database()}, "no database"),
        ({"database": Database(exists=True, error="locked")}, "locked"),
        ({"database": Database(exists=True, quick_check="bad page")}, "bad page"),
        ({"import_error": "ImportError: x"}, "cannot be imported"),
        ({"database": replace(FACTS.database, user_version=9)}, "version 9"),
    ],
)
def test_what_forbids_a_deploy(change, word):
    problems = make(replace(FACTS, **change)).problems
    assert len(problems) == 1
    assert word in problems[0].text
    assert problems[0].hint


def test_only_faults_of_the_release_count_as_its_own():
    assert make(replace(FACTS, import_error="ImportError: x")).problems[0].in_release
    assert not make(replace(FACTS, unit_loaded=False)).problems[0].in_release


@pytest.mark.parametrize(
    ("gained", "lost", "direction"),
    [((COMMIT,), (), "behind"), ((), (COMMIT,), "ahead"), ((COMMIT,), (COMMIT,), "diverged")],
)
def test_the_preview_shows_what_is_gained_and_what_is_lost(gained, lost, direction):
    text = "\n".join(preview(make(replace(FACTS, code=replace(CODE, gained=gained, lost=lost)))))
    assert f"({direction})" in text
    assert ("gains 1 commit" in text) == bool(gained)
    assert ("LOSES 1 commit" in text) == bool(lost)
    assert "migration 2" in text
    assert "1 job(s) running" in text


def test_edits_that_an_unfinished_release_would_throw_away_are_named():
    dirt = Dirt(staged=("a.py",), unstaged=("a.py", *(f"f{n:02}.py" for n in range(20))))
    facts = replace(FACTS, code=replace(CODE, dirt=dirt), releases=(RECORD,))
    first, second, *paths = unfinished_lines(facts)
    assert first == f"unfinished release {RECORD.describe()}, at 'moved'"
    assert second == "/code: 21 edited file(s), THROWN AWAY either way"
    assert paths[0] == "  a.py"
    assert paths[-1] == "  ... and 6 more"
    assert len(unfinished_lines(replace(FACTS, releases=(RECORD,)))) == 1


def context(**options):
    return Context(invoke.Config(), App(RunOptions(**options)))


@pytest.mark.parametrize("choice", ["finish", "back"])
@pytest.mark.parametrize("dirt", [Dirt(staged=("a.py",)), Dirt(unstaged=("a.py",))])
@pytest.mark.parametrize("repo", ["code", "lib"])
def test_edits_are_thrown_away_only_by_somebody_who_agrees(monkeypatch, choice, dirt, repo):
    edited = replace(getattr(FACTS, repo), dirt=dirt)
    plans = cut_off(replace(FACTS, releases=(RECORD,), **{repo: edited}))
    begun = []
    monkeypatch.setattr(task, "_roll", lambda *_: begun.append(1))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    with pytest.raises(Refused, match="Throw the edits on tpp away") as caught:
        task._resume(context(), plans, list(plans), choice)
    assert ("--yes" in caught.value.hint, begun) == (True, [])
    task._resume(context(yes=True), plans, list(plans), choice)
    assert begun == [1]


def test_what_is_only_untracked_is_thrown_away_by_nothing_and_asked_about_by_nobody(monkeypatch):
    plans = cut_off(
        replace(FACTS, code=replace(CODE, dirt=Dirt(untracked=("x",))), releases=(RECORD,))
    )
    begun = []
    monkeypatch.setattr(task, "_roll", lambda *_: begun.append(1))
    task._resume(context(), plans, list(plans), "back")
    assert begun == [1]


def cut_off(facts):
    return FleetResult([HostResult("tpp", "ok", make(facts))])


def test_without_its_snapshot_a_rollback_names_a_way_that_does_not_lead_back_to_it():
    newer = replace(FACTS.database, user_version=2)
    facts = replace(FACTS, database=newer, snapshot="/snap: unable to open", code_version=1)
    (problem,) = make(facts, restores=RECORD).problems
    assert "/snap: unable to open" in problem.text
    assert "`deploy --ref` a release that knows database version 2" in problem.hint
    assert "another snapshot of version 1" in problem.hint
    # The older code by its name is what does not work; the other way says so, too.
    (problem,) = make(replace(facts, snapshot="ok")).problems
    assert "a release that knows database version 2" in problem.hint
    assert make(replace(facts, snapshot="ok", code_version=2)).problems == ()


# -- which release a rollback undoes ---------------------------------------------------------


def record(id, kind="deploy", outcome="deployed"):
    return Release(id=id, kind=kind, outcome=outcome)


@pytest.mark.parametrize(
    ("kinds", "undone"),
    [
        ([], None),
        (["deploy"], "1"),
        (["deploy", "deploy"], "2"),
        (["deploy", "deploy", "rollback"], "1"),
        (["deploy", "rollback"], None),
        (["deploy", "rollback", "deploy"], "3"),
        (["deploy", "deploy", "rollback", "rollback"], None),
    ],
)
def test_a_rollback_undoes_the_newest_release_in_force(kinds, undone):
    records = [record(str(n), kind) for n, kind in enumerate(kinds, 1)]
    found = act.undoable(tuple(reversed(records)))
    assert (found.id if found else None) == undone


def test_releases_that_were_rolled_back_by_themselves_do_not_count():
    assert act.undoable((record("2", outcome="rolled back"), record("1"))).id == "1"


# -- acting ----------------------------------------------------------------------------------


def ok(**values):
    return json.dumps({"ok": True, **values}) + "\n"


def no(reason):
    return json.dumps({"ok": False, "reason": reason, "detail": "last words"}) + "\n"


def host(**answers):
    rules = [(f"- {step}", answer) for step, answer in answers.items()]
    return FakeHost(rules)


GOOD = {"begin": ok(), "switch": ok(version=2), "serve": ok(as_before=[]), "finish": ok()}


def test_every_step_is_done_in_order():
    tpp = host(**GOOD)
    outcome = act.apply(tpp, make(FACTS))
    assert (outcome.changed, outcome.to_name, outcome.database_version) == (True, "v2", 2)
    done = [line.split("- ")[1].split()[0] for line in tpp.seen if line.startswith("python3")]
    assert done == ["begin", "switch", "serve", "finish"]


@pytest.mark.parametrize("step", GOOD)
def test_a_step_that_fails_goes_back_and_says_why(step):
    tpp = host(**{**GOOD, step: no("it broke")}, roll_back=ok(how="database untouched"))
    with pytest.raises(VerifyFailed, match=r"v2 did not take: it broke. Back on v1") as caught:
        act.apply(tpp, make(FACTS))
    assert caught.value.tail == "last words"


def test_a_step_that_dies_goes_back_too():
    tpp = host(**{**GOOD, "switch": (137, "")}, roll_back=ok(how="database untouched"))
    with pytest.raises(VerifyFailed, match="broke off"):
        act.apply(tpp, make(FACTS))


def test_going_back_that_fails_says_where_the_database_is_and_what_to_type():
    tpp = host(**{**GOOD, "switch": no("it broke")}, roll_back=no("disk full"))
    with pytest.raises(
        CommandFailed, match="it broke; and going back to v1 failed: disk full"
    ) as caught:
        act.apply(tpp, make(FACTS))
    assert "--unfinished back" in caught.value.hint
    assert "/snapshots/" in caught.value.hint


def test_a_connection_that_is_lost_leaves_the_host_unknown_and_goes_nowhere():
    tpp = host(**{**GOOD, "switch": Unreachable("connection lost")})
    with pytest.raises(Lost) as caught:
        act.apply(tpp, make(FACTS))
    assert caught.value.exit_code == 4
    assert not any("roll_back" in line for line in tpp.seen)


def test_ctrl_c_between_steps_goes_back():
    tpp = host(**GOOD, roll_back=ok(how="database untouched"))
    tpp.stop.set()
    with pytest.raises(Interrupted, match="back on v1"):
        act.apply(tpp, make(FACTS))


@pytest.mark.parametrize("back", [True, False])
def test_an_unfinished_release_goes_the_way_that_was_chosen(back):
    tpp = host(**GOOD, roll_back=ok(how="restored"))
    outcome = act.resume(tpp, replace(FACTS, releases=(RECORD,)), roll_back=back)
    assert outcome.to_name == ("v1" if back else "v2")
    assert any("roll_back" in line for line in tpp.seen) == back


def test_a_release_that_was_on_its_way_back_only_goes_back():
    tpp = host(roll_back=ok(how="restored"))
    facts = replace(FACTS, releases=(replace(RECORD, rolling_back=True),))
    assert act.resume(tpp, facts, roll_back=False).to_name == "v1"


@pytest.mark.parametrize("back", [True, False])
def test_an_unfinished_release_that_someone_else_ended_first_is_refused(back):
    ended = {"ok": False, "reason": "release x is deployed already", "detail": "", "refused": True}
    tpp = host(begin=json.dumps(ended), roll_back=json.dumps(ended))
    with pytest.raises(Refused, match="deployed already") as caught:
        act.resume(tpp, replace(FACTS, releases=(RECORD,)), roll_back=back)
    assert caught.value.hint == "inv -H tpp deploy.releases"
    assert any("- roll_back" in line for line in tpp.seen) == back
