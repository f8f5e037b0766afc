"""Sentences in a window of any width."""

from __future__ import annotations

from collections.abc import Iterable

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, text_of

# The second and further lines of a sentence.
INDENT = "  "
# A line that begins so is a command to paste: it is never broken.
NEXT = "next:"


def wrapped_lines(lines: Iterable[Line], width: int) -> list[Line]:
    """Lines that fit into a window of a width; 0 for no limit."""
    return [part for line in lines for part in wrapped(line, width)]


def wrapped(line: Line, width: int) -> list[Line]:
    """A line in lines of a width, broken between words, with its colours."""
    parts = [(fit.filled(printable(text_of(part))), part) for part in line]
    text = "".join(part for part, _ in parts)
    if not width or len(text) <= width or text.lstrip().startswith(NEXT):
        return [line]
    found: list[Line] = []
    end = 0
    for piece in fit.wrapped(text, max(len(INDENT) + 2, width - len(INDENT))):
        start = text.index(piece, end)
        end = start + len(piece)
        found.append([*([INDENT] if found else []), *_between(parts, start, end)])
    return found


def _between(parts: list[tuple[str, Part]], start: int, end: int) -> list[Part]:
    """The parts of a line between two places, with their colours."""
    found: list[Part] = []
    at = 0
    for text, part in parts:
        kept = text[max(0, start - at) : max(0, end - at)].replace(fit.FILLER, "")
        at += len(text)
        if kept:
            found.append(Painted(kept, part.colour) if isinstance(part, Painted) else kept)
    return found
