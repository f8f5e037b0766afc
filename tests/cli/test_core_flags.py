"""A flag that is given is honoured or refused, by every task."""

import ast
import inspect
import json
import re
import shlex

import invoke
import pytest

from opstasks.cli.app import App
from opstasks.cli.catalogue import Catalogue
from opstasks.cli.context import Context
from opstasks.cli.here import refuse_unless_backend
from opstasks.cli.options import UNUSED_FLAGS, RunOptions
from opstasks.cli.task import ABOUT_HOSTS, NOT_FOR_SCREENS
from opstasks.cli.values import SpanText
from opstasks.core.errors import Refused
from opstasks.core.result import FleetResult, HostResult
from opstasks.fleet.inventory import HostSpec, Inventory
from opstasks.namespace import namespace
from scripts.layout import ROOT
from tests import json_schema

CATALOGUE = Catalogue(namespace)
NAMES = sorted(CATALOGUE.changes)


@pytest.fixture
def fleet(tmp_path):
    """Hosts that refuse connections at once."""
    (tmp_path / "hosts.yaml").write_text(
        "hosts: {tpp: {address: 127.0.0.1, port: 1}, emis: {address: 127.0.0.1, port: 1}}"
    )
    return tmp_path / "hosts.yaml"


def example(name):
    """The words of a task's example, without its hosts."""
    found = inspect.getdoc(CATALOGUE.task(name)).split("Example: inv ")[1]
    words = shlex.split(found.partition(" > ")[0].partition("; ")[0])
    return words[2:] if words[0] == "-H" else words


def does_not_take(name, flag):
    return f"{name} does not take {flag}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("flag", "value", "honoured"),
    [("-H", "nosuch", "'nosuch'"), ("--inventory", "/absent", "'/absent', which is not a file")],
)
def test_hosts_that_do_not_exist_are_refused_by_every_task(run_here, name, flag, value, honoured):
    more = ["-H", "tpp"] if flag != "-H" and "hosts" not in CATALOGUE.task(name).ignores else []
    done = run_here(flag, value, "--dry", *more, *example(name))
    assert (done.code, done.out) == (2, "")
    # Tasks that need a terminal say so first.
    assert any(text in done.err for text in (honoured, does_not_take(name, flag), "a terminal"))


@pytest.mark.parametrize("name", NAMES)
def test_every_task_answers_json_with_one_document(run_here, name):
    hosts = [] if "hosts" in CATALOGUE.task(name).ignores else ["-H", "tpp"]
    if name in ("sandbox.submit", "sandbox.publish"):
        hosts = []
    words = (*hosts, "--json", "--dry", *example(name))
    done = run_here(*words)
    assert json.loads(done.out)["exit_code"] == done.code
    json_schema.check_run(words, done.out)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_refuses_every_core_flag_that_it_ignores(run_here, name):
    values = {"hosts": "tpp", "parallel": "1", "connect-timeout": "1", "inventory": "x"}
    for flag in CATALOGUE.task(name).ignores - {"prompt-for-sudo-password"}:
        value = values.get(flag, "x")
        taken = [f"--{flag}={value}"] if flag in (*values, "identity", "ssh-config") else []
        done = (
            run_here("-H", "tpp", *example(name))
            if flag == "hosts"
            else run_here(*(taken or [f"--{flag}"]), *example(name))
        )
        assert (done.code, f"{name} does not take -" in done.err) == (2, True), flag


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_printed_by_tasks_that_have_some_and_refused_by_others(run_here, name):
    hosts = [] if "hosts" in CATALOGUE.task(name).ignores else ["-H", "tpp"]
    done = run_here("-q", "--dry", *hosts, *example(name))
    refused = f"{name} has no ids that -q could print" in done.err
    assert refused == (not CATALOGUE.task(name).ids)
    assert done.code == 2 if refused else "no ids" not in done.err


def test_fields_of_a_document_are_refused_without_a_document(run_here):
    done = run_here("-H", "tpp", "--fields", "id", "jobs.ls")
    assert (done.code, done.out) == (2, "")
    assert "--fields has a meaning only with --json" in done.err


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_value_is_never_taken_for_no_value(run_here, name, value):
    """A variable of a shell that is not set must not make `pause --for` endless."""
    hosts = [] if "hosts" in CATALOGUE.task(name).ignores else ["-H", "tpp"]
    shape = CATALOGUE.shapes[name]
    for flag in (flag for flag, takes_value in shape.flags.items() if takes_value):
        done = run_here(*hosts, "--dry", name, f"{flag}={value}")
        assert (done.code, done.out) == (2, ""), flag
        assert f"{name}: {flag} needs a value, not {value!r}" in done.err
    if shape.needs or shape.variadic:
        done = run_here(*hosts, "--dry", name, value)
        assert (done.code, f"{name}: {value!r} is empty" in done.err) == (2, True)


