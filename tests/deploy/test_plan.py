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
        ({"unit_problem": "x is masked", "unit": "x"}, "x is masked"),
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


@pytest.mark.parametrize(
    ("database", "why"),
    [
        (DeployDatabase(exists=True, error="the database is locked"), "the database is locked"),
        (
            DeployDatabase(exists=True, error="no header", is_damaged=True),
            "the database is damaged: no header",
        ),
    ],
)
def test_a_preview_does_not_say_what_an_unreadable_database_hides(database, why):
    facts = replace(FACTS, database=database, migrations=())
    (problem,) = make_plan(facts).problems
    assert why in problem.text
    lines = preview(make_plan(facts))
    assert f"migrations: unknown, {why}" in lines
    assert not any("no migration" in line or "0 job(s)" in line for line in lines)


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


@pytest.mark.parametrize(("migrated", "version"), [(False, 3), (True, 1)])
def test_a_rollback_to_code_that_cannot_use_the_database_is_refused(migrated, version):
    """Without a migration nothing is restored: the code meets the database as it is."""
    undone = replace(RECORD, from_version=1 if migrated else 3, to_version=3)
    facts = replace(FACTS, database=replace(FACTS.database, user_version=3), migrations=())
    assert make_plan(replace(facts, code_version=version), restores=undone).problems == ()
    (problem,) = make_plan(replace(facts, code_version=version - 1), restores=undone).problems
    assert f"at version {version}, this code knows only {version - 1}" in problem.text
    assert problem.hint == f"`deploy --ref` a release that knows database version {version}"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"not_inspected": "cannot unpack it in /x: No space"}, "cannot unpack it in /x: No space"),
        ({"import_error": "Traceback\nImportError: x"}, "the release cannot be imported"),
        (
            {"database": replace(FACTS.database, error="database is locked")},
            "database is locked",
        ),
    ],
)
def test_a_preview_says_when_the_migrations_are_not_known(change, why):
    lines = preview(make_plan(replace(FACTS, migrations=(), **change)))
    assert f"migrations: unknown, {why}" in lines
    assert not any("no migration" in line for line in lines)


def test_one_full_disk_is_one_problem_and_does_not_matter_when_nothing_moves():
    full = tuple(DeployDisk(kind, 7, 10) for kind in ("state", "database", "code", "lib"))
    assert len(make_plan(replace(FACTS, disks=full)).problems) == 1
    assert make_plan(replace(STAY, disks=full)).problems == ()
    two = (*full, DeployDisk("code", 8, 10))
    assert len(make_plan(replace(FACTS, disks=two)).problems) == 2


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("missing", "run `manage`"),
        ("owner", "as root: chown -R opensafely: /code"),
        ("space", "df -h /code"),
        ("locked", "find /code/.git -name '*.lock'"),
        ("broken", "mv /code /code.broken"),
        ("fetch", "git -C /code fetch origin"),
        ("name", "git -C /code ls-remote origin"),
        ("", "check --ref"),
    ],
)
def test_each_fault_of_a_checkout_has_its_own_hint(fault, word):
    code = replace(CODE, error="x", fault=fault, target="")
    facts = replace(FACTS, code=code, service_user="opensafely")
    (problem,) = make_plan(facts).problems
    assert word in problem.hint


def test_changed_files_are_counted_by_how_they_differ():
    dirt = Dirt(staged=("b",), unstaged=("a",), untracked=("1", "2", "3", "4"))
    assert dirt.describe() == "1 staged (b), 1 unstaged (a), 4 untracked (1, 2, 3, ...)"
    assert not Dirt()
