"""The real `inv` and `opstasks` as processes: words in any order, messages, exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLEET = """
groups: {prod: {hosts: [tpp, emis]}}
hosts:
  tpp: {address: 127.0.0.1, port: 1}
  emis: {address: 127.0.0.1, port: 1}
"""


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text(FLEET)
    return tmp_path / "hosts.yaml"


@pytest.mark.parametrize("words", ["-H tppp status", "status -H tppp", "status --hosts=tppp"])
def test_an_unknown_host_is_refused_with_the_nearest_name(program, words):
    done = program(*words.split())
    assert done.returncode == 2
    assert "'tppp'; did you mean 'tpp'?" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", ["jobs.show -H tppp abc", "jobs.kill abc -y -H tppp def"])
def test_short_flags_between_a_tasks_own_words_are_not_taken_for_them(program, words):
    done = program(*words.split())
    assert done.returncode == 2
    assert "'tppp'; did you mean 'tpp'?" in done.stderr


@pytest.mark.parametrize("name", ["inv", "opstasks"])
def test_a_piped_secret_that_is_no_text_is_refused_and_not_shown(program, tmp_path, name):
    (tmp_path / "secret").write_bytes(b"opens\xe4same\n")
    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    with (tmp_path / "secret").open() as stdin:
        done = program("-H", "tpp", "config.set", "A_TOKEN=-", name=name, stdin=stdin, env=strict)
    assert (done.returncode, done.stdout) == (2, "")
    assert "the value of A_TOKEN is not valid text\n" in done.stderr
    assert not re.search("opens|same|e4", done.stderr)


@pytest.mark.parametrize(
    "text", [b"sudo:\n  password: opens\xe4same\n", b"sudo: {password: [opensame\n"]
)
def test_broken_settings_are_one_message_without_what_is_in_them(program, tmp_path, text):
    (tmp_path / "settings.yaml").write_bytes(text)
    done = program("--config", str(tmp_path / "settings.yaml"), "-H", "tpp", "status")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error  the settings, or the sudo password that was typed, are")
    assert not re.search("opens|same|Traceback", done.stderr)


@pytest.mark.parametrize("task", ["jobs.ls", "jobs.stats"])
def test_no_answer_is_not_reported_as_no_jobs(program, task):
    done = program("-H", "tpp", task)
    assert done.returncode == 3
    assert "no job" not in done.stdout


def test_an_unreachable_host_has_its_own_exit_code_and_a_hint(program):
    done = program("-H", "tpp", "status")
    assert done.returncode == 3
    assert "error  cannot connect to 127.0.0.1:1: connection refused (tpp)\nnext:  " in done.stderr


def test_every_host_is_in_the_json_document_and_nothing_else_is(program):
    done = program("-H", "prod", "--json", "status")
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode == 3
    assert {name: host["outcome"] for name, host in document["hosts"].items()} == {
        "tpp": "unreachable",
        "emis": "unreachable",
    }


def test_refusals_are_json_too(program):
    done = program("--json", "-H", "tppp", "status")
    assert json.loads(done.stdout)["error"]["outcome"] == "refused"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("stauts", "Did you mean status?"),
        ("deploy --reff x", "--reff"),
        ("deploy --unfinished sideways", "deploy: --unfinished must be finish or back"),
        ("deploy --watch soon", "deploy: --watch must be a span of time (90, 90s, 2m or 1h30m)"),
        ("-H tpp deploy --watch=-30", "deploy: --watch must be 1 or greater, not -30"),
        ("-H tpp deploy.releases --limit=-1", "--limit must be 0 or greater, not -1"),
        ("-H tpp deploy.rollback --watch=-1", "--watch must be 1 or greater"),
        ("-H tpp service.start --watch 0", "--watch must be 1 or greater, not 0"),
        ("-H tpp service.restart --watch=-5 --yes", "--watch must be 1 or greater"),
        ("-H tpp --parallel many status", "--parallel must be a whole number, not 'many'"),
        ("run", "run: COMMAND is missing"),
        ("-H tpp shell", "needs a terminal"),
        ("logs --since yesterdayish", "is not a time"),
        ("logs --job a;b", "cannot be part of a job id"),
        (
            "jobs.ls --state dead",
            "--state must be pending, running, failed or succeeded, not 'dead'",
        ),
        ("logs --follow --json", "omit one of them"),
        ("-H tpp --parallel -3 status", "--parallel must be 1 or greater, not -3"),
        ("--inventory /absent status", "which is not a file"),
        ("status -H", "-H needs a value"),
        ("service.stop --yes --hosts", "--hosts needs a value"),
        ("pause --reason", "--reason needs a value"),
        ("jobs.retry -f abc", "jobs.retry has no flag -f"),
        ("jobrunner/jobs-ls", "Did you mean jobs.ls?"),
        ("logs --lines -5", "--lines must be 0 or greater, not -5"),
        ("-H tpp config.set JOB_SERVER_TOKEN=-", "no value was given for JOB_SERVER_TOKEN"),
    ],
)
def test_wrong_usage_touches_nothing_and_says_what_is_wrong(program, words, told):
    done = program(*words.split())
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_inventory_names_the_key(program, fleet):
    fleet.write_text("hosts: {tpp: {adress: x}}")
    done = program("-H", "tpp", "status")
    assert done.returncode == 2
    assert "hosts.tpp.adress: unknown key; did you mean 'address'?" in done.stderr


def test_the_console_script_works_in_any_folder(program, tmp_path):
    done = program("-H", "tppp", "status", name="opstasks", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'tpp'?" in done.stderr
    assert "deploy.pending" in program("--list", name="opstasks", cwd=tmp_path).stdout


@pytest.mark.parametrize("words", ["--help deploy", "deploy --help", "deploy -H tpp -h"])
def test_help_has_an_example_and_a_text_for_every_flag(program, words):
    done = program(*words.split())
    assert done.returncode == 0
    assert "Example: inv -H tpp deploy" in done.stdout
    assert re.search(r"  --restart  +Restart the service", done.stdout)


@pytest.mark.parametrize("name", ["inv", "opstasks"])
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("-H t", {"tpp"}),
        ("-H ", {"tpp", "emis", "prod", "all"}),
        ("deploy -H tpp,", {"tpp,emis", "tpp,prod"}),
        ("deploy --r", {"--ref", "--restart"}),
        ("dep", {"deploy", "deploy.pending"}),
    ],
)
def test_completion_knows_hosts_groups_flags_and_tasks(program, name, typed, offered):
    done = program("--complete", "--", f"{name} {typed}", name=name)
    assert offered <= set(done.stdout.split())


@pytest.mark.parametrize("typed", ["", "jobs.kill ", "-H tpp jobs.kill ", "-H tpp deploy --"])
def test_completion_imports_nothing_that_connects_or_is_slow(program, typed):
    done = program("--complete", "--", f"inv {typed}", env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "opstasks.cli.completion" in imported
    slow = {"paramiko", "fabric", "tabulate", "docker", "pytds"}
    assert not imported & {*slow, "opstasks.fleet.ssh", "opstasks.output.console"}


def test_completion_works_after_an_open_quote(program):
    done = program("--complete", "--", "inv -H 'tp")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_for_every_shell(program, shell):
    done = program("--print-completion-script", shell, name="opstasks")
    assert done.returncode == 0
    assert "opstasks" in done.stdout


def test_bash_itself_completes_hosts(fleet):
    inv = Path(sys.executable).with_name("inv")
    script = f"""
        PATH={inv.parent}:$PATH
        eval "$(inv --print-completion-script bash)"
        COMP_WORDS=(inv -H em); COMP_CWORD=2; COMP_LINE="inv -H em"; COMP_POINT=9
        function=$(complete -p inv | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function inv em -H
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={**os.environ, "OPSTASKS_HOSTS": str(fleet)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.split() == ["emis"]


def test_a_reader_that_closes_the_pipe_is_not_an_error():
    inv = Path(sys.executable).with_name("inv")
    script = f"set -o pipefail; {inv} --list | head -1; {inv} --help deploy | head -1"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["inv", "opstasks"])
def test_debug_output_does_not_show_the_sudo_password(program, tmp_path, name):
    config = tmp_path / "invoke.yaml"
    config.write_text("sudo: {password: open'sesame}")
    done = program("-f", str(config), "--debug", "-H", "tpp", "status", name=name)
    assert "'password': '***'" in done.stderr
    assert "sesame" not in done.stderr


def test_an_internal_error_is_one_line_and_a_traceback_with_debug(program):
    script = (
        "import sys; from opstasks import __main__ as cli\n"
        "from opstasks.fleet.inventory import Inventory\n"
        "def boom(*a): raise ZeroDivisionError('oops')\n"
        "Inventory.choose = boom\n"
        "sys.argv = ['opstasks', '-H', 'tpp', *sys.argv[1:], 'status']\n"
        "cli.main()"
    )
    for flags, traced in (([], False), (["--debug"], True)):
        done = subprocess.run(
            [sys.executable, "-c", script, *flags],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "internal error: ZeroDivisionError: oops" in done.stderr
        assert ("Traceback" in done.stderr) == traced


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("logs --lines -1", "--lines must be 0 or greater, not -1"),
        ("logs --since 2099-01-01", "--since: '2099-01-01' is in the future"),
        ("logs --since 2026-99-99", "is not a date"),
        ("logs --since foo", "is not a time"),
        ("logs --since 900000d", "more than a year"),
        ("history --since 900000d", "more than a year"),
        ("run --timeout 999999999 -- true", "more than a year"),
        ("-S /nope status", "--ssh-config: '/nope' is not a file"),
        ("-i /nope status", "--identity: '/nope' is not a file"),
        ("-S ~nobody-here/x status", "--ssh-config: '~nobody-here/x' is not a file"),
        ("-i ~nobody-here/x status", "--identity: '~nobody-here/x' is not a file"),
        ("-H @~nobody-here/x status", "cannot read '~nobody-here/x'"),
        (f"-i {'x' * 5000} status", "--identity: 'xxx"),
        ("-f /nope status", "--config: '/nope' is not a file"),
        ("-f pyproject.toml status", "cannot read the settings"),
        ("--prompt-for-sudo-password status", "no sudo password was given"),
        ("jobs.ls --watch --json", "never ends"),
        ("jobs.stats --watch --json", "never ends"),
        ("jobs.ls --state runing", "--state must be"),
        ("images.update ehrql --digest x", "is not a digest"),
    ],
)
def test_wrong_usage_is_refused_before_any_host_is_asked(program, words, reason):
    done = program("-H", "tpp", *words.split())
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sandbox.publish v2.71.0", "would move main to v2.71.0 on all hosts"),
        ("sandbox.submit --action long", "would submit long to sandbox-1"),
        ("sandbox.up --hosts 3", "would start up to 3 hosts"),
        ("sandbox.down --images", "would remove the hosts and the images"),
        ("sandbox.many --down", "would stop the cheap hosts"),
    ],
)
def test_a_dry_run_leaves_the_sandbox_alone(program, words, said):
    done = program("--dry", *words.split(), env={"PATH": ""})
    assert (done.returncode, said in done.stderr, done.stdout) == (0, True, ""), done.stderr