BAD_NUMBERS = ("-1", "abc", "1e9", "5 m", "\u0661", "nan", "9" * 23, "1_0")


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_number_span_or_time_is_told_with_its_task_and_flag(run_here, name):
    hosts = [] if "hosts" in CATALOGUE.task(name).ignores else ["-H", "tpp"]
    for flag, form in CATALOGUE.shapes[name].forms.items():
        bad = (*BAD_NUMBERS, "0") if isinstance(form, SpanText) else BAD_NUMBERS
        for value in bad:
            done = run_here(*hosts, "--dry", name, f"{flag}={value}")
            assert (done.code, done.out) == (2, ""), (flag, value)
            assert f"{name}: {flag}" in done.err


def test_only_tasks_for_this_machine_ignore_hosts():
    found = [name for name in NAMES if CATALOGUE.task(name).ignores & set(ABOUT_HOSTS)]
    assert found == [n for n in NAMES if n.startswith("sandbox.") or n == "completion"]


@pytest.mark.parametrize("flag", UNUSED_FLAGS)
def test_a_flag_of_invoke_that_nothing_uses_is_refused(run_here, flag):
    value = ["1"] if flag in ("command-timeout", "hide") else []
    done = run_here(f"--{flag}", *value, "-H", "tpp", "status")
    assert (done.code, f"--{flag}" in done.err, "has no effect" in done.err) == (2, True, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("jobs.ls --every 5", "jobs.ls: --every has a meaning only with --watch"),
        ("host.stats --every 5", "--every has a meaning only with --watch"),
        ("jobs.logs abc --metadata -n 5", "jobs.logs: --lines has no meaning with --metadata"),
        ("jobs.logs abc -f --metadata", "jobs.logs: --follow has no meaning with --metadata"),
        ("prepare-reboot --boot-wait 5m", "--boot-wait has a meaning only with --reboot"),
        ("sandbox.many --down --hosts 5", "sandbox.many: --hosts has no meaning with --down"),
    ],
)
def test_a_flag_that_another_makes_meaningless_is_refused(run_here, words, told):
    hosts = [] if words.startswith("sandbox") else ["-H", "tpp"]
    done = run_here(*hosts, *words.split())
    assert (done.code, told in done.err) == (2, True)


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_refers_to_flags_that_the_task_has(name):
    task, flags = CATALOGUE.task(name), CATALOGUE.shapes[name].flags
    for about in task.about.values():
        others = {f"--{other}" for other in {*about.excludes, about.needs} - {"", *NOT_FOR_SCREENS}}
        assert others <= set(flags)


@pytest.mark.parametrize("words", ["status", "deploy", "logs", "pause"])
def test_words_after_two_dashes_are_refused_by_tasks_that_take_none(run_here, words):
    done = run_here("-H", "tpp", *words.split(), "--", "docker", "ps")
    assert (done.code, done.out) == (2, "")
    assert f"{words} takes no words after --" in done.err


def test_a_host_of_the_sandbox_is_chosen_with_the_usual_flag(run_here):
    done = run_here("-H", "emis", "--dry", "sandbox.submit")
    assert (done.code, "would submit quick to emis" in done.err) == (0, True)
    done = run_here("-H", "emis,tpp", "--dry", "sandbox.submit")
    assert (done.code, "-H must name one host, not 2" in done.err) == (2, True)
    done = run_here("-H", "emis,tpp", "--dry", "sandbox.publish", "v2.73.0")
    assert (done.code, "on tpp, emis" in done.err) == (0, True)


# -- without -H ------------------------------------------------------------------------------------

INVENTORY = Inventory({"tpp": HostSpec(name="tpp"), "emis": HostSpec(name="emis")}, {})
HERE = HostSpec(name="local", local=True, service_user="no-such-account")


@pytest.mark.parametrize("name", NAMES)
def test_a_task_without_hosts_is_refused_on_a_workstation(run_here, name, monkeypatch):
    task = CATALOGUE.task(name)
    if "hosts" in task.ignores or name.startswith("sandbox.") or name in ("history", "hosts"):
        return
    monkeypatch.setattr("pwd.getpwnam", lambda account: {}[account])
    done = run_here(*example(name))
    assert (done.code, done.out) == (2, "")
    # Tasks that ask for something else first: one host, or a terminal.
    assert "-H is missing" in done.err or "terminal" in done.err


