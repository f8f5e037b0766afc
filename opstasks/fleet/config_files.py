"""The ssh_config files that `ssh -G` read: which names they tell apart, and where a keyword is set.

Settings are never read from here. `ssh -G` reads them; these lines only say for which names its
answer is the same, and which line an error is about.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from opstasks.fleet.key_files import KEY_LIST_BYTES, read_file

# A keyword and its value, with white space or "=" between them; the keyword may be quoted.
_LINE = re.compile(r'\s*"?(?P<keyword>[A-Za-z]\w*)"?(?:\s*=\s*|\s+)(?P<value>.*)')
# Hosts that match a `Match` line are not known from their names alone.
_SAME_FOR_ALL = re.compile(r"all(\s+#.*)?", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]+")
_QUOTES = frozenset("\"'\\")

Signature = tuple[tuple[str, float, int], ...]


@dataclass(frozen=True)
class ConfigLine:
    """One line with a keyword, in lower case; "" for a line or file that is not understood."""

    file: Path
    number: int
    keyword: str
    value: str

    @property
    def is_opaque(self) -> bool:
        """Whether it may tell names apart in a way that only OpenSSH knows."""
        if self.keyword == "match":
            return not _SAME_FOR_ALL.fullmatch(self.value)
        if self.keyword == "host":
            return bool(_QUOTES & set(self.value))
        if self.keyword == "include":
            return "%" in self.value
        return not self.keyword or "%C" in self.value  # a hash of the name, among others


@dataclass(frozen=True)
class ConfigFiles:
    """The files, in the order in which they were read."""

    paths: tuple[Path, ...] = ()
    lines: tuple[ConfigLine, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, paths: Iterable[Path]) -> ConfigFiles:
        """Read the files; one that cannot be read has one line that is not understood."""
        found = tuple(dict.fromkeys(paths))
        return cls(found, tuple(line for path in found for line in _lines(path)))

    def signature(self) -> Signature:
        """Changes when one of the files does."""
        found = []
        for path in self.paths:
            try:
                seen = path.stat()
            except OSError:
                continue
            found.append((str(path), seen.st_mtime, seen.st_size))
        return tuple(found)

    @cached_property
    def patterns(self) -> tuple[str, ...] | None:
        """The patterns of all Host lines; None when other lines may tell names apart."""
        if any(line.is_opaque for line in self.lines):
            return None
        found: dict[str, None] = {}
        for line in self.lines:
            if line.keyword == "host":
                words = _BLANKS.split(line.value)
                found.update(dict.fromkeys(word.removeprefix("!") for word in words))
        return tuple(found)

    def line_of(self, name: str, keyword: str) -> str:
        """Where a keyword is set for a name; "ssh_config" when it is not found."""
        found = [line for line in self._lines_for(name) if line.keyword == keyword]
        found = found or [line for line in self.lines if line.keyword == keyword]
        return f"{found[0].file}, line {found[0].number}" if found else "ssh_config"

    def line_with(self, name: str, keyword: str, value: str) -> str:
        """Where a keyword has this value for a name; "" when it is not found."""
        for line in self._lines_for(name):
            if line.keyword == keyword and line.value.strip('"') == value:
                return f"{line.file}, line {line.number}"
        return ""

    def _lines_for(self, name: str) -> Iterator[ConfigLine]:
        """The lines of the Host sections for a name, and those outside of any section."""
        applies, file = True, None
        for line in self.lines:
            if line.file != file:
                applies, file = True, line.file
            if line.keyword == "host":
                applies = any(matches(word, name) for word in line.value.split())
            elif applies:
                yield line


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern of a Host line matches a name; case matters, as in OpenSSH."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _lines(path: Path) -> Iterator[ConfigLine]:
    try:
        text = read_file(path, KEY_LIST_BYTES).decode("utf-8", "replace")
    except OSError:
        yield ConfigLine(path, 0, "", "")
        return
    for number, raw in enumerate(text.split("\n"), 1):
        if match := _LINE.fullmatch(raw):
            yield ConfigLine(path, number, match["keyword"].lower(), match["value"].rstrip())
        elif not raw.strip().startswith("#") and raw.strip():
            yield ConfigLine(path, number, "", raw)
