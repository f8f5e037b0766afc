"""The help of a task as data, and as lines of a given width; docs/reference.md uses the same."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opstasks.cli.options import CORE_HELP
from opstasks.cli.task import SPAN
from opstasks.core.hints import renamed

if TYPE_CHECKING:
    from invoke import Argument, ParserContext

    from opstasks.cli.task import OpsTask

EXAMPLE = "Example: "
EVERYWHERE = ("-H", "--yes", "--json", "--dry", "--parallel", "--keep-going")
# A task that only reads accepts them, so that scripts can add them to each task: nothing changes.
FOR_CHANGES = ("--yes", "--dry", "--keep-going")
# The help without a terminal, and the widest: longer lines are hard to read.
USUAL_WIDTH, MOST_WIDTH = 80, 100
_COMMAND = re.compile(r"\b(?:inv|opstasks) --[a-z]+(?: \w+)?")
NO_BREAK = "\u00a0"
# The widest column of flags: the text of a longer one begins on the next line.
MOST_LEFT = 26
INDENT, GAP = "  ", "  "
# With less room than this for the text, it stands below what is typed.
LEAST_TEXT = 24


@dataclass(frozen=True)
class HelpRow:
    """A flag or a positional argument: how it is typed, what it means, what holds without it."""

    typed: str
    text: str
    default: str = ""

    @property
    def whole(self) -> str:
        """The text with the default."""
        return f"{self.text} [{self.default}]" if self.default else self.text


@dataclass(frozen=True)
class TaskHelp:
    """Everything that the help of a task says; `names` are its other names."""

    name: str
    names: tuple[str, ...]
    usage: str
    summary: str
    details: tuple[str, ...]
    examples: tuple[str, ...]
    arguments: tuple[HelpRow, ...]
    flags: tuple[HelpRow, ...]
    everywhere: tuple[str, ...]


# -- what a task says about itself -------------------------------------------------------------


def task_help(names: Sequence[str], context: ParserContext, task: OpsTask) -> TaskHelp:
    """The help of a task; `names` are all its names, the one that people type first."""
    name, *others = names
    text, *examples = (inspect.getdoc(task) or "").split(f"\n{EXAMPLE}")
    summary, *details = (" ".join(part.split()) for part in text.strip().split("\n\n"))
    rows = [(_is_word(arg, task), arg) for arg in _in_order(context, task)]
    arguments = tuple(_argument(arg, task) for is_word, arg in rows if is_word)
    flags = tuple(_flag(arg, task) for is_word, arg in rows if not is_word)
    return TaskHelp(
        name=name,
        names=tuple(others),
        usage=_usage(name, task, [row.typed for row in arguments], has_flags=bool(flags)),
        summary=summary,
        details=tuple(details),
        examples=tuple(example.strip() for example in examples),
        arguments=arguments,
        flags=flags,
        everywhere=tuple(flag for flag in EVERYWHERE if _is_useful(flag, task)),
    )


def _is_useful(flag: str, task: OpsTask) -> bool:
    return _long(flag) not in task.ignores and (task.changes or flag not in FOR_CHANGES)


def _in_order(context: ParserContext, task: OpsTask) -> list[Argument]:
    """The arguments in the order of the function's parameters."""
    parameters = list(task.argspec(task.body).parameters)
    found: list[Argument] = list(context.args.values())
    return sorted(found, key=lambda arg: parameters.index(str(arg.name)))


def _is_word(arg: Argument, task: OpsTask) -> bool:
    """Whether it is typed as a word, without a flag."""
    return bool(arg.positional) or task.variadic == f"--{arg.names[0]}"


def _usage(name: str, task: OpsTask, words: Sequence[str], *, has_flags: bool) -> str:
    hosts = ["[-H HOSTS]" if task.anywhere else "-H HOSTS"]
    if "hosts" in task.ignores:
        hosts = []
    more = ["[flags]"] if has_flags else []
    after = [f"-- {task.after_dashes}"] if task.after_dashes else []
    return " ".join([*hosts, name, *words, *more, *after])


def _argument(arg: Argument, task: OpsTask) -> HelpRow:
    value = value_name(arg, task)
    word = f"{value}..." if arg.kind is list else value
    is_needed = arg.positional or task.flag(arg.names[0]).required
    return HelpRow(word if is_needed else f"[{word}]", arg.help or "")


