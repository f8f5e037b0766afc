"""The mistakes in the files of settings: collected, and reported all at once with file and line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from opstasks.fleet.strict_yaml import YamlPath, line_numbers
from opstasks.fleet.struct_checks import Problem, dotted


@dataclass(frozen=True)
class YamlText:
    """A file that was read: its name for people, and its text."""

    name: str
    text: str

    def place(self, path: YamlPath) -> str:
        """The file and the line of a value, or of what contains it; the file alone if unknown."""
        known = _lines(self.text)
        while path and path not in known:
            path = path[:-1]
        return f"{self.name}:{known[path]}" if path else self.name


# Only a text with mistakes needs its lines: reading them takes as long as reading the text.
_lines = lru_cache(maxsize=4)(line_numbers)


@dataclass
class Mistakes:
    """The mistakes so far; `text` is the file of the following ones."""

    text: YamlText
    # A dictionary, because no mistake is reported twice; the values have no meaning.
    _found: dict[str, None] = field(default_factory=dict)

    @property
    def found(self) -> list[str]:
        """Every mistake, in the order in which they were found."""
        return list(self._found)

    def add(self, path: YamlPath, problem: str) -> None:
        """Add a mistake at a path of keys."""
        parts = (self.text.place(path), dotted(path), problem)
        self._found[": ".join(filter(None, parts))] = None

    def add_all(self, path: YamlPath, problems: Iterable[Problem]) -> set[str | int]:
        """Add the mistakes in the value at a path; returns the keys in it that have some."""
        bad = set[str | int]()
        for below, problem in problems:
            self.add((*path, *below), problem)
            bad.update(below[:1])
        return bad

    def add_line(self, text: str) -> None:
        """Add a mistake of a whole file."""
        self._found[text] = None
