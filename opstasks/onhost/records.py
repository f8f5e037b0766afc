"""Runs on the host: of journal lines on standard input, pass on the records that hold a word.

A record is a line whose message begins with a date, and those after it of the same process that do
not: so messages of several lines and tracebacks stay whole.
"""

import re
import sys
from collections.abc import Iterable, Iterator

# Time, host, program and process, then the message.
LINE = re.compile(r"\S+ \S+ (\S+): (.*)", re.DOTALL)
DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:")
# A record without the word is forgotten in its middle, however long it becomes.
HELD_LINES = 1000


def matching(lines: Iterable[str], word: str) -> Iterator[str]:
    """The lines of all records that hold the word, as soon as that is known."""
    source, found = "", False
    held: list[str] = []
    for line in lines:
        match = LINE.match(line)
        if match and (match[1] != source or DATE.match(match[2])):
            source, found, held = match[1], False, []
        message = match[2] if match else line
        if not found and word in message:
            found = True
            yield from held
        if found:
            yield line
        elif len(held) < HELD_LINES:
            held.append(line)


def main(word: str) -> None:
    """Read, pass on; each line at once, for whoever is watching."""
    try:
        for line in matching(sys.stdin, word):
            sys.stdout.write(line)
            sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(0)
