"""jobs.queries on the host: the last statement in the logs of real images."""

import json
import time
from subprocess import CompletedProcess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.onhost.protocol import HostRefusal
from opstasks.queries.onhost import statements
from opstasks.queries.onhost.job_logs import last_statement, seconds


def dated(*lines):
    """Lines of `docker logs --timestamps`, a second apart."""
    return [f"2024-03-01T10:00:{n:02}.500000000Z {line}\n" for n, line in enumerate(lines)]


AT = seconds("2024-03-01T10:00:00", ".5")

EHRQL = (
    "[info   ] Compiling query",
    "[info   ] SQL:",
    "          INSERT INTO [#tmp_1] SELECT 1",
    "[info   ] 12 seconds: exec_cpu_ms=5 exec_elapsed_ms=12000",
    "",
    "[info   ] SQL:",
    "          SELECT * INTO #x",
    "",
    "          FROM y",
)
COHORT_OLD = (
    "[2021-05-01 10:00:00 UTC] Running: Write codelists into temporary tables",
    "[2021-05-01 10:00:09 UTC] Running: Query for has_copd",
)
COHORT = (
    "2022-03-01 10:00:00 [info     ] begin",
    "\x1b[2m2022-03-01 10:00:01\x1b[0m [\x1b[32minfo     \x1b[0m] -- Query for x",
    "SELECT patient_id",
    "INTO #x",
)
SANDBOX = ("2024-03-01 10:00:00 [info   ] INSERT INTO [#tmp_1] (a)", "  SELECT 1", "  FROM a")


@pytest.mark.parametrize(
    ("lines", "second", "sql"),
    [
        (EHRQL, 5, "SELECT * INTO #x\n\n          FROM y"),
        (COHORT_OLD, 1, "Running: Query for has_copd"),
        (COHORT, 1, "-- Query for x\nSELECT patient_id\nINTO #x"),
        (SANDBOX, 0, "INSERT INTO [#tmp_1] (a)\n  SELECT 1\n  FROM a"),
    ],
    ids=["ehrql", "cohortextractor of old", "cohortextractor", "sandbox"],
)
def test_the_last_statement_of_each_log_format_is_found(lines, second, sql):
    found = last_statement(dated(*lines))
    assert found == {"began_at": AT + second, "ended_at": 0.0, "sql": sql}


def test_a_statement_has_ended_when_the_next_record_arrives():
    found = last_statement(dated(*EHRQL[:5]))
    assert (found["began_at"], found["ended_at"]) == (AT + 1, AT + 3)
    assert found["sql"] == "INSERT INTO [#tmp_1] SELECT 1"


@pytest.mark.parametrize("lines", [(), ("hello",), ("[info   ] SELECTED 5 rows",), ("no date",)])
def test_a_log_without_statements_has_no_last_statement(lines):
    assert last_statement(dated(*lines)) is None


def test_lines_without_a_date_of_docker_are_skipped():
    assert last_statement(["SELECT 1\n", "\n", "x" * 10]) is None


def test_a_very_large_statement_is_shortened():
    lines = dated("[info   ] SQL:", *["x" * 100_000] * 50)
    assert len(last_statement(lines)["sql"]) < 400_000


def test_lines_with_an_impossible_date_are_skipped():
    lines = ["2024-13-41T10:00:00Z SELECT 1\n", "0000-01-01T00:00:00Z SELECT 2\n"]
    assert last_statement(lines) is None
    assert last_statement([*lines, *dated("SELECT 3")])["sql"] == "SELECT 3"


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12))
def test_no_log_makes_the_reader_fail(lines):
    last_statement(dated(*lines))


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ghcr.io/opensafely-core/ehrql:v1", "ehrql"),
        ("localhost:5000/x/ehrql@sha256:ab", "ehrql"),
        ("ehrql", "ehrql"),
    ],
)
def test_an_image_is_recognised_by_its_own_name(image, name):
    assert statements.image_name(image) == name


