"""The Tab key offers what fits at the end of the line."""

import json

import pytest

from opstasks.cli.catalogue import Catalogue, core_shape
from opstasks.cli.completion import MOST_OFFERED, offer
from opstasks.cli.completion_shells import NOTHING, answer, split
from opstasks.cli.completion_values import Choices, source_of
from opstasks.cli.completion_words import program_words
from opstasks.cli.options import UNUSED_FLAGS
from opstasks.cli.program import CommandLine, Executor
from opstasks.cli.values import Moment, Number, Span, SpanText
from opstasks.fleet import last_seen
from opstasks.namespace import namespace

HOSTS = """
groups: {prod: {hosts: [tpp, emis]}}
hosts:
  tpp: {address: 192.0.2.1}
  emis: {address: 192.0.2.2}
"""
KILL, SHOW = "ovlotu5a2b3c4d5e", "mhc4pv5a2b3c4d5e"


@pytest.fixture(scope="module")
def program():
    return program_words(CommandLine().initial_context, namespace.to_contexts(), namespace)


@pytest.fixture(autouse=True)
def inventory(tmp_path, monkeypatch):
    path = tmp_path / "hosts.yaml"
    path.write_text(HOSTS)
    monkeypatch.setenv("OPSTASKS_HOSTS", str(path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return path


@pytest.fixture
def seen(inventory):
    found = last_seen.Sightings()
    found.add("jobs", "emis", [(SHOW, "test-longer running")])
    found.add("jobs", "tpp", [(KILL, "study-b-extract running")])
    found.add("keys", "tpp", ["MAX_WORKERS", "STATA_LICENSE"])
    found.add("images", "tpp", ["ehrql:v1", "python:latest"])
    found.write(inventory)


@pytest.fixture
def offered(program):
    """The candidates at the end of a line, as bash, zsh and fish get them from our script."""

    def values(line):
        return [value for value, _ in offer(split(f"inv {line}"), program).candidates]

    return values


# -- tasks and flags -------------------------------------------------------------------------


def test_tasks_are_offered_by_the_names_that_people_type(offered):
    assert offered("dep") == [
        "deploy",
        "deploy.pending",
        "deploy.releases",
        "deploy.rollback",
    ]


def test_a_name_of_the_playbook_is_offered_when_no_task_fits(offered):
    assert offered("kill-") == ["kill-job"]
    assert "kill-job" not in offered("")


def test_groups_of_tasks_are_offered_for_the_list(offered):
    assert {"jobs", "outputs"} <= set(offered("--list "))
    assert "status" not in offered("--list ")


def test_the_help_flag_offers_tasks(offered):
    assert offered("--help jobs.l") == ["jobs.logs", "jobs.ls"]


def test_the_flags_of_the_task_come_first(offered):
    flags = offered("deploy -")
    assert flags[0] == "--ref"
    assert flags.index("--unfinished") < flags.index("--hosts")
    assert "--list" not in flags


@pytest.mark.parametrize("used", ["--ref main", "--ref=main", "--json --ref x"])
def test_a_flag_that_is_used_is_not_offered_again(offered, used):
    assert "--ref" in offered("deploy --")
    assert "--ref" not in offered(f"deploy {used} --")


@pytest.mark.parametrize("flag", ["-y", "--yes", "-H tpp", "-Htpp"])
def test_short_flags_count_as_used_and_hosts_may_be_repeated(offered, flag):
    flags = offered(f"{flag} deploy --")
    assert ("--yes" in flags) == ("y" not in flag)
    assert "--hosts" in flags


def test_only_the_form_of_a_flag_that_changes_something_is_offered(offered):
    flags = offered("jobs.kill --")
    assert "--no-cleanup" in flags
    assert "--cleanup" not in flags


def test_flags_that_may_be_repeated_are_offered_again(offered):
    assert "--only" in offered("manage --only packages --")


def test_the_flag_for_scripts_is_not_offered(offered):
    assert "--complete" not in offered("--")


def test_a_task_without_arguments_offers_its_flags_then_other_tasks(offered):
    assert offered("deploy.rollback ") == ["--watch", "--all-commits"]
    assert "status" in offered("deploy.rollback st")
    assert "jobs.ls" in offered("lock.show ")


def test_nothing_of_ours_is_offered_after_the_double_dash(offered):
    assert offered("-H tpp run -- st") == []


# -- flags that are offered are accepted -----------------------------------------------------


CATALOGUE = Catalogue(namespace)
# What a value of each form could be; other values may be any text.
FORMS = {Number: "5", Span: "2m", SpanText: "2m", Moment: "1h"}
PRINTING = ("--list", "--help", "--version", "--print-completion-script")
# For these, the flags are also tried beside another one.
IN_PAIRS = ("", "jobs.ls", "run", "status")
BEFORE = ("--json", "-q", "--wide", "--watch")


class Nothing(Executor):
    """The words are parsed and checked; no task runs."""

    def execute(self, *tasks):
        return {}


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Why a line is refused, before any task runs; "" if it is not."""
    monkeypatch.setattr("getpass.getpass", lambda prompt: "x")
    (tmp_path / "settings.yaml").write_text("{}")
    shapes = {"": core_shape(CommandLine().core_args()), **CATALOGUE.shapes}

    def value(task, flag):
        if flag == "--config":
            return str(tmp_path / "settings.yaml")
        source = source_of(CATALOGUE.context(task).name if task else "", flag)
        form = shapes[task].forms.get(flag)
        return source.words[0] if isinstance(source, Choices) else FORMS.get(type(form), "x")

    def ended(task, flag, line):
        """`flag` is one of the task; without a task, it is one of the program."""
        if flag == "--fields" or flag not in shapes[task].flags:
            return ""  # which fields there are depends on the task; only the stock inv has others
        takes_value = shapes[task].flags[flag] and flag not in ("--list", "--help")
        words = [*line.split(), flag, *([value(task, flag)] if takes_value else [])]
        if not task and not {*line.split(), flag} & {*CATALOGUE.shapes, *PRINTING}:
            words.append("jobs.ls")
        monkeypatch.setattr("sys.argv", ["inv", *words])
        line = CommandLine(name="opstasks", namespace=namespace, executor_class=Nothing)
        with pytest.raises(SystemExit) as end:
            line.run(["inv", *words])
            raise SystemExit(0)
        said = capsys.readouterr()
        return said.err if end.value.code else ""

    return ended


@pytest.mark.parametrize("name", ["", *CATALOGUE.changes])
def test_every_flag_that_is_offered_is_accepted_by_the_program(offered, refused, name):
    """No flag is offered that the program refuses beside the words before it."""
    own = CATALOGUE.shapes[name].flags if name else {}
    needs = CATALOGUE.shapes[name].needs if name else ()
    words = " ".join([name, *(("bash",) if name == "completion" else needs)])
    first = [flag.replace("--quiet", "-q") for flag in offered(f"{words} --")]
    pairs = [each for each in BEFORE if name in IN_PAIRS and each in first]
    for line in (words, *(f"{words} {before}".strip() for before in pairs)):
        for flag in offered(f"{line} --"):
            assert not refused(name if flag in own else "", flag, line), (line, flag)


def test_flags_that_only_the_program_of_invoke_has_are_not_offered(offered):
    assert not set(offered("--")) & {f"--{name}" for name in UNUSED_FLAGS}


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("completion bash", "--hosts"),
        ("jobs.mount abc", "--json"),
        ("status", "--quiet"),
        ("status", "--every"),
        ("status", "--fields"),
        ("status --json", "--wide"),
        ("jobs.ls -q", "--wide"),
        ("", "--list-format"),
    ],
)
def test_a_flag_that_would_be_refused_is_not_offered(offered, line, flag):
    assert flag not in offered(f"{line} --")


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("jobs.ls", "--quiet"),
        ("status --watch", "--every"),
        ("status --json", "--fields"),
        ("--json status", "--fields"),
        ("--list jobs", "--list-format"),
    ],
)
def test_a_flag_that_now_has_a_meaning_is_offered(offered, line, flag):
    assert flag in offered(f"{line} --")


# -- hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["-H ", "--hosts ", "status -H ", "deploy --ref x -H "])
def test_hosts_groups_and_failed_are_offered_after_the_host_flag(offered, line):
    assert offered(line) == ["tpp", "emis", "prod", "all", "@failed"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("tpp,e", ["tpp,emis"]),
        ("tpp,!e", ["tpp,!emis"]),
        ("!t", ["!tpp"]),
        ("all,!tpp,!", ["all,!tpp,!emis", "all,!tpp,!prod", "all,!tpp,!@failed"]),
        ("@", ["@failed"]),
    ],
)
def test_the_last_host_of_a_list_is_completed(offered, typed, expected):
    assert offered(f"-H {typed}") == expected
    assert offered(f"--hosts={typed}") == [f"--hosts={word}" for word in expected]
    assert offered(f"-H{typed}") == [f"-H{word}" for word in expected]


def test_hosts_come_from_the_inventory_on_the_line(offered, tmp_path):
    (tmp_path / "other.yaml").write_text("hosts: {web: {}}")
    assert "web" in offered(f"--inventory {tmp_path}/other.yaml -H ")
    assert "web" in offered(f"-H tpp status --inventory={tmp_path}/other.yaml -H ")


@pytest.mark.parametrize("text", ["hosts: [", "hosts: {a: {adress: x}}", "\x00"])
def test_a_broken_inventory_offers_no_host_and_no_error(offered, inventory, text):
    inventory.write_text(text)
    assert offered("-H ") == ["@failed"]
    assert offered("jobs.show ") == ["--job"]
    for other in ("/absent", "~nobody-here/x", "/", "''"):
        assert offered(f"--inventory {other} jobs.show ") == ["--job"]
        assert offered(f"--inventory {other} -H t") == ["@failed"]


def test_a_task_with_a_flag_of_the_same_name_keeps_its_own(offered):
    assert offered("sandbox.up --hosts ") == []


# -- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("jobs.ls --state ", ["pending", "running", "failed", "succeeded"]),
        ("jobs.ls --state=f", ["--state=failed"]),
        ("deploy --unfinished ", ["finish", "back"]),
        ("outputs.rm study a.csv --source ", ["remove", "keep"]),
        ("manage --only pack", ["packages"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("history --task after", ["after-reboot"]),
        ("history --host ", ["tpp", "emis"]),
    ],
)
def test_fixed_choices_are_offered(offered, line, expected):
    assert offered(line) == expected


@pytest.mark.parametrize("task", ["show", "logs", "follow", "kill", "retry", "mount", "strace"])
@pytest.mark.usefixtures("seen")
def test_jobs_that_were_seen_are_offered_newest_first(offered, task):
    assert offered(f"jobs.{task} ") == [KILL, SHOW]
    assert offered(f"jobs.{task} --job mh") == [SHOW]


@pytest.mark.usefixtures("seen")
def test_only_jobs_of_the_hosts_on_the_line_are_offered(offered):
    assert offered("-H emis jobs.show ") == [SHOW]
    assert offered("jobs.show -H 'all,!emis' ") == [KILL]
    assert offered("-H unknown jobs.show ") == [KILL, SHOW]
    assert offered("-H @failed jobs.show ") == [KILL, SHOW]


@pytest.mark.usefixtures("seen")
def test_a_value_that_is_on_the_line_is_not_offered_again(offered):
    assert offered(f"jobs.kill {KILL} ") == [SHOW]
    assert offered("config.set MAX_WORKERS=8 ") == ["STATA_LICENSE="]


@pytest.mark.usefixtures("seen")
def test_keys_and_images_are_offered(offered):
    assert offered("config.set MAX") == ["MAX_WORKERS="]
    assert offered("config.unset ST") == ["STATA_LICENSE"]
    assert offered("images.update ehrql:") == ["ehrql:v1"]


def test_without_anything_seen_the_flags_are_offered(offered):
    assert offered("jobs.kill ") == ["--job", "--no-cleanup"]
    assert offered("jobs.kill ov") == []


@pytest.mark.parametrize("line", ["deploy --watch ", "pause --reason ", "outputs.rm study a"])
def test_a_value_that_is_free_offers_nothing(offered, line):
    assert offered(line) == []


def test_flags_are_offered_where_a_free_value_may_follow(offered):
    assert offered("outputs.rm study ") == ["--file", "--source", "--reason"]


@pytest.mark.usefixtures("seen")
def test_a_task_for_one_job_offers_no_second_one(offered):
    assert offered(f"jobs.logs {SHOW} ") == ["--follow", "--lines", "--timestamps", "--metadata"]
    assert offered(f"jobs.logs --job {SHOW} st") == ["status"]


def test_at_most_some_hundred_candidates_are_offered(offered, inventory):
    hosts = "".join(f"  h{number}: {{}}\n" for number in range(MOST_OFFERED + 9))
    inventory.write_text(f"hosts:\n{hosts}")
    assert len(offered("-H ")) == MOST_OFFERED
    assert offered(f"-H h{MOST_OFFERED + 8}") == [f"h{MOST_OFFERED + 8}"]


# -- what the scripts get --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inv", [""]),
        ("inv ", [""]),
        ("inv a ", ["a", ""]),
        ("inv 'a b", ["a b"]),
        ('inv "a b', ["a b"]),
        ("inv 'a b' c", ["a b", "c"]),
        ("X=1 Y='a b' inv st", ["st"]),
        ("inv a\\", ["a"]),
        ("inv it's", ["its"]),
    ],
)
def test_a_line_is_split_as_a_shell_does_it(line, words):
    assert split(line) == words


@pytest.mark.usefixtures("seen")
def test_zsh_and_fish_get_descriptions(program):
    for shell in ("zsh", "fish"):
        lines = answer("inv jobs.kill ", {"OPSTASKS_COMPLETE": shell}, program)
        assert lines[0] == f"{KILL}\tstudy-b-extract running"
        (status,) = answer("inv status", {"OPSTASKS_COMPLETE": shell}, program)
        assert status.startswith("status\tShow one row for each host")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_damaged_file_of_seen_names_adds_no_line(program, inventory, shell):
    path = last_seen.path_of(inventory)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"jobs": [[KILL, "tpp\nforged\x1b[2J", ""]]}))
    lines = answer("inv jobs.kill ", {"OPSTASKS_COMPLETE": shell}, program)
    assert lines == [f"{KILL}\ttpp\\nforged\\x1b[2J"]


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("inv jobs.ls --state=ru", "ru", ["running"]),
        ("inv jobs.ls --state=", "", ["pending", "running", "failed", "succeeded"]),
        ("inv images.update python:l", "l", ["latest"]),
        ("inv -H 'tpp,!e", "tpp,!e", ["tpp,!emis"]),
        ("inv -H tpp,\\!e", "tpp,\\!e", ["tpp,\\!emis"]),
        ("inv -H @f", "@f", ["@failed"]),
        ("inv -H tpp,@f", "@f", ["@failed"]),
        ("inv stat", "stat", ["status"]),
    ],
)
@pytest.mark.usefixtures("seen")
def test_bash_gets_what_it_puts_in_the_place_of_its_word(program, line, word, expected):
    environment = {"OPSTASKS_COMPLETE": "bash", "OPSTASKS_COMPLETE_WORD": word}
    assert answer(line, environment, program) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_no_line_means_files_and_a_tab_means_nothing(program, shell):
    environment = {"OPSTASKS_COMPLETE": shell}
    for flag in ("-i", "--identity", "-S", "--inventory"):
        assert answer(f"inv {flag} ", environment, program) == []
    assert answer("inv --identity=", environment, program) == []
    assert answer("inv -H tpp,!@host", environment, program) == []
    assert answer("inv deploy --watch ", environment, program) == [NOTHING]


@pytest.mark.usefixtures("seen")
def test_invokes_own_scripts_also_get_what_follows_a_whole_word(program):
    assert {"tpp", "prod"} <= set(answer("inv -H", {}, program))
    assert {"jobs.kill", KILL} <= set(answer("inv jobs.kill", {}, program))
    assert answer("inv jobs.kill ", {}, program) == [KILL, SHOW]
