"""doctor: every finding has a hint, and a host without problems has no finding."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import msgspec
import pytest

from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.deploy import fit, present, release
from opstasks.doctor import checks, facts, left
from opstasks.doctor.checks import DoctorFinding, DoctorReport
from opstasks.fleet import lock
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.read import READ, JobsAnswer
from opstasks.locks.break_lock import HOLDERS, HoldersAnswer, HoldersRequest
from opstasks.manage.describe import describe
from opstasks.primitives import systemd
from tests.fake_host import ANY, Reply, failed

SPEC = HostSpec(name="tpp")
NOW = 1_800_000_000.0
UNIT = (
    "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=5\nNRestarts=0\n"
    "UnitFileState=enabled\n"
)


def told(**over):
    """The answer of a healthy host, except for these values."""
    there = {"owner": "opensafely", "mode": 0o750, "readable": True, "writable": True}
    paths = {path: there for path, _, _ in facts.paths(SPEC)}
    paths[facts.secrets_file(SPEC)] = {**there, "mode": 0o600}
    paths[SPEC.lock_dir] = {**there, "owner": "root", "mode": 0o755}
    found = {
        "now_at": NOW,
        "python": [3, 11],
        "programs": {name: f"/usr/bin/{name}" for name in facts.PROGRAMS},
        "paths": paths,
        "sudo": {rule: {"code": 0} for rule in facts.sudo_rules(SPEC)},
        "docker": {"version": "1.41"},
        "database": {},
        "disks": {place: disk(40, 1) for place in facts.disks(SPEC)},
        "persistent_journal": True,
        "leftovers": [],
    }
    return {**found, **over}


def disk(used, inodes):
    return {"used_percent": used, "inodes_percent": inodes}


def answer(found):
    return Result("x", 0, json.dumps({"ok": found}), "")


NOTHING_LEFT = {
    "jobs": answer({"now": NOW, "flags": {}, "counts": {}, "jobs": []}),
    "untold": Result("ls", 2, "", "No such file or directory"),
}


def all_good(found=None, unit=UNIT, owner="", releases=(), present=None, versions=None):
    return {
        "facts": answer(found or told()),
        "unit": Result("x", 0, unit, ""),
        "lock": Result("x", 0, owner, ""),
        "releases": answer({"releases": list(releases)}),
        "present": answer(present or {"checkouts": {}}),
        "fit": answer(versions or {}),
        **NOTHING_LEFT,
    }


def judged(*args, **over):
    return [c for c in checks.judge(SPEC, all_good(*args, **over), NOW) if not c.good]


@pytest.mark.parametrize(
    ("why", "hint"),
    [
        ("it belongs to root", "as root: chown -R opensafely: PLACE; chmod -R u+rwX PLACE"),
        ("its mode is 0500", "as root: chown -R opensafely: PLACE; chmod -R u+rwX PLACE"),
        ("its file system is read-only", "find out why the disk is read-only: dmesg"),
        ("it is not a folder", "look at it, then: mv PLACE PLACE.old"),
    ],
)
def test_a_folder_that_somebody_else_made_is_a_finding(why, hint):
    place = f"{SPEC.state_dir}/reboots"
    (check,) = judged(told(closed={place: why, "/x; reboot": "odd"}))
    assert (check.name, check.text) == (place, f"opensafely may not write to it: {why}")
    assert check.hint == hint.replace("PLACE", place)


def test_what_ended_jobs_left_is_part_of_the_checks():
    (check,) = [c for c in checks.judge(SPEC, all_good(), NOW) if c.name == "ended jobs"]
    assert check.text == "left nothing behind"


def without(path):
    found = told()
    found["paths"][path] = None
    return found


def changed(path, **over):
    found = told()
    found["paths"][path] = {**found["paths"][path], **over}
    return found


def test_a_host_without_problems_has_no_finding():
    assert judged() == []


def test_a_checkout_and_a_database_that_stop_the_service_are_findings():
    found = judged(
        present={
            "checkouts": {"code": {"error": "git cannot read it: fatal: x", "fault": "broken"}},
            "not_writable": "/db belongs to root",
        },
        versions={"code_version": 1, "database_version": 3},
    )
    assert [check.name for check in found] == [
        f"git in {SPEC.code_dir}",
        "database rights",
        "code and database",
    ]
    assert found[0].hint.startswith(f"mv {SPEC.code_dir} ")
    assert found[2].hint == "inv -H tpp deploy"
    assert found[1].hint.startswith("as root: chown opensafely: ")


def test_a_hint_for_a_checkout_of_root_is_no_circle():
    """`manage` clones checkouts, and gives none of them back."""
    for over in ({"writable": False}, {"readable": False}):
        (found,) = judged(changed(f"{SPEC.code_dir}/.git", **over))
        assert found.hint == opened(SPEC.code_dir)
    (found,) = judged(changed(SPEC.workdir, writable=False))
    assert found.hint == "inv -H tpp manage"


def opened(place):
    """The hint for a closed place: `chown` alone gives the account no rights of its own file."""
    return f"as root: chown -R opensafely: {place}; chmod -R u+rwX {place}"


MANAGE = "inv -H tpp manage"
CODE, LIB, HOME = SPEC.code_dir, SPEC.lib_dir, SPEC.home
DENIED = "permission denied"
HIDDEN = [path for path, _, _ in facts.paths(SPEC)] + [facts.secrets_file(SPEC)]


@pytest.mark.parametrize("path", HIDDEN)
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_a_path_behind_a_closed_folder_is_not_called_missing(path, depth):
    """`manage` opens the folders that it describes, not those above them or in checkouts."""
    parents = [str(place) for place in PurePosixPath(path).parents]
    closed_at = parents[min(depth, len(parents)) - 1]
    nothing = {"owner": "", "mode": 0, "readable": False, "writable": False}
    why = {"why": f"{DENIED}: {closed_at}", "closed_at": closed_at}
    (check,) = [check for check in judged(changed(path, **nothing, **why)) if check.name == path]
    assert check.text.endswith(f"{DENIED}: {closed_at}")
    inside = [place for place in (CODE, LIB) if f"{closed_at}/".startswith(f"{place}/")]
    roots = (HOME, SPEC.high_privacy, SPEC.medium_privacy, SPEC.lock_dir)
    is_described = any(f"{closed_at}/".startswith(f"{root}/") for root in roots)
    usual = MANAGE if is_described else f"as root: chmod a+x {closed_at}"
    assert check.hint == (opened(inside[0]) if inside else usual)


@pytest.mark.parametrize("path", [path for path, _, _ in facts.paths(SPEC)])
def test_a_path_that_fails_for_another_reason_gets_no_advice_about_rights(path):
    nothing = {"owner": "", "mode": 0, "readable": False, "writable": False}
    (check,) = judged(changed(path, **nothing, why="too many levels of symbolic links"))
    assert check.text == "opensafely cannot read it: too many levels of symbolic links"
    assert check.hint == f"look at it: ls -ld {path}"


def test_a_folder_of_the_lock_that_cannot_be_looked_at_has_no_owner():
    nothing = {"owner": "", "mode": 0, "readable": False, "writable": False}
    why = {"why": f"{DENIED}: /var/lib", "closed_at": "/var/lib"}
    (check,) = judged(changed(SPEC.lock_dir, **nothing, **why))
    assert (check.name, check.text) == (SPEC.lock_dir, f"{DENIED}: /var/lib")


CASES = {
    "old python": told(python=[3, 8]),
    "clock": told(now_at=NOW + 90),
    "no git": told(programs={**told()["programs"], "git": ""}),
    "secrets open": changed(facts.secrets_file(SPEC), mode=0o640),
    "secrets of root": changed(facts.secrets_file(SPEC), owner="root", readable=False),
    "secrets absent": without(facts.secrets_file(SPEC)),
    "lock folder anybody's": changed(SPEC.lock_dir, mode=0o777),
    "no right": told(sudo={**told()["sudo"], "/usr/bin/systemctl stop jobrunner": {"code": 1}}),
    "docker dead": told(docker={"error": "docker does not answer: No such file"}),
    "docker hangs": told(docker={"error": "docker does not answer: timed out"}),
    "docker elsewhere": told(docker={"error": "DOCKER_HOST has the scheme tcp://"}),
    "docker too new": told(docker={"error": "docker says: client version 1.52 is too old."}),
    "database broken": told(database={"problem": "malformed", "damaged": True}),
    "database locked": told(database={"problem": "database is locked"}),
    "disk full": told(disks={"/srv/high_privacy": disk(95, 1)}),
    "no inodes": told(disks={"/srv/high_privacy": disk(5, 99)}),
    "journal volatile": told(persistent_journal=False),
    "held": told(leftovers=["abc-1"]),
    "unreadable": changed(f"{SPEC.config_dir}/load-env", readable=False),
    "unwritable": changed(SPEC.workdir, writable=False),
}


@pytest.mark.parametrize("name", CASES)
def test_one_problem_is_one_finding_with_a_hint(name):
    (check,) = judged(CASES[name])
    assert check.hint
    assert check.text


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("no right", "manage --only access"),
        ("database broken", "restore a snapshot"),
        ("database locked", "what has it open"),
        ("docker dead", "in the group docker?"),
        ("docker elsewhere", "set it to unix://PATH"),
        ("docker too new", "update opstasks"),
    ],
)
def test_the_hint_fits_the_problem(name, word):
    (check,) = judged(CASES[name])
    assert word in check.hint
    assert ("restore" in check.hint) == (name == "database broken")


def test_the_hint_about_sudoers_names_its_area():
    files = describe(HostSpec(name="tpp", backend="tpp")).files
    assert [f.area for f in files if f.path.endswith("/opstasks-jobrunner")] == ["access"]


@pytest.mark.parametrize("path", [path for path, _, _ in facts.paths(SPEC)])
def test_every_missing_path_is_found(path):
    (check,) = judged(without(path))
    assert (check.name, check.text) == (path, "not there")
    assert check.hint.startswith("inv -H tpp ")


@pytest.mark.parametrize(
    ("old", "new", "count"),
    [
        ("SubState=running", "SubState=auto-restart", 1),
        ("UnitFileState=enabled", "UnitFileState=disabled", 1),
        ("NRestarts=0", "NRestarts=7", 1),
        (UNIT, "LoadState=not-found\n", 2),
    ],
)
def test_a_service_with_problems_is_found(old, new, count):
    assert len(judged(unit=UNIT.replace(old, new))) == count


def test_a_lock_is_a_finding_only_after_hours():
    def owner(hours):
        since = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        return json.dumps({"who": "a", "task": "deploy", "since": since, "run_id": "1"})

    assert judged(owner=owner(0.5)) == []
    (check,) = judged(owner=owner(3))
    assert "lock.break" in check.hint
    assert lock.Owner("a", "t", "", "").age_s == 0.0


def test_dockers_own_message_is_shown():
    (check,) = judged(CASES["docker too new"])
    assert (check.name, check.text) == ("docker", "docker says: client version 1.52 is too old.")


@pytest.mark.parametrize(
    ("result", "words", "hint"),
    [
        (Result("x", 127, "", "bash: python3: command not found"), "not found", "install python3"),
        (Result("x", 0, "hello", ""), "invalid response", "report it"),
        (Result("x", 0, failed("KeyError: 'x'").out, ""), "KeyError", "report it"),
        (answer(told(now_at=1e15)), "invalid response", "report it"),
    ],
)
def test_without_an_answer_there_is_one_finding(result, words, hint):
    (check,) = checks.judge(SPEC, {"facts": result}, NOW)
    assert not check.good
    assert words in check.text
    assert hint in check.hint


NONSENSE = [
    {"python": "3.11"},
    {"python": [3]},
    {"programs": {"git": None}},
    {"paths": {"/x": {"owner": "root"}}},
    {"sudo": {"rule": [0, ""]}},
    {"docker": None},
    {"database": {"damaged": "no"}},
    {"disks": {"/": {"used_percent": "4 %", "inodes_percent": 1}}},
    {"leftovers": "x"},
    {"persistent_journal": None},
]


@pytest.mark.parametrize("over", NONSENSE)
def test_an_invalid_answer_is_one_finding(over):
    (check,) = judged(told(**over))
    assert "invalid response from the host" in check.text


def test_an_account_without_access_is_a_finding(fake_host):
    host = fake_host()
    host.open_session = lambda user: refuse(user)

    def refuse(user):
        raise Refused(f"may not become {user}", hint="ask for sudo rights")

    (check,) = checks.inspect(host).checks
    assert (check.good, check.text) == (False, "may not become opensafely")
    assert check.hint == "ask for sudo rights"


def inspected(host):
    """Expect the commands as the service account, with the answers of a healthy host."""
    good = msgspec.convert(told(), facts.DoctorFacts)
    host.expect(facts.INSPECT, facts.request(SPEC), good, user="opensafely")
    host.expect(systemd.show(SPEC.unit), UNIT, user="opensafely")
    host.expect(lock.holder(SPEC), "", user="opensafely")
    host.expect(release.RELEASES, ANY, release.ReleasesAnswer(()), user="opensafely")
    host.expect(present.PRESENT, ANY, present.PresentFacts({}), user="opensafely")
    host.expect(fit.FIT, ANY, fit.FitFacts(), user="opensafely")
    host.expect(READ, ANY, JobsAnswer(NOW, {}, {}, ()), user="opensafely")
    host.expect(left.commands(SPEC)["untold"], Reply(2), user="opensafely")


def test_a_host_is_inspected_as_the_service_account_and_as_root(fake_host, monkeypatch):
    monkeypatch.setattr(checks.time, "time", lambda: NOW)
    host = fake_host()
    inspected(host)
    for name, command in facts.root_commands(SPEC).items():
        reply = Reply(255, err="line 3: bad") if name == "sshd" else ""
        if name == "holders":
            host.expect(HOLDERS, HoldersRequest(SPEC.lock_file), HoldersAnswer(()), user="root")
        else:
            host.expect(command, reply, user="root")
    (check,) = checks.inspect(host).bad
    assert (check.name, check.text) == ("sshd's configuration", "line 3: bad")


def test_without_root_the_other_checks_are_made(fake_host, monkeypatch):
    monkeypatch.setattr(checks.time, "time", lambda: NOW)
    host = fake_host()
    inspected(host)
    open_session = host.open_session

    def refuse(user):
        if user == "root":
            raise Refused("may not become root")
        return open_session(user)

    host.open_session = refuse
    report = checks.inspect(host)
    assert [(check.name, check.hint) for check in report.bad] == [
        ("root", "ask for sudo rights on this host")
    ]
    assert len(report.checks) > 20


def test_a_host_with_findings_has_failed_and_keeps_its_report():
    good = DoctorReport((DoctorFinding("a", True, "fine"),))
    bad = DoctorReport((DoctorFinding("a", False, "broken", "fix it"),))
    result = FleetResult([HostResult("x", "ok", good), HostResult("y", "ok", bad)])
    concluded = checks.conclude(result)
    assert concluded.exit_code == 1
    assert [item.outcome for item in concluded] == ["ok", "failed"]
    assert concluded.results[1].value is bad


def test_an_unfinished_release_is_found():
    record = {"id": "r1", "who": "ann", "step": "migrate", "outcome": ""}
    (check,) = judged(releases=[record])
    assert (check.name, check.hint) == ("release", "inv -H tpp deploy")
    assert "is unfinished" in check.text
    assert judged(releases=[{**record, "outcome": "ok"}]) == []


def test_a_record_that_cannot_be_read_is_found():
    (check,) = judged(releases=[{"id": "r1", "unread": "permission denied"}])
    assert check.text == "the record of release r1 cannot be read: permission denied"
    assert check.hint.startswith(f"as root: chown -R opensafely: {SPEC.state_dir}")


def test_releases_that_cannot_be_read_are_found():
    (check,) = judged(releases=[{"id": None}])
    assert check.name == "release"
    assert "invalid response from the host" in check.text


def test_a_sync_without_an_answer_is_a_finding():
    for result in (Result("x", 1, "", "no python"), Result("x", 0, '{"ok": {}}', "")):
        results = {
            "facts": answer(told()),
            "unit": Result("x", 0, UNIT, ""),
            "lock": Result("x", 0, "", ""),
            "releases": answer({"releases": []}),
            "present": answer({"checkouts": {}}),
            "fit": answer({}),
            **NOTHING_LEFT,
            "sync": result,
        }
        (check,) = [c for c in checks.judge(SPEC, results, NOW) if not c.good]
        assert (check.name, check.hint) == ("level 3 sync", "inv -H tpp sync.status")


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ("NRestarts=0", ""),
        ("NRestarts=1", "died once"),
        ("NRestarts=4", "died 4 times since its last start"),
        ("NRestarts=4\nActiveState=inactive\nSubState=dead", ""),
        ("NRestarts=4\nStateChangeTimestamp=Fri 2020-01-03 10:00:00 UTC", ""),
    ],
)
def test_a_death_is_a_finding_for_a_day_and_not_after_a_deliberate_stop(properties, text):
    found = [check.text for check in judged(unit=f"{UNIT}{properties}\n") if check.name == "steady"]
    assert found == ([text] if text else [])
