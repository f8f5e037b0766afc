"""Mistakes in systemd units that can be found without systemd: pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from opstasks.core.lines import lines_of

_SECTION = re.compile(r"\[([A-Z][A-Za-z0-9]*)\]")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]*\s*=")
_COMMON = {"Unit", "Install"}
# The section that a unit must have in addition to the common ones, by the suffix of its name.
_OWN = {
    ".service": "Service",
    ".timer": "Timer",
    ".socket": "Socket",
    ".path": "Path",
    ".mount": "Mount",
    ".target": "",
}


def mistakes(path: str, text: str) -> Iterator[str]:
    """Mistakes in a unit file or a drop-in, with line numbers."""
    place = PurePosixPath(path)
    drop_in = place.suffix == ".conf"
    kind = PurePosixPath(place.parent.name.removesuffix(".d")).suffix if drop_in else place.suffix
    if kind not in _OWN:
        yield f"{kind or 'no suffix'} is not a known kind of unit"
        return
    allowed = {*_COMMON, _OWN[kind]}
    section, seen = "", dict[str, set[str]]()
    for number, line in _logical_lines(text):
        if match := _SECTION.fullmatch(line):
            section = match[1]
            seen.setdefault(section, set())
            if section not in allowed and not section.startswith("X"):
                yield f"line {number}: [{section}] does not belong in a {kind} unit"
        elif not _KEY.match(line):
            yield f"line {number}: neither [Section] nor Key=value: {line[:40]!r}"
        elif not section:
            yield f"line {number}: comes before any [Section]"
        else:
            seen[section].add(line.split("=", 1)[0].strip())
    if not drop_in:
        yield from _missing(kind, seen)


def _missing(kind: str, seen: dict[str, set[str]]) -> Iterator[str]:
    if _OWN[kind] and _OWN[kind] not in seen:
        yield f"has no [{_OWN[kind]}] section"
    elif kind == ".service" and not seen["Service"] & {"ExecStart", "ExecStop"}:
        yield "[Service] has no ExecStart"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines joined with their continuations, without comments and empty lines."""
    held, start = "", 0
    for number, line in enumerate(lines_of(text), 1):
        stripped = line.strip()
        if not held and (not stripped or stripped[0] in "#;"):
            continue
        if held and stripped[:1] in ("#", ";"):
            continue
        start = start or number
        if stripped.endswith("\\"):
            held += stripped[:-1] + " "
            continue
        yield start, (held + stripped).strip()
        held, start = "", 0
    if held:
        yield start, held.strip()
