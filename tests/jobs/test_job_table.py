"""How the host's programs read job-runner's database."""

import json
import sqlite3

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.result import Result
from opstasks.jobs.model import Job
from opstasks.jobs.onhost import job_table as table
from opstasks.jobs.onhost import read, stream
from opstasks.jobs.read import READ
from opstasks.onhost.protocol import HostRefusal
from tests.jobs.jobs_help import HOSTILE_TEXTS
from tests.jobs.table_help import add, hostile_names, ids


def page(connection, limit, after=None):
    request = {"selection": {}, "limit": limit, "after": after, "with_counts": True}
    return read.page(connection, request)


# -- which jobs ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_a_hostile_workspace_matches_literally(job_table, name):
    add(job_table, "abc123", "ws")
    assert table.newest(job_table, {"workspace": name}, 9) == []
    add(job_table, "def456", name)
    assert ids(table.newest(job_table, {"workspace": name}, 9)) == ["def456"]


def test_500_hostile_workspaces_match_only_themselves(job_table):
    names = hostile_names()
    assert len(names) > 500
    for number, name in enumerate(names[::2]):
        add(job_table, f"job{number}", name, "a")
    there = set(names[::2])
    for name in names:
        listed = ids(table.newest(job_table, {"workspace": name}, 9))
        assert len(listed) == (name in there), name
        stream.note_ids(job_table, {"workspace": name}, 0)
        assert [row["id"] for rows in stream.pages(job_table, 9) for row in rows] == listed
        job_table.execute("DROP TABLE noted")


def test_since_selects_by_creation_and_by_completion(job_table):
    add(job_table, "old", state="failed", created_at=10)
    add(job_table, "long", state="failed", created_at=20, completed_at=1500)
    add(job_table, "new", state="failed", created_at=2000)
    assert ids(table.newest(job_table, {"since_at": 1000}, 9)) == ["new", "long"]


@given(st.integers(1, 7), st.lists(st.integers(1, 4), max_size=25))
def test_pages_have_every_job_once_and_in_order(size, times):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE job (id, state, created_at, run_command)")
    for number, created_at in enumerate(times):
        connection.execute(
            "INSERT INTO job VALUES (?, 'failed', ?, 'x')", (f"job{number:03}", created_at)
        )
    seen, after, more = [], None, True
    while more:
        found = page(connection, size, after)
        assert len(found["jobs"]) <= size
        seen += found["jobs"]
        more = found["more"]
        after = [seen[-1]["created_at"], seen[-1]["id"]] if seen else None
        connection.rollback()
    keys = [(row["created_at"], row["id"]) for row in seen]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == len(set(keys)) == len(times)


# -- the content of the database -------------------------------------------------------------


def test_a_database_of_an_old_version_is_read():
    old = sqlite3.connect(":memory:", isolation_level=None)
    old.execute("CREATE TABLE job (id, state, created_at)")
    old.execute("INSERT INTO job VALUES ('a', 'running', 5)")
    found = page(old, 5)
    assert (found["counts"], found["more"], found["flags"]) == ({"running": 1}, False, {})
    assert [Job(**row) for row in found["jobs"]] == [Job("a", "", "", "running", created_at=5)]


def test_only_the_time_of_a_status_is_in_nanoseconds(job_table):
    add(job_table, "a", updated_at=7, status_code_updated_at=1_795_546_577_500_000_000)
    add(job_table, "b", updated_at=7)
    rows = {row["id"]: table.job_of(row) for row in table.by_ids(job_table, ["a", "b"])}
    assert (rows["a"]["updated_at"], rows["b"]["updated_at"]) == (1_795_546_577.5, 7)


def test_a_null_becomes_an_empty_text_or_zero(job_table):
    job_table.execute("INSERT INTO job (id) VALUES ('a')")
    (row,) = table.by_ids(job_table, ["a"])
    assert Job(**table.job_of(row)) == Job("a", "", "", "")


ODD = ["", "yesterday", -1, -(10**18), 10**18, 1.5, float("inf"), b"\xff", None]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    "column", ["created_at", "started_at", "completed_at", "updated_at", "status_code_updated_at"]
)
def test_a_row_with_an_odd_time_does_not_hide_the_host(job_table, column, value):
    add(job_table, "odd", **{column: value})
    add(job_table, "good")
    document = {**page(job_table, 5), "docker": {}}
    answer = READ.decode(Result("x", 0, json.dumps({"ok": document}), ""), "tpp")
    assert {job.id for job in answer.jobs} == {"odd", "good"}


def test_a_row_with_a_number_for_a_text_does_not_hide_the_host():
    bare = sqlite3.connect(":memory:", isolation_level=None)
    bare.execute("CREATE TABLE job (id, workspace, state, created_at)")
    bare.execute("INSERT INTO job VALUES (7, 8, 'running', 9)")
    (job,) = page(bare, 5)["jobs"]
    assert msgspec.convert(job, Job) == Job("7", "8", "", "running", created_at=9)


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_pages_pass_rows_with_odd_times(job_table, value):
    for number in range(5):
        add(job_table, f"odd{number}", created_at=value)
        add(job_table, f"good{number}", created_at=number)
    seen, after = [], None
    for _ in range(10):
        found = page(job_table, 2, after)
        job_table.rollback()
        seen += found["jobs"]
        after = [seen[-1]["created_at"], seen[-1]["id"]]
        if not found["more"]:
            break
    assert sorted(ids(seen)) == [f"{kind}{n}" for kind in ("good", "odd") for n in range(5)]


def test_only_flags_that_are_set_are_read(job_table):
    job_table.execute("CREATE TABLE flags (id TEXT, value TEXT, timestamp INT)")
    rows = [("paused", "true", 5), ("mode", None, 6), ("odd", 3, None)]
    job_table.executemany("INSERT INTO flags VALUES (?, ?, ?)", rows)
    assert table.flags(job_table) == {"paused": ("true", 5), "odd": ("3", 0)}


def test_a_missing_or_broken_database_is_a_refusal(tmp_path):
    path = tmp_path / "db.sqlite"
    with pytest.raises(HostRefusal, match=table.NO_DATABASE), table.reading(str(path)):
        pass
    path.write_text("this is not a database")
    with (
        pytest.raises(HostRefusal, match="not a database"),
        table.reading(str(path)) as connection,
    ):
        table.counts(connection)


# -- jobs that have ended --------------------------------------------------------------------


def test_jobs_that_ended_within_a_day_are_counted_by_state(job_table):
    add(job_table, "old", state="failed", completed_at=1)
    for number, state in enumerate(("failed", "succeeded", "succeeded")):
        add(job_table, f"new{number}", state=state, completed_at=4_000_000_000)
    add(job_table, "runs")
    assert page(job_table, 9)["ended_day"] == {"failed": 1, "succeeded": 2}


@pytest.mark.parametrize("value", ["", "yesterday", b"\xff", None], ids=repr)
def test_a_completion_that_is_no_time_is_not_counted(job_table, value):
    add(job_table, "odd", state="failed", completed_at=value)
    assert page(job_table, 9)["ended_day"] == {}


def test_without_counts_nothing_is_counted(job_table):
    add(job_table, "new", state="failed", completed_at=4_000_000_000)
    request = {"selection": {}, "limit": 1, "after": None, "with_counts": False}
    assert read.page(job_table, request)["ended_day"] == {}
