"""One host answers nonsense: every reading task shows the other host's rows, and one error.

On sandbox-2 the programs that tasks ask are replaced by a script that runs the real one and spoils
its output.
"""

import re
import shlex
from pathlib import Path

import pytest

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).resolve().parents[2]

GOOD, BAD = "sandbox-1", "sandbox-2"
PROGRAMS = ("python3", "systemctl", "journalctl", "git", "docker", "df")
# How the real output is spoiled, as a shell filter.
KINDS = {
    "nothing": "cat >/dev/null",
    "garbage": "cat >/dev/null; echo garbage",
    "broken off": "head -c 60",
    "huge numbers": r"sed -E 's/[0-9]+/99999999999999999999999999/g'",
    "the year 33658": r"sed -E 's/[0-9]{9,}(\.[0-9]+)?/1000000000000.5/g'",
    "null for texts": r"""sed -E 's/: "[^"]*"/: null/g'""",
    "another shape": "cat >/dev/null; echo '[[], {}]'",
    "100 MB": "cat >/dev/null; head -c 100000000 /dev/zero | tr '\\0' x",
    "control characters": r"cat >/dev/null; printf '\033]0;x\007\302\205\342\200\256\n'",
    "deep nesting": "cat >/dev/null; head -c 200000 /dev/zero | tr '\\0' '['",
    "no numbers": r"sed -E 's/[0-9]+/NaN/g'",
    "killed": "cat >/dev/null; kill -9 $$",
}
TASKS = (
    "status",
    "jobs.ls --all",
    "jobs.stats",
    "jobs.queries",
    "host.stats",
    "deploy.pending",
    "deploy.releases",
    "config.show",
    "config.check",
    "images.ls",
    "scheduled",
    "outputs.ls test",
    "outputs.pending",
    "history",
    "doctor",
    "lock.show",
    "logs --lines 5",
    "manage --plan",
)


@pytest.fixture(scope="module")
def spoiled(managed):
    """Spoil the output of the programs of sandbox-2: `spoiled("garbage")`."""
    managed.submit(GOOD, "quick", "test")
    managed.submit(BAD, "quick", "test")

    def spoil(kind):
        for name in PROGRAMS:
            replace(managed, name, f'/usr/bin/{name} "$@" 2>&1 | {{ {KINDS[kind]}; }}')

    yield spoil
    restore(managed)


def restore(managed):
    """Remove every such script."""
    managed.must(BAD, ["sh", "-c", "cd /usr/local/bin; rm -f " + " ".join(PROGRAMS)])


def replace(managed, name, script):
    """Put a script before a program of sandbox-2."""
    text, path = f"#!/bin/bash\n{script}\n", f"/usr/local/bin/{name}"
    write = f"printf %s {shlex.quote(text)} >{path}.new; chmod 755 {path}.new"
    managed.must(BAD, ["sh", "-c", f"{write}; mv {path}.new {path}"])


def pairs():
    """Each task with three kinds, each kind with several tasks."""
    kinds = list(KINDS)
    for number, task in enumerate(TASKS):
        for step in (0, 4, 8):
            yield kinds[(number + step) % len(kinds)], task


@pytest.fixture(scope="module")
def names_the_host(managed, inv):
    """The tasks that name a host even when it is well and has nothing to show."""
    return {task for task in TASKS if GOOD in inv("-H", GOOD, *task.split()).stdout}


@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_from_one_host_hides_no_other_host(kind, spoiled, names_the_host, inv):
    spoiled(kind)
    for task in [task for chosen, task in pairs() if chosen == kind]:
        done = inv("-H", "sandbox", *task.split())
        told = f"{kind}: {task}\n{done.stdout}\n{done.stderr}"
        assert done.stdout + done.stderr, told
        assert task not in names_the_host or GOOD in done.stdout, told
        assert "Traceback" not in done.stderr, told
        assert "internal error" not in done.stderr, told
        assert f"({GOOD})" not in done.stderr, told
        assert done.stderr.count(f"({BAD})") <= 1, told
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout + done.stderr), (
            told
        )
        assert len(done.stdout) < 1_000_000, told


def test_a_failing_host_program_shows_its_own_file_and_line_with_debug(managed, inv):
    restore(managed)
    broken = "import os, sys; os.statvfs = None; exec(sys.stdin.readline())"
    replace(managed, "python3", f"exec /usr/bin/python3 -c {shlex.quote(broken)}")
    try:
        plain = inv("-H", BAD, "host.stats")
        debug = inv("-H", BAD, "--debug", "host.stats")
    finally:
        restore(managed)
    assert plain.returncode == debug.returncode == 1
    assert "TypeError: 'NoneType' object is not callable" in plain.stderr
    assert "File" not in plain.stderr
    frames = re.findall(r'File "(opstasks/jobs/onhost/\w+\.py)", line (\d+)', debug.stderr)
    assert frames, debug.stderr
    path, number = frames[-1]
    line = (ROOT / path).read_text().splitlines()[int(number) - 1]
    assert "statvfs" in line
    assert line.strip() in debug.stderr
