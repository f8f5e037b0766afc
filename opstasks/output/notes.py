"""Notes below a table: a label, a text that may need several lines, and commands to type."""

from __future__ import annotations

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, bold, dim, text_of, text_of_line

# A narrower text is hard to read: then it begins below its label.
LEAST = 30
INDENT = "  "


def note(label: Part, text: str, width: int, *commands: str) -> list[Line]:
    """A note for a window of a width (0: no limit).

    A command is never broken: a command that is pasted with a line end in it runs in part.
    """
    start = f"{text_of(label)}  "
    room = width - len(fit.filled(printable(start))) if width else 0
    if width and room < LEAST:
        below = [[INDENT, each] for each in paragraph(text, width - len(INDENT))]
        return [[label], *below, *(_next(INDENT, command) for command in commands)]
    first, *rest = paragraph(text, room)
    indent = " " * len(start)
    return [
        [label, "  ", first],
        *([indent, each] for each in rest),
        *(_next(indent, command) for command in commands),
    ]


def _next(indent: str, command: str) -> Line:
    return [indent, bold("next:"), f" {command}"]


def paragraph(text: str, width: int, colour: str = "") -> list[Part]:
    """A text in lines of at most a width (0: no limit)."""
    filled = fit.filled(printable(text))
    texts = fit.wrapped(filled, width) if width else [filled]
    plain = [each.replace(fit.FILLER, "") for each in texts]
    return [Painted(each, colour) for each in plain] if colour else list(plain)


def prose(text: str, width: int, indent: str = "") -> list[Line]:
    """A text in lines for a window, each with an indent."""
    return [[indent, each] for each in paragraph(text, width and width - len(indent))]


def headline(words: Line, width: int, *extra: Part) -> Line:
    """The first line of a screen: words, and further texts as far as they fit into the window."""
    from opstasks.output.region import clipped

    line = [*words]
    for part in extra:
        longer = [*line, "  ", dim(part) if isinstance(part, str) else part]
        if not width or len(fit.filled(text_of_line(longer))) <= width:
            line = longer
    return clipped(line, width) if width else line