@pytest.mark.parametrize("words", ["run -- true", "shell"])
def test_a_dry_run_has_a_document_too(program, words):
    done = program("--json", "--dry", "-H", "tpp", *words.split())
    assert json.loads(done.stdout)["hosts"]["tpp"]["outcome"] == "ok"


def test_the_old_recipe_for_the_log_of_a_job_takes_its_id(program):
    done = program("-H", "tpp", "logs-id", "abc")
    assert done.returncode == 3
    assert "cannot connect" in done.stderr


def test_a_result_that_does_not_fit_on_the_disk_is_a_failure():
    script = """
from opstasks.cli.app import App
from opstasks.cli.context import Context
from opstasks.cli.options import RunOptions
from opstasks.output.stream import fleet_stream
from opstasks.core.result import FleetResult, HostResult
import invoke, sys
ctx = Context(invoke.Config(), App(RunOptions(json=True)))
if sys.argv[1] == "stream":
    fleet_stream([("tpp", lambda take: take(["x" * 99999]))])
ctx.finish(FleetResult([HostResult("tpp", "ok", "fine")]))
"""
    for kind, code in (("whole", 1), ("stream", 1)):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", script, kind],
                cwd=ROOT,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == code
        assert done.stderr.count("cannot write the result: no space left on device") == 1


