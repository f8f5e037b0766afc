"""The plan of a deploy from facts, and its preview: no host needed."""

from dataclasses import replace

import pytest

from opstasks.deploy.facts import DeployDatabase, DeployDisk, Dirt, GitLock
from opstasks.deploy.plan import make_plan
from opstasks.deploy.preview import preview, unfinished_lines
from opstasks.deploy.source import CheckoutSource
from opstasks.fleet.lock import Owner
from tests.deploy.facts_help import CODE, COMMIT, FACTS, LIB, RECORD, STAY


def test_a_good_host_has_a_plan_without_problems():
    plan = make_plan(FACTS)
    assert plan.problems == ()
    assert not plan.nothing_to_do


def test_a_host_at_its_target_has_nothing_to_do_without_a_restart():
    assert make_plan(STAY).nothing_to_do
    assert not make_plan(STAY, restart=True).nothing_to_do


def test_an_unfinished_release_is_not_nothing_to_do():
    assert not make_plan(replace(STAY, releases=(RECORD,))).nothing_to_do


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"code": replace(CODE, error="cannot fetch: no route")}, "cannot fetch"),
        ({"lib": replace(LIB, dirt=Dirt(staged=("a.py",)))}, "1 staged (a.py)"),
        ({"lock_owner": Owner("bob@x", "deploy", "", "1")}, "bob@x"),
        ({"unit_loaded": False}, "no unit"),
        ({"may_control": False}, "may not start"),
        ({"docker_answers": False}, "docker does not answer"),
        ({"disks": (DeployDisk("state", 1, 10**6),)}, "977 KiB free, 52.9 MiB needed for the snap"),
        ({"disks": (DeployDisk("code", 1, 10**6),)}, "977 KiB free, 50 MiB needed for the code"),
        ({"disks": (DeployDisk("lib", 1, 10**9, 7),)}, "7 free inodes, 5000 needed for the dep"),
        ({"code": replace(CODE, locks=(GitLock("/code/.git/HEAD.lock"),))}, "was killed left it"),
        (
            {"lib": replace(LIB, locks=(GitLock("/x", "process 7 (git)"),))},
            "process 7 (git) has /x",
        ),
        ({"not_inspected": "cannot unpack it"}, "cannot inspect the release: cannot unpack it"),
        (
            {"code": replace(CODE, source=CheckoutSource(foreign=("/x belongs to root",)))},
            "to root",
        ),
        ({"database": replace(FACTS.database, not_writable="/x belongs to root")}, "may not write"),
        (
            {"database": DeployDatabase(exists=True, error="bad", is_damaged=True)},
            "is damaged: bad",
        ),
        ({"database": DeployDatabase()}, "no database"),
        ({"database": DeployDatabase(exists=True, error="locked")}, "locked"),
        ({"database": DeployDatabase(exists=True, quick_check="bad page")}, "bad page"),
        ({"import_error": "ImportError: x"}, "cannot be imported"),
        ({"database": replace(FACTS.database, user_version=9)}, "version 9"),
    ],
)
def test_each_problem_forbids_a_deploy(change, word):
    problems = make_plan(replace(FACTS, **change)).problems
    assert len(problems) == 1
    assert word in problems[0].text
    assert problems[0].hint


def test_only_problems_in_the_release_are_in_release():
    assert make_plan(replace(FACTS, import_error="ImportError: x")).problems[0].in_release
    assert not make_plan(replace(FACTS, unit_loaded=False)).problems[0].in_release


@pytest.mark.parametrize(
    ("gained", "lost", "direction"),
    [((COMMIT,), (), "behind"), ((), (COMMIT,), "ahead"), ((COMMIT,), (COMMIT,), "diverged")],
)
def test_the_preview_shows_gained_and_lost_commits(gained, lost, direction):
    code = replace(CODE, gained=gained, lost=lost)
    text = "\n".join(preview(make_plan(replace(FACTS, code=code))))
    assert f"({direction})" in text
    assert ("gains 1 commit" in text) == bool(gained)
    assert ("LOSES 1 commit" in text) == bool(lost)
    assert "migration 2" in text
    assert "1 job(s) running" in text
    assert "  job1  ws act" in text


def test_edits_that_an_unfinished_release_would_lose_are_named():
    dirt = Dirt(staged=("a.py",), unstaged=("a.py", *(f"f{n:02}.py" for n in range(20))))
    facts = replace(FACTS, code=replace(CODE, dirt=dirt), releases=(RECORD,))
    first, second, *paths = unfinished_lines(facts)
    assert first == f"unfinished release {RECORD.describe()}, at 'moved'"
    assert second == "/code: 21 edited file(s), reset either way, kept as a patch"
    assert paths[0] == "  a.py"
    assert paths[-1] == "  ... and 6 more"
    assert len(unfinished_lines(replace(FACTS, releases=(RECORD,)))) == 1


def test_a_rollback_without_its_snapshot_names_an_alternative():
    newer = replace(FACTS.database, user_version=2)
    facts = replace(FACTS, database=newer, snapshot="/snap: unable to open", code_version=1)
    (problem,) = make_plan(facts, restores=RECORD).problems
    assert "/snap: unable to open" in problem.text
    assert "`deploy --ref` a release that knows database version 2" in problem.hint
    assert "another snapshot of version 1" in problem.hint
    # Deploying the older code by name is refused with the same hint.
    (problem,) = make_plan(replace(facts, snapshot="ok")).problems
    assert "a release that knows database version 2" in problem.hint
    assert make_plan(replace(facts, snapshot="ok", code_version=2)).problems == ()


def test_changed_files_are_counted_by_how_they_differ():
    dirt = Dirt(staged=("b",), unstaged=("a",), untracked=("1", "2", "3", "4"))
    assert dirt.describe() == "1 staged (b), 1 unstaged (a), 4 untracked (1, 2, 3, ...)"
    assert not Dirt()
