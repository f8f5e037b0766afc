"""Looking and doing, for one host."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from opstasks.core.command import Command
from opstasks.core.errors import CommandFailed, Refused, VerifyFailed
from opstasks.core.result import Result
from opstasks.deploy import release
from opstasks.fleet import old_program as remote
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.host import check as checked
from opstasks.fleet.inventory import HostSpec
from opstasks.manage import access, lockout
from opstasks.manage import facts as fact
from opstasks.manage.model import AREAS, Description
from opstasks.manage.plan import ALL, Plan, Selection, Step, plan

# Cloning the dependencies over a slow line is the longest that one run may take.
APPLY_TIMEOUT_S = 3600.0
SCRIPT = "opstasks.manage.onhost.apply"
# What may take long has a run of its own, so that one sees how far it is.
SLOW = ("packages", "checkout", "create", "probe", "start")


@dataclass(frozen=True)
class Request:
    """What a run is to do: which areas, and whether locking people out is meant."""

    selection: Selection = ALL
    allow_lockout: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a host came out: how many steps were done in which areas, what is left to people."""

    changed: bool
    steps: int
    areas: dict[str, int]
    notes: tuple[str, ...] = ()


def check_areas(selection: Selection) -> None:
    """Raise Refused for an area that does not exist."""
    for area in (*selection.only, *selection.skip):
        if area not in AREAS:
            raise Refused(f"there is no area {area!r}", hint=f"areas: {', '.join(AREAS)}")
    if not any(selection.has(area) for area in AREAS):
        raise Refused("that leaves no area to look at", hint="leave out --only or --skip")


def check(host: Host, wanted: Description, request: Request) -> Plan:
    """Plan a host, in one round trip of facts."""
    return judge(host.spec, fact.gather(host, wanted), wanted, request)


def judge(spec: HostSpec, facts: fact.Facts, wanted: Description, request: Request) -> Plan:
    """The plan for a host that stands so, and whether it may be carried out: pure."""
    planned = plan(facts, wanted, request.selection)
    if request.allow_lockout:
        return planned
    risks = lockout.risks(facts, wanted, planned, by_ssh=not spec.local)
    reasons = [f"{risk} (--allow-lockout if that is meant)" for risk in risks]
    return replace(planned, refusals=(*planned.refusals, *reasons))


def refuse(planned: Plan, host: str) -> None:
    """Raise Refused when the plan holds something that must not be done."""
    if planned.refusals:
        count = len(planned.refusals)
        text = planned.refusals[0] if count == 1 else f"{count} reasons"
        raise Refused(
            f"not to be done: {text}",
            host=host,
            tail="" if count == 1 else "\n".join(planned.refusals),
            hint="correct the description; nothing was changed",
        )


def apply(host: Host, wanted: Description, shown: Plan, request: Request) -> Outcome:
    """Carry out the plan that was shown; raises Refused when the host has moved since.

    Raises CommandFailed naming the step that failed, and VerifyFailed when the host still
    differs afterwards.
    """
    refuse(shown, host.name)
    if not shown.todo:
        return Outcome(False, 0, {})
    areas = ", ".join(f"{area} {count}" for area, count in shown.areas().items())
    with change(host.root, "manage", {"steps": str(len(shown.todo)), "areas": areas}):
        current = check(host, wanted, request)
        if not same(current, shown, made_by_lock(host.spec)):
            raise Refused(
                "the host changed since the plan was shown",
                host=host.name,
                hint="look at the new plan: run it again",
            )
        if host.spec.unit in _started(current):
            release.refuse_half_way(host.root)
        asked = fact.question(wanted, host.spec)
        answer = carry_out(host, current.todo, prove=not request.allow_lockout, afterwards=asked)
        left = judge(host.spec, fact.parse(answer, host.name), wanted, request)
    if left.todo:
        things = ", ".join(step.thing for step in left.todo[:5])
        raise VerifyFailed(
            f"applied, but still differs: {things}",
            host=host.name,
            hint="run it again with --diff, and see who changes it",
        )
    return Outcome(True, len(current.todo), current.areas(), _notes(current, wanted))


def _notes(done: Plan, wanted: Description) -> tuple[str, ...]:
    """What was changed on disk that a running service has not read yet."""
    started = _started(done)
    stale = [
        unit.name
        for unit in wanted.units
        if unit.state == "running" and unit.name not in started and _reads_changed(done, unit.name)
    ]
    return tuple(f"{name} runs with what it read at its start: service.restart" for name in stale)


def _started(planned: Plan) -> set[str]:
    """The units that a plan starts."""
    return {step.action["name"] for step in planned.todo if step.action["do"] == "start"}


