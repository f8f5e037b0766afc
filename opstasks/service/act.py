"""Start and stop job-runner (playbook: "Starting/stopping the service").

A started service must stay up, with the same process; otherwise the start has failed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from opstasks.core.command import Command
from opstasks.core.errors import (
    Interrupted,
    InvalidResponse,
    OpsError,
    ProgramFailed,
    Refused,
    VerifyFailed,
)
from opstasks.core.hints import one_word
from opstasks.core.result import Result
from opstasks.core.state import HostState, ServiceState
from opstasks.deploy import fit, release
from opstasks.fleet import lock
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.jobs.read import JobsAnswer, jobs_answer, jobs_command
from opstasks.onhost import unit_state
from opstasks.primitives import journal, systemd
from opstasks.primitives.systemd import UnitState

POLL_S = 1.0
# A person may restart the service while we watch it: we watch again, but not forever.
MOST_RESTARTS = 3
# A stop, or the first half of a restart: above systemd's own limit.
SETTLE_S = 100.0


@dataclass(frozen=True)
class RunningJobs:
    """How many jobs are running; if unknown, `count` is None and `error` says why."""

    count: int | None
    error: str = ""


@dataclass(frozen=True)
class ServiceFacts:
    """The state of the service, and the running jobs of its host.

    The service has been in its state for `service_for_s` seconds; None: not known.
    """

    unit: UnitState
    jobs: RunningJobs
    service_for_s: float | None = None


@dataclass(frozen=True)
class ServiceResult:
    """The outcome: the state of the service before and after, and the running jobs.

    `jobs` were read after a stop, and before a start. `notes` say what people did meanwhile; `now`
    was read at the end.
    """

    changed: bool
    before: ServiceState | None
    after: ServiceState | None
    jobs: RunningJobs
    notes: tuple[str, ...] = ()
    now: HostState = field(default_factory=HostState)


def inspect(host: Host) -> ServiceFacts:
    """The unit's state, and how many jobs run, in one round trip.

    Raises VerifyFailed on a host without the unit, InvalidResponse when its state is unknown.
    """
    found = host.service.gather(
        {"unit": systemd.show(host.spec.unit), "jobs": jobs_command(host.spec)}
    )
    unit = _unit(host, found["unit"])
    if unit.load == "not-found":
        raise VerifyFailed(
            f"the host has no unit {unit.name}", host=host.name, hint=f"inv -H {host.name} manage"
        )
    jobs = jobs_answer(found["jobs"], host.name)
    # Both times are from the host's clock.
    for_s = max(0.0, jobs.now - unit.since.timestamp()) if unit.since and jobs.now else None
    return ServiceFacts(unit, _running_jobs(jobs), for_s)


def inspect_start(host: Host) -> ServiceFacts:
    """What `inspect` reads; raises what `start` would raise before it touches anything."""
    facts = inspect(host)
    return facts if facts.unit.is_serving else _judged(host, facts)


def inspect_restart(host: Host) -> ServiceFacts:
    """What `inspect` reads; raises what `restart` would raise before it touches anything."""
    return _judged(host, inspect(host))


def _judged(host: Host, facts: ServiceFacts) -> ServiceFacts:
    _refuse(host, facts.unit)
    found = host.service.gather({"lock": lock.holder(host.spec), **_start_commands(host.spec)})
    # Who has the lock may be changing both just now; without it, `change` says who that is.
    if lock.parse_owner(found["lock"].out) is None:
        _refuse_misfit(host, found)
    return facts


def start(host: Host, watch_s: float) -> ServiceResult:
    """Start the service unless it is up; raises VerifyFailed when it does not stay up.

    Raises Refused while a release is unfinished, if the service cannot start, and if it would run
    as another account.
    """
    before = inspect(host)
    if before.unit.is_serving:
        return unchanged(before)
    _refuse(host, before.unit)
    with change(host.service, "service.start"):
        _refuse_misfit(host, host.service.gather(_start_commands(host.spec)))
        return _started(host, before, watch_s, "start")


def stop(host: Host) -> ServiceResult:
    """Stop the service unless it is down; jobs keep running. Raises VerifyFailed."""
    before = inspect(host)
    if before.unit.is_down:
        return unchanged(before)
    with change(host.service, "service.stop"):
        _control(host, "stop")
        after = inspect(host)
        if not after.unit.is_down:
            error = VerifyFailed(
                f"{after.unit.name} is still {after.unit.describe()} after the stop",
                host=host.name,
                hint=f"inv -H {host.name} logs",
            )
            error.now = _now(after.unit)
            raise error
    return _result(True, before, after.unit, jobs=after.jobs)


def restart(host: Host, watch_s: float) -> ServiceResult:
    """Stop and start the service; raises VerifyFailed when it does not stay up.

    Raises Refused while a release is unfinished, if the service could not start again, and if it
    would run as another account.
    """
    before = inspect(host)
    _refuse(host, before.unit)
    with change(host.service, "service.restart"):
        _refuse_misfit(host, host.service.gather(_start_commands(host.spec)))
        return _started(host, before, watch_s, "stop", "start")


def _refuse(host: Host, unit: UnitState) -> None:
    """Raise Refused if systemd would not start the unit, or as another account."""
    if problem := unit_state.start_problem(unit.name, unit.load):
        hint = systemd.start_hint(unit.name, unit.load)
        raise Refused(problem, host=host.name, hint=hint)
    refuse_other_account(host, unit)


def _start_commands(spec: HostSpec) -> dict[str, Command]:
    """What tells whether the service could start; only under the lock is it true at the start."""
    return {"releases": release.list_command(spec), "fit": fit.fit_command(spec)}


def _refuse_misfit(host: Host, found: Mapping[str, Result]) -> None:
    """Raise Refused while a release is unfinished, or if the code cannot start with its database.

    `found` are the results of `_start_commands`.
    """
    release.refuse_start(host.spec, release.parse_releases(found["releases"], host.name))
    if misfit := _misfit(host, found["fit"]):
        raise Refused(misfit, host=host.name, hint=f"inv -H {host.name} deploy")


def _started(host: Host, before: ServiceFacts, watch_s: float, *verbs: str) -> ServiceResult:
    """Do the verbs, then watch the service."""
    first = _control(host, *verbs)
    after, notes = _watch(host, first, watch_s)
    return _result(True, before, after, notes=notes, jobs=before.jobs)


def _control(host: Host, *verbs: str) -> UnitState:
    """Stop or start the unit; the state afterwards. Raises Refused, ProgramFailed."""
    unit = host.spec.unit
    words = " and ".join(verbs)
    host.step(f"{words} {unit}", words)
    try:
        answer = host.service.call(systemd.CONTROL, systemd.ControlRequest(unit, verbs))
    except Refused as no:
        no.hint = no.hint or systemd.hint_for(unit, no.message)
        raise
    except ProgramFailed as error:
        error.hint = _start_hint(host, error)
        with contextlib.suppress(OpsError):
            error.now = _now(_unit(host, host.service.run(systemd.show(unit))))
        raise
    return systemd.of(unit, answer.properties)


def _start_hint(host: Host, error: ProgramFailed) -> str:
    """What to do about a unit that did not start: the unit that it needs may be the cause."""
    if unit_state.START_LIMIT in error.message:
        return f"inv -H {host.name} manage"
    needed = one_word(f"{host.spec.unit}-network")
    return f"inv -H {host.name} run --user root -- journalctl -n 5 -u {needed}"


def refuse_other_account(host: Host, unit: UnitState) -> None:
    """Raise Refused if the unit, or one of its commands, would run as another account.

    If systemd does not name the account, nothing is refused.
    """
    if problem := unit_state.account_problem(unit.name, host.spec.service_user, unit.shown):
        raise Refused(problem, host=host.name, hint=systemd.account_hint(host.spec.unit))


def unchanged(facts: ServiceFacts) -> ServiceResult:
    """The result on a host where nothing is done."""
    return _result(False, facts, facts.unit, jobs=facts.jobs)


def _result(
    changed: bool,
    before: ServiceFacts,
    after: UnitState,
    *,
    jobs: RunningJobs,
    notes: tuple[str, ...] = (),
) -> ServiceResult:
    return ServiceResult(changed, before.unit.state, after.state, jobs, notes, _now(after))


def _now(unit: UnitState) -> HostState:
    return HostState(service=unit.state)


def _unit(host: Host, result: Result) -> UnitState:
    """The unit's state; raises InvalidResponse when systemd does not report it."""
    unit = systemd.parse_show(host.spec.unit, result.out)
    if unit.is_unknown:
        raise InvalidResponse(
            f"systemd does not report the state of {unit.name}",
            host=host.name,
            tail=result.tail(),
            hint=f"inv -H {host.name} doctor",
        )
    return unit


