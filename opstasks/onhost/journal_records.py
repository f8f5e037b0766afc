"""Runs on the host: the complete records of a unit's journal that contain a word.

A record is a line whose message begins with a date, and the following lines of the same process
that do not. So messages of several lines and tracebacks stay together.
"""

import contextlib
import io
import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from opstasks.onhost.protocol import HostFailure, HostRefusal, send_part

# Time, host, program and process, then the message.
LINE = re.compile(r"\S+ \S+ (\S+): (.*)", re.DOTALL)
DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:")
# While a record does not contain the word, at most this many of its lines are kept.
HELD_LINES = 1000
# An older journalctl ends with 1 when it found nothing.
FOUND_OR_NOTHING = (0, 1)
NO_PERMISSION = "insufficient permissions"


def matching(lines: Iterable[str], word: str) -> Iterator[str]:
    """The lines of all records that contain the word, each as soon as possible."""
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


@contextlib.contextmanager
def journal(options: list[str]) -> Iterator[Iterable[str]]:
    """The lines that journalctl prints; raises HostRefusal or HostFailure when it cannot read.

    journalctl always ends together with the block.
    """
    errors = os.fdopen(os.memfd_create("journalctl"), "w+b")
    with (
        errors,
        subprocess.Popen(
            ["journalctl", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            close_fds=False,
        ) as process,
    ):
        assert process.stdout
        try:
            yield io.TextIOWrapper(
                process.stdout, encoding="utf-8", errors="backslashreplace", newline="\n"
            )
            code = process.wait()
        finally:
            process.kill()
        errors.seek(0)
        check(code, errors.read().decode("utf-8", "replace").strip())


def check(code: int, errors: str) -> None:
    """Judge how journalctl ended, from its exit code and what it wrote to standard error."""
    if NO_PERMISSION in errors:
        raise HostRefusal(NO_PERMISSION, errors)
    if code not in FOUND_OR_NOTHING or (code and errors):
        raise HostFailure(f"journalctl failed with exit code {code}", errors)


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Answer with the newest `lines` (0: all), or send each line at once with `follow`.

    The request has journalctl's `options`, `word`, `lines` and `follow`.
    """
    found: deque[str] = deque(maxlen=request["lines"] or None)
    with journal(request["options"]) as lines:
        for line in matching(lines, request["word"]):
            if request["follow"]:
                send_part(line.rstrip("\n"))
            else:
                found.append(line.rstrip("\n"))
    return {"lines": list(found)}
