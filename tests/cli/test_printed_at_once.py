"""What is printed without a task, into a full disk and into a pipe that nobody reads."""

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
