"""Which tasks may follow one another on a line: a change never follows a task that only reads."""

import shlex
from itertools import product

import pytest

from opstasks.cli.argv import MisfitWord, MisplacedTask, arrange
from opstasks.cli.catalogue import Catalogue, core_shape
from opstasks.cli.program import CommandLine
from opstasks.cli.usage import KnownWords
from opstasks.core.errors import Refused
from opstasks.namespace import namespace

CATALOGUE = Catalogue(namespace)
SHAPES = CATALOGUE.shapes
CORE = core_shape(CommandLine(name="inv").core_args())
# All names, also those of the playbook's recipes: people type them.
READING = [name for name, shape in SHAPES.items() if not shape.changes]
CHANGING = [name for name, shape in SHAPES.items() if shape.changes]


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {address: 127.0.0.1, port: 1}}")
    return tmp_path / "hosts.yaml"


def complete(name):
    """Words that are a whole command: no further word is a value."""
    shape = SHAPES[name]
    values = {"shell": "bash"}
    given = [shape.variadic, "abc"] if shape.once.get(shape.variadic) else []
    return [name, *(values.get(each, "abc") for each in shape.needs), *given]


def lines():
    """Every pair of a task that only reads and a change, in the ways that people type them."""
    for reading, changing in product(READING, CHANGING):
        yield ["-H", "tpp", reading, *complete(changing)]
        yield [*complete(reading), *complete(changing), "-H", "tpp"]
        yield ["-H", "tpp", *complete(reading), "--yes", changing]


def test_a_change_after_a_task_that_only_reads_is_never_run():
    for words in lines():
        try:
            tasks = [word for word in arrange(words, CORE, SHAPES) if word in SHAPES]
        except (MisfitWord, Refused):
            continue
        assert not any(SHAPES[task].changes for task in tasks[1:]), words


def test_the_next_command_for_such_a_line_has_no_change_as_a_task():
    known = KnownWords(CATALOGUE.changes, CATALOGUE.groups, SHAPES, CORE, lambda: None)
    for words in lines():
        try:
            arrange(words, CORE, SHAPES)
        except MisplacedTask as misfit:
            hint = shlex.split(known.explained(misfit, words).hint)[1:]
            if hint[0] == "--help":
                continue
            try:
                arranged = arrange(hint, CORE, SHAPES)
            except (MisfitWord, Refused):
                continue
            tasks = [
                word
                for before, word in zip(["", *arranged], arranged, strict=False)
                if word in SHAPES and not before.startswith("-")
            ]
            assert not any(SHAPES[task].changes for task in tasks), words
        except (MisfitWord, Refused):
            continue


@pytest.mark.parametrize("reading", ["history", "jobs.ls", "status", "hosts", "doctor", "jobs-ls"])
@pytest.mark.parametrize("changing", ["deploy", "pause", "service.start", "deploy.apply"])
def test_the_program_refuses_a_change_after_reading(run_here, reading, changing):
    done = run_here("-H", "tpp", "--yes", reading, changing)
    assert (done.code, done.out) == (2, "")
    assert f"{changing!r} is a task: type it as a command of its own" in done.err


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("-H all history deploy", "or with --task", "inv -H all history --task deploy"),
        ("history pause -H tpp", "or with --task", "inv history --task pause -H tpp"),
        ("history --task deploy pause", "since history only reads", "inv --help history"),
        ("history --task=deploy pause", "since history only reads", "inv --help history"),
        ("history pause --task=deploy", "since history only reads", "inv --help history"),
        ("-H all jobs.ls deploy", "since jobs.ls only reads", "inv --help jobs.ls"),
        ("-H tpp logs deploy", "or with --job", "inv -H tpp logs --job deploy"),
        ("jobs.show abc pause", "since jobs.show only reads", "inv --help jobs.show"),
    ],
)
def test_the_refusal_says_how_the_word_can_be_meant(run_here, words, message, hint):
    done = run_here(*words.split())
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert f"next:  {hint}\n" in done.err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("-H tpp pause --reason before deploy", "-H tpp pause --reason 'before deploy'"),
        ("pause --reason=before deploy -H tpp", "pause --reason 'before deploy' -H tpp"),
        ("pause --reason run all manage --for 2h", "pause --reason 'run all manage' --for 2h"),
        ("-H tpp pause --reason re-boot deploy", "-H tpp pause --reason 're-boot deploy'"),
        ("-H tpp pause --reason kernel update", "-H tpp pause --reason 'kernel update'"),
        ("lock.break --reason hangs service.start", "lock.break --reason 'hangs service.start'"),
        (
            "pause --reason 'two words' prepare-reboot --reason upgrade now",
            "pause --reason 'two words' prepare-reboot --reason 'upgrade now'",
        ),
        (
            "pause --reason 'two words' prepare-reboot --reason=upgrade now",
            "pause --reason 'two words' prepare-reboot --reason 'upgrade now'",
        ),
    ],
)
def test_a_text_without_quotes_starts_no_task(run_here, words, hint):
    done = run_here("--yes", *shlex.split(words))
    assert (done.code, done.out) == (2, "")
    assert "put the text in quotes" in done.err
    assert f"next:  inv --yes {hint}\n" in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["pause", "--reason", "before deploy", "deploy"],
        ["pause", "--reason", "before", "--for", "2h", "deploy"],
        ["outputs.rm", "--reason", "typo", "study", "--file", "a.csv"],
    ],
)
def test_a_task_or_argument_after_a_whole_text_is_kept(words):
    assert arrange(words, CORE, SHAPES) == words


@pytest.mark.parametrize(
    "words",
    ["service.start unpause", "status jobs.ls", "sync.status jobs.ls logs", "deploy status logs"],
)
def test_chains_of_reading_tasks_and_of_changes_are_kept(words):
    assert arrange(words.split(), CORE, SHAPES) == words.split()
