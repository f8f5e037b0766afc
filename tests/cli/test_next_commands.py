"""Wrong usage that a task finds names the task, and the next command is one to type."""

import json
import shlex
from itertools import cycle, product
from types import SimpleNamespace

import invoke
import pytest

from opstasks.cli.app import App
from opstasks.cli.changing import command_for
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.core.errors import Refused


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


TYPED = (
    "{task} {secret}",
    "{secret} {task}",
    "-H {secret} {task}",
    "-H {secret}",
    "-H dead-1 {secret} {task}",
    "-H dead-1 {task} x y {secret}",
    "-H dead-1 {task} --{secret}",
    "-H dead-1 {task} --reason a {secret}",
    "-H dead-1 {task} --yes={secret}",
    "--help {secret}",
    "--json {task} --list {secret}",
    "--json -H {secret} {task} x",
)
TASKS = (
    *("status", "deploy", "jobs.ls", "jobs.kill", "jobs.logs", "run", "config.show"),
    *("images.update", "users.disable", "completion", "pause", "no-such"),
)
VALUES = (
    *("deploy --ref={}", "deploy.pending --lib-ref {}", "images.update --image={}"),
    *("images.update x --digest {}", "history --who {}", "history --since {}", "history --host={}"),
    *("jobs.ls --state {}", "jobs.ls --limit {}", "jobs.ls --since={}", "logs --job {}"),
    *("manage --only {}", "db.progress --table {}", "db.progress --table t --database {}"),
    *("pause --for {}", "status --every={}", "config.show --key={}", "config.unset {}"),
    *("config.set DATABASE_URL= {}", "completion --shell={}", "users.disable x --name {}"),
    *("status -i {}", "status -S {}", "-f {} status", "--inventory {} status", "--list-format={}"),
    *("status --fields ,{}", "status --connect-timeout {}", "-H @{} status", "-H !x,{} status"),
)
SECRETS = (
    "https://u:hunter22@h/x",
    "DATABASE_URL=postgres://u:hunter22@h/d",
    "GITHUB_TOKEN=hunter22",
    "--token=hunter22",
    "u:hunter22@h",
)


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        # Each secret comes in each place, but not with each task.
        *zip(
            [place.replace("{task}", task) for task in TASKS for place in TYPED],
            cycle(SECRETS),
            strict=False,
        ),
        *product([f"-H dead-1 {value.replace('{}', '{secret}')}" for value in VALUES], SECRETS),
    ],
)
def test_no_message_repeats_a_secret_of_the_line(run_here, line, secret):
    done = run_here(*line.format(secret=secret).split())
    assert "hunter22" not in done.err + done.out


def test_a_secret_behind_a_blank_is_no_word_of_a_message(run_here):
    done = run_here("-H", "dead-1", "config.set", "DB_PASSWORD=", "hunter22")
    assert done.err == (
        "error  config.set: DB_PASSWORD= is followed by a blank: write KEY=VALUE as one word\n"
        "next:  inv --help config.set\n"
    )


def test_a_task_knows_where_the_words_for_jobs_are_in_the_line(run_here, monkeypatch):
    """The command to type has an id in place of these words only."""
    found = []

    def find_one(ctx, word):
        found.append((word, ctx.places_of("--job")))
        raise Refused("seen")

    monkeypatch.setattr("opstasks.jobs.choose.find_one", find_one)
    for line in ("-Hdead-1 jobs.logs 5 -n 5", "jobs.logs -n5 --job=5 --hosts dead-1"):
        assert run_here(*line.split()).code == 2
    assert found == [("5", [2]), ("5", [2])]


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
