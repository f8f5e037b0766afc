"""The order of words on the command line, and whether each of them fits.

Invoke expects core flags before the task. While a positional argument is missing, it takes a flag
for one. Its tasks cannot have a variable number of arguments. So the words that people type are put
into Invoke's order first. What does not fit is refused here, where the task and the flag are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opstasks.cli.values import ValueForm
from opstasks.core.errors import Refused
from opstasks.core.hints import quoted

# The flags whose value is a text of several words, for other people.
TEXTS = ("--note", "--reason")


class MisfitWord(Exception):
    """A word that is no flag, task or argument; `rest` are the words after it."""

    def __init__(self, word: str, rest: Sequence[str], task: str = "") -> None:
        super().__init__(word)
        self.word = word
        self.rest = tuple(rest)
        self.task = task


class UnknownFlag(MisfitWord):
    """A flag that neither the task nor the program has."""


class UnknownTask(MisfitWord):
    """A word where a task was expected."""


class ExtraWord(MisfitWord):
    """A word after a task that takes no more words."""


class MisplacedTask(MisfitWord):
    """A task after one that takes words, or a change after a task that only reads.

    In ``history deploy``, the person means `deploy` as a word of `history`. `flag` is the flag of
    the task that takes such words, "" if none does.
    """

    def __init__(self, word: str, rest: Sequence[str], task: str, flag: str = "") -> None:
        super().__init__(word, rest, task)
        self.flag = flag


class UnquotedText(MisfitWord):
    """A word directly after the one word of a text such as --reason: the quotes may be missing.

    In ``pause --reason before deploy``, `deploy` must not become a task. `flag` has the text.
    """

    def __init__(self, word: str, rest: Sequence[str], task: str, flag: str) -> None:
        super().__init__(word, rest, task)
        self.flag = flag


@dataclass(frozen=True)
class TaskShape:
    """What a task takes: its flags (True when one takes a value) and its positional arguments.

    `needs` are the positional arguments by name; all further words are values of the flag
    `variadic` ("": no further words are allowed). `once` are the flags that take a single value,
    each with its long form. `forms` are what the values of flags must be.
    `after_dashes` names the words after ``--``. `early` are core flags that are known only before
    the first task. `renamed` is the new name of a task that was typed by its old name. `only_with`
    are flags, each with the flag without which it has no meaning. `changes`: it changes something.
    """

    flags: Mapping[str, bool] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    variadic: str = ""
    once: Mapping[str, str] = field(default_factory=dict)
    forms: Mapping[str, ValueForm] = field(default_factory=dict)
    after_dashes: str = ""
    early: frozenset[str] = frozenset()
    renamed: str = ""
    only_with: Mapping[str, str] = field(default_factory=dict)
    changes: bool = False


def arrange(words: Sequence[str], core: TaskShape, tasks: Mapping[str, TaskShape]) -> list[str]:
    """Core flags first, then each task with its own words.

    `core` has the core flags. ``jobs.kill a b`` becomes ``jobs.kill --job a --job b`` where
    ``--job`` is the task's variadic flag. Raises Refused or MisfitWord for a word that does not
    fit: ``deploy -H`` must not become a deploy on this machine.
    """
    return _Line(words, core, tasks).arranged()


def places_of(
    flag: str, words: Sequence[str], core: TaskShape, tasks: Mapping[str, TaskShape]
) -> list[int]:
    """Where the values of a flag are in a line that fits, also those typed without the flag.

    One of these words may be ``--flag=value``.
    """
    line = _Line(words[: words.index("--")] if "--" in words else words, core, tasks)
    line.arranged()
    return [place for name, place in line.places if name == flag]


def help_topic(words: Sequence[str], names: Mapping[str, str]) -> str | None:
    """What a line with ``--help`` anywhere asks about: the first word of `names`, as its value.

    "" without such a word, None without ``--help``.
    """
    if not {"--help", "-h"} & set(words):
        return None
    return next((names[word] for word in words if word in names), "")


def value_of(flag: str, words: Sequence[str]) -> str:
    """The value of a flag that takes one, where it was typed; "" without it."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == flag or word.startswith(f"{flag}="):
            return following if word == flag else word.partition("=")[2]
    return ""


