"""A hostile answer causes no crash, prints no control character, and changes no other rows."""

import json
from dataclasses import dataclass
from functools import cache, partial

import pytest

from opstasks.core.errors import OpsError
from opstasks.core.result import Result
from opstasks.output.documents import error_document, plain
from opstasks.output.live import END_OF_LINE, ENTER, HOME, LEAVE, REST
from opstasks.output.parts import COLOURS
from opstasks.output.region import CLEAR, UP_AND_CLEAR
from tests.fuzz import answers, commands, stage
from tests.fuzz.examples import check_all
from tests.fuzz.readers import NOT_ASKED, NOT_RUN, READERS, programs_of
from tests.fuzz.stage import PROGRAMS, Replies, Script

# A crash; a job may end with an "internal error" as well.
DEFECT = "internal error: "
CODES = {0, 1, 2, 3, 4, 130}
# What we write ourselves: colours, and the drawing of --watch.
OURS = [f"\x1b[{code}m" for code in ("0", *COLOURS.values())]
# Lines at the bottom of the terminal are replaced.
OURS += [*(UP_AND_CLEAR.format(rows) for rows in range(1, 25)), CLEAR]
OURS += [ENTER, LEAVE, HOME, END_OF_LINE + "\r\n", END_OF_LINE, REST]


@pytest.fixture(scope="module", autouse=True)
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch, stage.prepared(patch, folder):
        yield


def controls(text, *, is_terminal):
    """The control characters of a text that affect a terminal."""
    for ours in OURS if is_terminal else ():
        text = text.replace(ours, "")
    return sorted(char for char in set(text) if char not in "\n\t" and not char.isprintable())


def check(run, *, is_terminal, may_trace):
    """No crash, a documented exit code, and no control."""
    lines = (run.out + run.err).split("\n")
    defects = (DEFECT,) if may_trace else (DEFECT, "Traceback")
    assert [line[:300] for line in lines if any(word in line for word in defects)] == []
    assert run.code in CODES
    assert controls(run.out + run.err, is_terminal=is_terminal) == []


def script_of(dice, reader):
    """What host `a` answers, for the programs and commands that a row asks."""
    names = programs_of(reader)
    replies = {}
    for _ in range(dice.randint(1, 2)):
        name = dice.choice(names)
        replies[name] = replies_of(dice, name, dice.randint(1, 3 if name else 6))
    if dice.random() < 0.05:
        replies["lock"] = replies_of(dice, "", 1)
    return Script(replies, number=dice.randrange(answers.SANE), good=reader.good)


def replies_of(dice, name, count):
    """What a hostile host prints for a program, or for a command without a name."""
    make = commands.hostile_reply
    if name:
        make = partial(answers.hostile_reply, program=PROGRAMS[name])
    return Replies(make, dice.random(), count)


MORE = (
    ((), 0),
    (("--json",), 0),
    ((), 60),
    ((), 80),
    ((), 200),
    (("--debug",), 0),
    (("--echo",), 0),
)


@dataclass(frozen=True)
class Example:
    """A run with hostile answers: the flags, the width of the window (0: a pipe), the answers."""

    more: tuple[str, ...]
    columns: int
    is_compared: bool
    alone: bool
    script: Script


def example_of(reader, dice):
    """One run of a row."""
    more, columns = dice.choice(MORE)
    # In a window, the rows of one host set the widths for all: they are not compared.
    is_compared = not (reader.alone or columns or "--echo" in more)
    # The second host takes half of the time.
    alone = not is_compared and dice.random() < 0.7
    return Example(more, columns, is_compared, alone, script_of(dice, reader))


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_nonsense_of_a_host_neither_crashes_nor_controls(reader):
    @cache
    def sane(more):
        return stage.rows_of(stage.run(reader.argv(*more), Script(good=reader.good)))

    def run(example):
        argv = reader.argv(*example.more, alone=example.alone)
        found = stage.run(argv, example.script, columns=example.columns)
        is_terminal, may_trace = bool(example.columns), "--debug" in example.more
        check(found, is_terminal=is_terminal, may_trace=may_trace)
        if example.is_compared:
            assert stage.rows_of(found) == sane(example.more)

    check_all(partial(example_of, reader), run)


def declared_tasks():
    from opstasks.namespace import namespace

    return [name for name in namespace.task_names if not name.startswith("sandbox.")]


def test_each_task_has_a_row_or_a_reason():
    run = {reader.words[0] for reader in READERS}
    default = {"deploy.apply": "deploy", "scheduled.show": "scheduled"}
    named = [default.get(name, name) for name in declared_tasks()]
    assert sorted(set(named) - run - set(NOT_RUN)) == []
    assert sorted((run | set(NOT_RUN)) - set(named)) == []


def test_each_program_is_asked_by_a_row():
    asked = {name for reader in READERS for name in programs_of(reader)} | set(NOT_ASKED)
    assert sorted(set(PROGRAMS) - asked) == []


@pytest.mark.parametrize("name", sorted(NOT_ASKED))
def test_nonsense_of_a_program_is_a_value_or_an_error(name):
    program = PROGRAMS[name]

    def run(reply):
        try:
            value = program.decode(Result("x", reply.code, reply.out, reply.err), "a")
        except OpsError as error:
            value = error_document(error)
        json.dumps(value, default=plain)

    check_all(partial(answers.hostile_reply, program=program), run)
