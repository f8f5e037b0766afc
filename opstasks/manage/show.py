"""A plan as `--json` shows it, and diffs with secrets masked: pure."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from opstasks.core.result import FleetResult, HostResult
from opstasks.manage.apply import ManageResult
from opstasks.manage.steps import ACCESS_AREAS, ManagePlan, ManageStep, count_by_area
from opstasks.onhost import masking


@dataclass(frozen=True)
class StepReport:
    """One difference. `is_change`: `manage` corrects it; otherwise a person must decide."""

    area: str
    thing: str
    now: str
    wanted: str
    why: str | None
    is_change: bool
    is_access: bool
    diff: list[str] | None


@dataclass(frozen=True)
class ManageReport:
    """A host's plan, or what was done, without the contents of files.

    `changes` is the number of the steps that are changes, `areas` the same by area; the other
    steps are only reported. `changed`: they were made; then `stale_units` still run with their
    old settings.
    """

    changed: bool
    differs: bool
    changes: int
    areas: dict[str, int]
    steps: tuple[StepReport, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    stale_units: tuple[str, ...]


def report(shown: ManagePlan, *, with_diff: bool, done: ManageResult | None = None) -> ManageReport:
    """A plan for --json; `done` is the result if it was carried out."""
    return ManageReport(
        changed=bool(done and done.changed),
        differs=shown.differs,
        changes=len(shown.todo),
        areas=count_by_area(shown.todo),
        steps=tuple(_step(step, with_diff=with_diff) for step in shown.steps),
        refusals=shown.refusals,
        notes=shown.notes,
        stale_units=done.stale if done else (),
    )


def outcomes(
    plans: FleetResult[ManagePlan], done: FleetResult[ManageResult], *, with_diff: bool
) -> FleetResult[ManageReport]:
    """The results of hosts whose plans were carried out, for --json."""
    found: FleetResult[ManageReport] = FleetResult()
    for item in done:
        result = item.value
        value = None
        if result is not None:
            value = report(plans.values[item.host], with_diff=with_diff, done=result)
        found.results.append(HostResult(item.host, item.outcome, value, item.error, item.elapsed_s))
    return found


def _step(step: ManageStep, *, with_diff: bool) -> StepReport:
    return StepReport(
        area=step.area,
        thing=step.thing,
        now=step.now,
        wanted=step.wanted,
        why=step.why or None,
        is_change=step.action is not None,
        is_access=step.area in ACCESS_AREAS,
        diff=diff(step) if with_diff else None,
    )


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
    if path.endswith("/authorized_keys") or not lines:
        return lines
    # All lines together: a secret may have several.
    shown = masking.masked_file(path, "\n".join(lines), tokens=True).split("\n")
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
