"""SQLite takes any value in any column: one odd row hides nothing else, whoever reads it."""

import getpass
import json
import re
import sqlite3
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from opstasks.core.fields import ready
from opstasks.core.result import Result
from opstasks.deploy.facts import DeployDatabase
from opstasks.deploy.onhost import database_read, fit
from opstasks.deploy.onhost import inspect as deploy_inspect
from opstasks.deploy.onhost import jobs as deploy_jobs
from opstasks.doctor.onhost import inspect as doctor_inspect
from opstasks.fleet.program import Reader
from opstasks.jobs import listing
from opstasks.jobs import read as jobs_read
from opstasks.jobs.find import FIND
from opstasks.jobs.onhost import find, job_containers, job_table, read, stream
from opstasks.maintenance.after import AFTER
from opstasks.maintenance.onhost import (
    after,
    claims,
    containers,
    database,
    pause_flag,
    problems,
    store,
)
from opstasks.maintenance.onhost import inspect as maintenance_inspect
from opstasks.maintenance.onhost import read as maintenance_read
from opstasks.maintenance.onhost.query import query
from opstasks.maintenance.onhost.site import Site
from opstasks.maintenance.onhost.units import HostUnit
from opstasks.maintenance.prepare import INSPECT
from opstasks.maintenance.records import READ as MAINTENANCE
from scripts.layout import modules
from tests.jobs.table_help import FakeDocker

VALUES = {
    "NULL": None,
    "integer": 7,
    "largest integer": 2**63 - 1,
    "smallest integer": -(2**63),
    "real": 1.5,
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "nan": float("nan"),
    "text": "abc",
    "empty text": "",
    "not UTF-8": b"a\xff\xed\xb3\xbfz",
    "blob": b"\xff\x00abc",
    "100,000 letters": "a" * 100_000,
    "controls and line ends": "a\0\x1b[31m\n\r\x85\u2028\ufeff",
}
COLUMNS = (*job_table.COLUMNS, *job_table.MORE_COLUMNS)
NUMBERS = ("created_at", "updated_at", "started_at", "completed_at", "cancelled")
GOOD = {
    **{name: f"good {name}" for name in COLUMNS},
    **dict.fromkeys(NUMBERS, 4_000_000_000),
    "id": "good",
    "workspace": "ws",
    "action": "act",
    "state": "running",
    "status_code_updated_at": 4_000_000_000 * 10**9,
    "run_command": "python:v1 x",
}


