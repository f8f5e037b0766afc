"""Lines of text that are wider than the window: continued on the next line, at a space.

A command to type stays in one piece, because a command that is pasted with a line end in it runs in
part. So does a word, such as a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, text_of, text_of_line

_WORD = re.compile(r"\s*\S+|\s+")
# A line that begins with a name and two spaces goes on below the text after them.
_START = re.compile(r"\s{2,}|\S{1,24}\s{2,}")
INDENT = 2


def folded(lines: Iterable[Line], width: int) -> list[Line]:
    """Lines that fit into a window of a width, where that is possible; 0 for no limit."""
    return [part for line in lines for part in (_folded(line, width) if width else [line])]


def _folded(line: Line, width: int) -> list[Line]:
    text = text_of_line(line)
    if _columns(text) <= width:
        return [line]
    start = _START.match(text)
    indent = " " * (len(start[0]) if start else INDENT)
    found: list[Line] = []
    current: list[Part] = []
    used = 0
    for piece in _pieces(line):
        word = text_of(piece)
        if used > len(indent) and used + _columns(word.rstrip()) > width:
            found.append(current)
            piece = _like(piece, word.lstrip())
            current, used = [indent], len(indent)
        current.append(piece)
        used += _columns(text_of(piece))
    return [*found, current]


def _pieces(line: Line) -> list[Part]:
    """The words of a line, each with the spaces before it; a command is one piece."""
    found: list[Part] = []
    for part in line:
        if isinstance(part, Painted) and part.is_whole:
            found.append(part)
        else:
            found += [_like(part, word) for word in _WORD.findall(text_of(part))]
    return found


def _like(part: Part, text: str) -> Part:
    """Another text in the colour of a part."""
    return Painted(text, part.colour, part.is_whole) if isinstance(part, Painted) else text


def _columns(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return len(fit.filled(printable(text)))
