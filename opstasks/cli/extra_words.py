"""The flag that a word may belong to, when a task takes no such word: ``jobs.ls 5``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from opstasks.cli.argv import TaskShape
from opstasks.cli.completion_values import Choices, Seen, source_of
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
# They say nothing, and are no value.
FILLERS = frozenset({"now", "please", "it"})


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
    texts = [flag for flag in usable if flag not in shape.forms and _may_be(task, flag, word)]
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
    if word in FILLERS:
        return False
    return flag in TEXTS or isinstance(source_of(task, flag), Seen)
