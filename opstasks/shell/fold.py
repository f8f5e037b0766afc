"""Fold identical output: each text once, with the hosts that printed it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opstasks.core.lines import lines_of

# A longer text is shown whole, as comparing takes much longer than reading.
MOST_LINES = 1000
# How many equal lines are shown around a difference.
CONTEXT_LINES = 1


@dataclass(frozen=True)
class OutputGroup:
    """Hosts that printed the same: standard output and standard error, by line."""

    hosts: tuple[str, ...]
    out: tuple[str, ...]
    err: tuple[str, ...]

    @property
    def title(self) -> str:
        """How many hosts, and which; all their names, to copy them after -H."""
        count = f"{len(self.hosts)} hosts: " if len(self.hosts) > 1 else ""
        return count + ",".join(self.hosts)


def fold(outputs: Mapping[str, tuple[str, str]]) -> list[OutputGroup]:
    """The groups of hosts with equal outputs: the largest first, else in the order of the hosts."""
    groups: dict[tuple[str, str], list[str]] = {}
    for host, both in outputs.items():
        groups.setdefault(both, []).append(host)
    made = [
        OutputGroup(tuple(hosts), tuple(lines_of(out)), tuple(lines_of(err)))
        for (out, err), hosts in groups.items()
    ]
    return sorted(made, key=lambda group: -len(group.hosts))


def majority(groups: Sequence[OutputGroup]) -> OutputGroup | None:
    """The group that the others are compared with: the largest, if it has more than one host."""
    first = next(iter(groups), None)
    return first if first and len(first.hosts) > 1 else None


def differences(group: OutputGroup, usual: OutputGroup) -> list[str] | None:
    """How a group's output differs, as the lines of a diff; None to show its text instead.

    The text is shown when it is too long to compare, or when no line is the same.
    """
    if max(len(group.out), len(usual.out)) > MOST_LINES:
        return None
    matcher = difflib.SequenceMatcher(None, usual.out, group.out, autojunk=False)
    if not any(size for _, _, size in matcher.get_matching_blocks()):
        return None
    return list(_diff(matcher, usual.out, group.out))


def _diff(
    matcher: difflib.SequenceMatcher[str], old: Sequence[str], new: Sequence[str]
) -> Iterator[str]:
    for number, block in enumerate(matcher.get_grouped_opcodes(CONTEXT_LINES)):
        if number:
            yield "..."
        for tag, old_from, old_to, new_from, new_to in block:
            if tag == "equal":
                yield from (f"  {line}" for line in old[old_from:old_to])
                continue
            yield from (f"- {line}" for line in old[old_from:old_to])
            yield from (f"+ {line}" for line in new[new_from:new_to])