@pytest.fixture(params=["as job-runner's", "without types"])
def put(request, tmp_path):
    """Make the database: `put(jobs, flags)`; a pair of a name and bytes is such a text."""
    typed = request.param != "without types"
    path = tmp_path / "db.sqlite"

    def kind(name):
        is_number = name in NUMBERS or name == "status_code_updated_at"
        return ("INT" if is_number else "TEXT PRIMARY KEY" if name == "id" else "TEXT") * typed

    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
    columns = ", ".join(f'"{name}" {kind(name)}' for name in COLUMNS)
    connection.execute(f"CREATE TABLE job ({columns})")
    connection.execute(
        f"CREATE TABLE flags (id {kind('id')}, value {'TEXT' * typed}, timestamp {'INT' * typed})"
    )

    def insert(table, row):
        marks = ["CAST(? AS TEXT)" if isinstance(value, tuple) else "?" for value in row.values()]
        values = [value[0] if isinstance(value, tuple) else value for value in row.values()]
        names = ", ".join(f'"{name}"' for name in row)
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join(marks)})", values)

    def make(jobs, flags=()):
        connection.execute("BEGIN")
        connection.execute("DELETE FROM job")
        connection.execute("DELETE FROM flags")
        for job in jobs:
            insert("job", job)
        for flag in flags:
            insert("flags", flag)
        connection.execute("COMMIT")

    yield make
    connection.close()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The host of the database, without systemd and docker."""
    there = [f"os-job-{id}" for id in ("good", "odd3", "gone")]
    unit = HostUnit("loaded", "active", "running", "enabled")
    for module in (store, maintenance_read):
        monkeypatch.setattr(module, "unit_states", lambda names: {})
    for module in (claims, maintenance_inspect):
        monkeypatch.setattr(module, "read_unit", lambda name: unit)
    for module in (claims, maintenance_inspect):
        monkeypatch.setattr(module, "is_down", lambda name: False)
    monkeypatch.setattr(containers, "docker_list", lambda *_: there)
    monkeypatch.setattr(job_containers, "engine", lambda: FakeDocker(there))
    monkeypatch.setattr(deploy_jobs, "begun_record", lambda spec: {"containers": there})
    monkeypatch.setattr(deploy_jobs, "job_containers", list)
    monkeypatch.setattr(deploy_jobs, "exists", lambda name: False)
    folder = str(tmp_path)
    base = dict.fromkeys(Site.__dataclass_fields__, folder)
    return Site(
        **{
            **base,
            "service_user": getpass.getuser(),
            "database": f"{folder}/db.sqlite",
            "unit": "jobrunner",
        }
    )


# -- the readers: what each says of the good row ---------------------------------------------


def told(program, answer):
    """An answer as the client gets it."""
    return program.decode(Result("x", 0, json.dumps({"ok": answer}), ""), "tpp")


def the_good(jobs):
    found = [job for job in jobs if job.id == "good"]
    assert len(found) == 1
    return found[0]


def page(site, **more):
    request = {"database": site.database, "selection": {}, "limit": 99, "after": None}
    request |= {"with_counts": True, "with_docker": True, "volumes": site.home, **more}
    return told(jobs_read.READ, read.main(request))


def jobs_of_one_answer(site):
    found = page(site)
    assert sum(found.counts.values()) == len(found.jobs) >= found.counts["running"]
    assert sum(found.ended_day.values()) >= found.ended_day["running"] >= 1
    return the_good(found.jobs), the_good(found.docker.jobs), found.flags.get("good")


def jobs_of_small_pages(site):
    jobs, after_ = [], None
    for _ in range(99):
        found = page(site, limit=1, after=after_)
        jobs += found.jobs
        if not found.more:
            return the_good(jobs)
        last = (found.jobs[-1].created_at, found.jobs[-1].id)
        assert after_ is None or last < tuple(after_), "the client refuses such a page"
        after_ = list(last)
    return pytest.fail("the pages never end")


def jobs_of_a_stream(site):
    lines, jobs = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "send_part", lambda value: lines.append(json.dumps({"part": value})))
        request = {"database": site.database, "selection": {}, "limit": 0, "page_rows": 1}
        stream.main({**request, "volumes": site.home})
    reader = Reader(listing.STREAM, "tpp", lambda part: jobs.extend(part.jobs))
    for line in lines:
        reader.take(f"{line}\n".encode())
    return the_good(jobs)


def found_jobs(site):
    words = ("good", "ws-act", "o", "�", "aa", "a")
    request = {"database": site.database, "words": words, "logs": site.home, "volumes": site.home}
    found = told(FIND, find.main(request)).matches
    for word, many in found.items():
        assert all(word in item.job.name for item in many), "the client refuses such a job"
    good = [next(item for item in found[word] if item.job.id == "good") for word in words[:3]]
    return good[0], good[0].row, [item.job for item in good]


def running_jobs_of_a_deploy(site):
    facts = deploy_inspect.database_facts(site.database)
    answer = msgspec.convert(json.loads(json.dumps(facts)), ready(DeployDatabase))
    assert (answer.error, answer.quick_check) == ("", "ok")
    return the_good(answer.running)


def jobs_that_a_deploy_lost(site):
    spec = {"database": site.database}
    assert json.dumps(sorted(database_read.job_ids(Path(site.database))))
    assert fit.database_version(site.database) == 0
    assert deploy_jobs.running_count(spec) >= 1
    why, lost = deploy_jobs.lost_containers(spec)
    assert (why, "gone" in lost) == ("", False)
    return "good" in lost, "good" in database_read.job_ids(Path(site.database))


def database_for_doctor(site):
    return doctor_inspect.database(site.database)


def state_before_a_reboot(site):
    answer = told(INSPECT, {"now_at": 1, "due_at": 1, "due_there": "x"} | _present(site))
    return the_good(answer.jobs)


def _present(site):
    return json.loads(json.dumps(maintenance_inspect.present_state(site), allow_nan=False))


def records_and_flag(site):
    answer = told(MAINTENANCE, maintenance_read.main({"site": asdict(site), "with_flag": True}))
    assert answer.flag_error == ""
    assert json.dumps(claims.claims(site))
    assert pause_flag.paused_at(site) == answer.flag_at
    return bool(answer.flag_at)


def jobs_after_a_reboot(site):
    facts = {"booted_at": 1, "has_docker": True, "mounted": [], "fstab": [], "service": {}}
    facts |= {"network": {"name": "x", "exists": True, "is_isolated": True}, "sync": {}}
    answer = told(AFTER, facts | {"error": "", "jobs": after.jobs(site, ["good", "odd3", "none"])})
    return answer.jobs["good"]


def ids_for_a_preparation(site):
    assert "os-job-good" not in containers.orphans(site)
    assert [containers.orphan_hint(site, f"os-job-{id}") for id in ("good", "odd3")]
    assert problems.database_problem(site) == ""
    assert all(isinstance(id, str) for id in database.waiting_jobs(site))
    return "good" in database.job_ids(site)


def rows_for_root(site):
    """The process of the service account sends them to root as JSON."""
    rows = [*query(site, "SELECT * FROM job"), *query(site, "SELECT * FROM flags")]
    sent = json.loads(json.dumps(rows, allow_nan=False))
    return next(row for row in sent if row[0] == "good")


READERS = [
    jobs_of_one_answer,
    jobs_of_small_pages,
    jobs_of_a_stream,
    found_jobs,
    running_jobs_of_a_deploy,
    jobs_that_a_deploy_lost,
    database_for_doctor,
    state_before_a_reboot,
    records_and_flag,
    jobs_after_a_reboot,
    ids_for_a_preparation,
    rows_for_root,
]
GOOD_FLAG = {"id": "good", "value": "yes", "timestamp": 5}
PAUSED = {"id": "paused", "value": "true", "timestamp": 6}


def answers(site):
    return {reader.__name__: reader(site) for reader in READERS}


def odd_rows(row, column):
    """A row for each value in a column."""
    for at, (name, value) in enumerate(VALUES.items()):
        yield {**row, "id": f"odd{at}", column: (value,) if name == "not UTF-8" else value}


@pytest.mark.parametrize("column", COLUMNS)
def test_an_odd_job_hides_no_other_job_from_any_reader(put, site, column):
    put([GOOD], [GOOD_FLAG, PAUSED])
    wanted = answers(site)
    put([*odd_rows(GOOD, column), GOOD], [GOOD_FLAG, PAUSED])
    assert answers(site) == wanted


@pytest.mark.parametrize("column", GOOD_FLAG)
def test_an_odd_flag_hides_no_job_and_no_other_flag(put, site, column):
    for paused in (False, True):
        put([GOOD], [GOOD_FLAG, *[PAUSED] * paused])
        wanted = answers(site)
        put([GOOD], [*odd_rows(PAUSED, column), GOOD_FLAG, *[PAUSED] * paused])
        assert answers(site) == wanted


@pytest.mark.parametrize("column", ["value", "timestamp"])
def test_an_odd_flag_of_a_pause_hides_no_job(put, site, column):
    for odd in odd_rows(PAUSED, column):
        put([GOOD], [{**odd, "id": "paused"}, GOOD_FLAG])
        assert jobs_of_one_answer(site)[2] == ("yes", 5)
        assert records_and_flag(site) == (column == "timestamp")


def test_odd_jobs_are_shown_and_counted_too(put, site):
    odd = list(odd_rows(GOOD, "state"))
    put([*odd, GOOD])
    found = page(site)
    assert {job.id for job in found.jobs} == {"good", *(row["id"] for row in odd)}
    assert sum(found.counts.values()) == len(odd) + 1
    assert found.counts["a" * 65_535 + "…"] == 1


def test_only_the_helper_opens_the_database_and_all_readers_are_tested():
    texts = {name: path.read_text() for name, path in modules().items() if ".onhost" in name}
    opening = {name for name, text in texts.items() if re.search(r"sqlite3\.connect\(", text)}
    assert opening == {
        "opstasks.onhost.database_values",
        "opstasks.onhost.database_copy",  # a copy that it makes itself
        "opstasks.deploy.onhost.database",  # a restored copy; it reads names of tables only
    }
    readers = {name for name, text in texts.items() if re.search(r"\bSELECT .* FROM ", text)}
    assert readers - opening == {
        "opstasks.deploy.onhost.database_read",
        "opstasks.deploy.onhost.inspect",
        "opstasks.deploy.onhost.jobs",
        "opstasks.doctor.onhost.inspect",
        "opstasks.jobs.onhost.find",
        "opstasks.jobs.onhost.job_table",
        "opstasks.jobs.onhost.stream",
        "opstasks.maintenance.onhost.after",
        "opstasks.maintenance.onhost.containers",
        "opstasks.maintenance.onhost.database",
        "opstasks.maintenance.onhost.pause_flag",
    }
