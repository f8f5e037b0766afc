"""Pausing and unpausing new jobs, with job-runner's own flag (playbook: "Pausing new jobs")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opstasks.core.errors import CommandFailed
from opstasks.fleet import audit
from opstasks.fleet.change import change
from opstasks.fleet.host import Host, Shell
from opstasks.jobs.read import jobs_answer, jobs_command, unreadable
from opstasks.maintenance import flags, records
from opstasks.maintenance import site as sites
from opstasks.maintenance.flags import Pause
from opstasks.maintenance.records import UNPAUSE

# How long the end of a pause waits for whoever is changing the host.
LOCK_WAIT_S = 600


@dataclass(frozen=True)
class Outcome:
    """How it ended: the pause that holds now, or the one that was ended."""

    changed: bool
    pause: Pause | None = None
    now: float = 0.0


def read(host: Host) -> Outcome:
    """The pause that holds on a host; in one round trip."""
    told, counted = host.service.batch([records.read_command(host.spec), jobs_command(host.spec)])
    jobs = jobs_answer(counted, host.name)
    if jobs.problem:
        raise CommandFailed(
            f"cannot read the flag: {jobs.problem}",
            returned=1,
            host=host.name,
            hint=unreadable(host.name, jobs.problem).hint,
        )
    found = records.parse(told.out)
    return Outcome(False, flags.pause_of(jobs, found.pause), found.now)


def pause(host: Host, *, why: str = "", for_s: int = 0) -> Outcome:
    """Pause; with `for_s` the host ends it by itself after so many seconds.

    A pause that holds already gets the new reason or end; without any, nothing is done.
    """
    before = read(host)
    if before.pause and not why and not for_s:
        return before
    args = {"why": why, "for": f"{for_s} s" if for_s else ""}
    # Only a timer is beyond the service account.
    shell = host.root if for_s else host.service
    with change(shell, "pause", {k: v for k, v in args.items() if v}):
        words: dict[str, Any] = {"who": audit.who(), "why": why}
        if for_s:
            end = _arm_end(shell, for_s, why or (before.pause.why if before.pause else ""))
            words |= {"until": end["due"], "id": end["id"]}
        found = sites.ask(host.service, "pause", **words)
    return Outcome(True, records.parse_pause(found["pause"]), before.now)


def _arm_end(shell: Shell, for_s: int, why: str) -> dict[str, Any]:
    """Arm the end of a pause first: a timer that finds no pause of its own does nothing."""
    host = shell.host
    record: dict[str, Any] = {
        "id": audit.new_run_id(),
        "host": host.name,
        "kind": UNPAUSE,
        "who": audit.who(),
        "why": why,
        "due": 0,
        "delay_s": for_s,
        "timed": True,
        "reboot": False,
        "lock_wait_s": LOCK_WAIT_S,
    }
    text = sites.own_text()
    answer = sites.ask(shell, "arm", record=record, replace=False, script=text)
    found: dict[str, Any] = answer["record"]
    return found


def unpause(host: Host) -> Outcome:
    """Unpause, whoever paused; an armed end then finds nothing to do."""
    before = read(host)
    if before.pause is None:
        return before
    args = {"paused by": before.pause.who} if before.pause.who else {}
    with change(host.service, "unpause", args):
        sites.ask(host.service, "unpause")
    return Outcome(True, before.pause, before.now)
