"""A plan for people: rows, diffs with secrets masked, a document for --json. Pure."""

from __future__ import annotations

import difflib
from typing import Any

from opstasks.manage.model import AREAS
from opstasks.manage.steps import ManagePlan, ManageStep, count_by_area
from opstasks.onhost import masking

HEADERS = ("host", "area", "thing", "now", "wanted", "why")


def rows(host: str, shown: ManagePlan) -> list[list[str]]:
    """A plan's steps for a table."""
    return [[host, s.area, s.thing, s.now, s.wanted, s.why] for s in shown.steps]


def matrix(plans: dict[str, ManagePlan]) -> tuple[list[str], list[list[object]]]:
    """Many hosts by area, with the number of differences: the headers and a row for each host."""
    counts = {host: count_by_area(shown.steps) for host, shown in plans.items()}
    used = [area for area in AREAS if any(area in found for found in counts.values())]
    body: list[list[object]] = [
        [host, *(counts[host].get(area) for area in used), len(shown.steps), len(shown.todo)]
        for host, shown in plans.items()
    ]
    return ["host", *used, "differences", "changes"], body


def question(counts: dict[str, int]) -> str:
    """The question before these changes, by host."""
    if len(counts) == 1:
        ((host, count),) = counts.items()
        return f"Make {count} {_changes(count)} on {host}?"
    total = sum(counts.values())
    each = ", ".join(f"{host} {count}" for host, count in counts.items())
    return f"Make {total} {_changes(total)} ({each})?"


def _changes(count: int) -> str:
    return "change" if count == 1 else "changes"


def document(shown: ManagePlan, *, with_diff: bool) -> dict[str, Any]:
    """A plan for --json, without the new or present contents of files."""
    steps = []
    for step in shown.steps:
        entry: dict[str, Any] = {
            key: getattr(step, key) for key in ("area", "thing", "now", "wanted", "why")
        }
        steps.append(entry | ({"diff": diff(step)} if with_diff else {}))
    return {
        "differs": shown.differs,
        "steps": steps,
        "refusals": list(shown.refusals),
        "notes": list(shown.notes),
    }


def diff(step: ManageStep) -> list[str]:
    """A unified diff of a file step, secrets masked; nothing for secret files."""
    if step.before is None or step.after is None:
        return []
    before, after = masked(step.thing, step.before, step.after), _lines(step.after)
    names = (f"{step.thing} (now)", f"{step.thing} (wanted)")
    return list(difflib.unified_diff(before, after, *names, lineterm=""))


def masked(path: str, text: str, ours: str) -> list[str]:
    """The lines of a host's file; possible secrets in lines that are not described are masked."""
    lines, known = _lines(text), set(_lines(ours))
    if path.endswith("/authorized_keys"):
        return lines
    # All lines together: a secret may have several.
    shown = masking.masked_lines(lines, tokens=True)
    if path.endswith(".env"):
        keys = masking.all_assigned(known)
        shown = [_hide_env(*pair, keys) for pair in zip(lines, shown, strict=True)]
    return [line if line in known else hidden for line, hidden in zip(lines, shown, strict=True)]


def _lines(text: str) -> list[str]:
    """The lines of a file; only a newline ends a line, so no part of a secret becomes a line."""
    return text.removesuffix("\n").split("\n") if text else []


def _hide_env(line: str, shown: str, keys: set[str]) -> str:
    """A line of an env file, already masked; only values of described keys are shown."""
    name = masking.assigned(line)
    if not name or shown == masking.MASK:
        return masking.MASK if line.strip() else line
    if name in keys:
        return shown
    start, equals, value = line.partition("=")
    return start + equals + (masking.MASK if value.strip() else "")
