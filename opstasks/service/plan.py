"""What `service.start`, `service.stop` and `service.restart` would do: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from opstasks.core.formats import first_names, plural
from opstasks.core.state import ServiceState
from opstasks.deploy.words import jobs_go_on, service_cell, service_text
from opstasks.output.parts import Line, Part, bold, dim, odd, to_type
from opstasks.output.states import or_unknown
from opstasks.output.summary import Told
from opstasks.output.table import Column, draw
from opstasks.service.act import RunningJobs, ServiceFacts, ServiceResult

Verb = Literal["start", "stop", "restart"]
COLUMNS = (
    Column("HOST"),
    Column("SERVICE"),
    Column("JOBS", is_right=True),
    Column("AFTERWARDS", long="wrap"),
)
# So many hosts are named in a question.
NAMED = 10
# The task that undoes each verb, "" if none does.
UNDO: dict[Verb, str] = {"start": "service.stop", "stop": "service.start", "restart": ""}


@dataclass(frozen=True)
class ServicePlan:
    """What would be done on one host; `changes` is false if it is in the wanted state already.

    `service` and `service_for_s` are the present state, and for how long; None: not known. The
    started service is watched for `watch_s` seconds.
    """

    verb: Verb
    changes: bool
    service: ServiceState | None
    service_for_s: float | None
    jobs: RunningJobs
    watch_s: float
    starts_at_boot: bool
    drop_ins: tuple[str, ...] = ()


def make_plan(verb: Verb, facts: ServiceFacts, watch_s: float) -> ServicePlan:
    """The plan for a host's facts."""
    unit = facts.unit
    wanted = {"start": unit.is_serving, "stop": unit.is_down, "restart": False}
    return ServicePlan(
        verb,
        changes=not wanted[verb],
        service=unit.state,
        service_for_s=facts.service_for_s,
        jobs=facts.jobs,
        watch_s=watch_s,
        starts_at_boot=unit.enabled == "enabled",
        drop_ins=unit.drop_ins,
    )


def lines(plans: Mapping[str, ServicePlan], width: int, undo: str, *, wide: bool) -> list[Line]:
    """The plans of hosts, for a window of a width; `undo` is the command that undoes them."""
    todo = [plan for plan in plans.values() if plan.changes]
    if not todo:
        return list(_idle(plans))
    verb = todo[0].verb.capitalize()
    headline = f"{verb} job-runner on {plural(len(todo), 'host')}"
    found: list[Line] = [[bold(headline)]]
    found += draw(COLUMNS, map(_row, plans, plans.values()), width, wide=wide).with_hint()
    return [*found, *_closing(plans, undo)]


def _idle(plans: Mapping[str, ServicePlan]) -> Iterator[Line]:
    states = {plan.service for plan in plans.values()}
    for state in states:
        hosts = [host for host, plan in plans.items() if plan.service == state]
        yield [bold("nothing to do"), f" on {', '.join(hosts)}: {service_text(state)} already"]


def _row(host: str, plan: ServicePlan) -> Sequence[object]:
    state = service_cell(plan.service, plan.service_for_s)
    return [host, state, or_unknown(plan.jobs.count), _afterwards(plan)]


def _afterwards(plan: ServicePlan) -> str:
    if not plan.changes:
        return "nothing to do"
    if plan.verb == "stop":
        boot = " or the next boot" if plan.starts_at_boot else ""
        return f"stopped until service.start{boot}"
    done = "restarted" if plan.service == "up" else "started"
    return f"{done}, watched for {plan.watch_s:g} s"


def _closing(plans: Mapping[str, ServicePlan], undo: str) -> Iterator[Line]:
    todo = {host: plan for host, plan in plans.items() if plan.changes}
    for host, plan in todo.items():
        if plan.drop_ins:
            yield [f"{host}  the unit has drop-ins: {', '.join(plan.drop_ins)}"]
        if plan.jobs.count is None:
            yield [f"{host}  running jobs: ", odd(f"unknown ({plan.jobs.error})")]
    verb = next(iter(todo.values())).verb
    is_idle = all(plan.jobs.count == 0 for plan in todo.values())
    jobs = "No job is running" if is_idle else "Running jobs go on"
    text = {"start": "Pending jobs begin.", "stop": f"{jobs}; no new job starts."}
    undone: list[Part] = [" Undo: ", to_type(undo)] if undo else []
    yield [text.get(verb, f"{jobs}."), *undone]


def question(verb: Verb, plans: Mapping[str, ServicePlan]) -> str:
    """The question before a change; it names the hosts where running jobs are unknown."""
    todo = {host: plan for host, plan in plans.items() if plan.changes}
    unknown = [host for host, plan in todo.items() if plan.jobs.count is None]
    note = f" (running jobs unknown on {', '.join(unknown)})" if unknown else ""
    return f"{verb.capitalize()} job-runner on {first_names(list(todo), NAMED)}{note}?"


def told(verb: Verb, undo: Callable[[str], str]) -> Told[ServiceResult]:
    """What is said after the change: the state that was read then."""
    done = {"start": "started", "stop": "stopped", "restart": "restarted"}[verb]
    return Told(
        host=host_text,
        whole=lambda count: f"job-runner {done} on {plural(count, 'host')}",
        undo=undo,
    )


def host_text(result: ServiceResult) -> str:
    """The new state: ``service up``; after a stop, also the jobs, which were read then."""
    jobs = f", {jobs_go_on(result.jobs.count)}" if result.after == "stopped" else ""
    return f"{service_text(result.after)}{jobs}"


def note_lines(values: Mapping[str, ServiceResult]) -> list[Line]:
    """What people did meanwhile."""
    return [[dim(f"{host}  "), note] for host, value in values.items() for note in value.notes]
