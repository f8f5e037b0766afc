"""The observer sees what it must see: made-up hosts, each with one thing wrong."""

import copy
import re

import pytest

from scripts.layout import modules
from tests.faults import claims, hints, observer
from tests.faults.catalogue import FAULTS
from tests.faults.client import Ended
from tests.faults.workflows import WORKFLOWS

KILL = FAULTS["client killed"]
RESTART = WORKFLOWS["service.restart"]
PAUSE = ["pause", "--yes", "--replace"]
HIGH = "/srv/high_privacy/workspaces/w/a.csv"


def checkout(name):
    return {"head": f"hash of {name}", "name": name, "edits": "", "diff": "", "locks": []}


def healthy():
    unit = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "MainPID": "7"}
    return {
        "boot": "1-2",
        "job": "abc",
        "units": {"jobrunner.service": unit},
        "code": checkout("v2.71.0"),
        "lib": checkout("v2.71.0"),
        "database": {
            "check": "ok",
            "version": 1,
            "jobs": {"abc": ["running", "executing", "w", "a"]},
            "flags": {},
        },
        "containers": {"os-job-abc": "running"},
        "volumes": ["os-volume-abc"],
        "images": {"a": "1"},
        "ours": {},
        "holders": {},
        "lock_is_free": True,
        "files": {HIGH: "1"},
        "config": {},
        "etc": {},
        "accounts": {"/etc/passwd:ada": "ada"},
        "releases": {},
        "scheduled": {},
        "removals": {},
        "snapshots": {},
        "pause": {},
        "left": [],
        "sync": [{}, {}],
        "audit": [],
    }


def changed(change):
    seen = copy.deepcopy(healthy())
    change(seen)
    return seen


def stopped(seen):
    seen["units"]["jobrunner.service"].update(ActiveState="inactive", SubState="dead")


WRONG = {
    "the service is down": stopped,
    "the lock is held": lambda seen: seen.update(lock_is_free=False),
    "a process goes on": lambda seen: seen.update(ours={"1": "python3"}),
    "the database is damaged": lambda seen: seen["database"].update(check="malformed"),
    "the database is newer than the code": lambda seen: seen["database"].update(version=3),
    "code and dependencies differ": lambda seen: seen.update(lib=checkout("v2.73.0")),
    "a git lock": lambda seen: seen["code"].update(locks=["HEAD.lock"]),
    "an edit": lambda seen: seen["code"].update(edits=" M run.py"),
    "an unfinished release": lambda seen: seen.update(releases={"1.json": {"outcome": ""}}),
    "an unreadable record": lambda seen: seen.update(pause={"pause.json": {"unreadable": "x"}}),
    "a partial file": lambda seen: seen.update(left=["/tmp/opstasks-x"]),
    "a part of a snapshot": lambda seen: seen.update(snapshots={"x.sqlite": "malformed"}),
    "a removal that hangs": lambda seen: seen.update(removals={"1.json": {"state": "removing"}}),
}
LOST = {
    "a job": lambda seen: seen["database"].update(jobs={}),
    "a container": lambda seen: seen.update(containers={}),
    "a container that ended": lambda seen: seen.update(containers={"os-job-abc": "exited"}),
    "a volume": lambda seen: seen.update(volumes=[]),
    "a file": lambda seen: seen.update(files={}),
    "the content of a file": lambda seen: seen.update(files={HIGH: "2"}),
    "an account": lambda seen: seen.update(accounts={}),
}


def test_a_healthy_host_has_no_problems_and_lost_nothing():
    assert observer.problems(healthy()) == []
    assert observer.lost(healthy(), healthy(), RESTART, KILL) == []
    assert observer.changed(healthy(), healthy()) == []


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_each_problem_of_a_host_is_seen(change):
    assert observer.problems(changed(change))


@pytest.mark.parametrize("change", LOST.values(), ids=LOST)
def test_each_loss_is_seen(change):
    assert observer.lost(healthy(), changed(change), RESTART, KILL)
    assert observer.changed(healthy(), changed(change)) or change is LOST["a container that ended"]


