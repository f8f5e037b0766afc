"""The flag that a word may belong to, when a task takes no such word: ``jobs.ls 5``."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from opstasks.cli import argv
from opstasks.cli.argv import TaskShape
from opstasks.cli.completion_values import Choices, Seen, source_of
from opstasks.cli.options import CORE_HELP, EARLY_FLAGS, LIST_FLAGS, UNUSED_FLAGS
from opstasks.cli.values import Choice, Number, ValueForm
from opstasks.core.errors import Refused

# What a value looks like, where not every text is a sensible value.
LOOKS: Mapping[str, re.Pattern[str]] = {
    "--at": re.compile(r"(\d{4}-\d\d-\d\d[T ])?\d{1,2}:\d\d", re.ASCII),
    "--digest": re.compile(r"sha256:.*"),
    "--lib-ref": re.compile(r"main|master|.*\d.*"),
    "--ref": re.compile(r"main|master|.*\d.*"),
}
# Flags whose value may be any text.
TEXTS = frozenset({"--reason", "--note", "--by", "--user", "--table", "--temp-table"})
# They say nothing alone, and are no value.
FILLERS = frozenset(
    ("a", "after", "and", "at", "because", "before", "by", "for", "from", "in", "it", "now", "of")
) | frozenset(("on", "please", "since", "the", "then", "till", "to", "until", "with"))
# The names of the program's own flags; `status json` means no value, either.
CORE_NAMES = frozenset((*CORE_HELP, *EARLY_FLAGS, *LIST_FLAGS, *UNUSED_FLAGS))
# A task that takes no words, and the one that takes a command after --.
RUNS = {"shell": "run"}


class NamedFlag(NamedTuple):
    """A flag with its value that was typed without dashes, and how many words after it it takes."""

    flag: str
    value: str
    taken: int


def named_flag(
    shape: TaskShape, word: str, rest: Sequence[str], before: Sequence[str]
) -> NamedFlag | None:
    """What ``for 2h`` and ``for=2h`` mean; None for another word, or without a possible value.

    `rest` and `before` are the words after and before it on the line. A text for other people has
    all words up to the next flag.
    """
    name, equals, value = word.partition("=")
    flag = f"--{name}"
    if flag not in _usable(shape, before):
        return None
    taken = 0
    if not equals:
        values = list(itertools.takewhile(lambda each: not each.startswith("-"), rest))
        taken = len(values) if flag in argv.TEXTS else min(1, len(values))
        value = " ".join(values[:taken])
    form = shape.forms.get(flag)
    is_value = bool(value.strip()) and (form is None or _fits(form, value))
    return NamedFlag(flag, value, taken) if is_value else None


def certain_flag(task: str, shape: TaskShape, word: str, before: Sequence[str]) -> str:
    """The flag that is named like the word, or the one with the word as one of a few; "" if none.

    `before` are the words before it on the line.
    """
    hosts_known = any(each.startswith(("-H", "--hosts")) for each in before)
    named = f"--{word}"
    if shape.flags.get(named) is False and (hosts_known or word != "all"):
        return named
    usable = _usable(shape, before)
    return next((flag for flag in usable if word in _words(task, shape, flag)), "")


def flag_taking(task: str, shape: TaskShape, word: str, before: Sequence[str]) -> str:
    """The flag that a word is most probably the value of; "" if none."""
    usable = list(_usable(shape, before))
    fitting = [flag for flag in usable if flag in shape.forms and _fits(shape.forms[flag], word)]
    # 5 is more often a number than 5 seconds.
    fitting.sort(key=lambda flag: not isinstance(shape.forms[flag], Number))
    is_name = f"--{word.partition('=')[0]}" in shape.flags
    texts = [
        flag
        for flag in usable
        if not is_name and flag not in shape.forms and _may_be(task, flag, word)
    ]
    return next(iter([*fitting, *texts]), "")


def _usable(shape: TaskShape, before: Sequence[str]) -> Iterator[str]:
    """The flags that take a value, and have a meaning on this line."""
    given = {each.partition("=")[0] for each in before}
    for flag, takes_value in shape.flags.items():
        is_word = flag.lstrip("-") in shape.needs or flag == shape.variadic
        needed = shape.only_with.get(flag, "")
        if takes_value and not is_word and flag not in given and (not needed or needed in given):
            yield flag


def _words(task: str, shape: TaskShape, flag: str) -> tuple[str, ...]:
    """The few words that are the only values of a flag; () if there are others."""
    form = shape.forms.get(flag)
    if isinstance(form, Choice):
        return form.words
    source = source_of(task, flag)
    return source.words if isinstance(source, Choices) else ()


def _fits(form: ValueForm, word: str) -> bool:
    try:
        form.parsed("", word)
    except Refused:
        return False
    return True


def _may_be(task: str, flag: str, word: str) -> bool:
    """Whether a word may be a value of a flag that takes any text."""
    if flag in LOOKS:
        return bool(LOOKS[flag].fullmatch(word))
    if word.lower() in FILLERS or word.partition("=")[0] in CORE_NAMES:
        return False
    return flag in TEXTS or isinstance(source_of(task, flag), Seen)
