"""doctor: every finding names its hint, and what is well is no finding."""

import json
import os
import sqlite3

import pytest

from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.doctor import checks as doctor
from opstasks.doctor.onhost import doctor as remote_doctor
from opstasks.fleet import lock
from opstasks.fleet.inventory import HostSpec
from opstasks.manage.describe import describe

SPEC = HostSpec(name="tpp")
NOW = 1_800_000_000.0
UNIT = (
    "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=5\nNRestarts=0\n"
    "UnitFileState=enabled\n"
)


def facts(**over):
    there = {"folder": True, "owner": "opensafely", "group": "g", "mode": 0o750}
    paths = {
        path: {**there, "readable": True, "writable": True} for path, _, _ in doctor.paths(SPEC)
    }
    paths[doctor.secrets_file(SPEC)] = {**there, "mode": 0o600, "readable": True, "writable": True}
    paths[SPEC.lock_dir] = {**there, "owner": "root", "mode": 0o755}
    found = {
        "now": NOW,
        "python": [3, 11],
        "programs": {name: f"/usr/bin/{name}" for name in doctor.PROGRAMS},
        "paths": paths,
        "sudo": {rule: (0, "") for rule in doctor.sudo_rules(SPEC)},
        "docker": (0, ""),
        "database": ("", False),
        "disks": {place: {"used": 40, "inodes": 1} for place in doctor.disks(SPEC)},
        "persistent_journal": True,
        "leftovers": [],
    }
    return {**found, **over}


def judged(facts_=None, unit=UNIT, owner="", releases=()):
    listed = json.dumps({"ok": {"releases": releases}})
    found = {
        "facts": Result("x", 0, json.dumps(facts_ or facts()), ""),
        "unit": Result("x", 0, unit, ""),
        "lock": Result("x", 0, owner, ""),
        "releases": Result("x", 0, listed, ""),
    }
    return [check for check in doctor.judge(SPEC, found, NOW) if not check.good]


def without(path):
    found = facts()
    found["paths"][path] = None
    return found


def changed(path, **over):
    found = facts()
    found["paths"][path].update(over)
    return found


def test_a_host_that_is_well_has_no_finding():
    assert judged() == []


CASES = {
    "old python": facts(python=[3, 8]),
    "clock": facts(now=NOW + 90),
    "no git": facts(programs={"git": ""}),
    "secrets open": changed(doctor.secrets_file(SPEC), mode=0o640),
    "secrets absent": without(doctor.secrets_file(SPEC)),
    "lock folder anybody's": changed(SPEC.lock_dir, mode=0o777),
    "no right": facts(sudo={"/usr/bin/systemctl stop jobrunner": (1, "")}),
    "docker dead": facts(docker=(1, "Cannot connect")),
    "docker hangs": facts(docker=(124, "no answer within 20 s")),
    "database broken": facts(database=("malformed", True)),
    "database locked": facts(database=("database is locked", False)),
    "disk full": facts(disks={"/srv/high_privacy": {"used": 95, "inodes": 1}}),
    "no inodes": facts(disks={"/srv/high_privacy": {"used": 5, "inodes": 99}}),
    "journal volatile": facts(persistent_journal=False),
    "held": facts(leftovers=["abc-1"]),
    "unreadable": changed(f"{SPEC.config_dir}/load-env", readable=False),
    "unwritable": changed(SPEC.workdir, writable=False),
}


@pytest.mark.parametrize("name", CASES)
def test_one_thing_wrong_is_one_finding_with_a_hint(name):
    (check,) = judged(CASES[name])
    assert check.hint
    assert check.text


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("no right", "manage --only access"),
        ("database broken", "restore a snapshot"),
        ("database locked", "what has it open"),
    ],
)
def test_the_cure_is_for_what_is_wrong(name, word):
    (check,) = judged(CASES[name])
    assert word in check.hint
    assert ("restore" in check.hint) == (name == "database broken")


def test_sudoers_lies_in_the_area_that_its_cure_names():
    files = describe(HostSpec(name="tpp", backend="tpp")).files
    assert [f.area for f in files if f.path.endswith("/opstasks-jobrunner")] == ["access"]


@pytest.mark.parametrize("path", [path for path, _, _ in doctor.paths(SPEC)])
def test_every_path_that_is_missing_is_found(path):
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
def test_a_service_that_is_not_well_is_found(old, new, count):
    assert len(judged(unit=UNIT.replace(old, new))) == count


