"""`manage` on one host: inspect, plan, apply, verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opstasks.core.errors import Refused, VerifyFailed
from opstasks.core.hints import quoted
from opstasks.deploy import release
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.manage import inspect, lockout
from opstasks.manage.actions import (
    AnyAction,
    ChangePackages,
    SetTreeRights,
    SetUser,
    StartUnit,
    StopUnit,
    WriteFile,
)
from opstasks.manage.facts import ManageFacts
from opstasks.manage.model import AREAS, Description
from opstasks.manage.perform import perform
from opstasks.manage.plan import make_plan
from opstasks.manage.steps import (
    ALL_AREAS,
    AreaSelection,
    ManagePlan,
    ManageStep,
    count_by_area,
)


@dataclass(frozen=True)
class ManageRequest:
    """The options of a run: which areas, and whether it may lock people out."""

    selection: AreaSelection = ALL_AREAS
    allow_lockout: bool = False


@dataclass(frozen=True)
class ManageResult:
    """What was done on a host: the number of changes.

    `stale` are units that still run with their old settings.
    """

    changed: bool
    changes: int
    stale: tuple[str, ...] = ()


def check_areas(selection: AreaSelection) -> None:
    """Raise Refused for an area that does not exist."""
    for flag, areas in (("--only", selection.only), ("--skip", selection.skip)):
        for area in areas:
            if area not in AREAS:
                known = ", ".join(AREAS)
                raise Refused(f"{flag}: unknown area {quoted(area)}; the areas are {known}")
    if not any(selection.has(area) for area in AREAS):
        raise Refused("--only and --skip leave no area", hint="leave out one of them")


def plan(host: Host, wanted: Description, request: ManageRequest) -> ManagePlan:
    """Plan a host, in one round trip of facts."""
    return decide(host.spec, inspect.inspect(host, wanted), wanted, request)


def decide(
    spec: HostSpec, facts: ManageFacts, wanted: Description, request: ManageRequest
) -> ManagePlan:
    """The plan for a host with these facts, with reasons to refuse it: pure."""
    planned = make_plan(facts, wanted, request.selection)
    if request.allow_lockout:
        return planned
    risks = lockout.risks(facts, wanted, planned, by_ssh=not spec.local)
    reasons = [f"{risk} (--allow-lockout if you mean it)" for risk in risks]
    return replace(planned, refusals=(*planned.refusals, *reasons))


def refuse(planned: ManagePlan, host: str) -> None:
    """Raise Refused when the plan contains something that must not be done."""
    if planned.refusals:
        count = len(planned.refusals)
        text = planned.refusals[0] if count == 1 else f"{count} reasons"
        raise Refused(
            f"the plan is refused: {text}",
            host=host,
            tail="" if count == 1 else "\n".join(planned.refusals),
            hint="nothing was changed: correct the description or the host",
        )


def apply(
    host: Host, wanted: Description, shown: ManagePlan, request: ManageRequest
) -> ManageResult:
    """Carry out the plan that was shown; raises Refused when the host changed since then.

    Raises CommandFailed naming the step that failed, and VerifyFailed when the host still
    differs afterwards.
    """
    refuse(shown, host.name)
    if not shown.todo:
        return ManageResult(False, 0)
    counts = count_by_area(shown.todo)
    areas = ", ".join(f"{area} {count}" for area, count in counts.items())
    with change(host.root, "manage", {"changes": str(len(shown.todo)), "areas": areas}):
        host.step("inspect again", brief="inspected")
        current = plan(host, wanted, request)
        by_lock = made_by_lock(host.spec)
        if not is_same(current, shown, besides=by_lock):
            raise Refused(
                "the host changed since the plan was shown",
                host=host.name,
                hint="run it again and look at the new plan",
            )
        # A host without the service account has no releases, and other accounts may not read them.
        if host.spec.unit in _started(current) and not _makes(current, host.spec.service_user):
            release.refuse_half_way(host.service)
        left = _perform(host, wanted, current, request, done=_done_by(by_lock, shown, current))
    if left.todo:
        things = ", ".join(step.thing for step in left.todo[:5])
        raise VerifyFailed(
            f"applied, but still differs: {things}",
            host=host.name,
            hint="run it again with --diff, and see who changes it",
        )
    return ManageResult(True, len(shown.todo), _stale(current, wanted))


def _perform(
    host: Host,
    wanted: Description,
    current: ManagePlan,
    request: ManageRequest,
    *,
    done: Sequence[ManageStep],
) -> ManagePlan:
    """Carry out a plan; returns what is left to do."""
    asked = inspect.request(wanted, host.spec)
    facts = perform(host, current.todo, prove=not request.allow_lockout, asked=asked, done=done)
    return decide(host.spec, facts, wanted, request)


def _stale(done: ManagePlan, wanted: Description) -> tuple[str, ...]:
    """The units that still run with old settings."""
    started = _started(done)
    return tuple(
        unit.name
        for unit in wanted.units
        if unit.state == "running" and unit.name not in started and _reads_changed(done, unit.name)
    )


def _started(planned: ManagePlan) -> set[str]:
    """The units that a plan starts."""
    return {step.action.name for step in planned.todo if isinstance(step.action, StartUnit)}


def _makes(planned: ManagePlan, user: str) -> bool:
    """Whether a plan creates an account."""
    actions = [step.action for step in planned.todo if isinstance(step.action, SetUser)]
    return any(action.name == user and not action.exists for action in actions)


def _reads_changed(done: ManagePlan, unit: str) -> bool:
    return any(
        isinstance(step.action, WriteFile)
        and (step.area == "config" or f"/{unit}.service" in step.action.path)
        for step in done.todo
    )


def made_by_lock(spec: HostSpec) -> set[str]:
    """The paths that taking the lock creates on a bare host before the plan is made again."""
    return {spec.lock_dir, spec.lock_file}


def _done_by(things: set[str], shown: ManagePlan, current: ManagePlan) -> list[ManageStep]:
    """The steps about these things that were in the shown plan and are no longer needed."""
    left = {step.thing for step in current.todo}
    return [step for step in shown.todo if step.thing in things and step.thing not in left]


def is_same(one: ManagePlan, other: ManagePlan, *, besides: set[str]) -> bool:
    """Whether two plans do the same to the same things, apart from the named paths."""

    def shown(planned: ManagePlan) -> list[tuple[AnyAction | None, str]]:
        steps = [step for step in planned.todo if step.thing not in besides]
        return [(step.action, "" if _moves(step) else step.now) for step in steps]

    return shown(one) == shown(other)


def _moves(step: ManageStep) -> bool:
    """Whether the present state of a step's thing changes by itself: jobs, crashes, the clock."""
    return isinstance(step.action, (SetTreeRights, StartUnit, StopUnit, ChangePackages))