class _Line:
    """A line that is being put into order."""

    def __init__(
        self, words: Sequence[str], core: TaskShape, tasks: Mapping[str, TaskShape]
    ) -> None:
        self._core, self._tasks = core, tasks
        self._waiting = list(words)
        self._count = len(words)
        # Each value's flag, and its place in the line.
        self.places: list[tuple[str, int]] = []
        self._front: list[str] = []
        self._rest: list[str] = []
        self._name = ""
        self._task = TaskShape()
        self._missing: list[str] = []
        self._given: set[str] = set()
        # The text whose only word was taken last.
        self._open_text = ""

    def arranged(self) -> list[str]:
        """All words in Invoke's order."""
        while self._waiting:
            word = self._waiting.pop(0)
            if word.startswith("-") and len(word) > 1:
                self._take_flag(word)
            else:
                open_text, self._open_text = self._open_text, ""
                self._take_word(word, open_text)
        self._end_task()
        return self._front + self._rest

    def _note(self, flag: str) -> None:
        """Note that the word that was taken last is a value of a flag."""
        self.places.append((flag, self._count - len(self._waiting) - 1))

    # -- flags -------------------------------------------------------------------------------

    def _take_flag(self, word: str) -> None:
        self._open_text = ""
        flag, equals, value = word.partition("=")
        if flag in self._task.flags:
            self._rest += self._with_value(self._task, flag, equals, value)
        elif self._is_core(flag):
            self._front += self._with_value(self._core, flag, equals, value)
        elif self._is_glued(word):
            self._split(word)
        else:
            raise UnknownFlag(flag, self._waiting, self._name)

    def _is_core(self, flag: str) -> bool:
        return flag in self._core.flags and not (self._name and flag in self._core.early)

    def _with_value(self, shape: TaskShape, flag: str, equals: str, value: str) -> list[str]:
        if not shape.flags[flag]:
            if equals:
                raise self._refused(f"{flag} takes no value, such as {quoted(value)}")
            return [flag]
        if not equals and (not self._waiting or self._is_flag_for(shape, self._waiting[0])):
            raise self._refused(f"{flag} needs a value")
        if equals and (value == "--" or value in shape.flags):
            # Invoke would read it as a flag, and perhaps run the task without the value.
            raise self._refused(f"{flag} needs a value, not {value}")
        value = value if equals else self._waiting.pop(0)
        self._note(shape.once.get(flag, flag))
        if not value.strip():
            raise self._refused(f"{flag} needs a value, not {quoted(value)}")
        self._take_once(shape, flag)
        self._open_text = flag if flag in TEXTS and len(value.split()) == 1 else ""
        return [flag, self._in_form(shape, flag, flag, value)]

    def _in_form(self, shape: TaskShape, flag: str, spelled: str, value: str) -> str:
        """The value as the task gets it; raises Refused, with what was `spelled`, for no value."""
        if flag not in shape.forms:
            return value
        try:
            return shape.forms[flag].parsed(spelled, value)
        except Refused as error:
            raise self._refused(error.message, error.hint) from None

    def _is_flag(self, word: str) -> bool:
        return word in self._task.flags or self._is_core(word)

    def _is_flag_for(self, shape: TaskShape, word: str) -> bool:
        """Whether a word in the place of another flag's value is a flag, perhaps with a value."""
        name = word.partition("=")[0]
        return name in shape.flags or self._is_flag(name) or self._is_glued(word)

    def _take_once(self, shape: TaskShape, flag: str) -> None:
        """Refuse a second value; Invoke would take it for a task."""
        name = shape.once.get(flag, "")
        if name in self._given:
            raise self._refused(f"{flag} is given twice")
        self._given |= {name} - {""}
        self._missing = [each for each in self._missing if f"--{each}" != name]

    def _is_glued(self, word: str) -> bool:
        """Whether it is a short flag and more: ``-Htpp``, ``-n5``, ``-yq``."""
        flag = word[:2]
        return len(word) > 2 and self._is_flag(flag)

    def _split(self, word: str) -> None:
        flag, more = word[:2], word[2:]
        takes_value = self._task.flags.get(flag, self._core.flags.get(flag, False))
        self._waiting[:0] = [flag, more if takes_value else f"-{more}"]

    # -- other words -------------------------------------------------------------------------

    def _take_word(self, word: str, open_text: str) -> None:
        if self._name and not word.strip():
            # A variable of a shell that is not set: the task would choose for itself.
            raise self._refused(f"{quoted(word)} is empty: a value is missing")
        if self._missing:
            name = self._missing.pop(0)
            self._note(f"--{name}")
            self._take_once(self._task, f"--{name}")
            self._rest.append(self._in_form(self._task, f"--{name}", name.upper(), word))
        elif self._task.variadic and self._task.once.get(self._task.variadic) not in self._given:
            self._take_further(word)
        elif open_text:
            raise UnquotedText(word, self._waiting, self._name, open_text)
        elif word in self._tasks:
            self._begin_task(word)
        elif self._name:
            raise ExtraWord(word, self._waiting, self._name)
        else:
            raise UnknownTask(word, self._waiting)

    def _take_further(self, word: str) -> None:
        """A further word is a value of the variadic flag, but not the name of a task."""
        flag = self._task.variadic
        if word in self._tasks:
            raise MisplacedTask(word, self._waiting, self._name, flag)
        self._take_once(self._task, flag)
        self._note(flag)
        self._rest += [flag, word]

    def _begin_task(self, word: str) -> None:
        self._end_task()
        task = self._tasks[word]
        if self._name and task.changes and not self._task.changes:
            raise MisplacedTask(word, self._waiting, self._name)
        self._task = task
        self._name = self._task.renamed or word
        self._missing = list(self._task.needs)
        self._given -= set(self._task.once.values())
        self._rest.append(self._name)

    def _end_task(self) -> None:
        if self._missing:
            raise self._refused(f"{self._missing[0].upper()} is missing")

    def _refused(self, problem: str, hint: str = "") -> Refused:
        """The error, with the task and where its help is."""
        if not self._name:
            return Refused(problem, hint=hint or "inv --help flags")
        return Refused(f"{self._name}: {problem}", hint=hint or f"inv --help {self._name}")
