"""jobs.queries: the last statement found in logs as the images write them."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.queries import statements as queries
from opstasks.queries.onhost import queries as remote_queries
from opstasks.queries.onhost.queries import last_statement


def dated(*lines):
    """Lines as `docker logs --timestamps` gives them, a second apart."""
    return [f"2024-03-01T10:00:{n:02}.500000000Z {line}\n" for n, line in enumerate(lines)]


AT = remote_queries.seconds("2024-03-01T10:00:00", ".5")

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
def test_the_last_statement_of_each_format_is_found_and_is_running(lines, second, sql):
    found = last_statement(dated(*lines))
    assert found == {"began": AT + second, "ended": 0.0, "sql": sql}


def test_a_statement_has_ended_when_the_next_record_came():
    found = last_statement(dated(*EHRQL[:5]))
    assert (found["began"], found["ended"]) == (AT + 1, AT + 3)
    assert found["sql"] == "INSERT INTO [#tmp_1] SELECT 1"


@pytest.mark.parametrize("lines", [(), ("hello",), ("[info   ] SELECTED 5 rows",), ("no date",)])
def test_a_log_without_statements_has_none(lines):
    assert last_statement(dated(*lines)) is None


def test_lines_that_docker_did_not_date_are_passed_over():
    assert last_statement(["SELECT 1\n", "\n", "x" * 10]) is None


def test_a_very_large_statement_is_cut():
    lines = dated("[info   ] SQL:", *["x" * 100_000] * 50)
    assert len(last_statement(lines)["sql"]) < 400_000


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=12))
def test_no_log_whatever_makes_it_fail(lines):
    last_statement(dated(*lines))


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ghcr.io/opensafely-core/ehrql:v1", "ehrql"),
        ("localhost:5000/x/ehrql@sha256:ab", "ehrql"),
        ("ehrql", "ehrql"),
    ],
)
def test_an_image_is_known_by_its_own_name(image, name):
    assert remote_queries.image_name(image) == name


def container(name, image, networks="none"):
    labels = "workspace=w,action=a,job-runner="
    return {"Names": f"os-job-{name}", "Image": image, "Networks": networks, "Labels": labels}


def ask(monkeypatch, capsys, listed, logs, sql=False, config_dir="/nowhere"):
    monkeypatch.setattr(remote_queries, "containers", lambda: listed)
    monkeypatch.setattr(remote_queries, "log_lines", lambda name, tail: iter(logs.get(name, [])))
    request = {"config_dir": str(config_dir), "network": "jobrunner-db", "sql": sql}
    remote_queries.main(json.dumps(request))
    return capsys.readouterr().out


def test_database_jobs_are_told_apart_and_the_slowest_comes_first(monkeypatch, capsys):
    listed = [
        container("fresh", "r/ehrql:v1"),
        container("old", "r/cohortextractor:latest"),
        container("odd", "r/python:v1", "jobrunner-db"),
        container("silent", "r/ehrql:v1"),
        container("other", "r/python:v1"),
    ]
    logs = {"os-job-fresh": dated(*EHRQL), "os-job-old": dated(*COHORT_OLD)}
    text = ask(monkeypatch, capsys, listed, logs)
    found = queries.parse("h", text)
    assert [query.job for query in found] == ["old", "fresh", "odd", "silent"]
    assert found[0].elapsed_s == pytest.approx(time.time() - AT - 1, abs=5)
    assert found[0].state() == "running"
    assert "no format that we know" in found[2].state()
    assert "no statement" in found[3].state()
    assert "has_copd" not in text
    shown = queries.parse("h", ask(monkeypatch, capsys, listed, logs, sql=True))
    assert shown[0].sql == "Running: Query for has_copd"


def test_the_database_network_is_the_one_that_the_configuration_names(
    monkeypatch, capsys, tmp_path
):
    (tmp_path / "load-env").write_text("DATABASE_ACCESS_NETWORK=othernet\n")
    listed = [container("a", "r/python:v1", "othernet"), container("b", "r/python:v1", "bridge")]
    found = queries.parse("h", ask(monkeypatch, capsys, listed, {}, config_dir=tmp_path))
    assert [query.job for query in found] == ["a"]


def test_a_docker_that_does_not_answer_is_said(monkeypatch, capsys):
    def fail():
        raise OSError("Cannot connect to the Docker daemon")

    monkeypatch.setattr(remote_queries, "containers", fail)
    remote_queries.main(json.dumps({"config_dir": "/nowhere", "network": "n", "sql": False}))
    with pytest.raises(Refused, match="Docker daemon"):
        queries.parse("h", capsys.readouterr().out)
