"""The unit and its log: one command, and the reason of a crash in the log."""

import json
import os
import subprocess

import pytest

from opstasks.fleet.inventory import HostSpec
from opstasks.status import crashes

TRACE = [
    "Traceback (most recent call last):",
    '  File "main.py", line 1, in <module>',
    "RuntimeError: the job queue is in an impossible state",
]


def record(message, run="r1", at=1_800_000_000):
    return json.dumps(
        {"MESSAGE": message, "_SYSTEMD_INVOCATION_ID": run, "__REALTIME_TIMESTAMP": f"{at}000000"}
    )


def test_each_run_of_the_service_has_its_end_and_its_reason():
    lines = [record(text, "r1", 1_800_000_000 + n) for n, text in enumerate(TRACE)]
    lines += [record("jobrunner.service started", "r2", 1_800_000_060)]
    first, second = crashes.parse_runs("\n".join(lines))
    assert first == crashes.ServiceRun("r1", 1_800_000_002.0, TRACE[-1])
    assert (second.id, second.reason) == ("r2", "")


def test_the_reason_is_the_last_exception_of_a_chain():
    again = ["", "During handling of the above exception, another exception occurred:", ""]
    assert crashes.reason_in([*TRACE, *again, TRACE[0], "  x", "KeyError: 'x'"]) == "KeyError: 'x'"
    assert crashes.reason_in(["started", "stopped"]) == ""


def test_a_secret_in_an_exception_is_not_shown():
    text = "OperationalError: mssql://dbuser:hunter2@db.example/x"
    assert "hunter2" not in crashes.reason_in([TRACE[0], text])


def test_records_that_are_cut_or_odd_are_left_out():
    lines = [record("whole")[10:], record([1, 2]), record("whole"), "[]", "{}", "\udcff"]
    assert len(crashes.parse_runs("\n".join(lines))) == 1


@pytest.mark.parametrize(
    ("shown", "reads"),
    [
        ("ActiveState=active SubState=running NRestarts=0", False),
        ("NRestarts=0 ActiveState=active SubState=running", False),
        ("ActiveState=active SubState=running NRestarts=10", True),
        ("ActiveState=activating SubState=auto-restart NRestarts=0", True),
        ("ActiveState=failed SubState=failed NRestarts=5", True),
        ("Result=success NRestarts=5 ActiveState=inactive SubState=dead", False),
        ("Result=exit-code NRestarts=5 ActiveState=inactive SubState=dead", True),
    ],
)
def test_only_a_service_in_trouble_has_its_log_read(tmp_path, shown, reads):
    for name, text in (("systemctl", shown.replace(" ", "\n")), ("journalctl", record("x"))):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        program.chmod(0o755)
    line = crashes.unit_command(HostSpec(name="tpp")).line()
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    properties, log = crashes.parts(done.stdout)
    assert properties == shown.replace(" ", "\n")
    assert (len(crashes.parse_runs(log)) == 1) == reads


def test_an_address_that_is_cut_has_no_password():
    reason = f"ValueError: {'x' * (crashes.MOST_REASON - 33)} mssql://user:hunter2@host/db"
    assert "hunter" not in crashes.reason_in([TRACE[0], reason])