def _misfit(host: Host, result: Result) -> str:
    """Why code and database do not fit; "" if that cannot be read, which is no reason to refuse."""
    try:
        return fit.FIT.decode(result, host.name).misfit()
    except OpsError:
        return ""


def _running_jobs(jobs: JobsAnswer) -> RunningJobs:
    return RunningJobs(jobs.count("running"), jobs.problem)


def _watch(host: Host, first: UnitState, watch_s: float) -> tuple[UnitState, tuple[str, ...]]:
    """Check that the service stays up, with the same process; raises VerifyFailed.

    A restart by a person is noted, and watched for the whole time again. Raises Interrupted as
    soon as the operator presses Ctrl-C; the service is not changed.
    """
    notes: list[str] = []
    while True:
        state = _first_fallen(host, first, watch_s)
        if state is None:
            return first, tuple(notes)
        if not state.is_serving or len(notes) == MOST_RESTARTS or not state.by_hand(first):
            raise _did_not_stay_up(host, first, state)
        notes.append(state.by_hand(first))
        first = state


def _first_fallen(host: Host, first: UnitState, watch_s: float) -> UnitState | None:
    """The state when the process of the first look no longer serves; None if it stays up."""
    unit = host.spec.unit
    host.step(f"watch {unit}", "watch", watch_s)

    seen = [first]

    def fallen() -> UnitState | None:
        seen.append(_unit(host, host.service.run(systemd.show(unit))))
        return seen[-1] if seen[-1].fallen(first) else None

    def settled() -> UnitState | None:
        seen.append(_unit(host, host.service.run(systemd.show(unit))))
        return seen[-1] if seen[-1].active != "deactivating" else None

    where = f"{unit} was started, but the watch did not finish"
    try:
        state = host.wait_until(fallen, timeout_s=watch_s, where=where, every_s=POLL_S)
        if state is not None and state.active == "deactivating":
            # It may be a restart.
            host.wait_until(settled, timeout_s=SETTLE_S, where=where, every_s=POLL_S)
            state = seen[-1]
    except Interrupted as stopped:
        stopped.now = _now(seen[-1])
        raise
    return state


def _did_not_stay_up(host: Host, first: UnitState, state: UnitState) -> VerifyFailed:
    (lines,) = host.service.batch([journal.unit_lines(state.name, lines=10)])
    error = VerifyFailed(
        state.fallen(first),
        host=host.name,
        tail=lines.out.strip(),
        hint=f"inv -H {host.name} logs",
    )
    error.now = _now(state)
    return error
