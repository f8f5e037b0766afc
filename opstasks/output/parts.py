"""Parts of a line: plain text, or text in a colour.

A colour is never the only sign of a state: the text says it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opstasks.core.hints import typed

COLOURS = {"red": "31", "green": "32", "yellow": "33", "dim": "2", "bold": "1"}


@dataclass(frozen=True)
class Painted:
    """Text in one of COLOURS, on a terminal. A plain string has no colour, whatever it contains.

    `is_whole`: it is never continued on the next line.
    """

    text: str
    colour: str
    is_whole: bool = False


Part = str | Painted
Line = Sequence[Part]


def good(text: str) -> Painted:
    """Done, or serving."""
    return Painted(text, "green")


def bad(text: str) -> Painted:
    """Failed, or down."""
    return Painted(text, "red")


def odd(text: str) -> Painted:
    """Paused, behind, or in need of a person."""
    return Painted(text, "yellow")


def dim(text: str) -> Painted:
    """Old, or less important."""
    return Painted(text, "dim")


def bold(text: str) -> Painted:
    """The beginning of something."""
    return Painted(text, "bold")


def to_type(command: str) -> Painted:
    """A command that a person may type, or a text to copy."""
    return Painted(typed(command), "bold", is_whole=True)


def repainted(part: Part, text: str) -> Part:
    """Another text in the colour of a part."""
    return Painted(text, part.colour, part.is_whole) if isinstance(part, Painted) else text


def text_of(part: Part) -> str:
    """A part without its colour."""
    return part if isinstance(part, str) else part.text


def text_of_line(line: Line) -> str:
    """A line without its colours."""
    return "".join(map(text_of, line))
