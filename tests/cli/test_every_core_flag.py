"""Every core flag beside a change is honoured, ends the line, or is refused."""

import shlex

import pytest

from opstasks.cli.program import CommandLine
from opstasks.core.version import VERSION

CHANGE = ("-H", "tpp", "pause", "--reason", "upgrade", "--for", "1h")
# The change goes on to connect, as it would without them.
HONOURED = {
    "hosts": "tpp",
    "inventory": "{file}",
    "identity": "{file}",
    "ssh-config": "{empty}",
    "config": "{settings}",
    "parallel": "2",
    "connect-timeout": "5s",
    "keep-going": "",
    "yes": "",
    "dry": "",
    "json": "",
    "no-color": "",
    "echo": "",
    "debug": "",
    "wide": "",
}
# They only print something.
PRINTED = {"help": "", "version": "", "list": "", "print-completion-script": "bash"}
REFUSED = {
    "command-timeout": "5",
    "fields": "id",
    "hide": "out",
    "list-depth": "1",
    "list-format": "json",
    "pty": "",
    "quiet": "",
    "warn-only": "",
    "write-pyc": "",
}
# The first is for the shell, the second asks for a password.
APART = {"complete", "prompt-for-sudo-password"}
# Only the stock `inv` has them. It also has --no-dedupe, which is how tasks run here anyway.
OF_INV = {"collection": "tasks", "search-root": "/"}


@pytest.fixture
def fleet(tmp_path):
    """A host that refuses connections at once."""
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {address: 127.0.0.1, port: 1}}")
    (tmp_path / "empty").touch()
    (tmp_path / "settings.yaml").write_text("{}")
    return tmp_path / "hosts.yaml"


def test_every_core_flag_is_in_one_of_these_tables():
    names = {arg.names[0] for arg in CommandLine(name="opstasks").core_args()}
    tables = [*HONOURED, *PRINTED, *REFUSED, *APART]
    assert sorted(names) == sorted(tables)
    of_inv = {arg.names[0] for arg in CommandLine(name="inv").task_args()}
    assert of_inv == {*OF_INV, "no-dedupe"}


def ended(run, fleet, flag, value):
    """How a change ends with a flag after it."""
    paths = {"file": fleet, "empty": fleet.parent / "empty"}
    value = value.format(**paths, settings=fleet.parent / "settings.yaml")
    return run(*CHANGE, f"--{flag}", *([value] if value else []))


@pytest.mark.parametrize("flag", sorted(HONOURED))
def test_a_change_with_a_flag_that_it_uses_connects(run_here, fleet, flag):
    done = ended(run_here, fleet, flag, HONOURED[flag])
    assert (done.code, "connection refused" in done.out + done.err) == (3, True)


@pytest.mark.parametrize("flag", sorted(PRINTED))
def test_a_flag_that_prints_something_starts_no_change(run_here, fleet, flag):
    done = ended(run_here, fleet, flag, PRINTED[flag])
    assert (done.code, done.err, bool(done.out)) == (0, "", True)


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_a_change_refuses_a_flag_that_it_would_ignore(run_here, fleet, flag):
    done = ended(run_here, fleet, flag, REFUSED[flag])
    assert (done.code, done.out) == (2, "")
    assert f"--{flag}" in done.err or f"-{flag[0]} " in done.err


@pytest.mark.parametrize("flag", sorted(OF_INV))
def test_a_flag_for_invoke_is_refused_where_invoke_does_not_look_for_it(program, flag):
    done = program(*CHANGE, f"--{flag}", OF_INV[flag])
    assert done.returncode == 2
    assert f"(--{flag}) has no effect at this place" in done.stderr
    assert f"(--{flag}) before all other words" in done.stderr


@pytest.mark.parametrize("words", ["--search-root . -H tpp hosts", "--write-pyc hosts"])
def test_a_flag_for_invoke_is_taken_before_all_other_words(program, words):
    assert program(*words.split()).returncode == 0


@pytest.mark.parametrize("name", ["inv", "opstasks"])
@pytest.mark.parametrize("words", ["-H tpp -V pause --reason x --for 1h", "deploy --version"])
def test_the_version_is_printed_and_no_task_runs(program, name, words):
    done = program(*shlex.split(words), name=name)
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("Invoke ") if name == "inv" else line == f"opstasks {VERSION}"
