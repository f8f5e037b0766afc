"""A plan of `manage` for people: pure, from plans to lines.

What changes for access comes first, and always in full: who can log in, and what people may do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from opstasks.core.formats import first_names, plural
from opstasks.manage.apply import ManageResult
from opstasks.manage.model import AREAS
from opstasks.manage.show import diff
from opstasks.manage.steps import ACCESS_AREAS, ManagePlan, ManageStep, count_by_area
from opstasks.output.parts import Line, Painted, bold, dim, good, odd, to_type
from opstasks.output.summary import Told
from opstasks.output.table import Column, draw, hidden_lines

Plans = Mapping[str, ManagePlan]
Rows = list[list[object]]

# With more different plans than this, each host is one row of counts.
FEW = 3
# With more other changes than this, they are shown as counts by area.
MOST_OTHERS = 12
NAMED = 3
CHANGES = (
    Column("WHAT"),
    Column("NOW -> WANTED", long="wrap", least=24),
    Column("WHY", rank=1, long="wrap", least=24),
)
REPORTED = (
    Column("WHAT"),
    Column("NOW -> WANTED", long="wrap", least=24),
    Column("WHAT TO DO", long="wrap", least=20),
)
COUNTS = (
    Column("AREA"),
    Column("CHANGES", is_right=True),
    Column("WHAT", long="clip", least=20),
)
KINDS = ("people", "keys", "sudo", "sshd", "access")
_RIGHTS = re.compile(r"([^\s:]+:[^\s:]+) (0\d{3})")


def plan_lines(
    plans: Plans, width: int, *, wide: bool = False, with_diff: bool = False
) -> list[Line]:
    """All plans; hosts with the same plan together, and more than a FEW plans as counts."""
    groups = list(_groups(plans))
    if len(groups) > FEW and not with_diff:
        return draw(*matrix(plans), width, wide=wide).with_hint()
    found: list[Line] = []
    for hosts, shown in groups:
        found.append(_headline(hosts, shown))
        found += _body(shown, width, wide=wide, with_diff=with_diff)
    return found


def _groups(plans: Plans) -> Iterator[tuple[list[str], ManagePlan]]:
    """Hosts with the same steps."""
    found: dict[tuple[ManageStep, ...], list[str]] = {}
    for host, shown in plans.items():
        found.setdefault(shown.steps, []).append(host)
    for hosts in found.values():
        yield hosts, plans[hosts[0]]


def _headline(hosts: Sequence[str], shown: ManagePlan) -> Line:
    names = f"{first_names(hosts, NAMED)}: "
    if not shown.differs:
        return [names, good("nothing to do"), ", as described"]
    access = sum(step.area in ACCESS_AREAS for step in shown.todo)
    each = " each" if len(hosts) > 1 else ""
    parts = [
        f"{plural(len(shown.todo), 'change')}{each}",
        *([f"{access} for access"] if access else []),
        *([f"{plural(len(shown.reported), 'difference')} only reported"] if shown.reported else []),
    ]
    return [bold(names), ", ".join(parts)]


# -- one plan ----------------------------------------------------------------------------------


def _body(shown: ManagePlan, width: int, *, wide: bool, with_diff: bool) -> Iterator[Line]:
    tables = [
        draw(columns, rows, width, wide=wide)
        for columns, rows in _tables(shown, with_diff=with_diff)
    ]
    for table in tables:
        yield from table.lines
    yield from hidden_lines(tuple(dict.fromkeys(title for t in tables for title in t.hidden)))
    for step in shown.todo:
        if step.area in ACCESS_AREAS and step.now == "absent" and step.why:
            yield [odd(f"{step.thing}: {step.why}")]  # WHY may be hidden, but must be read
    if with_diff:
        yield from ([_diff_part(line)] for step in shown.steps for line in diff(step))
    elif len(others := _others(shown)) > MOST_OTHERS:
        yield [dim(f"--diff shows each of the {len(others)} changes that are not for access")]


def _others(shown: ManagePlan) -> list[ManageStep]:
    return [step for step in shown.todo if step.area not in ACCESS_AREAS]


def _tables(shown: ManagePlan, *, with_diff: bool) -> Iterator[tuple[Sequence[Column], Rows]]:
    """Changes for access, other changes, and what is only reported."""
    access = [step for step in shown.todo if step.area in ACCESS_AREAS]
    access.sort(key=lambda step: KINDS.index(kind(step)))
    others = _others(shown)
    yield (Column("ACCESS"), *CHANGES), [_cells(kind(step), step) for step in access]
    if with_diff or len(others) <= MOST_OTHERS:
        yield (Column("AREA"), *CHANGES), [_cells(step.area, step) for step in others]
    else:
        yield COUNTS, _count_rows(others)
    has_hint = any(step.why for step in shown.reported)
    columns = (Column("REPORTED"), *(REPORTED if has_hint else REPORTED[:-1]))
    yield columns, [[odd(step.area), *_cells("", step)[1:]] for step in shown.reported]


def _diff_part(line: str) -> Painted:
    """A line of a diff, never continued on the next line."""
    colour = {"+": "green", "-": "red"}.get(line[:1], "dim")
    return Painted(line, colour, is_whole=True)


def kind(step: ManageStep) -> str:
    """The kind of an access step: one of KINDS."""
    if step.area == "accounts":
        return "keys" if "/.ssh" in step.thing else "people"
    if "sudo" in step.thing:
        return "sudo"
    return "sshd" if "ssh" in step.thing else "access"


def _cells(first: str, step: ManageStep) -> list[object]:
    return [first, step.thing, change_text(step), step.why]


def change_text(step: ManageStep) -> str:
    """What a step changes, in short: ``mode 0644 -> 0640``, ``content +3 -1 lines``."""
    now, wanted = _RIGHTS.fullmatch(step.now), _RIGHTS.fullmatch(step.wanted)
    if now and wanted and now[1] == wanted[1]:
        return f"mode {now[2]} -> {wanted[2]}"
    if now and wanted and now[2] == wanted[2]:
        return f"owner {now[1]} -> {wanted[1]}"
    if step.now == "content differs":
        lines = diff(step)[2:]
        added = sum(line.startswith("+") for line in lines)
        removed = sum(line.startswith("-") for line in lines)
        return f"content +{added} -{removed} lines" if lines else "content differs"
    return f"{step.now} -> {step.wanted}"


def _count_rows(steps: Sequence[ManageStep]) -> Rows:
    return [
        [area, count, first_names([s.thing for s in steps if s.area == area], NAMED)]
        for area, count in count_by_area(steps).items()
    ]


# -- many hosts --------------------------------------------------------------------------------


def matrix(plans: Plans) -> tuple[list[Column], Rows]:
    """A row of counts for each host: changes, reported differences, changes by area."""
    counts = {host: count_by_area(shown.todo) for host, shown in plans.items()}
    used = [area for area in AREAS if any(area in found for found in counts.values())]
    columns = [
        Column("HOST"),
        Column("CHANGES", is_right=True),
        Column("REPORTED", is_right=True),
        *(Column(area.upper(), 1 if area in ACCESS_AREAS else 2, is_right=True) for area in used),
    ]
    rows: Rows = [
        [host, len(shown.todo), len(shown.reported), *(counts[host].get(area) for area in used)]
        for host, shown in plans.items()
    ]
    return columns, rows


# -- the end -----------------------------------------------------------------------------------

TOLD: Told[ManageResult] = Told(
    host=lambda done: f"{plural(done.changes, 'change')} made, now as described",
    whole=lambda count: f"{plural(count, 'host')} as described",
    undo=lambda hosts: f"edit backends/, then inv -H {hosts} manage",
)


def after_lines(host: str, done: ManageResult) -> Iterator[Line]:
    """What a person must do after the changes on a host."""
    for unit in done.stale:
        command = to_type(f"inv -H {host} service.restart")
        yield [f"{host}  ", odd(f"{unit} still runs with the old settings: "), command]


# -- the question ------------------------------------------------------------------------------


def question(counts: Mapping[str, int]) -> str:
    """The question before these changes, by host; the same number as in plan and progress."""
    numbers = sorted(set(counts.values()))
    if len(numbers) == 1:
        each = "" if len(counts) == 1 else "each of "
        return f"Make {plural(numbers[0], 'change')} on {each}{first_names(list(counts), NAMED)}?"
    if len(counts) <= NAMED:
        first, *others = counts.items()
        more = "".join(f", {count} on {host}" for host, count in others)
        return f"Make {plural(first[1], 'change')} on {first[0]}{more}?"
    return f"Make {numbers[0]} to {numbers[-1]} changes on each of {len(counts)} hosts?"