def test_the_message_names_the_hosts_and_what_to_type():
    with pytest.raises(Refused) as caught:
        refuse_unless_backend(HERE, "status", INVENTORY)
    assert caught.value.message.startswith("status: -H is missing")
    assert caught.value.message.endswith("; hosts: tpp, emis")
    assert caught.value.hint == "inv -H HOSTS status"


@pytest.mark.parametrize(
    "line",
    [
        "prepare-reboot --at 22:00",
        "pause --reason 'a b' --yes",
        "jobs.kill abc tpp",
        "run -- ls -l",
    ],
)
def test_the_command_to_type_has_every_word_that_was_typed(run_here, line, monkeypatch):
    """`prepare-reboot` without `--at 22:00` would begin at once."""
    monkeypatch.setattr("pwd.getpwnam", lambda account: {}[account])
    done = run_here(*shlex.split(line))
    assert (done.code, done.err.splitlines()[-1]) == (2, f"next:  inv -H HOSTS {line}")


def test_a_backend_host_needs_no_hosts():
    refuse_unless_backend(HostSpec(name="local", local=True, service_user="root"), "x", INVENTORY)
    known = HostSpec(name="tpp", local=True, service_user="no-such-account")
    refuse_unless_backend(known, "x", INVENTORY)


def test_only_the_program_prints_errors():
    """An Exit with a text would be printed as it is: no hint, no JSON, no colour."""
    for path in (ROOT / "opstasks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Exit":
                assert not node.args, f"{path}:{node.lineno}"


# -- usage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("stop", "'stop' is not a task", "inv --list"),
        ("status tpp", "'tpp' is a host", "inv -H tpp --json status"),
        ("status foo", "status takes no word such as 'foo'", "inv --help status"),
        ("jobs.show ''", "jobs.show: '' is empty: a value is missing", "inv --help jobs.show"),
        ("statsu --help", "Did you mean status?", "inv --help status"),
        ("-q -H tpp jobs.ls", "-q has no meaning with --json", "leave -q out"),
        ("users.disable --name a b", "users.disable takes no word such as 'b'", "inv --help"),
        ("deploy v2", "Did you mean --ref v2?", "inv --help deploy"),
        ("jobs.show abc def", "jobs.show takes one job: 'def' is too many", "inv --help jobs.show"),
        ("jobs.logs a --lines 5 -n 6", "jobs.logs: -n is given twice", "inv --help jobs.logs"),
        ("deploy.releases 5", "Did you mean --limit 5?", "inv --help deploy.releases"),
        ("status jobs.lss", "Did you mean jobs.ls?", "inv --help jobs.ls"),
        ("status outputs", "'outputs' is a group of tasks: ls, rm", "inv --help outputs"),
        ("run docker ps -a", "run: COMMAND must follow --", "inv --json run -- docker ps -a"),
        ("-H tpp run 'a b' c", "must follow --", "inv --json -H tpp run -- 'a b' c"),
        ("deploy --reff x", "deploy has no flag --reff. Did you mean --ref?", "inv --help deploy"),
        ("logs -l 50", "logs has no flag -l", "inv --help logs"),
        ("status --follow", "it is a flag of logs, jobs.logs", "inv --help status"),
        ("--ref v1 deploy", "--ref is a flag of deploy: type it after", "inv --help flags"),
        ("--hots tpp status", "Did you mean --hosts?", "inv --help flags"),
        ("jobs.ls --limit abc", "jobs.ls: --limit must be a whole number", "inv --help jobs.ls"),
        ("--parallel abc status", "--parallel must be a whole number", "inv --help flags"),
        ("--connect-timeout=-1 status", "--connect-timeout must be 1 or greater", "flags"),
        ("status -H", "status: -H needs a value", "inv --help status"),
        ("-H", "-H needs a value", "inv --help flags"),
        ("users.disable", "users.disable: NAME is missing", "inv --help users.disable"),
        ("--fields a,,b -H tpp status", "--fields: a name is empty", "--fields id,state"),
        ("", "no task is given", "inv -H all --json status"),
        ("--list", "--json has no meaning with --list", "inv --list --list-format json"),
        ("--list jobs", "--json has no meaning with --list", "--list jobs --list-format json"),
        ("--list status", "'status' is a task, not a group", "inv --help status"),
        ("--list --list-format xml", "--list-format must be flat, nested", "inv --help flags"),
        ("--help", "--json has no meaning with --help", "inv --help"),
        ("--help status", "--json has no meaning with --help", "inv --help status"),
        ("-H tpp status -h", "--json has no meaning with --help", "inv --help status"),
        ("--help statsu", "Did you mean status?", "inv --help status"),
        ("-V", "--json has no meaning with --version", "inv --version"),
        ("--print-completion-script tcsh", "must be bash, zsh or fish", "inv --help flags"),
        ("completion tcsh", "completion: SHELL must be bash, zsh or fish", "--help completion"),
    ],
)
def test_wrong_usage_is_one_message_also_as_json(run_here, words, message, hint):
    done = run_here("--json", *shlex.split(words))
    error = json.loads(done.out)
    assert (done.code, error["exit_code"], error["error"]["outcome"]) == (2, 2, "refused")
    assert message in error["error"]["message"]
    assert hint in error["error"]["hint"]
    assert "Traceback" not in done.err


