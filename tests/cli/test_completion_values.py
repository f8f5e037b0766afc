"""The table of values for the Tab key has a row for every argument, and every row is right."""

import pytest

from opstasks.cli.completion_values import (
    CORE,
    EVERY_TASK,
    FREE,
    TASKS,
    Choices,
    Seen,
    Values,
    source_of,
)
from opstasks.cli.completion_words import program_words
from opstasks.cli.program import CommandLine
from opstasks.completion.scripts import USE
from opstasks.fleet.last_seen import KINDS
from opstasks.jobs.model import STATES
from opstasks.manage.model import AREAS
from opstasks.namespace import namespace
from opstasks.outputs.act import SOURCE_CHOICES
from opstasks.sandbox.releases import RELEASES

PROGRAM = program_words(CommandLine().initial_context, namespace.to_contexts(), namespace)
BY_NAME = {task.name: task for task in PROGRAM.tasks.values()}
ROWS = [(task, flag) for task, flags in TASKS.items() for flag in flags]
SOURCES = [
    *CORE.values(),
    *EVERY_TASK.values(),
    *(s for flags in TASKS.values() for s in flags.values()),
]


def arguments(task):
    """The long flags of a task that take a value, and its positional arguments."""
    return {flag.name for flag in task.flags.values() if flag.takes_value} | set(task.positionals)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_argument_of_a_task_has_a_row(name):
    known = {*TASKS.get(name, {}), *EVERY_TASK}
    assert arguments(BY_NAME[name]) <= known, "add it to cli/completion_values.py, perhaps as FREE"


def test_every_flag_of_the_program_has_a_row():
    assert arguments(PROGRAM.core) == set(CORE)


@pytest.mark.parametrize(("task", "flag"), ROWS)
def test_every_row_is_an_argument_of_its_task(task, flag):
    assert flag in arguments(BY_NAME[task])


@pytest.mark.parametrize("flag", sorted(EVERY_TASK))
def test_every_row_for_all_tasks_is_an_argument_of_one(flag):
    assert any(flag in arguments(task) for task in BY_NAME.values())


def test_only_kinds_that_are_kept_are_offered_and_each_one_is():
    kinds = {source.kind for source in SOURCES if isinstance(source, Seen)}
    assert kinds == set(KINDS)


@pytest.mark.parametrize(
    ("task", "flag", "words"),
    [
        ("completion", "--shell", tuple(USE)),
        ("jobs.ls", "--state", STATES),
        ("manage", "--only", AREAS),
        ("manage", "--skip", AREAS),
        ("outputs.rm", "--source", SOURCE_CHOICES),
        ("sandbox.publish", "--release", RELEASES),
    ],
)
def test_the_choices_are_those_that_the_task_accepts(task, flag, words):
    assert source_of(task, flag) == Choices(words)


def test_a_flag_of_the_program_is_not_taken_for_one_of_the_task():
    assert source_of("", "--hosts") is Values.HOSTS
    assert source_of("sandbox.up", "--hosts") is FREE