def container(name, image, networks="none"):
    labels = "workspace=w,action=a,job-runner="
    return {"Names": f"os-job-{name}", "Image": image, "Networks": networks, "Labels": labels}


def ask(monkeypatch, listed, logs, sql=False, config_dir="/nowhere"):
    """The program's answer for these containers and their logs."""
    monkeypatch.setattr(statements, "containers", lambda: listed)
    monkeypatch.setattr(statements, "log_lines", lambda name, tail: iter(logs.get(name, [])))
    request = {"config_dir": str(config_dir), "network": "jobrunner-db", "with_sql": sql}
    return statements.main(request)["jobs"]


def test_the_last_statement_of_each_database_job_is_reported(monkeypatch):
    listed = [
        container("fresh", "r/ehrql:v1"),
        container("old", "r/cohortextractor:latest"),
        container("odd", "r/python:v1", "jobrunner-db"),
        container("silent", "r/ehrql:v1"),
        container("other", "r/python:v1"),
    ]
    logs = {"os-job-fresh": dated(*EHRQL), "os-job-old": dated(*COHORT_OLD)}
    answer = ask(monkeypatch, listed, logs)
    fresh, old, odd, silent = answer
    assert [job["job"] for job in answer] == ["fresh", "old", "odd", "silent"]
    assert (old["began_at"], old["ended_at"]) == (AT + 1, 0.0)
    assert old["now_at"] == pytest.approx(time.time(), abs=5)
    assert "log format of this image is unknown" in odd["reason"]
    assert "no statement" in silent["reason"]
    assert "has_copd" not in json.dumps(answer)
    assert (fresh["workspace"], fresh["action"], fresh["image"]) == ("w", "a", "r/ehrql:v1")
    shown = ask(monkeypatch, listed, logs, sql=True)
    assert shown[1]["sql"] == "Running: Query for has_copd"


def test_a_log_that_docker_cannot_read_is_not_called_empty(monkeypatch, tmp_path):
    program = tmp_path / "docker"
    lines = "".join(dated("INSERT secret")).replace("'", "")
    script = f"#!/bin/sh\ncase $6 in *gone) printf '{lines}'; echo Error; exit 1;; esac\n"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    listed = [container("gone", "r/ehrql:v1"), container("silent", "r/ehrql:v1")]
    monkeypatch.setattr(statements, "containers", lambda: listed)
    request = {"config_dir": "/nowhere", "network": "jobrunner-db", "with_sql": True}
    gone, silent = statements.main(request)["jobs"]
    assert gone["reason"] == "docker cannot read its log (exit code 1)"
    assert "secret" not in json.dumps(gone)
    assert silent["reason"] == "its log contains no statement"


def test_the_database_network_comes_from_the_configuration(monkeypatch, tmp_path):
    (tmp_path / "load-env").write_text("DATABASE_ACCESS_NETWORK=othernet\n")
    listed = [container("a", "r/python:v1", "othernet"), container("b", "r/python:v1", "bridge")]
    found = ask(monkeypatch, listed, {}, config_dir=tmp_path)
    assert [job["job"] for job in found] == ["a"]


@pytest.mark.parametrize(
    ("done", "message"),
    [
        (CompletedProcess((), 1, "", "hm\nCannot connect to the Docker daemon\n"), "Docker daemon"),
        (CompletedProcess((), 1, "", ""), "docker ps: exit code 1"),
        (CompletedProcess((), 124, "", "no answer within 60 s"), "no answer within 60 s"),
    ],
)
def test_a_docker_that_does_not_answer_is_refused(monkeypatch, done, message):
    monkeypatch.setattr(statements, "attempt", lambda *args, timeout_s: done)
    with pytest.raises(HostRefusal, match=message):
        statements.main({"config_dir": "/nowhere", "network": "n", "with_sql": False})