@pytest.mark.parametrize(
    "line",
    ["", "--list", "--help status", "--help flags", "--help jobs", "completion bash", "hosts"],
)
def test_a_full_disk_is_an_error_of_every_screen(fleet, line):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("inv")), *line.split()],
            cwd=ROOT,
            env={**os.environ, "OPSTASKS_HOSTS": str(fleet)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error  cannot write the result: no space left on device\n")


def test_closed_streams_do_not_break_a_run(fleet):
    inv = Path(sys.executable).with_name("inv")
    for closed in ("2>&-", ">&-", "<&-"):
        done = subprocess.run(
            ["bash", "-c", f"{inv} --json -H prod status {closed}"],
            cwd=ROOT,
            env={**os.environ, "OPSTASKS_HOSTS": str(fleet)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 3
        assert "Traceback" not in done.stderr
        if closed != ">&-":
            assert json.loads(done.stdout)["exit_code"] == 3


def test_json_is_one_document_for_one_task(program):
    done = program("--json", "-H", "prod", "status", "doctor")
    assert done.returncode == 2
    assert json.loads(done.stdout)["exit_code"] == 2


def test_hosts_that_fail_while_following_are_reported_once(program):
    done = program("-H", "prod", "logs", "--follow")
    assert done.returncode == 3
    named = re.findall(r"^error  .* \(([\w, ]+)\)$", done.stderr, re.MULTILINE)
    assert sorted(", ".join(named).split(", ")) == ["emis", "tpp"]


def test_a_settings_file_with_more_than_a_password_is_refused(program, tmp_path):
    config = tmp_path / "invoke.yaml"
    config.write_text('sudo: {password: "open\\nsesame"}')
    done = program("-f", str(config), "-H", "tpp", "status")
    assert done.returncode == 2
    assert "sudo.password must contain one line of text" in done.stderr
    assert "sesame" not in done.stderr


def test_hosts_understands_every_form_of_a_choice(program, tmp_path):
    (tmp_path / "some.txt").write_text("emis\n")
    assert "emis" in program("-H", f"@{tmp_path}/some.txt", "hosts").stdout
    assert "no earlier run of `hosts`" in program("-H", "@failed", "hosts").stderr