def ended(message="", **now):
    error = {"message": message, "now": now}
    return Ended(1, "", "", document={"hosts": {"sandbox-1": {"error": error}}})


FALSE = {
    "service": "stopped",
    "code": "another hash",
    "lib": "another hash",
    "database_version": 3,
    "paused": True,
    "prepared": True,
    "jobs": {"abc": "failed (killed_by_admin)"},
    "scheduled": ["20261126T200000-abc"],
    "unfinished": "20261126T200000-abc",
    "boot_id": "3-4",
}
TRUE = {
    "service": "up",
    "code": "hash of v2.71.0",
    "database_version": 1,
    "paused": False,
    "jobs": {"abc": "running (executing)"},
    "scheduled": [],
    "unfinished": "",
    "boot_id": "12",
}


@pytest.mark.parametrize("name", FALSE)
def test_a_false_claim_is_seen(name):
    assert claims.false_statements(
        ended(**{name: FALSE[name]}), healthy(), [healthy()], frozenset()
    )


@pytest.mark.parametrize("name", TRUE)
def test_a_true_claim_is_accepted(name):
    found = claims.false_statements(ended(**{name: TRUE[name]}), healthy(), [healthy()], set())
    assert found == []


def test_a_removed_file_that_is_still_there_is_a_false_claim():
    seen = changed(lambda s: s["files"].update({"/srv/medium_privacy/workspaces/w/a.csv": "1"}))
    assert claims.false_statements(ended(removed=["w/a.csv"]), healthy(), [seen], set())
    assert not claims.false_statements(ended(removed=["w/b.csv"]), healthy(), [seen], set())


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("Back on v2.71.0 as before", lambda seen: seen.update(code=checkout("v2.73.0"))),
        ("now at v2.73.0", lambda seen: None),
        ("x. Now the host is at v2.73.0, the service is up", lambda seen: None),
        ("x. Now the host is at v2.71.0, the service is up (database untouched)", stopped),
        ("failed: x; now service up, paused", stopped),
        ("database untouched", lambda seen: seen["database"].update(version=3)),
        ("nothing was touched: x", stopped),
        ("x; nothing was changed", lambda seen: seen.update(config={"a": "1"})),
        ("the service is stopped: the job will not continue yet", lambda seen: None),
        ("READY TO REBOOT", lambda seen: None),
        ("no name was moved", lambda seen: seen.update(images={"a": "2"})),
    ],
)
def test_a_false_text_is_seen(text, change):
    assert claims.false_statements(ended(text), healthy(), [changed(change)], frozenset())


@pytest.mark.parametrize("text", ["v2.73.0 failed. Now the host is at v2.71.0, the service is up"])
def test_a_true_text_is_accepted(text):
    assert claims.false_statements(ended(text), healthy(), [healthy()], frozenset()) == []


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in claims.STATEMENTS])
def test_each_statement_that_is_judged_is_one_of_the_program(pattern):
    assert any(re.search(pattern, path.read_text()) for path in modules().values())


def test_a_claim_that_was_true_at_once_is_accepted():
    views = [changed(stopped), healthy()]
    assert claims.false_statements(ended(service="stopped"), healthy(), views, set()) == []


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        ("inv -H tpp doctor", ("inv", ["doctor"])),
        ("fix it; `inv -H tpp logs` has more", ("inv", ["logs"])),
        ("run the same command again: it goes on", ("inv", ["mine"])),
        ("fix it, then run manage again: it continues", ("inv", ["manage", "--yes"])),
        ("systemctl unmask jobrunner", ("root", "systemctl unmask jobrunner")),
        ("ask them, or make it yours: inv -H tpp pause --replace", ("inv", PAUSE)),
        ("free space there, then inv -H tpp unpause", ("inv", ["unpause", "--yes"])),
        ("inv -H tpp jobs.ls: running jobs have one", ("inv", ["jobs.ls"])),
        ("inv -H tpp run -- uptime", ("inv", ["run", "--yes", "--", "uptime"])),
        ("ask the platform's developers", (None, "")),
    ],
)
def test_a_hint_is_read_as_a_person_reads_it(hint, expected):
    assert hints.command_of(hint, ["mine"]) == expected
