"""What the Tab key offers at the end of a line. It never asks a host, and never fails.

`opstasks.cli.completion_values` says which values each argument has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from opstasks.cli.completion_values import Choices, Seen, Source, Values, source_of
from opstasks.cli.completion_words import (
    Candidate,
    FlagWords,
    ProgramWords,
    TaskWords,
    short_core_flags,
)
from opstasks.cli.known_values import FAILED, KnownValues
from opstasks.cli.options import EARLY_FLAGS

# They have an effect only as the first words.
_EARLY = tuple(f"--{name}" for name in EARLY_FLAGS)
# More than a screen holds; a longer prefix finds the others.
MOST_OFFERED = 500


@dataclass
class Place:
    """Where the line is after the finished words.

    `waiting` is a flag whose value comes next, `used` the flags and values so far. `passed` are
    positional arguments that have a value. `is_remainder`: after ``--``.
    """

    task: TaskWords | None = None
    waiting: FlagWords | None = None
    passed: int = 0
    used: set[str] = field(default_factory=set)
    values: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    inventory: str = ""
    is_remainder: bool = False

    def take(self, flag: FlagWords, value: str) -> None:
        """Note the value of a flag."""
        self.values.append(value)
        if flag.name == "--hosts" and flag.repeats and not self.is_own(flag):
            self.hosts.append(value)
        elif flag.name == "--inventory":
            self.inventory = value

    @property
    def argument(self) -> str:
        """The flag that the next word without a flag is a value of, or ""."""
        if self.task is None:
            return ""
        further = self.task.variadic
        is_given = further in self.used and not self.task.flags[further].repeats
        return (*self.task.positionals[self.passed :], "" if is_given else further)[0]

    def is_own(self, flag: FlagWords) -> bool:
        """Whether a flag is one of the task, not of the program."""
        return self.task is not None and self.task.flags.get(flag.name) is flag


def place_after(words: Sequence[str], program: ProgramWords) -> Place:
    """Read the finished words as the program will; unknown ones are skipped."""
    place = Place()
    for word in words:
        if word == "--":
            place.is_remainder = True
            return place
        if place.waiting is not None:
            place.take(place.waiting, word)
            place.waiting = None
        elif word.startswith("-"):
            _read_flag(place, word, program)
        else:
            _read_word(place, word, program)
    return place


def _read_flag(place: Place, word: str, program: ProgramWords) -> None:
    name, equals, value = word.partition("=")
    flag = flag_at(place, name, program)
    if flag is None:
        attached = flag_at(place, word[:2], program)
        if attached and attached.takes_value and not word.startswith("--"):
            place.take(attached, word[2:])
        return
    place.used.add(flag.name)
    if equals:
        place.take(flag, value)
    elif flag.takes_value and not (flag.is_optional and place.task):
        place.waiting = flag


def _read_word(place: Place, word: str, program: ProgramWords) -> None:
    argument = place.argument
    if place.task and argument:
        place.passed += argument in place.task.positionals
        place.used.add(argument)
        place.values.append(word)
    else:
        place.task, place.passed = program.tasks.get(word), 0
        place.used &= set(program.core.flags)


def flag_at(place: Place, name: str, program: ProgramWords) -> FlagWords | None:
    """The flag that a spelling means here: first the task's own, then the program's."""
    if place.task and name in place.task.flags:
        return place.task.flags[name]
    is_invokes_short = not name.startswith("--") and name not in short_core_flags()
    if place.task and is_invokes_short:
        return None
    return program.core.flags.get(name)


@dataclass(frozen=True)
class Offered:
    """The candidates for the last word; `files`: the shell completes names of files instead."""

    candidates: Sequence[Candidate] = ()
    files: bool = False


def offer(words: Sequence[str], program: ProgramWords) -> Offered:
    """What could be the last word; `words` is the line without the program's name."""
    *done, typed = words or [""]
    found = _Tab(place_after(done, program), program).offer(typed)
    prefixed = [item for item in found.candidates if item.value.startswith(typed)]
    # Without one, the shell may still find a part of a word, in its own way.
    return Offered((prefixed or found.candidates)[:MOST_OFFERED], found.files)


