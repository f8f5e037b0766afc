"""What needs a person: one entry for each thing, and below it the commands to type.

    sandbox-2  died 3 times in 4m: RuntimeError: the job queue is in an …
               look: inv -H sandbox-2 logs   undo: inv -H sandbox-2 deploy.rollback

A command is never cut or broken, because people paste it. In a pipe, each entry is one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from opstasks.core.lines import clipped
from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, bold, dim, to_type

# A longer name has a line of its own.
MOST_NAME = 24
MOST_TEXT = 4096
GAP = "  "
BETWEEN = "   "


@dataclass(frozen=True)
class Entry:
    """One thing about a host; `commands` are pairs of a label and a command to type.

    The text takes at most `most_lines`; 0: as many as it needs.
    """

    host: str
    text: str
    colour: str = ""
    commands: tuple[tuple[str, str], ...] = ()
    most_lines: int = 1


def entry_lines(entries: Sequence[Entry], width: int, *, wraps: bool = False) -> list[Line]:
    """The lines of entries for a window of a width; 0 for a pipe.

    A text that does not fit into its lines is cut with `…`, unless it `wraps`.
    """
    if not width:
        return [_one_line(entry) for entry in entries]
    names = [len(_shown(entry.host)) for entry in entries]
    indent = max((name for name in names if name <= MOST_NAME), default=0) + len(GAP)
    return [line for entry in entries for line in _lines(entry, indent, width, wraps=wraps)]


def _one_line(entry: Entry) -> Line:
    words = [printable(entry.host), printable(clipped(entry.text, MOST_TEXT))]
    return [GAP.join([*words, *(f"{label}: {command}" for label, command in entry.commands)])]


def _lines(entry: Entry, indent: int, width: int, *, wraps: bool) -> Iterator[Line]:
    name = _shown(entry.host)
    room = max(20, width - indent)
    text = _shown(clipped(entry.text, MOST_TEXT))
    texts = _within(text, room, 0 if wraps else entry.most_lines)
    start = name.ljust(indent)
    if len(name) > MOST_NAME:
        yield [bold(_bare(name))]
        start = " " * indent
    for text in texts:
        yield [
            bold(_bare(start)),
            Painted(_bare(text), entry.colour) if entry.colour else _bare(text),
        ]
        start = " " * indent
    yield from _command_lines(entry.commands, indent, width)


def _within(text: str, room: int, most_lines: int) -> list[str]:
    """A filled text in at most so many lines; 0 for no limit."""
    texts = fit.wrapped(text, room)
    if not most_lines or len(texts) <= most_lines:
        return texts
    rest = " ".join(texts[most_lines - 1 :])
    return [*texts[: most_lines - 1], fit.shortened(rest, room)]


def _command_lines(commands: Iterable[tuple[str, str]], indent: int, width: int) -> Iterator[Line]:
    """The commands, side by side where they fit."""
    row: list[tuple[str, str]] = []
    for label, command in commands:
        if row and indent + _width([*row, (label, command)]) > width:
            yield _row(row, indent)
            row = []
        row.append((label, command))
    if row:
        yield _row(row, indent)


def _width(row: Sequence[tuple[str, str]]) -> int:
    texts = [f"{label}: {_shown(command)}" for label, command in row]
    return len(BETWEEN.join(texts))


def _row(row: Sequence[tuple[str, str]], indent: int) -> Line:
    parts: list[str | Painted] = [" " * indent]
    for number, (label, command) in enumerate(row):
        label_part = dim(f"{BETWEEN if number else ''}{label}: ")
        # Other hints are sentences, which may need several lines.
        is_ours = command.startswith("inv ")
        parts += [label_part, to_type(printable(command)) if is_ours else bold(printable(command))]
    return [part for part in parts if part]


def _shown(text: str) -> str:
    """A text as one line, where `len` counts the columns of a terminal."""
    return fit.filled(printable(text))


def _bare(text: str) -> str:
    return text.replace(fit.FILLER, "")
