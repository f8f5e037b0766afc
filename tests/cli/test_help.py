"""Help fits into every window, is complete, and looks the same for every task."""

import inspect

import pytest
from invoke import Collection

from opstasks.cli import help, overview
from opstasks.cli.catalogue import Catalogue
from opstasks.cli.context import Context
from opstasks.cli.options import CORE_HELP
from opstasks.cli.program import CommandLine
from opstasks.cli.task import Flag, OpsTask, task
from opstasks.core.hints import renamed
from opstasks.namespace import namespace

CATALOGUE = Catalogue(namespace)
NAMES = sorted(CATALOGUE.changes)
WIDTHS = (60, 80, 100, 140, 200)


@task(
    changes=True,
    variadic="job",
    iterable=["job"],
    after_dashes="COMMAND",
    ignores=["json"],
    help={
        "job": Flag("The jobs.", required=True),
        "to_keep": Flag("How many to keep.", value="N", short="n"),
        "who": Flag("For whom.", value="NAME", default="you"),
        "wait": Flag("How long to wait.", value="DURATION"),
        "cleanup": "Keep the containers.",
        "mode": "Which mode.",
    },
)
def sample(
    ctx: Context,
    place: str,
    job: list[str],
    to_keep: int = 5,
    who: str = "",
    wait: float = 2.5,
    cleanup: bool = True,
    mode: str = "fast",
) -> None:
    """Do something.

    It has a second
    paragraph.

    Example: inv -H tpp sample here abc
    Example: inv -H tpp sample here abc --no-cleanup
    """


SAMPLE = Catalogue(Collection(sample))


def help_of(catalogue, name):
    return help.task_help(catalogue.names_of(name), catalogue.context(name), catalogue.task(name))


def test_the_help_of_a_task_as_lines():
    assert "\n".join(help.task_lines(help_of(SAMPLE, "sample"), "inv", 60)) == (
        "  inv -H HOSTS sample PLACE JOB... [flags] -- COMMAND\n"
        "\n"
        "Do something.\n"
        "\n"
        "It has a second paragraph.\n"
        "\n"
        "  PLACE\n"
        "  JOB...           The jobs.\n"
        "  -n, --to-keep N  How many to keep. [5]\n"
        "  --who NAME       For whom. [you]\n"
        "  --wait DURATION  How long to wait. [2.5s]\n"
        "  --no-cleanup     Keep the containers.\n"
        "  --mode MODE      Which mode. [fast]\n"
        "\n"
        "Example: inv -H tpp sample here abc\n"
        "Example: inv -H tpp sample here abc --no-cleanup\n"
        "Everywhere: -H --yes --dry --parallel --keep-going\n"
        "  (inv --help flags)"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_task_says_what_kind_it_is(name):
    assert isinstance(CATALOGUE.task(name), OpsTask)


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_task_is_complete(name):
    found = help_of(CATALOGUE, name)
    assert found.summary.endswith(".")
    assert found.examples
    assert all(row.text for row in (*found.arguments, *found.flags))
    parameters = list(inspect.signature(CATALOGUE.task(name).body).parameters)[1:]
    order = [row.typed.split("--")[1].split()[0].removeprefix("no-") for row in found.flags]
    assert order == [n.strip("_").replace("_", "-") for n in parameters if _is_flag(name, n)]


def _is_flag(name, parameter):
    positional = [str(arg.name) for arg in CATALOGUE.context(name).positional_args]
    dashed = parameter.strip("_").replace("_", "-")
    return parameter not in positional and CATALOGUE.task(name).variadic != f"--{dashed}"


@pytest.mark.parametrize("name", NAMES)
def test_a_number_has_its_unit(name):
    for arg in CATALOGUE.context(name).args.values():
        if arg.kind in (int, float):
            assert help.value_name(arg, CATALOGUE.task(name)) in ("N", "DURATION")


@pytest.mark.parametrize("columns", WIDTHS)
def test_help_fits_into_the_window_and_breaks_no_word(columns):
    for name in NAMES:
        found = help_of(CATALOGUE, name)
        lines = list(help.task_lines(found, "opstasks", columns))
        examples = [f"  {renamed(example, 'opstasks')}" for example in found.examples]
        assert all(len(line) <= columns or line in examples for line in lines), name
        assert "<" not in "".join(lines), name  # no value of Python
        rows = (*found.arguments, *found.flags)
        words = " ".join([found.summary, *found.details, *(f"{r.typed} {r.whole}" for r in rows)])
        assert set(words.split()) <= set(" ".join(lines).split()), name


@pytest.mark.parametrize("columns", (20, 40, *WIDTHS))
@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_one_line_that_can_be_pasted(name, columns):
    found = help_of(CATALOGUE, name)
    lines = [
        line.removeprefix("Example:").strip() for line in help.task_lines(found, "inv", columns)
    ]
    assert found.examples and set(found.examples) <= set(lines)


@pytest.mark.parametrize("columns", (20, 30, 40))
def test_in_a_narrow_window_what_a_flag_means_stands_below_it(columns):
    row = help.HelpRow("--drain DURATION", "How long running jobs may take to end.", "0s")
    lines = list(help.row_lines([row, help.HelpRow("-f, --follow", "Go on.")], columns))
    assert lines[0] == "  --drain DURATION" and "  -f, --follow" in lines
    assert all(len(line) <= columns for line in lines)


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_flags_that_work_everywhere_fit_and_are_complete(columns):
    rows = help.core_rows(CommandLine(name="inv").core_args())
    lines = list(help.row_lines(rows, columns))
    assert max(map(len, lines)) <= columns
    for name, (_, text) in CORE_HELP.items():
        assert f"--{name}" in " ".join(lines)
        assert set(text.split()) <= set(" ".join(lines).split())


# -- the overview ----------------------------------------------------------------------------------


def test_every_task_is_in_one_group_of_the_overview():
    listed = [name for members in overview.GROUPS.values() for name in members]
    assert sorted(listed) == NAMES


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_overview_has_every_task_once_at_every_width(columns):
    title = ("opstasks 0.1.0", "hosts.yaml: ~/a/rather/long/folder/hosts.yaml, 5 hosts, 2 groups")
    lines = list(overview.lines(NAMES, title, "(inv --list, inv --help TASK)", columns))
    assert max(map(len, lines)) <= columns
    words = " ".join(lines).split()
    assert all(words.count(name) == 1 for name in NAMES if name not in ("hosts",))
    assert set(overview.GROUPS) <= set(words)


def test_a_task_without_a_group_is_shown_too():
    assert overview.grouped(["status", "brand.new"]) == {
        "LOOK": ["status"],
        "OTHER": ["brand.new"],
    }


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {}, emis: {}}\ngroups: {prod: {}}")
    return tmp_path / "hosts.yaml"


