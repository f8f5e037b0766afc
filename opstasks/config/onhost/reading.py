"""Runs on the host: the result of reading an env file."""

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import lru_cache

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BLANK, NEWLINE = " \t\n\r", "\n\r"


@dataclass(frozen=True)
class Assignment:
    """One assignment and its place in the text; a `value` of None is unknown."""

    key: str
    value: str | None
    start: int
    end: int


@dataclass
class Reading:
    """The result of reading a text; `problems` are line numbers with a text without values.

    `lost` is the first line from which everything is unknown (0: the whole text was understood).
    """

    assignments: list[Assignment] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    lost: int = 0

    def values(self) -> dict[str, str | None]:
        """The last value of each key."""
        return {item.key: item.value for item in self.assignments}


def line_of(text: str, place: int) -> int:
    """The line number of a place in a text, from 1."""
    return bisect_left(_line_ends(text), place) + 1


@lru_cache(maxsize=2)
def _line_ends(text: str) -> list[int]:
    """The places of all line ends; once for each text, because a text may have many problems."""
    return [place for place, char in enumerate(text) if char == "\n"]