class _Tab:
    """The Tab key at one place."""

    def __init__(self, place: Place, program: ProgramWords) -> None:
        self._place, self._program = place, program

    def offer(self, typed: str) -> Offered:
        """What could be the word that begins with `typed`."""
        place, core = self._place, self._program.core.flags
        if place.is_remainder:
            return Offered()  # for a program on a host, which has other files
        if place.waiting is not None:
            return self._values(place.waiting, typed)
        name, equals, value = typed.partition("=")
        flag = flag_at(place, name, self._program) if typed.startswith("-") else None
        if flag and equals:
            return self._values(flag, value, before=f"{name}=")
        if typed[:2] in short_core_flags() and len(typed) > 2 and core[typed[:2]].takes_value:
            return self._values(core[typed[:2]], typed[2:], before=typed[:2])
        if flag and not typed.startswith("--"):
            return Offered([Candidate(typed, flag.about)])
        return Offered(self._flags()) if typed.startswith("-") else self._words(typed)

    # -- flags and tasks ---------------------------------------------------------------------

    def _flags(self) -> list[Candidate]:
        """The flags that may still be added, the task's own first."""
        task, core = self._place.task, self._program.core
        own = self._unused(task, task.shown) if task else []
        others = self._program.anywhere if task else core.shown
        hidden = task.flags if task else {}
        return [*own, *self._unused(core, [name for name in others if name not in hidden])]

    def _unused(self, words: TaskWords, names: Iterable[str]) -> list[Candidate]:
        flags = [(name, words.flags[name]) for name in names]
        return [Candidate(name, flag.about) for name, flag in flags if self._may_follow(flag)]

    def _may_follow(self, flag: FlagWords) -> bool:
        """Whether the program would accept a flag beside those that are used."""
        place = self._place
        given = [self._used_flag(name) for name in place.used]
        if flag.name in place.used and not flag.repeats:
            return False
        if place.task and not place.is_own(flag) and flag.name in place.task.refused:
            return False
        if flag.name in _EARLY and given:
            return False
        is_excluded = any(flag.name in each.excludes for each in given)
        return (
            not is_excluded
            and not place.used & set(flag.excludes)
            and (not flag.needs or flag.needs in place.used)
        )

    def _used_flag(self, name: str) -> FlagWords:
        task = self._place.task
        return task.flags[name] if task and name in task.flags else self._program.core.flags[name]

    def _words(self, typed: str) -> Offered:
        """A value of the task's arguments; otherwise its flags, or another task."""
        task = self._place.task
        if task is None:
            return Offered(self._tasks(typed))
        argument = self._place.argument
        found = self._values(task.flags[argument], typed) if argument else Offered()
        if typed and not argument:
            return Offered(self._tasks(typed))
        if typed or found.candidates or found.files or argument in task.positionals:
            return found
        own = self._unused(task, task.shown)
        return Offered(own if own or argument else self._tasks(typed))

    def _tasks(self, typed: str) -> list[Candidate]:
        """The names of tasks; other names of the same tasks only if nothing else fits."""
        tasks, shown = self._program.tasks, self._program.shown
        others = [name for name in sorted(tasks) if typed and name.startswith(typed)]
        is_other = others and not any(name.startswith(typed) for name in shown)
        return [Candidate(name, tasks[name].about) for name in (others if is_other else shown)]

    # -- values ------------------------------------------------------------------------------

    def _values(self, flag: FlagWords, typed: str, before: str = "") -> Offered:
        """The values of a flag; `before` is what the word begins with, as in ``--state=``."""
        place = self._place
        task = place.task.name if place.task and place.is_own(flag) else ""
        source = source_of(task, flag.name)
        if not flag.takes_value:
            return Offered()
        if source is Values.FILES or (source is Values.HOSTS and _names_a_file(typed)):
            return Offered(files=True)
        return Offered(
            [Candidate(before + word, about) for word, about in self._from(source, typed)]
        )

    def _from(self, source: Source, typed: str) -> Iterable[Candidate]:
        known = KnownValues(self._place.inventory)
        if isinstance(source, Choices):
            return map(Candidate, source.words)
        if isinstance(source, Seen):
            return self._seen(source, known)
        if source is Values.HOSTS:
            return _host_list(typed, known.patterns())
        if source is Values.HOST:
            return known.hosts()
        if source is Values.TASKS:
            return self._tasks(typed)
        return map(Candidate, self._program.groups if source is Values.GROUPS else ())

    def _seen(self, source: Seen, known: KnownValues) -> list[Candidate]:
        given = {value.partition("=")[0] for value in self._place.values}
        found = known.seen(source.kind, self._place.hosts)
        return [Candidate(v + source.suffix, about) for v, about in found if v not in given]


def _names_a_file(typed: str) -> bool:
    """Whether the last item of a list of hosts is `@FILE`, a file with more names."""
    item = typed.rpartition(",")[2].removeprefix("!")
    return item.startswith("@") and not FAILED.value.startswith(item)


def _host_list(typed: str, names: Iterable[Candidate]) -> list[Candidate]:
    """Complete the last name of a comma-separated list; it may be an exclusion."""
    done, comma, current = typed.rpartition(",")
    bang = "!" if current.startswith("!") else ""
    given = {name.removeprefix("!") for name in done.split(",")}
    return [
        Candidate(f"{done}{comma}{bang}{name}", about) for name, about in names if name not in given
    ]
