"""The last line of `run` on several hosts: ``3 hosts: 2 ok, 1 failed (exit 3): tpp``."""

from __future__ import annotations

from opstasks.core.errors import CommandFailed, TimedOut
from opstasks.core.formats import first_names, plural
from opstasks.core.result import FleetResult, HostResult, Result
from opstasks.output.parts import Line, Painted, Part, bad, good, odd
from opstasks.output.states import silent_text

# So many hosts of each kind are named.
NAMED = 10


def totals(result: FleetResult[Result]) -> Line:
    """How many hosts ended how; those that are not ok by name."""
    kinds: dict[str, list[str]] = {}
    for item in result:
        kinds.setdefault("ok" if item.good else _kind(item), []).append(item.host)
    parts: list[Part] = [plural(len(result.results), "host")]
    fine = kinds.pop("ok", [])
    if fine:
        parts += [": ", good(f"{len(fine)} ok")]
    for number, (kind, hosts) in enumerate(kinds.items()):
        parts += ["; " if number else ", " if fine else ": ", _told(kind, hosts)]
    return parts


def _kind(item: HostResult[Result]) -> str:
    """How a host ended that is not ok."""
    if isinstance(item.error, CommandFailed):
        return f"failed (exit {item.error.returned})"
    if isinstance(item.error, TimedOut):
        return "failed (time limit)"
    if item.outcome == "unknown":
        return "unknown: the connection was lost"
    return silent_text(item.outcome) if item.outcome == "unreachable" else item.outcome


def _told(kind: str, hosts: list[str]) -> Painted:
    paint = odd if kind in ("refused", "interrupted", "not started") else bad
    return paint(f"{len(hosts)} {kind}: {first_names(hosts, NAMED)}")
