"""What is printed without a task: lists and help, also into a full disk and a closed pipe."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT

# Stock `inv` answers these two itself, before our tasks are loaded, if they are the first words.
OF_OPSTASKS = [("opstasks", "--version"), ("opstasks", "--print-completion-script bash")]
LINES = [
    *OF_OPSTASKS,
    ("inv", "-H tpp --version"),
    ("inv", "-H tpp --print-completion-script bash"),
    ("inv", "--list --list-format json"),
    ("inv", "--list --list-depth 1"),
]


def run(name, line, stdout):
    return subprocess.run(
        [str(Path(sys.executable).with_name(name)), *line.split()],
        cwd=ROOT,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_full_disk_is_one_error(name, line):
    with open("/dev/full", "w") as full:
        done = run(name, line, full)
    assert done.returncode == 1
    assert done.stderr.startswith("error  cannot write the result: no space left on device\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_closed_pipe_ends_it_in_silence(name, line):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(name, line, writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {address: 127.0.0.1, port: 1}}")
    return tmp_path / "hosts.yaml"


@pytest.mark.parametrize("name", ["inv", "opstasks"])
@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        ("--list --json", 2, "--json has no meaning with --list"),
        ("-l --json", 2, "--json has no meaning with --list"),
        ("--help --json", 2, "--json has no meaning with --help"),
        ("--help -q", 0, "LOOK "),
        ("-h -y", 0, "LOOK "),
        ("--help -H tpp status", 0, "-H HOSTS status [flags]"),
        ("-H tpp --help", 0, "LOOK "),
        ("--help --nosuch", 2, "'--nosuch' is not a task"),
        ("--list -H tpp", 0, "LOOK"),
        ("--list --nosuch", 2, "no group of tasks is called '--nosuch'"),
        ("--json --list --list-format json", 0, '"tasks": ['),
        ("--json --list jobs --list-format=json", 0, '"name": "kill"'),
        ("-q --list jobs", 0, "  jobs.ls  "),
        ("--list -H tpp --list-format json", 0, '"tasks": ['),
        ("-l -H tpp --list-format=json", 0, '"tasks": ['),
        ("-H tpp -F json --list", 0, '"tasks": ['),
        ("--list -H tpp --list-format xml", 2, "--list-format must be flat, nested or json"),
        ("--list -H tpp --list-depth x", 2, "--list-depth must be a whole number"),
        ("--list -H tpp --list-depth 1", 0, " Check after a reboot "),
        ("-H tpp -l jobs", 0, "  jobs.ls  "),
        ("-H tpp --list=jobs", 0, "  jobs.ls  "),
        ("-H tpp logs -l", 2, "logs has no flag -l"),
    ],
)
def test_a_flag_after_list_or_help_is_no_group_and_no_task(program, name, words, code, shown):
    """The stock `inv` does not know our flags when it parses those two."""
    done = program(*words.split(), name=name)
    assert (done.returncode, shown in done.stdout + done.stderr) == (code, True), done.stderr
    if "--json" in words:
        document = json.loads(done.stdout)
        assert document.get("exit_code", 0) == code


@pytest.mark.parametrize("line", ["--list --help scheduled", "-l -h scheduled", "-h scheduled -l"])
def test_help_of_a_task_beside_a_list_is_shown(run_here, line):
    done = run_here(*line.split())
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("  inv -H HOSTS scheduled [flags]\n")
