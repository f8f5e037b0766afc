"""Start and stop job-runner (playbook: "Starting/stopping the service").

A started service must stay up, with the same process; otherwise the start has failed.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstasks.core.errors import CommandFailed, InvalidResponse, Refused, VerifyFailed
from opstasks.core.hints import one_word
from opstasks.core.result import Result
from opstasks.deploy import release
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.jobs.read import JobsAnswer, jobs_answer, jobs_command
from opstasks.primitives import journal, systemd
from opstasks.primitives.systemd import UnitState

POLL_S = 1.0


@dataclass(frozen=True)
class RunningJobs:
    """How many jobs are running; if unknown, `count` is None and `error` says why."""

    count: int | None
    error: str = ""

    def describe(self) -> str:
        """For people: ``2 job(s) running``, ``running jobs: unknown (database is locked)``."""
        if self.count is None:
            return f"running jobs: unknown ({self.error})"
        return f"{self.count} job(s) running"


@dataclass(frozen=True)
class ServiceFacts:
    """The state of the service, and the running jobs of its host."""

    unit: UnitState
    jobs: RunningJobs


@dataclass(frozen=True)
class ServiceResult:
    """The outcome: the state before and after, for people, and the running jobs."""

    changed: bool
    before: str
    after: str
    jobs: RunningJobs


def inspect(host: Host) -> ServiceFacts:
    """The unit's state and how many jobs run, in one round trip.

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
    return ServiceFacts(unit, _running_jobs(jobs_answer(found["jobs"], host.name)))


def start(host: Host, watch_s: float) -> ServiceResult:
    """Start the service unless it is up; raises VerifyFailed when it does not stay up.

    Raises Refused while a release is unfinished, and if it would run as another account.
    """
    before = inspect(host)
    if before.unit.is_serving:
        return _unchanged(before)
    refuse_other_account(host, before.unit)
    with change(host.service, "service.start"):
        release.refuse_half_way(host.service)
        _start(host)
        after = _watch(host, watch_s)
    return ServiceResult(True, before.unit.describe(), after.describe(), before.jobs)


def stop(host: Host) -> ServiceResult:
    """Stop the service unless it is down; jobs keep running. Raises VerifyFailed."""
    before = inspect(host)
    if before.unit.is_down:
        return _unchanged(before)
    with change(host.service, "service.stop"):
        host.service.run(systemd.stop(host.spec.unit))
        after = inspect(host)
        if not after.unit.is_down:
            raise VerifyFailed(
                f"{after.unit.name} is still {after.unit.describe()} after the stop",
                host=host.name,
                hint=f"inv -H {host.name} logs",
            )
    return ServiceResult(True, before.unit.describe(), after.unit.describe(), after.jobs)


def restart(host: Host, watch_s: float) -> ServiceResult:
    """Stop and start the service; raises VerifyFailed when it does not stay up.

    Raises Refused while a release is unfinished, and if it would run as another account.
    """
    before = inspect(host)
    refuse_other_account(host, before.unit)
    with change(host.service, "service.restart"):
        release.refuse_half_way(host.service)
        if not before.unit.is_down:
            host.service.run(systemd.stop(host.spec.unit))
        _start(host)
        after = _watch(host, watch_s)
    return ServiceResult(True, before.unit.describe(), after.describe(), before.jobs)


def _start(host: Host) -> None:
    """Start the unit; raises CommandFailed, also if the unit that it needs does not start."""
    try:
        host.service.run(systemd.start(host.spec.unit))
    except CommandFailed as error:
        needed = f"{host.spec.unit}-network"
        error.hint = f"inv -H {host.name} run --user root -- journalctl -n 5 -u {one_word(needed)}"
        raise


def refuse_other_account(host: Host, unit: UnitState) -> None:
    """Raise Refused if the unit would run as another account than the service's.

    If systemd does not name the account, nothing is refused.
    """
    user = host.spec.service_user
    if unit.load == "loaded" and unit.user not in ("", user):
        where = f": {', '.join(unit.drop_ins)}" if unit.drop_ins else ""
        raise Refused(
            f"{unit.name} would run as {unit.user}, not as {user}{where}",
            host=host.name,
            hint=f"systemctl cat {one_word(host.spec.unit)} shows the file that sets it;"
            " correct it, then systemctl daemon-reload",
        )


def _unchanged(facts: ServiceFacts) -> ServiceResult:
    state = facts.unit.describe()
    return ServiceResult(False, state, state, facts.jobs)


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


def _running_jobs(jobs: JobsAnswer) -> RunningJobs:
    return RunningJobs(jobs.count("running"), jobs.problem)


def _watch(host: Host, watch_s: float) -> UnitState:
    """Check that the service stays up, with the same process; raises VerifyFailed.

    Raises Interrupted as soon as the operator presses Ctrl-C; the service is not changed.
    """
    unit = host.spec.unit
    host.step(f"watch {unit} for {watch_s:g} s")
    seen: list[UnitState] = []

    def fallen() -> UnitState | None:
        seen.append(_unit(host, host.service.run(systemd.show(unit))))
        first, now = seen[0], seen[-1]
        same = (now.main_pid, now.restarts) == (first.main_pid, first.restarts)
        return None if now.is_serving and same else now

    where = f"{unit} was started, but the watch did not finish"
    state = host.wait_until(fallen, timeout_s=watch_s, where=where, every_s=POLL_S)
    if state is None:
        return seen[-1]
    (lines,) = host.service.batch([journal.unit_lines(unit, lines=10)])
    raise VerifyFailed(
        f"{unit} did not stay up: {state.describe()}",
        host=host.name,
        tail=lines.out.strip(),
        hint=f"inv -H {host.name} logs",
    )