def _reads_changed(done: Plan, unit: str) -> bool:
    return any(
        step.action["do"] == "file"
        and (step.area == "config" or f"/{unit}.service" in step.action["path"])
        for step in done.todo
    )


def made_by_lock(spec: HostSpec) -> set[str]:
    """What taking the lock makes on a bare host, before the plan is looked at again."""
    return {spec.lock_dir, spec.lock_file}


def same(one: Plan, other: Plan, besides: set[str]) -> bool:
    """Whether two plans do the same, besides to the named paths."""

    def actions(plan: Plan) -> list[Any]:
        return [step.action for step in plan.todo if step.thing not in besides]

    return actions(one) == actions(other)


def carry_out(host: Host, steps: Sequence[Step], *, prove: bool, afterwards: Command) -> Result:
    """Do the steps; those by which people get in last, and only if a fresh connection works.

    Returns the answer to the question `afterwards`, which is asked along with the last step
    where that saves a round trip. Raises CommandFailed naming the step that failed, and what
    was done before it; Interrupted between two parts.
    """
    soon, late = [s for s in steps if not s.access], [s for s in steps if s.access]
    done: list[Step] = []
    answer: Result | None = None
    for part in _parts(soon):
        host.checkpoint(f"{len(done)} of {len(steps)} changes done")
        things = part[0].thing if len(part) == 1 else f"{len(part)} steps"
        host.step(f"{_areas(part)}: {things} ({len(done)} of {len(steps)} done)")
        last = not late and len(done) + len(part) == len(steps)
        said, answer = _run(host, [step.action for step in part], afterwards if last else None)
        count = int(said["done"])
        _report(host, part[:count], len(done), len(steps))
        done += part[:count]
        if count < len(part):
            raise failure(host.name, steps, done, part[count : count + 1], said["reason"])
    if late:
        host.checkpoint(f"{len(done)} of {len(steps)} changes done")
        host.step(f"access: {', '.join(step.thing for step in late)}")
        reason = access.change_access(host, [step.action for step in late], prove=prove)
        if reason:
            raise failure(host.name, steps, done, late, reason)
        _report(host, late, len(done), len(steps))
    return answer or host.root.run(afterwards)


def _report(host: Host, steps: Sequence[Step], before: int, total: int) -> None:
    """Say of each step that it is done."""
    for number, step in enumerate(steps, before + 1):
        host.step(f"  done {number}/{total}: {step.thing}: {step.wanted}")


def _parts(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """Steps in runs of their own: quick ones together, each slow one alone.

    Packages that one call of the package tools takes care of stay together.
    """

    def kind(item: tuple[int, Step]) -> str:
        number, step = item
        verb = str(step.action["do"])
        if verb == "packages":
            return f"packages {step.action['verb']}"
        return f"{verb} {number}" if verb in SLOW else ""

    for _, part in groupby(enumerate(steps), kind):
        yield [step for _, step in part]


def _areas(steps: Sequence[Step]) -> str:
    return ", ".join(dict.fromkeys(step.area for step in steps))


def failure(
    host: str, steps: Sequence[Step], done: Sequence[Step], failed: Sequence[Step], reason: str
) -> CommandFailed:
    """The error for steps that failed: those done, those not begun, what to do next."""
    left = steps[len(done) + len(failed) :]
    lines = [*_listed("done before it", done), *_listed("not begun", left)]
    things = ", ".join(step.thing for step in failed)
    return CommandFailed(
        f"{len(done)} of {len(steps)} changes done; {things} failed",
        returned=1,
        host=host,
        tail="\n".join([reason, *lines]),
        hint="mend it, then run manage again: it goes on from there",
    )


def _listed(what: str, steps: Sequence[Step]) -> list[str]:
    """Every step by its name, in lines that are shown whole."""
    names = ", ".join(step.thing for step in steps) or "nothing"
    return textwrap.wrap(f"{what}: {names}", 200, break_long_words=False, break_on_hyphens=False)


def _run(
    host: Host, actions: list[dict[str, Any]], afterwards: Command | None
) -> tuple[dict[str, Any], Result | None]:
    """Send steps and, in the same round trip, a question; what the steps' script said."""
    command = remote.call(SCRIPT, actions)
    command = replace(command, timeout_s=APPLY_TIMEOUT_S, mutates=True)
    result, *more = host.root.batch([command, *([afterwards] if afterwards else [])])
    said: dict[str, Any] = json.loads(checked(result, command, host.name).out.splitlines()[-1])
    for answer in more:
        checked(answer, command, host.name)
    return said, more[0] if more else None
