"""Lines of text, with colours, for a window of any width."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from opstasks.output import fit
from opstasks.output.escape import printable
from opstasks.output.parts import Line, Painted, Part, text_of, text_of_line

# A label, and the gap after it.
_LABEL = re.compile(r" *\S+(?: \S+)*  +")
# No line of ours begins with words of a host.
LEAST_INDENT = 2
_WORDS = re.compile(r" +|[^ ]+")


class Whole(str):
    """Text that stays in one line, such as a command to paste."""

    __slots__ = ()


def folded(lines: Iterable[Line], width: int) -> list[Line]:
    """Lines that fit into a window (0: any length); what is continued stands below its beginning.

    Where a line begins with a label and two spaces, it is continued below the text after them. A
    `Whole` part that does not fit has a line of its own, or stays beside its label.
    """
    return [part for line in lines for part in (_folded(line, width) if width else [line])]


def _folded(line: Line, width: int) -> list[Line]:
    if _columns("".join(map(text_of, line))) <= width:
        return [line]
    indent = _indent(printable(text_of_line(line)), width)
    found: list[list[Part]] = [[]]
    used = gap = 0
    for text, part in _tokens(line, width - LEAST_INDENT):
        columns = _columns(text)
        if not text.strip(" "):
            gap = columns
        elif (
            used + gap + columns <= width
            or not used
            or (isinstance(part, Whole) and used + gap == indent)
        ):
            found[-1] += [" " * gap, _like(part, text)]
            used, gap = used + gap + columns, 0
        else:
            # A path that is as wide as the window is not cut.
            start = indent if indent + columns <= width else LEAST_INDENT
            found.append([" " * start, _like(part, text)])
            used, gap = start + columns, 0
    return [[part for part in parts if part] for parts in found]


def _indent(text: str, width: int) -> int:
    """Where a line is continued: below the text after a label, or 2 further than its beginning."""
    label = _LABEL.match(text)
    indent = _columns(label[0]) if label else width
    return indent if indent <= width // 3 else len(text) - len(text.lstrip(" ")) + LEAST_INDENT


def _tokens(line: Line, room: int) -> Iterator[tuple[str, Part]]:
    """The words of a line, and the spaces between them; a word wider than `room` is cut."""
    for part in line:
        if isinstance(part, Whole):
            yield printable(part), part
            continue
        for match in _WORDS.finditer(printable(text_of(part))):
            for text in _pieces(match[0], room):
                yield text, part


def _pieces(word: str, room: int) -> Sequence[str]:
    if _columns(word) <= room:
        return [word]
    return [text.replace(fit.FILLER, "") for text in fit.wrapped(fit.filled(word), room)]


def _like(part: Part, text: str) -> Part:
    return Painted(text, part.colour) if isinstance(part, Painted) else text


def _columns(text: str) -> int:
    return len(fit.filled(printable(text)))
