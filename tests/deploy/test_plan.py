"""The plan of a deploy from facts, and its preview: no host needed."""

from dataclasses import replace

import pytest

from opstasks.deploy.facts import ClosedFolder, DeployDatabase, DeployDisk, Dirt, GitLock
from opstasks.deploy.plan import make_plan
from opstasks.deploy.release import Release
from opstasks.deploy.source import CheckoutSource
from opstasks.fleet.lock import Owner
from tests.deploy.facts_help import CODE, FACTS, LIB, RECORD, STAY


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


UNREAD = Release("r1", unread="permission denied")


@pytest.mark.parametrize("plan", [FACTS, STAY], ids=["moves", "stays"])
def test_a_record_that_cannot_be_read_forbids_a_deploy(plan):
    facts = replace(plan, releases=(UNREAD,), service_user="opensafely", state_dir="/s")
    (problem,) = make_plan(facts, restart=True).problems
    assert problem.text == "the record of release r1 cannot be read: permission denied"
    assert problem.hint == "as root: chown -R opensafely: /s; chmod -R u+rwX /s"
    assert facts.unfinished is None


@pytest.mark.parametrize(
    ("place", "why", "hint"),
    [
        ("/s/kept", "it belongs to root", "as root: chown -R opensafely: /s; chmod -R u+rwX /s"),
        ("/s/kept", "it is not a folder", "look at it, then: mv /s/kept /s/kept.old"),
        ("/s", "its file system is read-only", "find out why the disk is read-only: dmesg"),
        ("/home", "it belongs to root", "inv -H tpp manage"),
    ],
)
def test_a_folder_that_a_release_cannot_write_forbids_a_move(place, why, hint):
    names = ("kept", "snapshots") if place != "/s/kept" else ("kept",)
    closed = tuple(ClosedFolder(name, place, why) for name in names)
    about = {"closed": closed, "service_user": "opensafely", "state_dir": "/s", "host": "tpp"}
    (problem,) = make_plan(replace(FACTS, **about)).problems
    assert problem.text == f"opensafely cannot write to {place}: {why}"
    assert problem.hint == hint
    assert make_plan(replace(STAY, **about)).problems == ()


def test_only_problems_in_the_release_are_in_release():
    assert make_plan(replace(FACTS, import_error="ImportError: x")).problems[0].in_release
    assert not make_plan(replace(FACTS, unit_loaded=False)).problems[0].in_release


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


def test_one_full_disk_is_one_problem_and_does_not_matter_when_nothing_moves():
    full = tuple(DeployDisk(kind, 7, 10) for kind in ("state", "database", "code", "lib"))
    assert len(make_plan(replace(FACTS, disks=full)).problems) == 1
    assert make_plan(replace(STAY, disks=full)).problems == ()
    two = (*full, DeployDisk("code", 8, 10))
    assert len(make_plan(replace(FACTS, disks=two)).problems) == 2


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("missing", "inv -H tpp manage"),
        ("owner", "as root: chown -R opensafely: /code; chmod -R u+rwX /code"),
        ("space", "df -h /code"),
        ("locked", "find /code/.git -name '*.lock'"),
        ("broken", "mv /code /code.broken"),
        ("fetch", "git -C /code fetch origin"),
        ("name", "inv -H tpp run -- git -C /code ls-remote origin"),
        ("", "check --ref"),
    ],
)
def test_each_fault_of_a_checkout_has_its_own_hint(fault, word):
    code = replace(CODE, error="x", fault=fault, target="")
    facts = replace(FACTS, host="tpp", code=code, service_user="opensafely")
    (problem,) = make_plan(facts).problems
    assert word in problem.hint


def test_changed_files_are_counted_by_how_they_differ():
    dirt = Dirt(staged=("b",), unstaged=("a",), untracked=("1", "2", "3", "4"))
    assert dirt.describe() == "1 staged (b), 1 unstaged (a), 4 untracked (1, 2, 3, ...)"
    assert not Dirt()