def _flag(arg: Argument, task: OpsTask) -> HelpRow:
    is_on = arg.kind is bool and arg.default is True
    spelled = [f"--no-{arg.names[0]}" if is_on else f"--{arg.names[0]}"]
    spelled[:0] = [f"-{name}" for name in arg.nicknames]
    value = f" {value_name(arg, task)}" if arg.takes_value else ""
    return HelpRow(", ".join(spelled) + value, arg.help or "", _default(arg, task))


def value_name(arg: Argument, task: OpsTask) -> str:
    """The name of a value in help texts: as declared, or the last part of the flag's name."""
    return task.flag(arg.names[0]).value or str(arg.names[0]).rpartition("-")[2].upper()


def _default(arg: Argument, task: OpsTask) -> str:
    if default := task.flag(arg.names[0]).default:
        return default
    if arg.kind not in (int, float, str) or arg.default is None:
        return ""
    is_seconds = arg.kind is not str and value_name(arg, task) == SPAN
    return (f"{arg.default:g}" if arg.kind is float else str(arg.default)) + "s" * is_seconds


def core_rows(arguments: Sequence[Any]) -> list[HelpRow]:
    """The flags that can be anywhere on the line, in the order of CORE_HELP."""
    known = {arg.names[0]: arg for arg in arguments}
    rows = []
    for name, (value, text) in CORE_HELP.items():
        if name in known:
            short = [f"-{each}" for each in known[name].nicknames]
            typed = ", ".join([*short, f"--{name}"]) + (f" {value}" if value else "")
            rows.append(HelpRow(typed, text))
    return rows


def _long(flag: str) -> str:
    return "hosts" if flag == "-H" else flag.lstrip("-")


# -- as lines ----------------------------------------------------------------------------------


def task_lines(help: TaskHelp, program: str, columns: int) -> Iterator[str]:
    """The help of a task; no line but an example is wider than `columns`, no word is broken."""
    yield from hanging(f"{program} {help.usage}", columns, INDENT, INDENT * 4)
    yield ""
    for paragraph in (help.summary, *help.details):
        yield from hanging(paragraph, columns)
        yield ""
    if rows := [*help.arguments, *help.flags]:
        yield from row_lines(rows, columns)
        yield ""
    for example in help.examples:
        yield from _example_lines(renamed(example, program), columns)
    if help.names:
        yield from hanging(f"Also: {' '.join(help.names)}", columns, "", INDENT)
    more = f"({program} --help flags)"
    yield from hanging(f"Everywhere: {' '.join(help.everywhere)}  {more}", columns, "", INDENT)


def _example_lines(command: str, columns: int) -> list[str]:
    """An example; never divided, because a part of a command is another command."""
    line = f"{EXAMPLE}{command}"
    return [line] if len(line) <= columns else [EXAMPLE.rstrip(), f"{INDENT}{command}"]


def row_lines(rows: Sequence[HelpRow], columns: int, left: int = 0) -> Iterator[str]:
    """Two columns: how it is typed, in `left` columns (0: as it needs), and what it means.

    In a narrow window, what it means stands below.
    """
    left = left or max((len(r.typed) for r in rows if len(r.typed) <= MOST_LEFT), default=MOST_LEFT)
    indent = " " * (len(INDENT) + left + len(GAP))
    is_narrow = columns - len(indent) < LEAST_TEXT
    if is_narrow:
        indent = INDENT * 3
    for row in rows:
        begin = f"{INDENT}{row.typed:{left}}{GAP}"
        if is_narrow or len(row.typed) > left:
            yield from hanging(row.typed, columns, INDENT, INDENT * 2)
            begin = indent
        # No line ends inside a default.
        whole = row.whole.replace(f"[{row.default}]", f"[{row.default}]".replace(" ", "\0"))
        yield from (line.replace("\0", " ") for line in hanging(whole, columns, begin, indent))


def hanging(text: str, columns: int, first: str = "", later: str = "") -> list[str]:
    """A text in lines that break between words only, and not inside ``inv --help flags``."""
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", NO_BREAK), text)
    lines = textwrap.wrap(
        whole,
        columns,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(NO_BREAK, " ") for line in lines] or [first.rstrip()]