@pytest.mark.parametrize("words", ["", "--help", "-h"])
def test_the_program_alone_shows_the_overview(run_here, fleet, monkeypatch, words):
    monkeypatch.chdir(fleet.parent)
    done = run_here(*words.split())
    assert done.code == 0
    first, *_, last = done.out.splitlines()
    assert first.startswith("opstasks ")
    assert first.endswith(" hosts.yaml: ./hosts.yaml, 2 hosts, 1 group")
    assert last == "(inv --list, inv --help TASK, inv --help flags)"
    assert max(map(len, done.out.splitlines())) <= 80


def test_a_broken_inventory_does_not_hide_the_overview(run_here, fleet):
    fleet.write_text("hosts: [")
    done = run_here()
    assert (done.code, done.err) == (0, "")
    assert "hosts.yaml" in done.out
    assert "status jobs.ls" in done.out


@pytest.mark.parametrize("words", ["--help jobs", "jobs --help", "-H tpp jobs -h"])
def test_the_help_of_a_group_lists_its_tasks(run_here, words):
    done = run_here(*words.split())
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines() if line.startswith("  jobs.")] == (
        CATALOGUE.groups["jobs"]
    )


def test_the_list_has_a_line_for_each_task(run_here):
    lines = run_here("--list").out.splitlines()
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == NAMES
    assert [line for line in lines if not line.startswith(" ")] == list(overview.GROUPS)


def test_the_list_of_a_group_has_its_tasks_only(run_here):
    lines = run_here("--list", "jobs").out.splitlines()
    assert [line.split()[0] for line in lines] == CATALOGUE.groups["jobs"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--list nothing", "no group of tasks is called 'nothing'"),
        ("--list jbs", "Did you mean jobs?"),
        ("--list status", "'status' is a task, not a group"),
        ("--list -F bad", "--list-format must be flat, nested or json, not 'bad'"),
        ("--list -F json -D 1", "--list-depth option is not supported"),
        ("--help nothing", "'nothing' is not a task"),
        ("-H tpp", "no task is given"),
    ],
)
def test_a_list_or_help_of_nothing_is_wrong_usage(run_here, words, told):
    done = run_here(*words.split())
    assert (done.code, done.out) == (2, "")
    assert told in done.err