def test_a_lock_is_a_finding_only_when_it_is_held_for_hours():
    def owner(hours):
        from datetime import UTC, datetime, timedelta

        since = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
        return json.dumps({"who": "a", "task": "deploy", "since": since, "run_id": "1"})

    assert judged(owner=owner(0.5)) == []
    (check,) = judged(owner=owner(3))
    assert "lock.break" in check.hint
    assert lock.Owner("a", "t", "", "").age_s == 0.0


def test_no_python_is_one_finding_and_no_traceback():
    found = {"facts": Result("x", 127, "", "bash: python3: command not found")}
    (check,) = doctor.judge(SPEC, found, NOW)
    assert not check.good
    assert "not found" in check.text


def test_an_account_that_does_not_open_is_a_finding():
    class Shell:
        def gather(self, commands):
            raise Refused("may not become opensafely", hint="ask for sudo rights")

    class Host:
        name, spec, service = "tpp", SPEC, Shell()

    (check,) = doctor.examine(Host()).checks
    assert (check.good, check.hint) == (False, "ask for sudo rights")


def test_findings_make_the_host_failed_and_keep_the_report():
    good = doctor.Report((doctor.Check("a", True, "fine"),))
    bad = doctor.Report((doctor.Check("a", False, "broken", "mend"),))
    result = FleetResult([HostResult("x", "ok", good), HostResult("y", "ok", bad)])
    concluded = doctor.conclude(result)
    assert concluded.exit_code == 1
    assert [item.outcome for item in concluded] == ["ok", "failed"]
    assert concluded.results[1].value is bad


# -- the host's side -------------------------------------------------------------------------


def test_a_database_is_judged_by_sqlite_itself(tmp_path):
    path = tmp_path / "db.sqlite"
    assert remote_doctor.database(str(path)) == ("is not there", False)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")
    assert remote_doctor.database(str(path)) == ("", False)
    path.write_bytes(b"no database at all" * 100)
    text, damaged = remote_doctor.database(str(path))
    assert ("not a database" in text, damaged) == (True, True)


def test_a_database_that_cannot_be_used_for_now_is_not_called_damaged(tmp_path, monkeypatch):
    path = tmp_path / "db.sqlite"
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, **{**o, "timeout": 0.1}))
    with connect(path) as holder:
        holder.execute("CREATE TABLE job (id TEXT)")
        holder.commit()
        holder.execute("BEGIN EXCLUSIVE")
        assert remote_doctor.database(str(path)) == ("database is locked", False)
    holder.close()
    folder = tmp_path / "folder.sqlite"
    folder.mkdir()
    text, damaged = remote_doctor.database(str(folder))
    assert (bool(text), damaged) == (True, False)


def test_pages_that_are_damaged_are_called_so(tmp_path):
    path = tmp_path / "db.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE job (id TEXT)")
        connection.executemany("INSERT INTO job VALUES (?)", [("y" * 900,) for _ in range(200)])
    connection.close()
    pages = bytearray(path.read_bytes())
    pages[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    path.write_bytes(pages)
    text, damaged = remote_doctor.database(str(path))
    assert (bool(text), damaged) == (True, True)


def test_a_command_that_hangs_or_is_not_there_is_an_answer(monkeypatch):
    monkeypatch.setattr(remote_doctor, "LIMIT_S", 0.2)
    assert remote_doctor.tried("sleep", "5") == (124, "no answer within 0.2 s")
    assert remote_doctor.tried("no-such-program")[0] == 127
    assert remote_doctor.tried("sh", "-c", "echo first; echo last >&2; exit 3") == (3, "last")


def test_facts_are_json_and_nothing_is_changed(tmp_path, capsys):
    asked = {
        "programs": ["sh", "no-such-program"],
        "paths": [str(tmp_path), "/no/such/path"],
        "sudo": [],
        "database": str(tmp_path / "db"),
        "disks": [str(tmp_path), "/no/such/path"],
        "hold": str(tmp_path),
    }
    remote_doctor.main(json.dumps(asked))
    found = json.loads(capsys.readouterr().out)
    assert found["programs"]["no-such-program"] == ""
    assert found["paths"]["/no/such/path"] is None
    assert found["disks"]["/no/such/path"] is None
    assert 0 <= found["disks"][str(tmp_path)]["used"] <= 100
    assert os.listdir(tmp_path) == []


def test_an_unfinished_release_is_found():
    record = {"id": "r1", "who": "ann", "step": "migrate", "outcome": ""}
    (check,) = judged(releases=[record])
    assert (check.name, check.hint) == ("release", "inv -H tpp deploy")
    assert "is unfinished" in check.text
    assert judged(releases=[{**record, "outcome": "ok"}]) == []


def test_releases_that_cannot_be_read_are_found():
    (check,) = judged(releases=[{"id": None}])
    assert check.name == "release"
    assert "invalid response from the host" in check.text