def test_a_list_may_be_asked_for_at_the_end_of_a_line(run_here):
    done = run_here("-H", "tpp", "status", "--list")
    assert (done.code, done.out.splitlines()[0]) == (0, "LOOK")


def test_a_span_for_a_core_flag_is_understood_at_any_place(run_here):
    for words in (
        "--connect-timeout 5s -H tpp service.stop",
        "-H tpp service.stop --connect-timeout 5s",
    ):
        done = run_here(*words.split())
        assert (done.code, "connection refused" in done.err) == (3, True)


# -- flags about the result ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--fields id jobs.ls", "--fields has a meaning only with --json"),
        ("--json --wide jobs.ls", "--wide has no meaning with --json"),
        ("--json -q jobs.ls", "-q has no meaning with --json"),
        ("-q --wide jobs.ls", "--wide has no meaning with -q"),
        ("-q status", "status has no ids that -q could print"),
        ("-q deploy --yes", "deploy has no ids"),
        ("--json run --fold -- true", "run: --fold has no meaning with --json"),
        ("--json deploy --all-commits", "deploy: --all-commits has no meaning with --json"),
        ("--json jobs.logs abc -n 5", "jobs.logs: --lines has no meaning with --json"),
        ("-q manage --check --diff", "manage: --diff has no meaning with -q"),
        ("--json --fields nosuch --yes pause", "there is no field nosuch; there are changed,"),
        ("--json --fields changed --dry pause", "there is no field changed; there are action,"),
        ("--json --fields x logs --raw", "values have no fields"),
    ],
)
def test_a_flag_about_the_result_is_honoured_or_refused_by_name(run_here, words, message):
    done = run_here("-H", "tpp", *shlex.split(words))
    assert (done.code, message in done.err) == (2, True), done.err
    assert done.err.count("error  ") == 1


# -- hosts that fail before a change ---------------------------------------------------------------


def test_hosts_that_failed_stop_a_change_with_a_word_about_the_others(capsys):
    plans = FleetResult(
        [HostResult("a", "ok", 1), HostResult("b", "refused", error=Refused("no", host="b"))]
    )
    ctx = Context(invoke.Config(), App(RunOptions(hosts=("a", "b"))))
    assert ctx.to_change(plans, lambda plan: True) == []
    assert "nothing was changed; --keep-going goes on with a" in capsys.readouterr().err
    assert ctx.to_change(plans, lambda plan: False) == []
    assert capsys.readouterr().err == "nothing was changed\n"
    dry = Context(invoke.Config(), App(RunOptions(hosts=("a", "b"), dry=True)))
    assert dry.to_change(plans, lambda plan: True) == []
    assert capsys.readouterr().err == ""


def test_no_task_ends_without_that_word():
    """Each task decides with `to_change` or `need_every_host` whether hosts that failed stop it."""
    for path in (ROOT / "opstasks").rglob("*tasks.py"):
        assert "exit_code and not" not in path.read_text(), path


def test_a_hint_that_begins_with_a_command_can_be_pasted():
    """What is said about the command follows a semicolon: only that ends it on the screen."""
    for path in (ROOT / "opstasks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                text = re.sub(r"{[^}]*}", "x", ast.unparse(node.value).lstrip("f").strip("'\""))
                command = text.partition(";")[0]
                is_command = text.startswith("inv ")
                assert not (is_command and re.search(r"[,:](\s|$)", command)), f"{path}: {text}"
