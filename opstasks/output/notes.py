"""Named texts below each other: what needs a person, values of one thing, the first line.

    sandbox-2  died 3 times in 4m: RuntimeError: the job queue is in an …
               look: inv -H sandbox-2 logs   undo: inv -H sandbox-2 deploy.rollback

A text is continued below its beginning. A command, a path or an id is never divided, because people
paste it. In a pipe, each note is one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opstasks.core.hints import PROGRAMS, typed
from opstasks.core.lines import clipped
from opstasks.output import fit, paragraphs
from opstasks.output.escape import printable
from opstasks.output.parts import (
    Line,
    Part,
    bold,
    dim,
    repainted,
    text_of,
    text_of_line,
    to_type,
)

# A longer name has a line of its own, so that it does not move the others.
MOST_NAME = 24
MOST_TEXT = 4096
# A text is not narrower than this.
LEAST = 20
GAP = "  "
BETWEEN = "   "


@dataclass(frozen=True)
class Note:
    """A name, a text beside it, and below it commands to type, each with a label.

    The text takes at most `most_lines`, and is then cut with `…`; 0: as many as it needs.
    """

    name: Part
    text: Part
    commands: tuple[tuple[str, str], ...] = ()
    most_lines: int = 0


def note(name: Part, text: Part, width: int, *commands: str) -> list[Line]:
    """One note for a window of a width (0: a pipe); `commands` are what to do next."""
    return note_lines([Note(name, text, tuple(("next", each) for each in commands))], width)


def note_lines(notes: Sequence[Note], width: int) -> list[Line]:
    """Notes with their texts in one column, for a window of a width (0: a pipe)."""
    if not width:
        return [_one_line(each) for each in notes]
    names = [len(_filled(each.name)) for each in notes]
    indent = max((name for name in names if name <= MOST_NAME), default=0) + len(GAP)
    return [line for each in notes for line in _lines(each, indent, width)]


def named_lines(values: Sequence[tuple[str, Part]], width: int) -> list[Line]:
    """Values with their names, for a window of a width (0: a pipe)."""
    return note_lines([Note(dim(name), value) for name, value in values], width)


def headline(words: Line, width: int, *extra: Part) -> Line:
    """The first line of a screen: words, and further texts as far as they fit into the window."""
    line = [*words]
    for part in extra:
        longer = [*line, GAP, dim(part) if isinstance(part, str) else part]
        if not width or len(fit.filled(text_of_line(longer))) <= width:
            line = longer
    return paragraphs.clipped(line, width) if width else line


def _one_line(note: Note) -> Line:
    text = printable(clipped(text_of(note.text), MOST_TEXT))
    commands = [
        part for label, command in note.commands for part in (f"{GAP}{label}: ", _command(command))
    ]
    return [note.name, GAP, repainted(note.text, text), *commands]


def _lines(note: Note, indent: int, width: int) -> Iterator[Line]:
    name = _filled(note.name)
    text = fit.filled(printable(clipped(text_of(note.text), MOST_TEXT)))
    longest = max(map(len, text.split(" ")))
    # A long path has more room below its name.
    is_beside = note.most_lines or longest <= max(LEAST, width - indent)
    if len(name) > MOST_NAME or not is_beside:
        yield [repainted(note.name, fit.bare(name).rstrip())]
        name = ""
        indent = indent if is_beside else len(GAP)
    for piece in _pieces(text, max(LEAST, width - indent), note.most_lines):
        start = repainted(note.name, fit.bare(name)) if name else ""
        yield [start, " " * (indent - len(name)), repainted(note.text, fit.bare(piece))]
        name = ""
    yield from _command_lines(note.commands, indent, width)


def _pieces(text: str, room: int, most_lines: int) -> list[str]:
    """A filled text in at most so many lines; 0 for no limit."""
    if not most_lines:
        return fit.wrapped(text, room)
    texts = fit.wrapped(text, room)
    if len(texts) <= most_lines:
        return texts
    rest = " ".join(texts[most_lines - 1 :])
    return [*texts[: most_lines - 1], fit.shortened(rest, room)]


def _command_lines(commands: Sequence[tuple[str, str]], indent: int, width: int) -> Iterator[Line]:
    """The commands, side by side where they fit."""
    row: list[Part] = []
    for label, command in commands:
        parts: list[Part] = [dim(f"{label}:"), " ", _command(command)]
        longer: list[Part] = [*row, BETWEEN, *parts] if row else parts
        if row and indent + len(fit.filled(printable(text_of_line(longer)))) > width:
            yield from paragraphs.folded_line([" " * indent, *row], width)
            longer = parts
        row = longer
    if row:
        yield from paragraphs.folded_line([" " * indent, *row], width)


def _command(text: str) -> Part:
    """What to type, or a sentence that may need several lines."""
    return to_type(text) if text.startswith(f"{PROGRAMS[0]} ") else bold(typed(text))


def _filled(part: Part) -> str:
    """A part as one line, where `len` counts the columns of a terminal."""
    return fit.filled(printable(text_of(part)))
