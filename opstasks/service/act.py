"""Starting and stopping job-runner (playbook: "Starting/stopping the service").

A change counts only when it holds: a started service must stay up, with the same process.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from opstasks.core.errors import VerifyFailed
from opstasks.deploy import release
from opstasks.fleet.change import change
from opstasks.fleet.host import Host
from opstasks.jobs.read import jobs_answer, jobs_command
from opstasks.primitives import journal, systemd
from opstasks.primitives.systemd import UnitState

POLL_S = 1.0


@dataclass(frozen=True)
class Before:
    """What is looked at before a service is touched."""

    unit: UnitState
    running_jobs: int


@dataclass(frozen=True)
class Outcome:
    """How it ended: the state before and after, for people."""

    changed: bool
    before: str
    after: str


def look(host: Host) -> Before:
    """The unit's state and how many jobs run, in one round trip."""
    shown, counted = host.service.batch([systemd.show(host.spec.unit), jobs_command(host.spec)])
    unit = systemd.parse_show(host.spec.unit, shown.out)
    if unit.load == "not-found":
        raise VerifyFailed(
            f"there is no unit {unit.name}", host=host.name, hint=f"inv -H {host.name} manage"
        )
    return Before(unit, jobs_answer(counted, host.name).count("running") or 0)


def start(host: Host, watch_s: float) -> Outcome:
    """Start the service unless it serves already; raises VerifyFailed when it falls over.

    Raises Refused while a release is unfinished.
    """
    before = look(host).unit
    if before.is_serving:
        return Outcome(False, before.describe(), before.describe())
    with change(host.service, "service.start"):
        release.refuse_half_way(host.service)
        host.service.run(systemd.start(host.spec.unit))
        after = _watch(host, watch_s)
    return Outcome(True, before.describe(), after.describe())


def stop(host: Host) -> Outcome:
    """Stop the service unless it is down already; job containers go on."""
    before = look(host).unit
    if before.active in ("inactive", "failed"):
        return Outcome(False, before.describe(), before.describe())
    with change(host.service, "service.stop"):
        host.service.run(systemd.stop(host.spec.unit))
        after = look(host).unit
        if after.active not in ("inactive", "failed"):
            raise VerifyFailed(
                f"{after.name} is {after.describe()} after the stop",
                host=host.name,
                hint=f"inv -H {host.name} logs",
            )
    return Outcome(True, before.describe(), after.describe())


def restart(host: Host, watch_s: float) -> Outcome:
    """Stop and start the service; raises VerifyFailed when it falls over.

    Raises Refused while a release is unfinished.
    """
    before = look(host).unit
    with change(host.service, "service.restart"):
        release.refuse_half_way(host.service)
        if before.active not in ("inactive", "failed"):
            host.service.run(systemd.stop(host.spec.unit))
        host.service.run(systemd.start(host.spec.unit))
        after = _watch(host, watch_s)
    return Outcome(True, before.describe(), after.describe())


def _watch(host: Host, watch_s: float) -> UnitState:
    """See that the service stays up, with the process it started with."""
    unit = host.spec.unit
    host.step(f"watch {unit} for {watch_s:g} s")
    first = systemd.parse_show(unit, host.service.output(systemd.show(unit)))
    deadline = time.monotonic() + watch_s
    state = first
    while state.is_serving and time.monotonic() < deadline:
        time.sleep(min(POLL_S, watch_s))
        state = systemd.parse_show(unit, host.service.output(systemd.show(unit)))
    same = (state.main_pid, state.restarts) == (first.main_pid, first.restarts)
    if not (state.is_serving and same):
        (lines,) = host.service.batch([journal.unit_lines(unit, lines=10)])
        raise VerifyFailed(
            f"{unit} did not stay up: {state.describe()}",
            host=host.name,
            tail=lines.out.strip(),
            hint=f"inv -H {host.name} logs",
        )
    return state
