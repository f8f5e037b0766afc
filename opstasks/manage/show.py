"""A plan for people: rows, diffs with secrets masked, a document for --json. Pure."""

from __future__ import annotations

import difflib
import re
from typing import Any

from opstasks.manage.model import AREAS
from opstasks.manage.steps import ManagePlan, ManageStep, count_by_area

MASK = "***"
HEADERS = ("host", "area", "thing", "now", "wanted", "why")
_ASSIGNMENT = re.compile(r"\s*#*\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)")
_TELLING = re.compile(
    r"(?P<key>[A-Za-z0-9_-]*(?:TOKEN|SECRET|PASS|PWD|CREDENTIAL|KEY|PRIVATE|HEADERS|LICEN[CS]E"
    r"|HASH|DATABASE_URL)[A-Za-z0-9_-]*\s*[=:]\s*)(?P<value>\S.*)",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
# What a token looks like; paths and domain names do not.
_OPAQUE = re.compile(r"(?<![\w/.@-])(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{20,}(?![\w/.@-])")


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
    before, after = masked(step.thing, step.before, step.after), step.after.splitlines()
    names = (f"{step.thing} (now)", f"{step.thing} (wanted)")
    return list(difflib.unified_diff(before, after, *names, lineterm=""))


def masked(path: str, text: str, ours: str) -> list[str]:
    """The lines of a host's file; possible secrets in lines that are not described are masked."""
    known = set(ours.splitlines())
    keys = {match["key"] for line in known if (match := _ASSIGNMENT.fullmatch(line))}
    hide = _hide_env if path.endswith(".env") else _hide
    if path.endswith("/authorized_keys"):
        return text.splitlines()
    return [line if line in known else hide(line, keys) for line in text.splitlines()]


def _hide_env(line: str, keys: set[str]) -> str:
    """A line of an env file; only values of described keys are shown."""
    match = _ASSIGNMENT.fullmatch(line)
    if match is None:
        return line if not line.strip() else MASK
    if match["key"] in keys and not _TELLING.search(line):
        return _hide(line, keys)
    return line[: match.start("value")] + (MASK if match["value"].strip() else "")


def _hide(line: str, _: set[str]) -> str:
    line = _CREDENTIALS.sub(f"{MASK}@", line)
    line = _TELLING.sub(lambda match: match["key"] + MASK, line)
    return _OPAQUE.sub(MASK, line)
