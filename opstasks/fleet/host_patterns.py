"""What -H accepts besides names: `@failed`, and `@FILE` with more items."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from opstasks.core.errors import Refused
from opstasks.core.hints import quoted
from opstasks.core.lines import lines_of
from opstasks.fleet.inventory import HostPattern
from opstasks.fleet.named_files import home_path, is_file

FAILED = "@failed"
MOST_BYTES = 1 << 20


def expand(patterns: Iterable[str], failed: Callable[[], list[str]]) -> list[HostPattern]:
    """The patterns of -H, each `@` form replaced by what it stands for.

    `failed` returns the hosts that were not ok in the last run. Raises Refused for a file that
    cannot be read, or has no names.
    """
    found: list[HostPattern] = []
    for item in (item.strip() for pattern in patterns for item in pattern.split(",")):
        bang, name = ("!", item[1:]) if item.startswith("!") else ("", item)
        if name == FAILED:
            found += [HostPattern(bang + host, FAILED) for host in failed()]
        elif name.startswith("@"):
            found += [_excluded(each) if bang else each for each in _names_in(name[1:])]
        else:
            found.append(HostPattern(item))
    return found


def mean_the_same_later(patterns: Iterable[str]) -> bool:
    """Whether the next command may have the same patterns: not @failed, nor the lines of a pipe.

    Which hosts failed differs for each task, and after each run.
    """
    return not any(_is_gone(item.strip()) for pattern in patterns for item in pattern.split(","))


def _is_gone(item: str) -> bool:
    name = item.removeprefix("!")
    if not name.startswith("@") or name == FAILED:
        return name == FAILED
    return name == "@-" or not is_file(home_path(name[1:]))


def _excluded(pattern: HostPattern) -> HostPattern:
    """Leave out what a file names."""
    if pattern.text.startswith("!"):
        raise Refused(
            f"{pattern.origin}: {quoted(pattern.text)} has a !, and the file has one too",
            hint="remove one of the two",
        )
    return HostPattern(f"!{pattern.text}", pattern.origin)


def _names_in(file: str) -> list[HostPattern]:
    found = [
        HostPattern(word, f"{file or '-H @'}, line {number}")
        for number, line in enumerate(lines_of(_text_of(file)), 1)
        for word in _words(line)
    ]
    for pattern in found:
        if pattern.text.lstrip("!").startswith("@"):
            raise Refused(
                f"{pattern.origin}: {quoted(pattern.text)} is not a host",
                hint="a file of hosts cannot name another file",
            )
    if not found:
        raise Refused(f"-H: {_called(file)} names no host", hint="write one name on each line")
    return found


def _words(line: str) -> Iterator[str]:
    """The names of one line: separated by spaces or commas, up to a `#`."""
    yield from line.partition("#")[0].replace(",", " ").split()


def _text_of(file: str) -> str:
    """The text of a file; `-` is standard input."""
    if not file:
        raise Refused("-H: a file name is missing after @", hint="-H @hosts.txt, or -H @failed")
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with home_path(file).open("rb") as opened:
                data = opened.read(MOST_BYTES + 1)
        text = data.decode()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused(
            f"-H: cannot read {_called(file)}: {reason}", hint="-H @FILE reads names from a file"
        ) from None
    except ValueError:
        raise Refused(
            f"-H: {_called(file)} is not text", hint="write one name on each line"
        ) from None
    if len(data) > MOST_BYTES:
        raise Refused(f"-H: {_called(file)} is longer than 1 MiB", hint="is it the right file?")
    return text


def _called(file: str) -> str:
    return "standard input" if file == "-" else quoted(file)
