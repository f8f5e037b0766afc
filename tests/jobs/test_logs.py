"""Logs: lines out of pieces, and metadata without secrets."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.core.errors import Refused
from opstasks.core.result import Result
from opstasks.jobs import logs as jobs_logs
from opstasks.jobs.model import Job, Match
from opstasks.jobs.onhost import logs as remote_logs
from opstasks.primitives.docker import Container


def through(pieces, *, stamped=True):
    shown = []
    lines = jobs_logs.Lines(shown.extend, strip=not stamped)
    for piece in pieces:
        lines.take(piece)
    lines.end()
    return shown


@given(st.lists(st.binary(max_size=20)))
def test_however_a_log_is_cut_the_lines_are_the_same(pieces):
    assert through(pieces) == through([b"".join(pieces)])


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))))
def test_every_line_comes_through(lines):
    assert through(["".join(line + "\n" for line in lines).encode()]) == lines


def test_a_line_without_end_is_shown_in_pieces_and_not_kept():
    shown = []
    lines = jobs_logs.Lines(shown.extend, strip=False)
    for _ in range(1000):
        lines.take(b"x" * 10_000)
        assert len(lines._rest) <= jobs_logs.LONGEST_LINE + 10_000
    lines.end()
    assert sum(map(len, shown)) == 10_000_000


def test_times_are_left_out_unless_asked_for():
    line = b"2026-11-24T18:56:21.090024529Z the cohort is empty\n"
    assert through([line], stamped=False) == ["the cohort is empty"]
    assert through([line]) == [line.decode().rstrip("\n")]


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        (jobs_logs.Source(container="os-job-a"), "2026-11-24T18:56:21.09Z begun"),
        (jobs_logs.Source(path="/logs/os-job-a/logs.txt"), "begun"),
    ],
)
def test_only_the_times_of_a_kept_log_are_dockers(where, shown):
    def stream(command, take):
        take(b"2026-11-24T18:56:21.09Z begun\n")
        return Result("", 0, "", "")

    host = SimpleNamespace(name="h", service=SimpleNamespace(stream=stream))
    lines = []
    jobs_logs.show(host, where, lines.extend, tail=0, timestamps=False, follow=False)
    assert lines == [shown]


def match(container=None, logs=()):
    return Match("h", Job("a", "ws", "act", "failed", "x"), container, logs=logs)


def test_output_is_read_where_it_is():
    file = ("/logs/os-job-a/logs.txt", 10, 0.0)
    box = Container("os-job-a", "i", "running")
    gone = Container("os-job-a", "i", "exited")
    assert jobs_logs.source(match(box)).container == "os-job-a"
    assert jobs_logs.source(match(box, (file,))).running
    assert jobs_logs.source(match(gone)).container == "os-job-a"
    assert jobs_logs.source(match(gone, (file,))).path == file[0]
    with pytest.raises(Refused, match="no output"):
        jobs_logs.source(match())
    silent = replace(match(), docker_error="no answer")
    with pytest.raises(Refused, match="containers are not known: no answer"):
        jobs_logs.source(silent)
    assert jobs_logs.source(replace(silent, logs=(file,))).path == file[0]


def test_names_are_arguments_and_never_script():
    where = jobs_logs.Source(container="os-job-$(id)", running=True)
    command = jobs_logs.read_command(where, tail=5, timestamps=True, follow=True)
    assert command.args[:2] == ("bash", "-c")
    assert command.args[4:] == (5, "os-job-$(id)", "--timestamps")
    command = jobs_logs.read_command(where, tail=5, timestamps=True, follow=False)
    assert command.args[4:] == ("os-job-$(id)", "--timestamps", "--tail=5")
    file = jobs_logs.Source(path="-rf")
    assert jobs_logs.read_command(file, tail=0, timestamps=False, follow=True).args == (
        "cat",
        "--",
        "-rf",
    )


CANARY = "hunter2-canary"
METADATA = {
    "exit_code": "137",
    "repo_url": "https://github.com/opensafely/x",
    "job_server_token": CANARY,
    "note": f"mssql://user:{CANARY}@10.0.0.1/db failed",
    "container_metadata": {
        "Config": {
            "Env": [
                f"DATABASE_URL=mssql://user:{CANARY}@10.0.0.1/db",
                f"STATA_LICENSE={CANARY}",
                f"ANYTHING={CANARY}",
                "OPENSAFELY_BACKEND=tpp",
                "TZ=xxxx-REDACTED-xxxx",
            ]
        }
    },
}


def test_what_may_be_a_secret_is_masked_and_the_rest_is_kept():
    shown = remote_logs.masked(METADATA)
    assert CANARY not in json.dumps(shown)
    assert shown["repo_url"] == METADATA["repo_url"]
    assert shown["exit_code"] == "137"
    assert "OPENSAFELY_BACKEND=tpp" in shown["container_metadata"]["Config"]["Env"]
    assert "DATABASE_URL=***" in shown["container_metadata"]["Config"]["Env"]


def test_the_variables_that_stand_in_the_file_are_named():
    assert remote_logs.unmasked_variables(METADATA) == [
        "DATABASE_URL",
        "STATA_LICENSE",
        "ANYTHING",
    ]
    assert remote_logs.unmasked_variables({}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["DATABASE_URL", "token", "db_password", "SecretThing", "api_key"]))
def test_a_secret_is_masked_at_any_depth(value, key):
    deep = {"a": [value, {"b": {key: CANARY, "Env": [f"{key}={CANARY}"]}}]}
    assert CANARY not in json.dumps(remote_logs.masked(deep))


@given(
    st.text(st.characters(exclude_characters="/@ \n\t", exclude_categories=["Z", "C"]), min_size=1)
)
def test_a_password_in_a_url_is_masked_wherever_it_stands(password):
    text = f"cannot connect to mssql://user:{password}{CANARY}@10.0.0.1/db now"
    assert CANARY not in remote_logs.masked({"message": text})["message"]
