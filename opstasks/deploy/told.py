"""What is said after a deploy: the new state of each host, or why it went back: pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from opstasks.core.errors import OpsError
from opstasks.core.lines import lines_of
from opstasks.core.result import FleetResult
from opstasks.deploy.apply import DeployResult, WentBack
from opstasks.deploy.words import jobs_go_on, service_text
from opstasks.output.paragraphs import folded
from opstasks.output.parts import Line, bad, dim, to_type
from opstasks.output.summary import Told

# The line of a traceback that names the exception: it follows an indented one.
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:: .*)?")
# So many of the last lines are shown if none of them names an exception.
TAIL_LINES = 5
# Where the lines below the first one begin.
INDENT = 6


def told(whole: Callable[[int], str], undo: Callable[[str], str], width: int) -> Told[DeployResult]:
    """What is said of a deploy, a rollback, or a release that was finished or undone."""
    return Told(
        host=host_text,
        whole=whole,
        undo=undo,
        failed=lambda error, took: back_lines(error, took, width),
    )


def host_text(result: DeployResult) -> str:
    """The new state: ``v2.73.0, service up, 1 job goes on``."""
    jobs = jobs_go_on(result.running_jobs)
    return f"{result.to_name}, {service_text(result.now.service)}, {jobs}"


def note_lines(result: FleetResult[DeployResult]) -> list[Line]:
    """What people should know about a deploy that ended well."""
    values = result.values.items()
    return [[f"{host}  {note}"] for host, value in values for note in value.notes]


def back_lines(error: OpsError, took: str, width: int) -> Sequence[Line]:
    """Why a host went back, where it is now, and what to do; none for another error."""
    if not isinstance(error, WentBack):
        return ()
    place = f"BACK ON {error.back_on}" if error.back_on else f"NOW AT {error.place}"
    cause = exception_in(error.tail)
    texts = [("why", error.why), ("cause", cause), ("now", _now_text(error))]
    lines: list[Line] = [[dim(f"{name:<7}"), text] for name, text in texts if text]
    if not cause:
        lines += [[dim("  | "), text] for text in lines_of(error.tail)[-TAIL_LINES:]]
    lines = folded(lines, max(20, width - INDENT) if width else 0)
    first: Line = [bad(place), f" after {took}: {error.release} was not deployed"]
    return [first, *lines, [dim(f"{'next':<7}"), to_type(error.hint)]]


def _now_text(error: WentBack) -> str:
    found = error.found
    same = [f"{name} still occurs" for name in found.as_before]
    notes = [*same, *found.notes, found.how, *found.kept]
    jobs = jobs_go_on(found.running_jobs)
    return ", ".join([service_text(found.now.service), jobs, *filter(None, notes)])


def exception_in(tail: str) -> str:
    """The last exception that a log names: ``RuntimeError: the queue is full``; "" if none."""
    lines = lines_of(tail)
    for before, line in reversed(list(itertools.pairwise(lines))):
        if before[:1].isspace() and _EXCEPTION.fullmatch(line):
            return line
    return ""
