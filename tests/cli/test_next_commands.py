"""Wrong usage that a task finds names the task, and the next command is one to type."""

import json
import shlex
from types import SimpleNamespace

import invoke
import pytest

from opstasks.cli.app import App
from opstasks.cli.changing import command_for
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text("hosts: {dead-1: {address: 127.0.0.1, port: 1}}")
    return tmp_path / "hosts.yaml"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("config.set A=1 A=2", "config.set: A is given twice"),
        ("config.set FOO", "config.set: 'FOO' has no equals sign: write KEY=VALUE"),
        ("config.set 'a b=1'", "config.set: 'a b' is not a valid key: a key is letters,"),
        ("config.unset 'a b'", "config.unset: 'a b' is not a valid key: a key is letters,"),
        ("deploy --ref=-x", "deploy: --ref: '-x' cannot be a branch, a tag or a commit"),
        ("deploy.pending --lib-ref=-x", "deploy.pending: --lib-ref: '-x' cannot be a branch,"),
        ("jobs.kill", "jobs.kill: JOB is missing"),
        ("manage --only foo", "manage: --only: unknown area 'foo'; the areas are packages,"),
        ("outputs.attest", "outputs.attest: ID is missing"),
        ("db.progress", "db.progress: --temp-table and --table are both missing"),
    ],
)
def test_wrong_usage_that_a_task_finds_names_it_and_a_command(run_here, words, message):
    done = run_here("-H", "dead-1", "--json", *shlex.split(words))
    error = json.loads(done.out)["error"]
    assert (done.code, error["outcome"]) == (2, "refused")
    assert error["message"].startswith(message)
    task = message.partition(":")[0]
    assert error["hint"] in (
        f"inv --help {task}",
        "inv -H dead-1 jobs.ls",
        "inv -H dead-1 outputs.pending",
    )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("-H DEAD-1 status", "called 'DEAD-1'; did you mean 'dead-1'?", "inv -H dead-1 status"),
        ("-H dead deploy", "called 'dead'; did you mean 'dead-1'?", "inv -H dead-1 status"),
        ("-H nosuch status", "no host or group is called 'nosuch'", "inv hosts; known: dead-1"),
        ("-i /nope -H dead-1 status", "--identity: '/nope' is not a file", "inv --help flags"),
        ("-S /nope -H dead-1 status", "--ssh-config: '/nope' is not a file", "inv --help flags"),
        ("-f /nope -H dead-1 status", "--config: '/nope' is not a file", "inv --help flags"),
        ("--inventory /nope -H x status", "names '/nope', which is not a file", "--help flags"),
        ("-H dead-1 users.disable root", "'root' is not a person's account", "users.disable"),
    ],
)
def test_a_wrong_host_or_file_leads_to_a_command(run_here, words, message, hint):
    done = run_here(*shlex.split(words))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert hint in done.err.partition("next:  ")[2]


def test_a_mistake_in_hosts_yaml_names_its_line(run_here, fleet):
    fleet.write_text("hosts: {dead-1: {}}\ngroups: {prod: [dead-1]}")
    done = run_here("-H", "dead-1", "status")
    assert (
        f"{fleet} has 1 mistake: hosts.yaml:2: groups.prod: ['dead-1'] is not a mapping\n"
        in done.err
    )


@pytest.mark.parametrize(
    ("words", "help_of"),
    [
        ("config.set DB_PASSWORD=hunter22", "config.set"),
        ("config.set DB_PASSWORD=hunter22 -- x", "config.set"),
        ("config.show --reason a b dead-1 --password hunter22", "config.show"),
        ("pause --reason two words https://user:hunter22@x/y", "pause"),
        ("run mysql -phunter22", "run"),
        ("status -- --token hunter22", "status"),
    ],
)
def test_a_command_to_type_repeats_no_secret(run_here, fleet, words, help_of):
    """The line that was typed is on the screen; the error may be kept in a log."""
    done = run_here(*shlex.split(words))
    assert done.code == 2
    assert "hunter22" not in done.err + done.out
    assert f"next:  inv --help {help_of}\n" in done.err


# -- which hosts are meant -------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path):
    """Another file of hosts, which no other setting names."""
    (tmp_path / "other.yaml").write_text("hosts: {tpp: {address: 127.0.0.1, port: 1}}")
    return tmp_path / "other.yaml"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("-H tp status", "-H tpp status"),
        ("-H tpp jobs.kill", "-H tpp jobs.ls"),
        ("-H tpp", "-H tpp status"),
        ("tpp", "-H tpp status"),
        ("tp", "-H tpp status"),
    ],
)
@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_the_next_command_is_about_the_hosts_of_the_same_file(
    run_here, other, words, hint, json_flag
):
    done = run_here("--inventory", str(other), *json_flag, *shlex.split(words))
    assert done.code == 2
    shown = json.loads(done.out)["error"]["hint"] if json_flag else done.err
    assert f"inv --inventory {other} {hint}" in shown


def test_a_host_of_the_named_file_is_known_as_a_host(run_here, other):
    done = run_here("--inventory", str(other), "tpp", "status")
    assert "error  'tpp' is a host\n" in done.err
    assert f"next:  inv -H tpp --inventory {other} status\n" in done.err


@pytest.mark.parametrize("item", ["@failed", "@-", "@/dev/null", "tpp,@failed", "!@failed"])
def test_a_selection_that_changes_is_repeated_by_names(monkeypatch, item):
    """@failed is about each task's own last run, and standard input can be read only once."""
    fleet = SimpleNamespace(hosts=[SimpleNamespace(name=name) for name in ("a", "b")])
    monkeypatch.setattr(Context, "fleet", fleet)
    ctx = Context(invoke.Config(), App(RunOptions(hosts=(item,))))
    assert ctx.command_text("jobs.ls") == "inv -H a,b jobs.ls"
    assert command_for(ctx, "unpause", ["a", "b"]) == "inv -H a,b unpause"
    assert command_for(ctx, "unpause", ["b"]) == "inv -H b unpause"


def test_a_selection_that_stays_is_repeated_as_it_was_typed(monkeypatch, tmp_path):
    (tmp_path / "names").write_text("a b")
    fleet = SimpleNamespace(hosts=[SimpleNamespace(name=name) for name in ("a", "b")])
    monkeypatch.setattr(Context, "fleet", fleet)
    ctx = Context(invoke.Config(), App(RunOptions(hosts=(f"@{tmp_path}/names,!c", "prod"))))
    assert ctx.command_text("jobs.ls") == f"inv -H '@{tmp_path}/names,!c',prod jobs.ls"
    assert command_for(ctx, "unpause", ["a", "b"]) == f"inv {ctx.hosts_text} unpause"
