"""Lines that are wider than the window: continued on the next line, at a space.

A terminal would continue them itself, and begin its line with words of a host. A command to type
stays in one piece, because a command that is pasted with a line end in it runs in part.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from opstasks.output import fit
from opstasks.output.escape import may_look_like_ours, printable
from opstasks.output.parts import Line, Painted, Part, repainted, text_of

# A line that begins with a name and two spaces goes on below the text after them.
_START = re.compile(r"\s{2,}|\S{1,24}\s{2,}")
INDENT = 2


def folded(lines: Iterable[Line], width: int) -> list[Line]:
    """Lines that fit into a window of a width; 0 for no limit.

    Only a command to type, or a single word, may be wider than the window.
    """
    return [part for line in lines for part in (folded_line(line, width) if width else [line])]


def folded_line(line: Line, width: int) -> list[Line]:
    """A line as lines of a width; all but the first one are indented."""
    parts = _filled(line)
    text = "".join(part_text for part_text, _ in parts)
    if len(text) <= width:
        return [line]
    head = _START.match(text)
    indent = len(head[0]) if head and len(head[0]) <= width // 2 else INDENT
    room = width - indent
    commands = [span for span in fit.command_spans(text) if span[1] - span[0] <= room]
    # A word behind an indent has less room than in the next line.
    words = fit.long_words(text, min(room, width - len(text) + len(text.lstrip(" "))))
    ends = fit.spans(text, width, room, _whole(parts, room), commands, words)
    begins = _begins(parts)
    return [
        [*([" " * indent] if number else []), *_between(parts, begins, start, end)]
        for number, (start, end) in enumerate(ends)
    ]


def clipped(line: Line, columns: int) -> Line:
    """The part of a line that fits into the window, with its colours; the rest becomes `…`."""
    parts = _filled(line)
    text = "".join(part_text for part_text, _ in parts)
    if len(text) <= columns:
        return line
    return [*_between(parts, _begins(parts), 0, len(fit.shortened(text, columns)) - 1), fit.MARK]


def _whole(parts: Sequence[tuple[str, Part]], room: int) -> list[tuple[int, int]]:
    """Where the commands to type are that are not divided."""
    found: list[tuple[int, int]] = []
    start = 0
    for text, part in parts:
        is_whole = isinstance(part, Painted) and part.is_whole
        # The terminal divides a command that is too long, at any place.
        if is_whole and (len(text) <= room or not may_look_like_ours(text)):
            found.append((start, start + len(text)))
        start += len(text)
    return found


def _filled(line: Line) -> list[tuple[str, Part]]:
    return [(fit.filled(printable(text_of(part))), part) for part in line]


def _begins(parts: Sequence[tuple[str, Part]]) -> list[int]:
    """The columns where the parts of a line begin."""
    return [0, *accumulate(len(text) for text, _ in parts)][:-1]


def _between(
    parts: Sequence[tuple[str, Part]], begins: Sequence[int], start: int, end: int
) -> list[Part]:
    """The parts of a line between two columns."""
    found: list[Part] = []
    for at in range(bisect_right(begins, start) - 1, bisect_left(begins, end)):
        text, part = parts[at]
        piece = fit.bare(text[max(0, start - begins[at]) : end - begins[at]])
        if piece:
            found.append(repainted(part, piece))
    return found
